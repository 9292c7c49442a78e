"""The payer's view of a session: pure functions of its public resource and the time. No texts, HTML or HTTP here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from enum import StrEnum
from typing import assert_never
from urllib.parse import quote

from crypto_checkout.core import moments
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.payment_uri import TransactionRequest, transaction_request
from crypto_checkout.core.checkout.session import ACCEPTED, CLOSED, SETTLED, STATUSES, SessionStage, Status
from crypto_checkout.core.money import short_rate
from crypto_checkout.core.public.render import is_dust
from crypto_checkout.core.public.types import AmountResource, FiatResource, SessionResource
from crypto_checkout.http.explorers import address_url, transaction_url

_SESSION_ID = re.compile(r"(?:\{|%7[Bb])CHECKOUT_SESSION_ID(?:\}|%7[Dd])")
"""The place for the session's id in a merchant's URL; URL builders of many languages encode its braces."""

_PUBLIC = (
    "id object livemode status statusReason address chainId asset assets assetChosen amount amountReceived "
    "amountRemaining fiat quantity ethPriceUsd rate confirmations requiredConfirmations payments txHash paymentUri "
    "checkoutUrl successUrl cancelUrl returnUrl payerAnswered expiresAt paidAt receiptNumber receiptUrl createdAt "
    "updatedAt"
)

PUBLIC_FIELDS = frozenset(_PUBLIC.split())
"""Fields that anyone with a session's id may read; a new field stays private until it is listed here."""

_ADDRESS_GROUP = 5
_LONG_AMOUNT = 13
# Wider than any rate; those go up to 10^30.
_WIDE = Context(prec=100)


class Phase(StrEnum):
    """The state that the page shows. Payers see several statuses as one, and a pending session changes with time."""

    WAITING = "waiting"
    PARTIAL = "partial"
    REORGED = "reorged"
    CONFIRMING = "confirming"
    SETTLED = "settled"
    TIME_UP = "time_up"
    EXPIRED = "expired"
    FAILED = "failed"


ASKING = frozenset({Phase.WAITING, Phase.PARTIAL})
"""Phases that ask for money; in all others the page shows no address, or only on request."""

_POLL_MILLISECONDS: Mapping[Phase, int] = {
    Phase.WAITING: 2_500,
    Phase.PARTIAL: 2_500,
    Phase.REORGED: 2_500,
    Phase.CONFIRMING: 2_500,
    Phase.TIME_UP: 5_000,
    # A late payment, or one that returns after a reorg, can still change these two.
    Phase.EXPIRED: 15_000,
    Phase.FAILED: 15_000,
    Phase.SETTLED: 0,
}


class Code(StrEnum):
    """The content of the QR code."""

    ADDRESS = "address"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class PayerChain:
    """A chain as payers and their wallets see it; an empty `explorer_url` makes no links.

    With a `wallet_rpc_url` the page can add the chain to a wallet.
    """

    name: str
    explorer_url: str
    native_symbol: str = "ETH"
    wallet_rpc_url: str = ""
    assets: tuple[Asset, ...] = ()


@dataclass(frozen=True, slots=True)
class PayingTransaction:
    """The transaction that paid, and its URL on the chain's explorer, if there is one."""

    hash: str
    url: str | None


@dataclass(frozen=True, slots=True)
class View:
    """The data of the session's page.

    `asked` is the amount still to send, `received` the amount that counts so far, `extra` the surplus of an overpaid
    session, `missing` what an expired one lacks. `reason` is the session's `statusReason`. `may_change_asset` shows the
    link to the payer's other choices. `rate` is the price of one whole `rate_base`. `call` is the transaction for a
    wallet in the browser. URLs are http or https with the session's id filled in, or None; the page redirects to
    `leave_url` by itself, and links to `back_url`.
    """

    session_id: str
    livemode: bool
    phase: Phase
    reason: str | None
    remark: str | None
    fiat: FiatResource
    quantity: int | None
    price: AmountResource
    asked: AmountResource
    missing: AmountResource | None
    received: AmountResource
    extra: AmountResource | None
    late_payment: bool
    may_change_asset: bool
    hides_address: bool
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
    receipt_number: str | None
    now: str
    cancel_url: str | None
    leave_url: str | None
    back_url: str | None

    @property
    def asks(self) -> bool:
        """True if the page asks for money."""
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
        """The message key of the headline."""
        if self.phase is Phase.EXPIRED and self.reason == CLOSED:
            return "closed_by_shop"
        return Phase.TIME_UP if self.phase is Phase.EXPIRED else self.phase

    @property
    def is_accepted_short(self) -> bool:
        """True if the shop accepted less than the price, or money that came too late to count."""
        return self.reason == ACCEPTED and int(self.received["units"]) < int(self.price["units"])

    @property
    def explorer(self) -> str | None:
        """The address on the chain's explorer; None before the payer may see it."""
        return None if self.hides_address else address_url(self.chain.explorer_url, self.address)

    @property
    def received_something(self) -> bool:
        """True if any payment counts so far."""
        return int(self.received["units"]) > 0

    @property
    def is_blind(self) -> bool:
        """True to warn that payments aren't noticed at the moment."""
        return not self.chain_visible and self.phase is not Phase.SETTLED

    @property
    def can_restart(self) -> bool:
        """True if it is safe to start again: the session expired, and nothing has arrived."""
        has_paid = self.received_something or self.late_payment or self.taken_back
        return self.phase is Phase.EXPIRED and not has_paid

    @property
    def asked_is_long(self) -> bool:
        """True if the amount to send has too many digits for large type."""
        return len(self.asked["value"]) > _LONG_AMOUNT

    @property
    def confirmations(self) -> int:
        """The payment's confirmations, at most the required ones."""
        return min(self.depth, self.required_confirmations)

    @property
    def is_token(self) -> bool:
        """True if paying calls a token's contract."""
        return self.call.data != "0x"

    @property
    def address_groups(self) -> tuple[str, ...]:
        """The address in groups, for comparing by eye."""
        return address_groups(self.address)

    @property
    def code_text(self) -> str:
        """The content of the QR code."""
        return self.address if self.code is Code.ADDRESS else self.payment_uri

    @property
    def poll_milliseconds(self) -> int:
        """The pause between polls; 0 for none."""
        return _POLL_MILLISECONDS[self.phase]

    @property
    def refresh_seconds(self) -> int:
        """The interval at which browsers without JavaScript reload the page; 0 for never."""
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
    """Return the view of a session at a moment.

    `code` is the QR code chosen by the payer, None for the safer one. `taken_back` says that a reorg removed every
    payment, `chain_visible` that payments are noticed.
    """
    phase = _phase(session, now, taken_back=taken_back)
    transaction = transaction_request(session["paymentUri"])
    return View(
        session_id=session["id"],
        livemode=session["livemode"],
        phase=phase,
        reason=session["statusReason"],
        remark=STATUSES[Status(session["status"])].remark,
        fiat=session["fiat"],
        quantity=session["quantity"],
        price=session["amount"],
        asked=session["amountRemaining"] if phase is Phase.PARTIAL else session["amount"],
        missing=session["amountRemaining"] if _is_short(session, phase) else None,
        received=session["amountReceived"],
        extra=_extra(session),
        late_payment=_is_late(session),
        may_change_asset=phase is Phase.WAITING and len(session["assets"]) > 1 and not session["payments"],
        hides_address=_hides_address(session) and not taken_back,
        taken_back=taken_back,
        chain=chain,
        chain_visible=chain_visible,
        rate=shown_rate(session),
        rate_base=session["rate"]["base"],
        address=session["address"],
        payment_uri=session["paymentUri"],
        call=transaction,
        code=code or safer_code(transaction),
        depth=session["confirmations"],
        required_confirmations=session["requiredConfirmations"],
        transaction=_transaction(session, chain.explorer_url),
        expires_at=session["expiresAt"],
        paid_at=session["paidAt"],
        receipt_number=session["receiptNumber"],
        now=moments.to_text(now),
        **_ways_out(session, phase),
    )


