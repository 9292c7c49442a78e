"""Explain money at an unassigned address: one of the wallet's own that no session of the database has. Pure."""

from collections.abc import Sequence

from crypto_checkout.core.address import checksum
from crypto_checkout.core.checkout.unassigned_address import UnassignedAddress
from crypto_checkout.core.diagnosis.explain_session import Finding
from crypto_checkout.core.diagnosis.explanation import (
    ChainContext,
    Explanation,
    ExplanationStep,
    PaymentOutcome,
    Reason,
    RecordedPayment,
    of_transfer,
)
from crypto_checkout.core.ledger.payment import Transfer

_ADVICE = (
    "The money is your wallet's. Find the order by what the payer has, and settle it; it never counts by itself. Is "
    "there a newer copy of the database, or a second server with the same xpub? It knows the session."
)


def address(address: UnassignedAddress, recorded: Sequence[RecordedPayment], context: ChainContext) -> Explanation:
    """Explain an unassigned address by the newest payments to it, oldest first."""
    findings = [payment(address, each, context) for each in recorded]
    there = [finding for each, finding in zip(recorded, findings, strict=True) if each.payment.canonical]
    verdict = there[-1] if there else _unpaid(address)
    steps = tuple(arrival(*each, context) for each in zip(recorded, findings, strict=True))
    return verdict.explanation(f"address {checksum(address.address)}", steps, ())


def payment(address: UnassignedAddress, recorded: RecordedPayment, context: ChainContext) -> Finding:
    """Return the verdict on a recorded payment to an unassigned address."""
    transfer = recorded.payment.transfer
    coins = context.coins(transfer, recorded.chain_id)
    if not recorded.payment.canonical:
        sentence = f"Did not count: the network reversed block {transfer.block_number}, which had the {coins}."
        return Finding(PaymentOutcome.NOT_COUNTED, Reason.REORGED, sentence)
    return _without_session(address, f"{coins} came on {context.chain(recorded.chain_id)}")


def unrecorded(address: UnassignedAddress, transfer: Transfer, chain_id: int, context: ChainContext) -> Finding:
    """Return the verdict on a transfer to an unassigned address that the ledger doesn't have (yet)."""
    return _without_session(address, f"{context.coins(transfer, chain_id)} was sent on {context.chain(chain_id)}")


def arrival(recorded: RecordedPayment, finding: Finding, context: ChainContext) -> ExplanationStep:
    """Return the evidence of a recorded payment to an unassigned address."""
    transfer = recorded.payment.transfer
    return ExplanationStep(
        f"{context.coins(transfer, recorded.chain_id)} came ({recorded.arrived}).",
        (
            ("verdict", finding.sentence),
            ("chain", context.chain(recorded.chain_id)),
            *of_transfer(transfer, recorded.payment.dust),
        ),
        recorded.recorded_at,
    )


def _without_session(address: UnassignedAddress, moved: str) -> Finding:
    return Finding(
        PaymentOutcome.NOT_COUNTED,
        Reason.NO_SESSION,
        f"Did not count: {moved} to {address.name} of your wallet, and this database has no session for it: it was "
        "given out by an earlier or another database, or passed over after a restore.",
        _ADVICE,
    )


def _unpaid(address: UnassignedAddress) -> Finding:
    if address.used_before:
        return Finding(
            PaymentOutcome.UNKNOWN,
            Reason.NO_SESSION,
            f"This is {address.name} of your wallet. It was used before this server gave out its first address, so it "
            "isn't watched.",
        )
    return Finding(
        PaymentOutcome.UNKNOWN,
        Reason.NO_SESSION,
        f"Nothing has come to this address. It is {address.name} of your wallet, and this database has no session for "
        "it: it was given out by an earlier or another database, or passed over after a restore. It is watched.",
        "Money that comes there shows among the unmatched payments.",
    )
