"""What a payer sees of a session: pure functions of its public resource and the time. No HTML and no HTTP here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from enum import StrEnum
from typing import assert_never
from urllib.parse import quote

from crypto_checkout.core import moments
from crypto_checkout.core.session import SETTLED, Status
from crypto_checkout.core.shapes import AmountResource, FiatResource, SessionResource

SESSION_ID_PLACEHOLDER = "{CHECKOUT_SESSION_ID}"

PRIVATE_FIELDS = frozenset({"linkId", "customerEmail", "metadata"})
"""Fields of a session that are the merchant's alone."""

_PUBLIC = (
    "id object livemode status statusReason address chainId asset assets assetChosen amount amountReceived "
    "amountRemaining fiat ethPriceUsd rate confirmations requiredConfirmations payments txHash paymentUri checkoutUrl "
    "successUrl cancelUrl returnUrl expiresAt paidAt createdAt updatedAt"
)

PUBLIC_FIELDS = frozenset(_PUBLIC.split())
"""Fields that whoever knows a session's id may read, listed so that a new field is private until it stands here."""

_ADDRESS_GROUP = 5
_LONG_AMOUNT = 13
# Wider than any rate, which may be as large as 10^30.
_WIDE = Context(prec=100)
_RATE_DECIMALS = 2
_SMALL_RATE_DIGITS = 4


class Phase(StrEnum):
    """What the page is about. Several statuses look alike to a payer, and one looks different as time goes by."""

    WAITING = "waiting"
    PARTIAL = "partial"
    CONFIRMING = "confirming"
    SETTLED = "settled"
    TIME_UP = "time_up"
    EXPIRED = "expired"
    FAILED = "failed"


ASKING = frozenset({Phase.WAITING, Phase.PARTIAL})
"""Phases in which the payer is asked for money; in all others the page shows no address."""

_HEADLINES: Mapping[Phase, str] = {
    Phase.WAITING: "Waiting for your payment",
    Phase.PARTIAL: "Part of the amount has arrived",
    Phase.CONFIRMING: "Payment seen",
    Phase.SETTLED: "Thank you",
    Phase.TIME_UP: "The time to pay is over",
    Phase.EXPIRED: "The time to pay is over",
    Phase.FAILED: "The network took the payment back",
}

_POLL_MILLISECONDS: Mapping[Phase, int] = {
    Phase.WAITING: 2_500,
    Phase.PARTIAL: 2_500,
    Phase.CONFIRMING: 2_500,
    Phase.TIME_UP: 5_000,
    # Money that comes late, or comes back after a reorg, can still turn these two round.
    Phase.EXPIRED: 15_000,
    Phase.FAILED: 15_000,
    Phase.SETTLED: 0,
}


@dataclass(frozen=True, slots=True)
class Transaction:
    """The transaction that paid; `url` leads to it on the chain's explorer, None where there is none."""

    hash: str
    url: str | None