def safer_code(transaction: TransactionRequest) -> Code:
    """Return the QR code that is safer with wallets that support EIP-681 only in part.

    For the chain's own coin the URI begins with the right address, so that a wallet that ignores the rest asks for the
    amount. For a token it begins with the token's contract; money that such a wallet sends there is lost.
    """
    return Code.REQUEST if transaction.data == "0x" else Code.ADDRESS


def public_part(session: SessionResource) -> dict[str, object]:
    """Return the fields that the payer may read.

    `successUrl` is null until the session is settled, because some shops trust everyone who opens that page. `address`
    and `paymentUri` are null until the payer has answered what is asked and chosen an asset, or has paid all the same.
    """
    fields: Mapping[str, object] = session
    part = {name: value for name, value in fields.items() if name in PUBLIC_FIELDS}
    if _hides_address(session):
        part |= {"address": None, "paymentUri": None}
    return part if Status(session["status"]) in SETTLED else {**part, "successUrl": None}


def _hides_address(session: SessionResource) -> bool:
    """Tell whether the payer has still to do something before an address may be shown."""
    is_asking = not session["payerAnswered"] and not session["payments"]
    return is_asking or not session["assetChosen"]


def web_url(url: str | None, session_id: str) -> str | None:
    """Fill the session's id into a merchant's URL; None unless it is http or https."""
    if url is None or not url.lower().startswith(("https://", "http://")):
        return None
    return _SESSION_ID.sub(quote(session_id, safe=""), url)


def address_groups(address: str) -> tuple[str, ...]:
    """Split an address into `0x` and groups of five digits, which are easy to compare by eye."""
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
    # The session expires with the first later block, which may take long; the payer is stopped now.
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
            # No way to cancel: a payer whose money is on its way, or has arrived in part, would give it up.
            return {"cancel_url": None, "leave_url": None, "back_url": back}


def _extra(session: SessionResource) -> AmountResource | None:
    """Return the surplus over the price; None within the shop's tolerance."""
    if session["status"] != Status.OVERPAID.value:
        return None
    received, price = session["amountReceived"], session["amount"]
    value = _WIDE.subtract(Decimal(received["value"]), Decimal(price["value"]))
    units = int(received["units"]) - int(price["units"])
    return {**price, "units": str(units), "value": f"{value.normalize(_WIDE):f}", "wei": None, "eth": None}


def _is_short(session: SessionResource, phase: Phase) -> bool:
    """Tell whether the time is up and only a part has come."""
    return phase in (Phase.TIME_UP, Phase.EXPIRED) and int(session["amountReceived"]["units"]) > 0


def _is_late(session: SessionResource) -> bool:
    late = (each for each in session["payments"] if not each["counted"] and each["blockTime"] > session["expiresAt"])
    return any(not is_dust(session, each) for each in late)


def _transaction(session: SessionResource, explorer_url: str) -> PayingTransaction | None:
    # A late payment doesn't count, even if the merchant accepts it, but it is the payer's transaction nonetheless.
    hashes = (session["txHash"], *(payment["txHash"] for payment in session["payments"]))
    tx_hash = next((each for each in hashes if each), None)
    return None if tx_hash is None else PayingTransaction(tx_hash, transaction_url(explorer_url, tx_hash))


def shown_rate(session: SessionResource) -> FiatResource:
    """Return the price of one whole coin, rounded for people."""
    rate = session["rate"]
    return {"amount": short_rate(rate["value"], rate["quote"]), "currency": rate["quote"]}
