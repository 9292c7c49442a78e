"""Explain the verdict about a session and each of its payments: the rule, the evidence, and the options.

The input is the same rows and last processed block by which `core.ledger.assess` judges. Transactions that are on the
chain but not in the ledger are `core.diagnosis.explain_transaction`'s.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from crypto_checkout.core.address import checksum
from crypto_checkout.core.checkout.session import ACCEPTED, CLOSED, FUNDED, SETTLED, STATUSES, Session, Status
from crypto_checkout.core.checkout.session import PAYMENT_REORGED as REORGED
from crypto_checkout.core.checkout.unassigned_address import place_in_wallet
from crypto_checkout.core.diagnosis.explanation import (
    ChainContext,
    Explanation,
    ExplanationStep,
    PaymentOutcome,
    Reason,
    RecordedPayment,
    amount,
    depth,
    of_transfer,
    second,
    span,
)
from crypto_checkout.core.ledger.assess import Received, Tip, counts
from crypto_checkout.core.money import format_units
from crypto_checkout.core.public.render import decimal_text


@dataclass(frozen=True, slots=True)
class SessionChange:
    """A change of a session, from its event."""

    at: datetime
    type: str
    status: str
    status_reason: str | None
    received: str
    confirmations: int


@dataclass(frozen=True, slots=True)
class SessionLedger:
    """The newest payments of a session in the ledger, unmatched ones included, and what it received in all.

    `received` is None before the first block was processed. `newest_block` is that of the newest single payment that
    counts, None without one.
    """

    newest: Sequence[RecordedPayment]
    received: Received | None
    newest_block: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding about one payment; `command` carries out the end of the advice."""

    outcome: PaymentOutcome
    reason: Reason
    sentence: str
    advice: str | None = None
    command: str | None = None

    def explanation(self, subject: str, steps: tuple[ExplanationStep, ...], sessions: tuple[str, ...]) -> Explanation:
        """Return the explanation of a subject whose verdict this is."""
        return Explanation(
            subject=subject,
            outcome=self.outcome,
            reason=self.reason,
            headline=self.sentence,
            advice=self.advice,
            command=self.command,
            steps=steps,
            sessions=sessions,
        )


_FAILED = Finding(
    PaymentOutcome.NOT_COUNTED,
    Reason.REORGED,
    "Reversed: this was paid, and then the network reversed the payment (a chain reorganization).",
    "If the transaction is mined again, it counts again automatically. Don't deliver until then.",
)
_HAS_SENT = "If the payer says they have paid, look up their transaction"
_LOOK_UP = "crypto-checkout explain TX"


def session(
    session: Session, ledger: SessionLedger, history: Sequence[SessionChange], context: ChainContext
) -> Explanation:
    """Explain a session: its price, its newest payments, and the reason for its status."""
    findings = [(each, payment(session, each, context)) for each in ledger.newest]
    verdict = _verdict(session, ledger, findings, context)
    steps = [
        _creation(session, context),
        *_left_out(session, ledger),
        *(arrival(session, each, finding, context) for each, finding in findings),
        *(_change(session, each) for each in history),
    ]
    steps.sort(key=lambda step: step.at or session.created_at)
    return verdict.explanation(
        f"session {session.id}", (*steps, _present(session, ledger, context)), sessions=(session.id,)
    )


def payment(session: Session, recorded: RecordedPayment, context: ChainContext) -> Finding:
    """Explain a payment in the ledger by the first rule that decides."""
    transfer = recorded.payment.transfer
    coins = context.coins(transfer, recorded.chain_id, session.asset)
    if not recorded.payment.canonical and transfer.tx_hash is None and recorded.payment.dust is None:
        return Finding(
            PaymentOutcome.NOT_COUNTED,
            Reason.REORGED,
            f"Did not count: the balance showed {coins} more at block {transfer.block_number}, and no longer does.",
        )
    if recorded.payment.is_provisional:
        return Finding(
            PaymentOutcome.WAITING,
            Reason.SECOND_READING,
            f"Waiting: the address's balance shows {coins}; it counts once the next block confirms that reading.",
        )
    if not recorded.payment.canonical:
        return Finding(
            PaymentOutcome.NOT_COUNTED,
            Reason.REORGED,
            f"Did not count: the network reversed block {transfer.block_number}, which had the {coins}.",
            "If the transaction is mined again, it counts again automatically. Otherwise ask the payer to pay again.",
        )
    if not recorded.is_asked_for:
        return _unmatched(session, recorded, coins, context)
    if not counts(recorded.payment, session):
        return _late(session, recorded, coins)
    return _in_window(session, recorded, coins, context.tips.get(recorded.chain_id))


