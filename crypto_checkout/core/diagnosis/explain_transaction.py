"""Explain a transaction: compare the chains' view of it with the ledger's."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.checkout.session import Session, Status
from crypto_checkout.core.checkout.unassigned_address import UnassignedAddress
from crypto_checkout.core.diagnosis import explain_unassigned
from crypto_checkout.core.diagnosis.explain_session import Finding, arrival, payment, window
from crypto_checkout.core.diagnosis.explanation import (
    ChainContext,
    Explanation,
    ExplanationStep,
    PaymentOutcome,
    Reason,
    RecordedPayment,
    of_transfer,
    second,
)
from crypto_checkout.core.ledger.assess import Tip
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer, TransferKind

MOST_FINDINGS = 100
"""The number of payments of a transaction that are explained, each on its own."""

_MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ObservedTransaction:
    """A transaction as a chain shows it; `header` is None while no block has it.

    `transfers` are its transfers, including those that a revert undid; and with `is_traced` the internal ones too.
    """

    chain_id: int
    header: Header | None
    has_succeeded: bool
    transfers: tuple[Transfer, ...]
    is_traced: bool


@dataclass(frozen=True, slots=True)
class TransactionEvidence:
    """The evidence about a transaction.

    `unreachable` has the chains that could not be asked, with the reason; `owners` the sessions whose addresses the
    transfers reached; `disagreeing` the transfers on which the providers differ, with the reason. `unnamed` are
    internal payments in the same block whose transaction no node could name. `unassigned` are the unassigned addresses
    that the transfers reached, `at_unassigned` the recorded payments to such addresses.

    `dust` are the sums of dust that contain transfers of the transaction, `in_dust` these transfers. With `is_cut`
    there are more payments than these.
    """

    tx_hash: str
    observed: Sequence[ObservedTransaction]
    unreachable: Mapping[int, str]
    recorded: Sequence[tuple[Session, RecordedPayment]]
    owners: Mapping[Address, Session]
    unnamed: Sequence[tuple[Session, RecordedPayment]] = ()
    unassigned: Mapping[Address, UnassignedAddress] = field(default_factory=dict)
    at_unassigned: Sequence[tuple[UnassignedAddress, RecordedPayment]] = ()
    disagreeing: Mapping[Transfer, str] = field(default_factory=dict)
    dust: Sequence[tuple[Session, RecordedPayment]] = ()
    in_dust: Collection[Transfer] = ()
    is_cut: bool = False

    @property
    def known(self) -> Sequence[tuple[Session, RecordedPayment]]:
        """The payments in the ledger that the transaction made, alone or with others."""
        return (*self.recorded, *self.dust)


def transaction(evidence: TransactionEvidence, context: ChainContext) -> Explanation:
    """Explain a transaction: its payments and their outcome, or the first reason why it paid nothing."""
    of_ledger = [(session, each, payment(session, each, context)) for session, each in evidence.known]
    findings = [(session, finding) for session, _, finding in of_ledger]
    findings += islice(_unrecorded(evidence, context), MOST_FINDINGS - len(findings))
    steps = [step for each in evidence.observed for step in _on_chain(each, evidence, context)]
    steps += [arrival(session, each, finding, context) for session, each, finding in of_ledger]
    without_session = [
        (each, explain_unassigned.payment(address, each, context)) for address, each in evidence.at_unassigned
    ]
    steps += [explain_unassigned.arrival(each, finding, context) for each, finding in without_session]
    steps.sort(key=lambda step: (step.at is None, step.at))
    steps += [_unreachable(chain_id, reason, context) for chain_id, reason in evidence.unreachable.items()]
    others = [finding for _, finding in without_session] or [*islice(_to_unassigned(evidence, context), 1)]
    verdict = (
        _summary(findings, is_cut=evidence.is_cut) if findings else others[0] if others else _nothing(evidence, context)
    )
    sessions = tuple(dict.fromkeys(session.id for session, _ in findings))
    return verdict.explanation(f"transaction {evidence.tx_hash}", tuple(steps), sessions)


def _summary(findings: Sequence[tuple[Session, Finding]], *, is_cut: bool) -> Finding:
    """Summarise: one payment by its own finding, several by their count and the first that didn't count."""
    first = next((each for each in findings if each[1].outcome is not PaymentOutcome.COUNTED), findings[0])
    session, finding = first
    sentence = finding.sentence
    if len(findings) > 1:
        counted = sum(each.outcome is PaymentOutcome.COUNTED for _, each in findings)
        which = f"the first {len(findings)}" if is_cut else f"{len(findings)}"
        sentence = f"{counted} of {which} payments counted. {sentence} (session {session.id})"
    advice, command = finding.advice, finding.command
    if finding.outcome is PaymentOutcome.COUNTED and session.status is Status.UNDERPAID:
        advice, command = "It was not enough; see what is missing", f"crypto-checkout explain {session.id}"
    return Finding(finding.outcome, finding.reason, sentence, advice, command)


