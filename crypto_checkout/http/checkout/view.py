"""What a payer sees of a session: pure functions of its public resource and the time. No words, HTML or HTTP here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from enum import StrEnum
from typing import assert_never
from urllib.parse import quote

from crypto_checkout.core import moments
from crypto_checkout.core.checkout.payment_uri import TransactionRequest, transaction_request
from crypto_checkout.core.checkout.session import SETTLED, STATUSES, SessionStage, Status
from crypto_checkout.core.public.types import AmountResource, FiatResource, SessionResource

SESSION_ID_PLACEHOLDER = "{CHECKOUT_SESSION_ID}"

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
    REORGED = "reorged"
    CONFIRMING = "confirming"
    SETTLED = "settled"
    TIME_UP = "time_up"
    EXPIRED = "expired"
    FAILED = "failed"


ASKING = frozenset({Phase.WAITING, Phase.PARTIAL})
"""Phases in which the payer is asked for money; in all others the page shows no address, or only on request."""

_POLL_MILLISECONDS: Mapping[Phase, int] = {
    Phase.WAITING: 2_500,
    Phase.PARTIAL: 2_500,
    Phase.REORGED: 2_500,
    Phase.CONFIRMING: 2_500,
    Phase.TIME_UP: 5_000,
    # Money that comes late, or comes back after a reorg, can still turn these two round.
    Phase.EXPIRED: 15_000,
    Phase.FAILED: 15_000,
    Phase.SETTLED: 0,
}


class Code(StrEnum):
    """What the QR code holds."""

    ADDRESS = "address"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class PayerChain:
    """What payers and their wallets see of a chain; an empty `explorer_url` makes no links.

    Wallets are offered to add the chain where `wallet_rpc_url` isn't empty.
    """

    name: str
    explorer_url: str
    native_symbol: str = "ETH"
    wallet_rpc_url: str = ""


@dataclass(frozen=True, slots=True)
class PayingTransaction:
    """The transaction that paid; `url` leads to it on the chain's explorer, None where there is none."""

    hash: str
    url: str | None


