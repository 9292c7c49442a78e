"""Operations that drive the sandbox: the simulated chain of test mode."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from crypto_checkout.core import errors
from crypto_checkout.core.checkout.questions import MOST_CUSTOM_FIELDS
from crypto_checkout.core.errors import InvalidBody, WalletNotConfigured
from crypto_checkout.core.ledger.payment import TransferKind
from crypto_checkout.core.money import parse_units
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.public import examples
from crypto_checkout.core.public.collection_types import CollectionResource
from crypto_checkout.core.public.refund_types import RefundResource
from crypto_checkout.core.public.types import SandboxChainResource, SessionResource
from crypto_checkout.core.sandbox import Scenario
from crypto_checkout.http.api import schemas
from crypto_checkout.http.api.fields import CoinText, Whole
from crypto_checkout.http.api.operations import Call, Operation, Resource, Unit, Write
from crypto_checkout.services.sandbox.relay import AnyControls
from crypto_checkout.store.database import WriteUnit
from crypto_checkout.store.sandbox import requests

_MOST_UNITS = 2**256


def _one_of(kinds: type[StrEnum]) -> AfterValidator:
    """Accept the values of an enumeration."""

    def check(text: str) -> str:
        if text not in list(kinds):
            raise ValueError(f'must be one of {", ".join(kinds)}; got "{text[:40]}"')
        return text

    return AfterValidator(check)


_KindName = Annotated[str, _one_of(TransferKind), Field(json_schema_extra={"enum": [*TransferKind]})]
_ScenarioName = Annotated[str, _one_of(Scenario), Field(json_schema_extra={"enum": [*Scenario]})]


class TestPayment(schemas.Request):
    """A payment in test mode, or a scenario: give a `scenario` alone, or any of the other fields."""

    amount: CoinText | None = None
    """The amount in whole coins; by default the amount still due."""
    kind: _KindName | None = None
    """The kind of transfer: `native` or `internal` (sent by a contract) for the chain's coin, `token` for others."""
    transfers: Annotated[int, Field(ge=1, le=20), Whole] | None = None
    """The number of transfers, each in a block of its own; by default one."""
    scenario: _ScenarioName | None = None
    """The scenario to play to its end, at once. Excludes the other fields."""


_Answer = Annotated[str, Field(max_length=2_000)]


class TestAnswers(schemas.Request):
    """The answers of a payer in test mode, to what the session asks."""

    email: _Answer | None = None
    """The payer's email address."""
    name: _Answer | None = None
    """The payer's name."""
    note: _Answer | None = None
    """The payer's note."""
    custom_fields: Annotated[dict[str, _Answer], Field(max_length=MOST_CUSTOM_FIELDS)] | None = None
    """The answers to the session's `customFields`, by their keys."""


class Mining(schemas.Request):
    """Blocks to mine on the simulated chain."""

    blocks: Annotated[int, Field(ge=1, le=10_000), Whole] = 1
    """The number of blocks."""


class Reorganisation(schemas.Request):
    """A reorg of the simulated chain."""

    depth: Annotated[int, Field(ge=1, le=1_000), Whole] = 1
    """The number of newest blocks to replace."""


class Outage(schemas.Request):
    """An outage in test mode."""

    seconds: Annotated[int, Field(ge=1, le=3_600), Whole]
    """The duration of the outage."""


class ClockAdvance(schemas.Request):
    """A move of test mode's clock."""

    seconds: Annotated[int, Field(ge=1, le=2_592_000), Whole]
    """The time to move it ahead."""


async def pay(call: Call) -> Unit:
    """Pay a session or play a scenario, and return the session once the blocks are processed."""
    body: TestPayment = call.body
    sandbox, id_ = _sandbox(call), call.path["id"]
    if body.scenario is not None:
        if (body.amount, body.kind, body.transfers) != (None, None, None):
            raise InvalidBody("A scenario pays by itself: give no amount, kind or transfers with it.", param="scenario")
        return _end_request(call, await sandbox.play(id_, Scenario(body.scenario), call.request))
    units = None if body.amount is None else _units(body.amount, await sandbox.decimals(id_))
    kind = None if body.kind is None else TransferKind(body.kind)
    return _end_request(call, await sandbox.pay(id_, units, kind, body.transfers or 1, call.request))


async def answer(call: Call) -> Unit:
    """Answer what a session asks of its payer, and return it."""
    body: TestAnswers = call.body
    _sandbox(call)
    usual = {name: text for name, text in body.model_dump(exclude={"custom_fields"}).items() if text is not None}
    return call.services.answers.in_test_mode(call.path["id"], usual, body.custom_fields or {})


async def pay_refund(call: Call) -> Unit:
    """Pay a refund, and return it."""
    return _end_request(call, await _sandbox(call).pay_refund(call.path["id"], call.request))


async def collect(call: Call) -> Unit:
    """Collect from a session's address, and return the collection."""
    return _end_request(call, await _sandbox(call).collect(call.path["id"], call.request))


async def mine(call: Call) -> Unit:
    """Mine blocks, and process them."""
    body: Mining = call.body
    return _chain_answer(call, await _sandbox(call).mine(body.blocks, call.request))


async def reorg(call: Call) -> Unit:
    """Replace the newest blocks."""
    body: Reorganisation = call.body
    return _chain_answer(call, await _sandbox(call).reorg(body.depth, call.request))


async def outage(call: Call) -> Unit:
    """Take the chain offline for a while."""
    body: Outage = call.body
    return _chain_answer(call, await _sandbox(call).outage(body.seconds, call.request))


async def price_outage(call: Call) -> Unit:
    """Take prices offline for a while."""
    body: Outage = call.body
    return _chain_answer(call, await _sandbox(call).price_outage(body.seconds, call.request))