# --- transfers that the ledger lacks ---------------------------------------------------------------------------------


def _unrecorded(evidence: TransactionEvidence, context: ChainContext) -> Iterator[tuple[Session, Finding]]:
    if evidence.is_cut:
        return  # the ledger has others that were not read
    have = {
        (session.id, each.chain_id, each.payment.transfer.kind, each.payment.transfer.log_index)
        for session, each in evidence.recorded
    }
    for seen in evidence.observed:
        for transfer in seen.transfers:
            owner = evidence.owners.get(transfer.to)
            key = owner and (owner.id, seen.chain_id, transfer.kind, transfer.log_index)
            if owner and key not in have and transfer not in evidence.in_dust:
                yield owner, _missing(owner, transfer, seen, evidence, context)


def _to_unassigned(evidence: TransactionEvidence, context: ChainContext) -> Iterator[Finding]:
    """Yield the verdicts on the transfers to unassigned addresses that a block has and that didn't revert."""
    for seen in evidence.observed:
        for transfer in seen.transfers:
            address = evidence.unassigned.get(transfer.to)
            if address is not None and seen.header is not None and seen.has_succeeded:
                yield explain_unassigned.unrecorded(address, transfer, seen.chain_id, context)


def _missing(
    session: Session,
    transfer: Transfer,
    seen: ObservedTransaction,
    evidence: TransactionEvidence,
    context: ChainContext,
) -> Finding:
    """Explain why the ledger lacks a transfer to a session's address."""
    coins = context.coins(transfer, seen.chain_id, session.asset)
    if seen.header is None:
        return _not_mined(coins)
    if not seen.has_succeeded:
        return Finding(
            PaymentOutcome.NOT_COUNTED,
            Reason.REVERTED,
            f"Did not count: the transaction reverted in block {seen.header.number}, so the {coins} never left the "
            "payer.",
            "Ask the payer to send it again, with more gas or from another wallet.",
        )
    if _is_fake(session, transfer, seen, context):
        return _fake(transfer, coins)
    tip = context.tips.get(seen.chain_id)
    if tip is None or tip.number < seen.header.number:
        return _not_processed(coins, seen.header, tip, evidence.disagreeing.get(transfer), context.chain(seen.chain_id))
    return _not_watched(session, transfer, coins, seen.header)


def _is_fake(session: Session, transfer: Transfer, seen: ObservedTransaction, context: ChainContext) -> bool:
    if transfer.contract is None or transfer.contract == session.asset.contract:
        return False
    place = context.chains.get(seen.chain_id)
    return place is None or all(asset.contract != transfer.contract for asset in place.assets)


def _not_mined(coins: str) -> Finding:
    return Finding(
        PaymentOutcome.WAITING,
        Reason.NOT_MINED,
        f"Waiting: no block has the transaction yet; it would pay {coins}.",
        "The payer's fee may be too low: their wallet can speed it up. It counts by the time of its block.",
    )


def _fake(transfer: Transfer, coins: str) -> Finding:
    assert transfer.contract is not None, "only a token can be a fake"
    return Finding(
        PaymentOutcome.NOT_COUNTED,
        Reason.UNKNOWN_TOKEN,
        f"Did not count: {coins} came, and no such token is configured on this chain.",
        "Anybody can make a token with any name. Is its address, "
        f"{checksum(transfer.contract)}, the one that the issuer publishes? If not, it is worth nothing.",
    )


def _not_processed(coins: str, header: Header, tip: Tip | None, disagreement: str | None, chain: str) -> Finding:
    if disagreement is not None:
        return Finding(
            PaymentOutcome.WAITING,
            Reason.AGREEMENT,
            f"Waiting: the providers of {chain} don't agree yet on the {coins} in block {header.number}: "
            f"{disagreement}.",
            "It is credited once confirm_with of them show it. crypto-checkout doctor shows how each fares.",
        )
    lag = "none yet" if tip is None else f"block {tip.number}, {header.number - tip.number} before it"
    return Finding(
        PaymentOutcome.WAITING,
        Reason.NOT_PROCESSED,
        f"Waiting: {coins} is in block {header.number}, which the server hasn't processed yet (last: {lag}).",
        "If that doesn't change within a minute, see that `crypto-checkout serve` runs, and what "
        "`crypto-checkout doctor` says of this chain.",
    )


def _not_watched(session: Session, transfer: Transfer, coins: str, header: Header) -> Finding:
    if transfer.kind is TransferKind.INTERNAL:
        why = "a contract sent it, which only a balance shows: that was not compared yet, or the money had left again"
    else:
        why = "the server did not look at that block, or not for this coin, when it passed"
    return Finding(
        PaymentOutcome.NOT_COUNTED,
        Reason.NOT_WATCHED,
        f"Did not count: {coins} came in block {header.number}, and the ledger lacks it: {why} "
        f"({window(session, header.time)}).",
        f"The money is at {checksum(session.address)}, which is your wallet's. `crypto-checkout reconcile` lists all "
        "such money.",
    )