@dataclass(frozen=True, slots=True)
class View:
    """All that the page's template needs.

    `asked` is what is still to be sent, `received` what counts so far; `received_something` tells whether that is more
    than nothing. `may_change_asset` offers the way to the payer's other choices. `rate` is the price of one whole
    `rate_base`. `poll_milliseconds` is the pause between two looks at the status, 0 when nothing is left to wait for.
    URLs are http or https with the session's id filled in, or None; `leave_url` is where a payer is taken by itself,
    `back_url` what the way back to the shop is.
    """

    session_id: str
    livemode: bool
    phase: Phase
    status: Status
    headline: str
    fiat: FiatResource
    price: AmountResource
    asked: AmountResource
    received: AmountResource
    received_something: bool
    late_payment: bool
    may_change_asset: bool
    asset: str
    chain_name: str
    rate: FiatResource
    rate_base: str
    address_groups: tuple[str, ...]
    payment_uri: str
    confirmations: int
    required_confirmations: int
    transaction: Transaction | None
    expires_at: str
    now: str
    poll_milliseconds: int
    cancel_url: str | None
    leave_url: str | None
    back_url: str | None

    @property
    def asks(self) -> bool:
        """Whether the payer is asked to send money."""
        return self.phase in ASKING

    @property
    def asked_is_long(self) -> bool:
        """Whether the amount to send has too many digits to be shown large."""
        return len(self.asked["value"]) > _LONG_AMOUNT

    @property
    def refresh_seconds(self) -> int:
        """How often a browser without JavaScript loads the page anew; 0 for never."""
        return 0 if not self.poll_milliseconds else max(10, 2 * self.poll_milliseconds // 1_000)


def view(session: SessionResource, *, chain_name: str, explorer_url: str, now: datetime) -> View:
    """Turn a session into what its page shows at a moment; an empty `explorer_url` makes no links to transactions."""
    phase = _phase(session, now)
    status = Status(session["status"])
    received = int(session["amountReceived"]["units"])
    return View(
        session_id=session["id"],
        livemode=session["livemode"],
        phase=phase,
        status=status,
        headline=_HEADLINES[phase],
        fiat=session["fiat"],
        price=session["amount"],
        asked=session["amountRemaining"] if phase is Phase.PARTIAL else session["amount"],
        received=session["amountReceived"],
        received_something=received > 0,
        late_payment=any(not payment["counted"] for payment in session["payments"]),
        may_change_asset=phase is Phase.WAITING and len(session["assets"]) > 1 and not session["payments"],
        asset=session["asset"],
        chain_name=chain_name,
        rate={"amount": _short_rate(session["rate"]["value"]), "currency": session["rate"]["quote"]},
        rate_base=session["rate"]["base"],
        address_groups=address_groups(session["address"]),
        payment_uri=session["paymentUri"],
        confirmations=min(session["confirmations"], session["requiredConfirmations"]),
        required_confirmations=session["requiredConfirmations"],
        transaction=_transaction(session, explorer_url),
        expires_at=session["expiresAt"],
        now=moments.to_text(now),
        poll_milliseconds=_POLL_MILLISECONDS[phase],
        **_ways_out(session, phase),
    )


def public_part(session: SessionResource) -> dict[str, object]:
    """Keep what the payer may read.

    The success URL is null until the session is settled: a shop that trusts whoever opens that page must not be
    told of by a payer who has only looked at the status. Where to pay is null until the payer has chosen in what.
    """
    fields: Mapping[str, object] = session
    part = {name: value for name, value in fields.items() if name in PUBLIC_FIELDS}
    if not session["assetChosen"]:
        part |= {"address": None, "paymentUri": None}
    return part if Status(session["status"]) in SETTLED else {**part, "successUrl": None}


def web_url(url: str | None, session_id: str) -> str | None:
    """Fill the session's id into a merchant's URL; None for none, and for anything but http and https."""
    if url is None or not url.lower().startswith(("https://", "http://")):
        return None
    return url.replace(SESSION_ID_PLACEHOLDER, quote(session_id, safe=""))


def address_groups(address: str) -> tuple[str, ...]:
    """Cut an address into `0x` and groups of five digits, which is how far an eye keeps its place."""
    digits = address[2:]
    return (address[:2], *(digits[i : i + _ADDRESS_GROUP] for i in range(0, len(digits), _ADDRESS_GROUP)))


def _phase(session: SessionResource, now: datetime) -> Phase:
    status = Status(session["status"])
    match status:
        case Status.PENDING | Status.UNDERPAID:
            # The session expires with a block that is later, which may be long in coming; the payer is stopped now.
            if now >= moments.from_text(session["expiresAt"]):
                return Phase.TIME_UP
            return Phase.PARTIAL if int(session["amountReceived"]["units"]) else Phase.WAITING
        case Status.DETECTED:
            return Phase.CONFIRMING
        case Status.PAID | Status.PAID_LATE | Status.OVERPAID:
            return Phase.SETTLED
        case Status.EXPIRED:
            return Phase.EXPIRED
        case Status.FAILED:
            return Phase.FAILED
        case _:
            assert_never(status)


def _ways_out(session: SessionResource, phase: Phase) -> dict[str, str | None]:
    success, cancel, back = (
        web_url(url, session["id"]) for url in (session["successUrl"], session["cancelUrl"], session["returnUrl"])
    )
    match phase:
        case Phase.WAITING:
            return {"cancel_url": cancel, "leave_url": None, "back_url": None}
        case Phase.SETTLED:
            return {"cancel_url": None, "leave_url": success, "back_url": success or back}
        case Phase.TIME_UP | Phase.EXPIRED if not session["payments"]:
            return {"cancel_url": None, "leave_url": None, "back_url": back or cancel}
        case _:
            # Whose money is on its way or has come in part would give it up by cancelling.
            return {"cancel_url": None, "leave_url": None, "back_url": back}


def _transaction(session: SessionResource, explorer_url: str) -> Transaction | None:
    # A late payment is not counted, also when the merchant accepts it; it is the payer's transaction all the same.
    hashes = (session["txHash"], *(payment["txHash"] for payment in session["payments"]))
    tx_hash = next((each for each in hashes if each), None)
    if tx_hash is None:
        return None
    base = web_url(explorer_url, session["id"])
    return Transaction(tx_hash, f"{base.rstrip('/')}/tx/{quote(tx_hash, safe='')}" if base else None)


def _short_rate(text: str) -> str:
    """Round a rate to cents; one below 1 to four significant digits."""
    rate = Decimal(text)
    places = _RATE_DECIMALS if rate >= 1 else _SMALL_RATE_DIGITS - 1 - rate.adjusted()
    return f"{rate.quantize(Decimal(1).scaleb(-places), context=_WIDE):f}"
