"""The words of explanations: by the first rule that decides, and as people say them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.session import Session, Status, Terms
from crypto_checkout.core.diagnosis import explain_session, explanation
from crypto_checkout.core.diagnosis.explanation import (
    ChainContext,
    NamedChain,
    PaymentOutcome,
    Reason,
    RecordedPayment,
)
from crypto_checkout.core.ledger.assess import Tip
from crypto_checkout.core.ledger.payment import TransferKind
from tests.support.factories import a_payment, a_session

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ETH = Asset(1, "ETH", 18)
USDC = Asset(1, "USDC", 6, Address("0x" + "dc" * 20))
ADDRESS = Address("0x" + "ad" * 20)
COIN = 10**18
TERMS = Terms(COIN, COIN, COIN, NOW, NOW + timedelta(hours=1), 3)
KNOWN = ChainContext(
    {1: NamedChain("Ethereum", (ETH, USDC)), 8453: NamedChain("Base", (Asset(8453, "ETH", 18),))},
    {1: Tip(12, NOW)},
)

SESSION = a_session(status=Status.EXPIRED, address=ADDRESS, asset=ETH, terms=TERMS, created_at=NOW, updated_at=NOW)


def recorded(
    *, late: timedelta = timedelta(0), chain_id: int = 1, contract: Address | None = None, asked: bool = True
) -> RecordedPayment:
    payment = a_payment(
        to=ADDRESS,
        units=COIN if contract is None else 5,
        kind=TransferKind.NATIVE if contract is None else TransferKind.TOKEN,
        contract=contract,
        block_time=NOW + late,
    )
    return RecordedPayment(payment, chain_id, NOW, is_asked_for=asked)


@pytest.mark.parametrize(
    ("session", "payment", "outcome", "reason", "words"),
    [
        (SESSION, recorded(), PaymentOutcome.COUNTED, Reason.ON_TIME, "1 ETH on time, 3 of 3 confirmations"),
        (SESSION, recorded(late=timedelta(minutes=5)), PaymentOutcome.COUNTED, Reason.IN_GRACE, "5 minutes late"),
        (
            SESSION,
            recorded(late=timedelta(hours=1, minutes=12)),
            PaymentOutcome.NOT_COUNTED,
            Reason.TOO_LATE,
            "12 minutes after the grace period ended",
        ),
        (
            replace(SESSION, closed_at=NOW, status_reason="closed"),
            recorded(late=timedelta(hours=2)),
            PaymentOutcome.NOT_COUNTED,
            Reason.CLOSED,
            "after you closed the session",
        ),
        (
            replace(SESSION, accepted_units=COIN, status=Status.PAID),
            recorded(late=timedelta(days=1)),
            PaymentOutcome.COUNTED,
            Reason.ACCEPTED,
            "accepted by the merchant",
        ),
        (
            SESSION,
            recorded(chain_id=8453, asked=False),
            PaymentOutcome.NOT_COUNTED,
            Reason.WRONG_CHAIN,
            "1 ETH arrived on Base (chain 8453), but the session expects 1 ETH on Ethereum (chain 1)",
        ),
        (
            SESSION,
            recorded(contract=USDC.contract, asked=False),
            PaymentOutcome.NOT_COUNTED,
            Reason.WRONG_ASSET,
            "0.000005 USDC arrived, but the session expects 1 ETH",
        ),
        (
            SESSION,
            replace(recorded(), payment=replace(recorded().payment, canonical=False)),
            PaymentOutcome.NOT_COUNTED,
            Reason.REORGED,
            "the network reversed block 10",
        ),
    ],
)
def test_the_first_rule_that_decides_is_the_reason(
    session: Session, payment: RecordedPayment, outcome: PaymentOutcome, reason: Reason, words: str
) -> None:
    found = explain_session.payment(session, payment, KNOWN)
    assert (found.outcome, found.reason) == (outcome, reason)
    assert words in found.sentence


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a second"),
        (1, "1 second"),
        (61, "1 minute 1 second"),
        (7_200, "2 hours"),
        (90_061, "1 day 1 hour"),
        (-60, "1 minute"),
    ],
)
def test_spans_of_time_are_said_in_their_two_largest_units(seconds: int, words: str) -> None:
    assert explanation.span(timedelta(seconds=seconds)) == words


def test_depth_says_what_was_had_needed_and_left_or_what_is_final() -> None:
    assert explanation.depth(Tip(10, NOW), 10, 3) == "1 of 3 confirmations, 2 more to come"
    assert explanation.depth(Tip(12, NOW), 10, 3) == "3 of 3 confirmations"
    assert explanation.depth(Tip(500, NOW), 10, 3) == "3 of 3 confirmations"
    assert explanation.depth(Tip(12, NOW, 9), 10, 3) == "not final yet: the chain's own finality has reached block 9"
    assert explanation.depth(Tip(12, NOW, 10), 10, 3) == "final: the chain's own finality has reached block 10"
    assert explanation.depth(None, 10, 3) == "no block of this chain was processed yet"