@dataclass(frozen=True, slots=True)
class View:
    """All that the page's template needs.

    `asked` is what is still to be sent, `received` what counts so far, `extra` what came beyond the price of an
    overpaid session. `may_change_asset` offers the way to the payer's other choices. `rate` is the price of one whole
    `rate_base`. `call` is what a wallet in the browser is to send. URLs are http or https with the session's id filled
    in, or None; `leave_url` is where a payer is taken by itself, `back_url` what the way back to the shop is.
    """

    session_id: str
    livemode: bool
    phase: Phase
    remark: str | None
    fiat: FiatResource
    price: AmountResource
    asked: AmountResource
    received: AmountResource
    extra: AmountResource | None
    late_payment: bool
    may_change_asset: bool
    taken_back: bool
    chain: PayerChain
    chain_visible: bool
    rate: FiatResource
    rate_base: str
    address: str
    payment_uri: str
    call: TransactionRequest
    code: Code
    depth: int
    required_confirmations: int
    transaction: PayingTransaction | None
    expires_at: str
    paid_at: str | None
    now: str
    cancel_url: str | None
    leave_url: str | None
    back_url: str | None

    @property
    def asks(self) -> bool:
        """Whether the payer is asked to send money."""
        return self.phase in ASKING

    @property
    def asset(self) -> str:
        """The symbol of the coin to pay in."""
        return self.price["asset"]

    @property
    def chain_id(self) -> int:
        """The chain to pay on (EIP-155)."""
        return self.call.chain_id

    @property
    def headline(self) -> str:
        """The key of what the page is about."""
        return Phase.TIME_UP if self.phase is Phase.EXPIRED else self.phase

    @property
    def explorer(self) -> str | None:
        """Where the chain's explorer shows what came to the address."""
        return _explored(self.chain.explorer_url, "address", self.address)

    @property
    def received_something(self) -> bool:
        """Whether anything counts so far."""
        return int(self.received["units"]) > 0

    @property
    def is_blind(self) -> bool:
        """Whether the payer has to know that payments aren't noticed at the moment."""
        return not self.chain_visible and self.phase is not Phase.SETTLED

    @property
    def can_restart(self) -> bool:
        """Whether it is safe to pay anew: nothing came, and nothing of this session is asked for any more."""
        has_paid = self.received_something or self.late_payment or self.taken_back
        return self.phase is Phase.EXPIRED and not has_paid

    @property
    def asked_is_long(self) -> bool:
        """Whether the amount to send has too many digits to be shown large."""
        return len(self.asked["value"]) > _LONG_AMOUNT

    @property
    def confirmations(self) -> int:
        """How deep the payment is, as far as that matters."""
        return min(self.depth, self.required_confirmations)

    @property
    def is_token(self) -> bool:
        """Whether it is paid by a call of a token's contract."""
        return self.call.data != "0x"

    @property
    def address_groups(self) -> tuple[str, ...]:
        """The address as an eye can follow it."""
        return address_groups(self.address)

    @property
    def code_text(self) -> str:
        """What the QR code holds."""
        return self.address if self.code is Code.ADDRESS else self.payment_uri

    @property
    def poll_milliseconds(self) -> int:
        """How long to wait before the next look; 0 for never."""
        return _POLL_MILLISECONDS[self.phase]

    @property
    def refresh_seconds(self) -> int:
        """How often a browser without JavaScript loads the page anew; 0 for never."""
        return 0 if not self.poll_milliseconds else max(10, 2 * self.poll_milliseconds // 1_000)


def view(
    session: SessionResource,
    *,
    chain: PayerChain,
    now: datetime,
    code: Code | None = None,
    taken_back: bool = False,
    chain_visible: bool = True,
) -> View:
    """Turn a session into what its page shows at a moment.

    `code` is the QR code that the payer chose, None for the safer one; `taken_back` says that the chain took back all
    that was paid, and `chain_visible` that payments are noticed.
    """
    phase = _phase(session, now, taken_back=taken_back)
    wanted = transaction_request(session["paymentUri"])
    return View(
        session_id=session["id"],
        livemode=session["livemode"],
        phase=phase,
        remark=STATUSES[Status(session["status"])].remark,
        fiat=session["fiat"],
        price=session["amount"],
        asked=session["amountRemaining"] if phase is Phase.PARTIAL else session["amount"],
        received=session["amountReceived"],
        extra=_extra(session),
        late_payment=_is_late(session),
        may_change_asset=phase is Phase.WAITING and len(session["assets"]) > 1 and not session["payments"],
        taken_back=taken_back,
        chain=chain,
        chain_visible=chain_visible,
        rate=_rate(session),
        rate_base=session["rate"]["base"],
        address=session["address"],
        payment_uri=session["paymentUri"],
        call=wanted,
        code=code or safer_code(wanted),
        depth=session["confirmations"],
        required_confirmations=session["requiredConfirmations"],
        transaction=_transaction(session, chain.explorer_url),
        expires_at=session["expiresAt"],
        paid_at=session["paidAt"],
        now=moments.to_text(now),
        **_ways_out(session, phase),
    )


def safer_code(wanted: TransactionRequest) -> Code:
    """Return which QR code loses less money with a wallet that reads EIP-681 badly.

    For the chain's own coin a URI begins with the right address: who reads no more than that asks for the amount. For a
    token it begins with the token's contract, and who reads no more sends money to that contract, where it is lost.
    """
    return Code.REQUEST if wanted.data == "0x" else Code.ADDRESS


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


def _phase(session: SessionResource, now: datetime, *, taken_back: bool) -> Phase:
    stage = STATUSES[Status(session["status"])].stage
    match stage:
        case SessionStage.OPEN:
            return _open_phase(session, now, taken_back=taken_back)
        case SessionStage.CONFIRMING:
            return Phase.CONFIRMING
        case SessionStage.SETTLED:
            return Phase.SETTLED
        case SessionStage.EXPIRED:
            return Phase.EXPIRED
        case SessionStage.FAILED:
            return Phase.FAILED
        case _:
            assert_never(stage)


def _open_phase(session: SessionResource, now: datetime, *, taken_back: bool) -> Phase:
    if _is_seen(session):
        return Phase.CONFIRMING
    # The session expires with a block that is later, which may be long in coming; the payer is stopped now.
    if now >= moments.from_text(session["expiresAt"]):
        return Phase.TIME_UP
    if taken_back:
        return Phase.REORGED
    return Phase.PARTIAL if int(session["amountReceived"]["units"]) else Phase.WAITING


def _is_seen(session: SessionResource) -> bool:
    """Tell whether a balance shows money that the next block has to confirm before it counts."""
    return any(not each["counted"] and each["blockTime"] <= session["expiresAt"] for each in session["payments"])


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


def _extra(session: SessionResource) -> AmountResource | None:
    """Return what came beyond the price; None unless that is more than the shop's tolerance."""
    if session["status"] != Status.OVERPAID:
        return None
    received, price = session["amountReceived"], session["amount"]
    value = _WIDE.subtract(Decimal(received["value"]), Decimal(price["value"]))
    units = int(received["units"]) - int(price["units"])
    return {**price, "units": str(units), "value": f"{value.normalize(_WIDE):f}", "wei": None, "eth": None}


def _is_late(session: SessionResource) -> bool:
    return any(not each["counted"] and each["blockTime"] > session["expiresAt"] for each in session["payments"])


def _transaction(session: SessionResource, explorer_url: str) -> PayingTransaction | None:
    # A late payment is not counted, also when the merchant accepts it; it is the payer's transaction all the same.
    hashes = (session["txHash"], *(payment["txHash"] for payment in session["payments"]))
    tx_hash = next((each for each in hashes if each), None)
    return None if tx_hash is None else PayingTransaction(tx_hash, _explored(explorer_url, "tx", tx_hash))


def _explored(explorer_url: str, kind: str, name: str) -> str | None:
    """Return where a block explorer shows a transaction or an address."""
    base = web_url(explorer_url, "")
    return f"{base.rstrip('/')}/{kind}/{quote(name, safe='')}" if base else None


def _rate(session: SessionResource) -> FiatResource:
    rate = session["rate"]
    return {"amount": _short_rate(rate["value"]), "currency": rate["quote"]}


def _short_rate(text: str) -> str:
    """Round a rate to cents; one below 1 to four significant digits."""
    rate = Decimal(text)
    places = _RATE_DECIMALS if rate >= 1 else _SMALL_RATE_DIGITS - 1 - rate.adjusted()
    return f"{rate.quantize(Decimal(1).scaleb(-places), context=_WIDE):f}"
