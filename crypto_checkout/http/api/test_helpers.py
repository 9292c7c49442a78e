"""Operations that drive the simulated chain of test mode."""

from crypto_checkout.core import errors, examples
from crypto_checkout.core.errors import InvalidBody, WalletNotConfigured
from crypto_checkout.core.key import Scope
from crypto_checkout.core.money import parse_units
from crypto_checkout.core.shapes import SandboxChainResource, SessionResource
from crypto_checkout.services.sandbox import Sandbox

from . import schemas
from .operations import Call, Operation, Resource, Unit

_MOST_UNITS = 2**256


async def pay(call: Call) -> Unit:
    """Pay a session with one transaction, and answer with the session once its block is processed."""
    body: schemas.NewPayment = call.body
    sandbox = _sandbox(call)
    units = None
    if body.amount is not None:
        units = _units(body.amount, await sandbox.decimals(call.path["id"]))
    paid = await sandbox.pay(call.path["id"], units)
    return lambda _: paid


async def mine(call: Call) -> Unit:
    """Mine blocks and have them processed."""
    body: schemas.Mining = call.body
    number = await _sandbox(call).mine(body.blocks)
    mined: Resource = {"object": "chain", "livemode": False, "chainId": 1337, "blockNumber": number}
    return lambda _: mined


def _sandbox(call: Call) -> Sandbox:
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


OPERATIONS = (
    Operation(
        method="POST",
        path="/test_helpers/checkout_sessions/{id}/pay",
        scope=Scope.SESSIONS_WRITE,
        summary="Pay a test session",
        description="Without an `amount`, what is missing. Answers once the block of the payment is processed.",
        write=pay,
        body=schemas.NewPayment,
        sent={"amount": "0.001"},
        answer=SessionResource,
        example=examples.shown_paid_session,
        raises=(errors.SessionNotOpen, errors.WalletNotConfigured),
        test_mode_only=True,
    ),
    Operation(
        method="POST",
        path="/test_helpers/chain/mine",
        scope=Scope.SESSIONS_WRITE,
        summary="Mine blocks of the simulated chain",
        write=mine,
        body=schemas.Mining,
        sent={"blocks": 3},
        answer=SandboxChainResource,
        example=examples.shown_chain,
        raises=(errors.WalletNotConfigured,),
        test_mode_only=True,
    ),
)