# --- no payment to a session -----------------------------------------------------------------------------------------


def _nothing(evidence: TransactionEvidence, context: ChainContext) -> Finding:
    if not evidence.observed:
        return _not_seen(evidence, context)
    seen = evidence.observed[0]
    if seen.header is None:
        return Finding(PaymentOutcome.WAITING, Reason.NOT_MINED, "Waiting: no block has the transaction yet.")
    if not seen.has_succeeded:
        sentence = f"Did not count: the transaction reverted in block {seen.header.number}; it moved nothing."
        return Finding(PaymentOutcome.NOT_COUNTED, Reason.REVERTED, sentence, "Ask the payer to send it again.")
    if evidence.unnamed:
        session, found = evidence.unnamed[0]
        coins = context.coins(found.payment.transfer, found.chain_id, session.asset)
        return Finding(
            PaymentOutcome.UNKNOWN,
            Reason.NOT_WATCHED,
            f"Not sure: {coins} came to session {session.id} in the same block from a contract, and no node could "
            "name the transaction. It may be this one.",
            "See what is known of that session",
            f"crypto-checkout explain {session.id}",
        )
    to = ", ".join(dict.fromkeys(checksum(each.to) for each in seen.transfers[:_MOST_SHOWN])) or "nobody"
    inside = "" if seen.is_traced else " What contracts sent on inside it, this node can't tell."
    return Finding(
        PaymentOutcome.NOT_COUNTED,
        Reason.NOT_OURS,
        f"Did not count: the transaction paid {to}, none of which this server ever gave out.{inside}",
        "Compare the address with that of the session: the payer may have copied another one.",
    )


def _not_seen(evidence: TransactionEvidence, context: ChainContext) -> Finding:
    names = ", ".join(context.chain(chain_id) for chain_id in context.chains) or "no chain"
    if evidence.unreachable:
        return Finding(
            PaymentOutcome.UNKNOWN,
            Reason.NOT_ASKED,
            "Nothing is known of this transaction here, and not every chain could be asked for it.",
            "Try again when the nodes answer; `crypto-checkout doctor` says what is wrong with them.",
        )
    return Finding(
        PaymentOutcome.UNKNOWN,
        Reason.NOT_FOUND,
        f"No such transaction is known: not here, and not on {names}.",
        "Ask the payer on which chain it was sent, and for a link to it in an explorer. A wallet that shows it and no "
        "explorer that does: it was never sent, or was replaced by another one.",
    )


# --- the evidence ----------------------------------------------------------------------------------------------------


def _on_chain(
    seen: ObservedTransaction, evidence: TransactionEvidence, context: ChainContext
) -> Iterator[ExplanationStep]:
    if seen.header is None:
        yield ExplanationStep(f"{context.chain(seen.chain_id)} knows the transaction; no block has it yet.")
        return
    tip = context.tips.get(seen.chain_id)
    state = "succeeded" if seen.has_succeeded else "reverted: it moved nothing"
    processed = "no block yet" if tip is None else f"up to block {tip.number} of {second(tip.time)}"
    moved = [
        (f"moved {place}", f"{context.coins(each, seen.chain_id)} ({each.kind.value}) to {_whose(each, evidence)}")
        for place, each in enumerate(seen.transfers[:_MOST_SHOWN], 1)
    ]
    left = len(seen.transfers) - len(moved)
    yield ExplanationStep(
        f"{context.chain(seen.chain_id)} has the transaction in block {seen.header.number}.",
        (
            ("block", f"{seen.header.number} {seen.header.hash}"),
            ("block time", second(seen.header.time)),
            ("state", state),
            *moved,
            *((("more", f"{left} other transfers"),) if left else ()),
            *((("inside", "what contracts sent on can't be seen: no node traces it"),) if not seen.is_traced else ()),
            ("processed", processed),
        ),
        seen.header.time,
    )
    in_ledger = {session.id for session, _ in evidence.known}
    first = {transfer.to: transfer for transfer in reversed(seen.transfers)}
    for address, transfer in islice(reversed(first.items()), MOST_FINDINGS):
        owner = evidence.owners.get(address)
        if owner is not None and owner.id not in in_ledger:
            facts = (*of_transfer(transfer), ("window", window(owner, seen.header.time)))
            yield ExplanationStep(f"Its receiver is the address of session {owner.id}.", facts, seen.header.time)


def _whose(transfer: Transfer, evidence: TransactionEvidence) -> str:
    owner = evidence.owners.get(transfer.to)
    unassigned = evidence.unassigned.get(transfer.to)
    note = f" (session {owner.id})" if owner else f" ({unassigned.name} of your wallet)" if unassigned else ""
    return f"{checksum(transfer.to)}{note}"


def _unreachable(chain_id: int, reason: str, context: ChainContext) -> ExplanationStep:
    return ExplanationStep(f"{context.chain(chain_id)} could not be asked.", (("reason", reason),))
