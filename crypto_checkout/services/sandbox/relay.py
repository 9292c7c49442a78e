"""Have the leader of several processes do what test helpers ask of the simulated chain, whichever process was asked.

An operation with its arguments is a row; the leader does them in their order, and puts the answers there. One that was
under way when the leader changed is continued by the next, after the last step that was stored.
"""

import asyncio
import inspect
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, Concatenate, Never, ParamSpec, Protocol, TypeVar

from crypto_checkout.core import errors
from crypto_checkout.core.errors import CheckoutError, DatabaseUnavailable, RecoverableError
from crypto_checkout.core.ledger.payment import TransferKind
from crypto_checkout.core.sandbox import Scenario
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every, pause
from crypto_checkout.services.sandbox.sharing import SharedSandbox
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.sandbox import requests, tasks
from crypto_checkout.store.sandbox.tasks import SandboxTask

log = get_logger("sandbox")

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound="Relaying")

_LOOK_SECONDS = 1.0
_PATIENCE_SECONDS = 25.0
_ENUMS: Mapping[str, Callable[[str], Any]] = {"kind": TransferKind, "scenario": Scenario}
"""The arguments that aren't plain JSON, by their names."""


class Relaying(Protocol):
    """Operations of which some are the leader's to do; `relay` is None where this process always leads."""

    relay: "Relay | None"


def by_leader(
    operation: Callable[Concatenate[C, P], Awaitable[R]],
) -> Callable[Concatenate[C, P], Coroutine[Any, Any, R]]:
    """Mark an operation that the leader does, and that the relay knows by its name."""

    @wraps(operation)
    async def relayed(controls: C, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if controls.relay is None:
            return await operation(controls, *args, **kwargs)
        bound = inspect.signature(operation).bind(controls, *args, **kwargs)
        arguments = dict(list(bound.arguments.items())[1:])
        answer: R = await controls.relay.ask(operation.__name__, arguments)
        return answer

    return relayed


class Relay:
    """Asks the leader, and where this process leads, does what was asked; `shared` is its view of the chain.

    `changed` is the signal of a change of the chain.
    """

    def __init__(self, db: Database, shared: SharedSandbox) -> None:
        self._db = db
        self._shared = shared
        self.changed = shared.changed
        self._controls: Relaying | None = None
        self._woken = asyncio.Event()
        self._answered = asyncio.Event()
        self._waits = db.signals.make("a sandbox task waits", self._woken.set)
        self._is_done = db.signals.make("a sandbox task is done", self._wake_waiting)

    def serve(self, controls: Relaying) -> None:
        """Name what does the operations here, while this process leads."""
        self._controls = controls

    async def ask(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Have an operation done, and return its answer once this process sees its effects.

        Raises what it raises there, and DatabaseUnavailable if nobody does it for a while.
        """
        task = SandboxTask(secrets.token_hex(16), operation, json.dumps(arguments))

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
        arguments = json.loads(task.arguments)
        for name in _ENUMS.keys() & arguments.keys():
            if arguments[name] is not None:
                arguments[name] = _ENUMS[name](arguments[name])
        arguments["request"] = arguments.get("request") or _request(task)
        operation = getattr(type(self._controls), task.operation).__wrapped__
        try:
            return json.dumps({"result": await operation(self._controls, **arguments)})
        except errors.DatabaseFailed:
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


def _read_error(answer: Mapping[str, Any]) -> Exception:
    kind = getattr(errors, answer["error"], CheckoutError)
    if not issubclass(kind, CheckoutError):
        return RecoverableError(answer["message"])
    error = kind.__new__(kind)
    CheckoutError.__init__(error, answer["message"], param=answer.get("param"))
    return error  # type: ignore[no-any-return]