def _in_window(session: Session, recorded: RecordedPayment, coins: str, tip: Tip | None) -> Finding:
    transfer, terms = recorded.payment.transfer, session.terms
    reached = depth(tip, transfer.block_number, terms.required_confirmations)
    if tip is None or not tip.is_deep(transfer.block_number, terms.required_confirmations):
        return Finding(PaymentOutcome.WAITING, Reason.CONFIRMATIONS, f"Confirming: {coins} received; {reached}.")
    if session.accepted_units is not None:
        return Finding(
            PaymentOutcome.COUNTED, Reason.ACCEPTED, f"Counted: {coins}, accepted by the merchant; {reached}."
        )
    if transfer.block_time <= terms.expires_at:
        return Finding(PaymentOutcome.COUNTED, Reason.ON_TIME, f"Counted: {coins} on time, {reached}.")
    late = span(transfer.block_time - terms.expires_at)
    return Finding(
        PaymentOutcome.COUNTED, Reason.IN_GRACE, f"Counted: {coins} in the grace period, {late} late; {reached}."
    )


def _unmatched(session: Session, recorded: RecordedPayment, coins: str, context: ChainContext) -> Finding:
    price = amount(session.asset, session.terms.amount_units)
    yours = f"The money is at {checksum(session.address)}, an address of your wallet. Settle it with the payer."
    if recorded.chain_id != session.asset.chain_id:
        return Finding(
            PaymentOutcome.NOT_COUNTED,
            Reason.WRONG_CHAIN,
            f"Did not count: {coins} arrived on {context.chain(recorded.chain_id)}, but the session expects {price} on "
            f"{context.chain(session.asset.chain_id)}.",
            yours,
        )
    return Finding(
        PaymentOutcome.NOT_COUNTED,
        Reason.WRONG_ASSET,
        f"Did not count: {coins} arrived, but the session expects {price}.",
        yours,
    )


def _late(session: Session, recorded: RecordedPayment, coins: str) -> Finding:
    by = span(recorded.payment.transfer.block_time - session.terms.grace_until)
    if session.closed_at is not None:
        sentence, reason = f"Did not count: {coins} arrived {by} after you closed the session.", Reason.CLOSED
    else:
        sentence = f"Did not count: {coins} arrived {by} after the grace period ended."
        reason = Reason.TOO_LATE
    # A session that is paid late has its whole price already.
    if session.status is Status.PAID_LATE or not STATUSES[session.status].can_accept:
        return Finding(PaymentOutcome.NOT_COUNTED, reason, sentence)
    return Finding(PaymentOutcome.NOT_COUNTED, reason, sentence, "You can accept it", _accept(session))


def _accept(session: Session) -> str:
    return f"crypto-checkout sessions accept {session.id}"


# --- the session as a whole ------------------------------------------------------------------------------------------


def _verdict(
    session: Session,
    ledger: SessionLedger,
    findings: Sequence[tuple[RecordedPayment, Finding]],
    context: ChainContext,
) -> Finding:
    """Explain the session as a whole; if nothing counts, by the newest payment that didn't, rather than by dust."""
    if session.status in FUNDED:
        return _funded(session, ledger, context)
    if session.status is Status.FAILED:
        return _FAILED
    for outcome in (PaymentOutcome.WAITING, PaymentOutcome.NOT_COUNTED):
        found = [(each, finding) for each, finding in findings if finding.outcome is outcome]
        if found:
            single = [finding for each, finding in found if each.payment.dust is None]
            return _as_status(session, single[-1] if single else found[-1][1])
    if session.status is Status.EXPIRED and session.sums.counted_units:
        return _funded(session, ledger, context)
    return _nothing(session)


def _title(session: Session) -> str:
    return "Closed" if session.status_reason == CLOSED else STATUSES[session.status].title


