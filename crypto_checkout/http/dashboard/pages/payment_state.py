"""The one table of what a payment's page says and offers in each status: its sums, and the action it needs. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from crypto_checkout.core.checkout.session import ACCEPTED, STATUSES, Status
from crypto_checkout.core.public.types import AmountResource, FiatResource
from crypto_checkout.core.rows import one_row_each
from crypto_checkout.services.diagnosis.payment_detail import PaymentDetail, ValuedAmount


class Sum(StrEnum):
    """The sums of a payment, in the order of the page; the values are their labels."""

    EXPECTED = "Expected"
    RECEIVED = "Received"
    MISSING = "Missing"
    EXCESS = "Excess"
    TOO_LATE = "Too late"
    UNMATCHED = "Unmatched"
    REFUNDED = "Refunded"


class ActionKind(StrEnum):
    """The actions of the owner on a payment."""

    COPY_LINK = "copy_link"
    ACCEPT = "accept"
    ACCEPT_AND_REFUND = "accept_and_refund"
    REFUND = "refund"
    CHECK = "check"
    OPEN = "open"
    CLOSE = "close"


NEEDED: Mapping[Status, tuple[ActionKind, ...]] = one_row_each(
    "http.dashboard.pages.payment_state.NEEDED",
    Status,
    {
        Status.PENDING: (ActionKind.REFUND, ActionKind.COPY_LINK),
        Status.DETECTED: (),
        Status.UNDERPAID: (ActionKind.ACCEPT,),
        Status.OVERPAID: (ActionKind.ACCEPT_AND_REFUND, ActionKind.ACCEPT),
        Status.PAID: (ActionKind.REFUND,),
        Status.PAID_LATE: (ActionKind.REFUND,),
        Status.EXPIRED: (ActionKind.ACCEPT, ActionKind.REFUND),
        Status.FAILED: (ActionKind.CHECK,),
    },
)
"""The actions that a status needs, the best first: the first that is possible is the page's primary button.

A refund is needed where money came that the payment can't use: too late, or in another coin.
"""


@dataclass(frozen=True, slots=True)
class SumRow:
    """A sum as the page shows it: its amounts, their worth, and a note where the label alone would mislead."""

    label: Sum
    amounts: tuple[str, ...]
    fiat: FiatResource | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class PossibleAction:
    """An action that is possible now."""

    kind: ActionKind
    is_primary: bool = False


def sums(detail: PaymentDetail) -> list[SumRow]:
    """Return the sums that aren't zero, with those that are always there."""
    return [*_sums(detail)]


def _sums(detail: PaymentDetail) -> Iterator[SumRow]:
    session, amounts = detail.session, detail.amounts
    if session["assetChosen"]:
        yield SumRow(Sum.EXPECTED, (_text(session["amount"]),), session["fiat"])
        yield _row(Sum.RECEIVED, amounts.received, _progress(detail))
        is_told = not amounts.received.is_zero or Status(session["status"]) is Status.FAILED
        if is_told and not amounts.missing.is_zero:
            yield _row(Sum.MISSING, amounts.missing, _tolerated(detail))
        if not amounts.excess.is_zero:
            yield _row(Sum.EXCESS, amounts.excess, _tolerated(detail))
        if not amounts.too_late.is_zero:
            yield _row(Sum.TOO_LATE, amounts.too_late, "doesn\u2019t count")
    if detail.unmatched:
        coins = tuple(each.coins for each in detail.unmatched)
        yield SumRow(Sum.UNMATCHED, coins, note="another coin or chain, never counts")
    if session["amountRefunded"]["units"] != "0":
        yield SumRow(Sum.REFUNDED, (_text(session["amountRefunded"]),))


def actions(detail: PaymentDetail, *, has_refunds: bool) -> list[PossibleAction]:
    """Return the possible actions: the needed one first, those that can't be undone last."""
    possible = [*_possible(detail)]
    status = Status(detail.session["status"])
    needs_refund = not has_refunds and (bool(detail.unmatched) or not detail.amounts.too_late.is_zero)
    primary = next(
        (each for each in NEEDED[status] if each in possible and (each is not ActionKind.REFUND or needs_refund)), None
    )
    found = [PossibleAction(primary, is_primary=True)] if primary is not None else []
    return [*found, *(PossibleAction(each) for each in possible if each is not primary)]


def excess_to_refund(detail: PaymentDetail) -> AmountResource | None:
    """Return the part of the excess that can be refunded, None without one."""
    excess, refundable = int(detail.amounts.excess.amount["units"]), int(detail.session["refundable"]["units"])
    return detail.amounts.excess.amount if 0 < excess <= refundable else None


def _possible(detail: PaymentDetail) -> Iterator[ActionKind]:
    session, decisions = detail.session, detail.decisions
    if decisions.can_accept:
        is_excess = Status(session["status"]) is Status.OVERPAID and excess_to_refund(detail) is not None
        yield ActionKind.ACCEPT_AND_REFUND if is_excess else ActionKind.ACCEPT
    if session["refundable"]["units"] != "0" or session["amountRefunded"]["units"] != "0" or detail.unmatched:
        yield ActionKind.REFUND
    if STATUSES[Status(session["status"])].can_close:
        yield ActionKind.COPY_LINK
    yield ActionKind.CHECK
    yield ActionKind.OPEN
    if decisions.can_expire:
        yield ActionKind.CLOSE


def _row(label: Sum, valued: ValuedAmount, note: str) -> SumRow:
    return SumRow(label, (_text(valued.amount),), None if valued.is_zero else valued.fiat, note)


def _text(amount: AmountResource) -> str:
    return f"{amount['value']} {amount['asset']}"


def _progress(detail: PaymentDetail) -> str:
    """Say so while some of what counts isn't confirmed, and that what came too late isn't in it."""
    if int(detail.amounts.received.amount["units"]) > detail.decisions.accepted_units:
        return "not confirmed yet"
    return "" if detail.amounts.too_late.is_zero else "in time"


def _tolerated(detail: PaymentDetail) -> str:
    """Say why a paid session misses something, or has more than its price."""
    session = detail.session
    if session["statusReason"] == ACCEPTED:
        return "accepted"
    return "within tolerance" if Status(session["status"]) in {Status.PAID, Status.PAID_LATE, Status.DETECTED} else ""