async def advance(call: Call) -> Unit:
    """Move the chain's clock ahead."""
    body: ClockAdvance = call.body
    return _chain_answer(call, await _sandbox(call).advance(body.seconds, call.request))


def _chain_answer(call: Call, number: int) -> Unit:
    return _end_request(call, {"object": "chain", "livemode": False, "chainId": 1337, "blockNumber": number})


def _end_request(call: Call, answer: Resource) -> Unit:
    """Return the unit that ends a request: it deletes the request's steps as the answer is stored."""

    def end(unit: WriteUnit) -> Resource:
        if call.request is not None:
            requests.forget(unit, call.request)
        return answer

    return end


def _sandbox(call: Call) -> AnyControls:
    if call.services.sandbox is None:
        raise WalletNotConfigured("Test mode is switched off on this server: set [test_mode] enabled = true.")
    return call.services.sandbox


def _units(text: str, decimals: int) -> int:
    try:
        units = parse_units(text, decimals)
    except ValueError as error:
        raise InvalidBody(f"amount: {error}.", param="amount") from None
    if not 0 < units < _MOST_UNITS:
        raise InvalidBody("amount: must be more than zero, and fit a transaction.", param="amount")
    return units


def _control(
    id_: str, path: str, summary: str, write: Write, body: type[BaseModel], sent: Resource, description: str = ""
) -> Operation:
    """Return an operation that moves the chain, and answers with its state."""
    return Operation(
        id=id_,
        method="POST",
        path=path,
        scope=Scope.SESSIONS_WRITE,
        summary=summary,
        description=description,
        write=write,
        body=body,
        sent=sent,
        answer=SandboxChainResource,
        example=examples.shown_chain,
        raises=(errors.WalletNotConfigured,),
        test_mode_only=True,
    )


OPERATIONS = (
    Operation(
        id="payTestSession",
        method="POST",
        path="/test_helpers/checkout_sessions/{id}/pay",
        scope=Scope.SESSIONS_WRITE,
        summary="Pay a test session",
        description=(
            "Without an `amount`, pays what is missing. Responds once the block of the payment is processed. A "
            "`scenario` takes a session to which nothing was paid yet through all its steps, and affects no other."
        ),
        write=pay,
        body=TestPayment,
        sent={"amount": "0.001"},
        answer=SessionResource,
        example=examples.shown_paid_session,
        raises=(errors.SessionNotOpen, errors.UnsupportedAsset, errors.WalletNotConfigured),
        test_mode_only=True,
    ),
    Operation(
        id="answerTestSession",
        method="POST",
        path="/test_helpers/checkout_sessions/{id}/answer",
        scope=Scope.SESSIONS_WRITE,
        summary="Answer for the payer of a test session",
        description=(
            "Does what the form on the payment page does for `payerFields` and `customFields`. Answers given here can "
            "be replaced here, until money arrives."
        ),
        write=answer,
        body=TestAnswers,
        sent={"email": "ada@example.com", "customFields": {"size": "M"}},
        answer=SessionResource,
        example=examples.shown_session,
        raises=(errors.SessionNotOpen, errors.WalletNotConfigured),
        test_mode_only=True,
    ),
    Operation(
        id="payTestRefund",
        method="POST",
        path="/test_helpers/refunds/{id}/pay",
        scope=Scope.REFUNDS_WRITE,
        summary="Pay a test refund",
        description=(
            "Approves it if necessary, pays it on the simulated chain from the shop's wallet, and responds once "
            "that is "
            "deep enough. Real refunds are approved only in the dashboard."
        ),
        write=pay_refund,
        answer=RefundResource,
        example=examples.shown_paid_refund,
        raises=(errors.RefundNotOpen, errors.WalletNotConfigured),
        test_mode_only=True,
    ),
    Operation(
        id="collectTestSession",
        method="POST",
        path="/test_helpers/checkout_sessions/{id}/collect",
        scope=Scope.SESSIONS_WRITE,
        summary="Collect from a test session's address",
        description="Moves everything that the address holds in one transaction, as anyone could do.",
        write=collect,
        answer=CollectionResource,
        example=examples.shown_seen_collection,
        raises=(errors.SessionNotOpen, errors.WalletNotConfigured),
        test_mode_only=True,
    ),
    _control(
        id_="mineTestBlocks",
        path="/test_helpers/chain/mine",
        summary="Mine blocks of the simulated chain",
        write=mine,
        body=Mining,
        sent={"blocks": 3},
    ),
    _control(
        id_="reorgTestChain",
        path="/test_helpers/chain/reorg",
        summary="Reorganise the simulated chain",
        description=(
            "Replaces the newest blocks by others with the same transactions: payments are taken back and arrive again."
        ),
        write=reorg,
        body=Reorganisation,
        sent={"depth": 3},
    ),
    _control(
        id_="interruptTestChain",
        path="/test_helpers/chain/outage",
        summary="Interrupt the simulated chain",
        description="During the outage no block is processed and nothing expires; payments are found afterwards.",
        write=outage,
        body=Outage,
        sent={"seconds": 5},
    ),
    _control(
        id_="interruptTestPrices",
        path="/test_helpers/prices/outage",
        summary="Interrupt the prices of test mode",
        description="During the outage, creating a session or opening a payment link returns a 503 "
        "`price_unavailable`.",
        write=price_outage,
        body=Outage,
        sent={"seconds": 1},
    ),
    _control(
        id_="advanceTestClock",
        path="/test_helpers/clock/advance",
        summary="Advance the simulated chain's clock",
        description=(
            "For all of test mode: sessions expire by it, webhook retries come closer, and idempotency keys age. A "
            "scenario like `late` moves only its own session."
        ),
        write=advance,
        body=ClockAdvance,
        sent={"seconds": 900},
    ),
)