def _as_status(session: Session, finding: Finding) -> Finding:
    """Let a payment's finding speak for its session: the sentence begins with the session's status."""
    return replace(finding, sentence=f"{_title(session)}: {finding.sentence.partition(': ')[2]}")


def _funded(session: Session, ledger: SessionLedger, context: ChainContext) -> Finding:
    units = session.sums.counted_units
    received = amount(session.asset, units)
    tip = context.tips.get(session.asset.chain_id)
    reached = depth(tip, ledger.newest_block or 0, session.terms.required_confirmations)
    price = amount(session.asset, session.terms.amount_units)
    match session.status:
        case Status.DETECTED:
            return Finding(PaymentOutcome.WAITING, Reason.CONFIRMATIONS, f"Confirming: {received} received; {reached}.")
        case Status.UNDERPAID | Status.EXPIRED:
            missing = amount(session.asset, max(0, session.terms.amount_units - units))
            sentence = f"{_title(session)}: {received} of {price} received, {missing} missing; {reached}."
            outcome, advice = PaymentOutcome.NOT_COUNTED, "Accept the amount received, or refund it"
            if session.status is Status.UNDERPAID:
                until = second(session.terms.grace_until)
                outcome = PaymentOutcome.WAITING
                advice = f"The payer can send the rest to the same address until {until}. Or accept the amount received"
            return Finding(outcome, Reason.TOO_LITTLE, sentence, advice, _accept(session))
        case Status.OVERPAID:
            excess = amount(session.asset, max(0, units - session.terms.amount_units))
            return Finding(
                PaymentOutcome.COUNTED,
                Reason.TOO_MUCH,
                f"Overpaid: {received} received, {excess} more than expected; {reached}.",
                "Accept it and refund the excess",
                _accept(session),
            )
        case Status.PAID_LATE:
            sentence = f"Paid late: {received} received, completed in the grace period; {reached}."
            return Finding(PaymentOutcome.COUNTED, Reason.IN_GRACE, sentence)
    if session.status_reason == ACCEPTED:
        sentence = f"Accepted: {received} received, {price} expected; {reached}."
        return Finding(PaymentOutcome.COUNTED, Reason.ACCEPTED, sentence)
    return Finding(PaymentOutcome.COUNTED, Reason.ON_TIME, f"Paid: {received} received on time; {reached}.")


def _nothing(session: Session) -> Finding:
    price = amount(session.asset, session.terms.amount_units)
    if session.status is Status.PENDING:
        return Finding(
            PaymentOutcome.WAITING,
            Reason.NOTHING_YET,
            f"Pending: nothing received yet. {price} is expected by {second(session.terms.expires_at)}.",
            _HAS_SENT,
            _LOOK_UP,
        )
    if session.status_reason == CLOSED:
        return Finding(PaymentOutcome.NOT_COUNTED, Reason.CLOSED, "Closed: you closed it before anything arrived.")
    sentence = f"Expired: nothing was received; {price} was expected."
    return Finding(PaymentOutcome.NOT_COUNTED, Reason.EXPIRED, sentence, _HAS_SENT, _LOOK_UP)


# --- the evidence ----------------------------------------------------------------------------------------------------


def _creation(session: Session, context: ChainContext) -> ExplanationStep:
    terms, asset, rate = session.terms, session.asset, session.rate
    return ExplanationStep(
        "Session created.",
        (
            ("mode", "live" if session.livemode else "test"),
            ("price", f"{session.fiat} {session.fiat.currency}"),
            ("rate", f"{decimal_text(rate.value)} {rate.quote} for one {rate.base}, from {', '.join(rate.sources)}"),
            ("rate of", second(rate.observed_at)),
            ("expected", f"{amount(asset, terms.amount_units)} on {context.chain(asset.chain_id)}"),
            *((("token", checksum(asset.contract)),) if asset.contract else ()),
            (
                "tolerance",
                f"{format_units(terms.minimum_units, asset.decimals)} to {amount(asset, terms.maximum_units)} is paid",
            ),
            (
                "address",
                f"{checksum(session.address)}, {place_in_wallet(session.derivation_index, session.address_path)}",
            ),
            ("on time until", second(terms.expires_at)),
            ("grace until", second(terms.grace_until)),
            ("confirmations", f"{terms.required_confirmations} needed"),
        ),
        session.created_at,
    )


