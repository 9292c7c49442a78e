"""Have the leader of several processes do what test helpers ask of the simulated chain, whichever process was asked.

An operation with its arguments is a row; the leader does them in their order, and puts the answers there. One that was
under way when the leader changed is continued by the next, after the last step that was stored.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Never

from crypto_checkout.core.errors import (
    CheckoutError,
    DatabaseFailed,
    DatabaseUnavailable,
    InvalidBody,
    PriceUnavailable,
    RecoverableError,
    RefundNotOpen,
    ResourceNotFound,
    SessionNotOpen,
    UnsupportedAsset,
)
from crypto_checkout.core.ledger.payment import TransferKind
from crypto_checkout.core.public.collection_types import CollectionResource
from crypto_checkout.core.public.refund_types import RefundResource
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.core.sandbox import Scenario
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every, pause
from crypto_checkout.services.sandbox.controls import SandboxControls
from crypto_checkout.services.sandbox.sharing import SharedSandbox
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.sandbox import requests, tasks
from crypto_checkout.store.sandbox.tasks import SandboxTask

log = get_logger("sandbox")

_LOOK_SECONDS = 1.0
_PATIENCE_SECONDS = 25.0

_OPERATIONS: Mapping[str, Callable[[SandboxControls, Mapping[str, Any], str], Awaitable[Any]]] = {
    "pay": lambda controls, given, request: controls.pay(
        given["session_id"], given["units"], _kind(given["kind"]), given["transfers"], request
    ),
    "collect": lambda controls, given, request: controls.collect(given["session_id"], request),
    "play": lambda controls, given, request: controls.play(given["session_id"], Scenario(given["scenario"]), request),
    "pay_refund": lambda controls, given, request: controls.pay_refund(given["refund_id"], request),
    "mine": lambda controls, given, request: controls.mine(given["blocks"], request),
    "reorg": lambda controls, given, request: controls.reorg(given["depth"], request),
    "outage": lambda controls, given, request: controls.outage(given["seconds"], request),
    "price_outage": lambda controls, given, request: controls.price_outage(given["seconds"], request),
    "advance": lambda controls, given, request: controls.advance(given["seconds"], request),
}
"""The operations by their names in the database, from the arguments that are stored there."""

_REFUSALS = {
    kind.__name__: kind
    for kind in (InvalidBody, PriceUnavailable, RefundNotOpen, ResourceNotFound, SessionNotOpen, UnsupportedAsset)
}
"""The errors of operations that answer the caller, by their names in the database."""


class Relay:
    """Asks the leader, and where this process leads, does what was asked; `shared` is its view of the chain.

    `changed` is the signal of a change of the chain.
    """

    def __init__(self, db: Database, shared: SharedSandbox) -> None:
        self._db = db
        self._shared = shared
        self.changed = shared.changed
        self._controls: SandboxControls | None = None
        self._woken = asyncio.Event()
        self._answered = asyncio.Event()
        self._waits = db.signals.make("a sandbox task waits", self._woken.set)
        self._is_done = db.signals.make("a sandbox task is done", self._wake_waiting)

    def serve(self, controls: SandboxControls) -> None:
        """Set the controls that do the operations while this process leads."""
        self._controls = controls

    async def ask(self, operation: str, request: str | None, **arguments: str | int | None) -> Any:
        """Have an operation done, and return its answer once this process sees its effects.

        Raises what it raises there, and DatabaseUnavailable if nobody does it for a while.
        """
        task = SandboxTask(secrets.token_hex(16), operation, json.dumps({**arguments, "request": request}))

        def add(unit: WriteUnit) -> None:
            tasks.add(unit, task)
            unit.after_commit(self._waits)

        await self._db.write(add)
        try:
            text = await self._answer(task.id)
        finally:
            await self._db.write(lambda unit: tasks.delete(unit, task.id))
        await self._shared.refresh()
        if text is None:
            raise DatabaseUnavailable(
                "No server process follows the simulated chain at the moment: another one takes over within seconds."
            )
        answer = json.loads(text)
        if "error" in answer:
            raise _read_error(answer)
        return answer["result"]

    async def run(self) -> Never:
        """Do what is asked, at once and every second, until cancelled."""
        await every(_LOOK_SECONDS, self.turn, log=log, failure="sandbox tasks could not be done", woken=self._woken)

    async def turn(self) -> None:
        """Do all that waits, once this process has taken over the chain."""
        if not self._shared.leads:
            return
        for task in await self._db.read(tasks.waiting):
            text = await self._do(task)
            await self._db.write(lambda unit, task=task, text=text: self._store(unit, task, text))  # type: ignore[misc]

    async def _answer(self, task_id: str) -> str | None:
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until:
            answered = self._answered
            text = await self._db.read(lambda unit: tasks.answer_of(unit, task_id), quick=True)
            if text is not None:
                return text
            await pause(_LOOK_SECONDS, answered)
        return None

    def _wake_waiting(self) -> None:
        self._answered.set()
        self._answered = asyncio.Event()

    async def _do(self, task: SandboxTask) -> str:
        assert self._controls is not None, "the application serves before the loops run"
        arguments = json.loads(task.arguments)
        request = arguments.get("request") or _request(task)
        try:
            return json.dumps({"result": await _OPERATIONS[task.operation](self._controls, arguments, request)})
        except DatabaseFailed:
            raise  # the next turn, or the next leader, goes on with it
        except (CheckoutError, RecoverableError) as error:
            return json.dumps(
                {"error": type(error).__name__, "message": str(error), "param": getattr(error, "param", None)}
            )
        except Exception as error:  # a loop's boundary: what fails for good must not be tried for ever
            log.exception("a sandbox task failed", error=str(error))
            return json.dumps({"error": "CheckoutError", "message": "This failed on the server; its log says why."})

    def _store(self, unit: WriteUnit, task: SandboxTask, text: str) -> None:
        requests.forget(unit, _request(task))
        tasks.answer(unit, task.id, text)
        unit.after_commit(self._is_done)


def _request(task: SandboxTask) -> str:
    return f"task/{task.id}"


def _kind(name: str | None) -> TransferKind | None:
    return None if name is None else TransferKind(name)


def _read_error(answer: Mapping[str, Any]) -> Exception:
    if answer["error"] in _REFUSALS:
        return _REFUSALS[answer["error"]](answer["message"], param=answer["param"])
    if answer["error"] == CheckoutError.__name__:
        return CheckoutError(answer["message"])
    return RecoverableError(answer["message"])


class RelayedControls:
    """The controls of a process that may not lead: as `SandboxControls`, but done by the leader."""

    def __init__(self, relay: Relay, own: SandboxControls) -> None:
        self._relay = relay
        self._own = own

    async def decimals(self, session_id: str) -> int:
        """Return the decimals of a test session's asset, as this process knows it."""
        return await self._own.decimals(session_id)

    async def pay(
        self,
        session_id: str,
        units: int | None = None,
        kind: TransferKind | None = None,
        transfers: int = 1,
        request: str | None = None,
    ) -> SessionResource:
        """Have a test session paid."""
        session: SessionResource = await self._relay.ask(
            "pay", request, session_id=session_id, units=units, kind=kind, transfers=transfers
        )
        return session

    async def collect(self, session_id: str, request: str | None = None) -> CollectionResource:
        """Have all collected that a test session's address holds."""
        collection: CollectionResource = await self._relay.ask("collect", request, session_id=session_id)
        return collection

    async def play(self, session_id: str, scenario: Scenario, request: str | None = None) -> SessionResource:
        """Have a test session driven through a scenario."""
        session: SessionResource = await self._relay.ask("play", request, session_id=session_id, scenario=scenario)
        return session

    async def pay_refund(self, refund_id: str, request: str | None = None) -> RefundResource:
        """Have a test refund paid."""
        refund: RefundResource = await self._relay.ask("pay_refund", request, refund_id=refund_id)
        return refund

    async def mine(self, blocks: int, request: str | None = None) -> int:
        """Have blocks mined."""
        return int(await self._relay.ask("mine", request, blocks=blocks))

    async def reorg(self, depth: int, request: str | None = None) -> int:
        """Have the newest blocks replaced."""
        return int(await self._relay.ask("reorg", request, depth=depth))

    async def outage(self, seconds: int, request: str | None = None) -> int:
        """Have every read of the chain fail for some seconds."""
        return int(await self._relay.ask("outage", request, seconds=seconds))

    async def price_outage(self, seconds: int, request: str | None = None) -> int:
        """Have test mode's prices withheld for some seconds."""
        return int(await self._relay.ask("price_outage", request, seconds=seconds))

    async def advance(self, seconds: int, request: str | None = None) -> int:
        """Have the clock of test mode advanced."""
        return int(await self._relay.ask("advance", request, seconds=seconds))


AnyControls = SandboxControls | RelayedControls
"""The controls of any process."""