def arrival(session: Session, recorded: RecordedPayment, finding: Finding, context: ChainContext) -> ExplanationStep:
    """Return the evidence of a payment in the ledger."""
    transfer = recorded.payment.transfer
    coins = context.coins(transfer, recorded.chain_id, session.asset)
    return ExplanationStep(
        f"{coins} received ({recorded.arrived}).",
        (
            ("verdict", finding.sentence),
            *((("chain", context.chain(recorded.chain_id)),) if recorded.chain_id != session.asset.chain_id else ()),
            *of_transfer(transfer, recorded.payment.dust),
            *_logged(session, recorded),
            ("window", window(session, transfer.block_time)),
            (
                "depth",
                depth(context.tips.get(recorded.chain_id), transfer.block_number, session.terms.required_confirmations),
            ),
        ),
        recorded.recorded_at,
    )


def _logged(session: Session, recorded: RecordedPayment) -> tuple[tuple[str, str], ...]:
    """Return both figures of a payment whose log gives more than what arrived."""
    if recorded.logged_units is None:
        return ()
    logged, arrived = (amount(session.asset, each) for each in (recorded.logged_units, recorded.payment.transfer.units))
    return (("amount", f"{logged} by its log; the balance rose by {arrived}, which counts: the token keeps a fee"),)


def window(session: Session, block_time: datetime) -> str:
    """Compare a block's time with the session's: on time, in grace or after."""
    terms = session.terms
    if block_time <= terms.expires_at:
        return f"on time: {span(terms.expires_at - block_time)} before {second(terms.expires_at)}"
    if block_time <= terms.grace_until:
        return f"in grace: {span(block_time - terms.expires_at)} after {second(terms.expires_at)}"
    return f"after the window: {span(block_time - terms.grace_until)} after {second(terms.grace_until)}"


def _change(session: Session, change: SessionChange) -> ExplanationStep:
    words = {
        "session.reorged": "The chain was reorganized, and payments were reversed.",
        "session.late_payment": "A payment arrived too late.",
        "session.updated": "The payer filled in the form.",
    }
    title = STATUSES[Status(change.status)].title
    by = {ACCEPTED: f"{title}: accepted by the merchant.", CLOSED: "Closed by the merchant."}
    by[REORGED] = f"{title} by the network."
    required = session.terms.required_confirmations
    what = words.get(change.type, by.get(change.status_reason or "", f"{title}."))
    confirmations = f"{min(change.confirmations, required)} of {required}"
    facts = (("event", change.type), ("received", change.received), ("confirmations", confirmations))
    return ExplanationStep(what, facts, change.at)


def _left_out(session: Session, ledger: SessionLedger) -> Iterator[ExplanationStep]:
    """Yield a step for the payments before the newest ones, if there are any."""
    there = sum(each.is_asked_for and each.payment.canonical for each in ledger.newest)
    left_out = session.sums.payment_count - there
    if left_out > 0:
        yield ExplanationStep(
            f"{left_out:,} earlier payments are not listed here.",
            (("listed", "on the payment's page of the dashboard, and in exports"), ("counted", "in every sum here")),
            session.created_at,
        )


def _present(session: Session, ledger: SessionLedger, context: ChainContext) -> ExplanationStep:
    tip = context.tips.get(session.asset.chain_id)
    status = f"{session.status.value}{f' ({session.status_reason})' if session.status_reason else ''}"
    if tip is None or ledger.received is None:
        return ExplanationStep("Now", (("status", status), ("processed", "no block yet: its node hasn't answered")))
    facts = [
        ("status", status),
        ("received", amount(session.asset, ledger.received.units)),
        ("confirmed", amount(session.asset, ledger.received.deep_units)),
        ("processed", f"block {tip.number} of {second(tip.time)}"),
    ]
    if tip.expiry_time < tip.time:
        facts.append(("compared", f"balances up to {second(tip.expiry_time)}: nothing expires beyond"))
    if session.status not in SETTLED and tip.time <= session.terms.grace_until:
        facts.append(("time left", f"{span(session.terms.grace_until - tip.time)}, grace included"))
    return ExplanationStep("Now", tuple(facts))


def about_address(explained: Explanation, address: str) -> Explanation:
    """Return a session's explanation as the one of its address."""
    return replace(explained, subject=f"address {address}")
