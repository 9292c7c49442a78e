"""Made-up resources: the paid session that a test webhook carries, and the examples in the documentation."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from crypto_checkout.core import ids
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.customer import Customer
from crypto_checkout.core.checkout.link import Link, LinkPrice, LinkSales
from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.checkout.session import CLOSED, PaymentSums, Session, SessionOptions, Status, Terms
from crypto_checkout.core.collect.collection import (
    CollectedItem,
    Collection,
    CollectionFee,
    CollectionStatus,
    CollectionWay,
)
from crypto_checkout.core.collect.holdings import Holding, Market, totals
from crypto_checkout.core.ledger.assess import Tip
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Payment, ShownPayments, Transfer, TransferKind
from crypto_checkout.core.money import Fiat
from crypto_checkout.core.owner.api_key import ApiKey
from crypto_checkout.core.public import balances, render
from crypto_checkout.core.public.balances import BalanceListResource
from crypto_checkout.core.public.collection_types import CollectionResource
from crypto_checkout.core.public.link_types import LinkResource
from crypto_checkout.core.public.refund_types import RefundResource
from crypto_checkout.core.public.types import (
    ApiKeyResource,
    CustomerResource,
    EndpointResource,
    EventResource,
    SandboxChainResource,
    SessionResource,
)
from crypto_checkout.core.public.webhook_types import AttemptedResource, DeliveryResource, ReplayResource
from crypto_checkout.core.refunds.refund import DestinationProof, Refund, RefundPayment, RefundStatus
from crypto_checkout.core.webhooks.delivery import Attempt, Delivery, DeliveryStatus
from crypto_checkout.core.webhooks.endpoint import PREFIX_CHARACTERS, Endpoint
from crypto_checkout.core.webhooks.events import Event, EventType

MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
"""The time at which the documentation's examples happen."""

_ETH = Asset(1337, "ETH", 18)
_ADDRESS = Address("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")
_PAYER = Address("0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359")
_UNITS = 3_333_340_000_000_000
_CONFIRMATIONS = 3
_PAID_BLOCK = 21_000_000
_ENTROPY = bytes((31 * place + 71) % 256 for place in range(ids.ENTROPY_BYTES))
_SECRET = "whsec_" + "q5cVYbDvnTz0Kx2mWj8Rp4LsEg7uHfAo9iZt3yQdNkI="
_ATTEMPT = Attempt(1, MOMENT, 84, 200, None, None, "ok")


def session(at: datetime, entropy: bytes = bytes(ids.ENTROPY_BYTES)) -> Session:
    """Return an unpaid session of test mode."""
    expires_at = at + timedelta(minutes=15)
    return Session(
        id=ids.make(ids.SESSION, at, entropy),
        livemode=False,
        link_id=None,
        status=Status.PENDING,
        status_reason=None,
        wallet_id="example",
        derivation_index=41,
        address=_ADDRESS,
        asset=_ETH,
        fiat=Fiat(Decimal("10.00"), "USD"),
        rate=Rate("ETH", "USD", Decimal(3000), ("coinbase", "kraken"), at),
        eth_price_usd="3000",
        terms=Terms(_UNITS, _UNITS, _UNITS, expires_at, expires_at + timedelta(hours=1), _CONFIRMATIONS),
        created_at=at,
        updated_at=at,
        address_path="m/44'/60'/0'/0/41",
        options=SessionOptions(
            success_url="https://shop.example.com/thanks?session={CHECKOUT_SESSION_ID}",
            cancel_url="https://shop.example.com/cart",
            customer_email="ada@example.com",
            metadata={"order": "1042"},
        ),
    )


def paid_session(at: datetime, public_url: str, entropy: bytes = bytes(ids.ENTROPY_BYTES)) -> SessionResource:
    """Return a session that was paid one minute after its creation, as the API shows it."""
    paid_at = at + timedelta(minutes=1)
    transfer = Transfer(
        to=_ADDRESS,
        sender=_PAYER,
        units=_UNITS,
        kind=TransferKind.NATIVE,
        contract=None,
        tx_hash="0x" + "5c" * 32,
        log_index=None,
        block_number=_PAID_BLOCK,
        block_hash="0x" + "a7" * 32,
        block_time=paid_at,
    )
    sums = PaymentSums(on_time_units=_UNITS, payment_count=1)
    paid = replace(
        session(at, entropy),
        status=Status.PAID,
        paid_at=paid_at,
        updated_at=paid_at,
        sums=sums,
        receipt_number=f"T{paid_at.year}-000042",
    )
    tip = Tip(transfer.block_number + _CONFIRMATIONS - 1, paid_at)
    shown = ShownPayments((Payment(transfer),), transfer.tx_hash, transfer.block_number, confirmed_units=_UNITS)
    return render.session(paid, shown, tip, public_url)


# Examples for the documentation, one of each resource as the API answers it. All take the server's public URL, needed
# or not, so that a table can hold them side by side.


def shown_session(public_url: str) -> SessionResource:
    """Return a new session."""
    tip = Tip(_PAID_BLOCK - 1, MOMENT)
    return render.session(session(MOMENT, _ENTROPY), ShownPayments(), tip, public_url)


def shown_paid_session(public_url: str) -> SessionResource:
    """Return the same session, paid."""
    return paid_session(MOMENT, public_url, _ENTROPY)


def shown_closed_session(public_url: str) -> SessionResource:
    """Return the same session, closed by the merchant."""
    return {**shown_session(public_url), "status": Status.EXPIRED.value, "statusReason": CLOSED}


def shown_link(public_url: str) -> LinkResource:
    """Return a payment link."""
    example = Link(
        id=_id(ids.LINK),
        livemode=False,
        slug="vY3nTq8w",
        title="A book",
        description="The one with the whale.",
        price=LinkPrice(Decimal("30.00"), "USD"),
        chain_id=None,
        asset=None,
        success_url="https://shop.example.com/thanks?session={CHECKOUT_SESSION_ID}",
        cancel_url=None,
        active=True,
        created_at=MOMENT,
        updated_at=MOMENT,
        metadata={"sku": "moby-dick"},
    )
    return render.link(example, LinkSales(), public_url)


def shown_endpoint(_: str) -> EndpointResource:
    """Return a webhook endpoint."""
    example = Endpoint(
        id=_id(ids.ENDPOINT),
        livemode=False,
        url="https://shop.example.com/webhooks",
        events=("session.paid", "session.overpaid"),
        description=None,
        active=True,
        disabled_reason=None,
        secret="",
        secret_prefix=_SECRET[:PREFIX_CHARACTERS],
        created_at=MOMENT,
        updated_at=MOMENT,
    )
    return render.endpoint(example)


def shown_new_endpoint(public_url: str) -> EndpointResource:
    """Return a webhook endpoint with its secret."""
    return {**shown_endpoint(public_url), "secret": _SECRET}


def shown_delivery(_: str) -> DeliveryResource:
    """Return a delivery that succeeded."""
    example = Delivery(
        event_id=_id(ids.EVENT),
        event_type=EventType.SESSION_PAID,
        endpoint_id=_id(ids.ENDPOINT),
        status=DeliveryStatus.SUCCEEDED,
        next_attempt_at=None,
        created_at=MOMENT,
        updated_at=MOMENT,
        attempts=(_ATTEMPT,),
    )
    return render.delivery(example)


def shown_attempted(_: str) -> AttemptedResource:
    """Return the answer to a test of an endpoint."""
    attempt = render.attempt(_ATTEMPT)
    return {"object": "webhook_attempt", "endpointId": _id(ids.ENDPOINT), "succeeded": True, "attempt": attempt}


def shown_replay(_: str) -> ReplayResource:
    """Return the answer to a replay."""
    return {"object": "webhook_replay", "endpointId": _id(ids.ENDPOINT), "queued": 3, "hasMore": False}


def shown_balances(public_url: str) -> BalanceListResource:
    """Return a page of balances: the paid session's."""
    paid = shown_paid_session(public_url)
    holding = Holding(1, _ADDRESS, paid["id"], paid["addressIndex"], paid["addressPath"], None, _ETH, _UNITS, 0)
    market = Market("USD", {_ETH.chain_id: 10**9}, {_ETH.chain_id: _ETH}, {_ETH: Decimal(3000)})
    (total,) = totals([holding], market)
    block = Header(_PAID_BLOCK + 2, "0x" + "b3" * 32, "", MOMENT)
    return {
        "object": "list",
        "data": [balances.balance(holding, market, livemode=False, on_chain=None)],
        "hasMore": False,
        "nextCursor": None,
        "totals": [balances.total(total, market, {_ETH.chain_id: block}, livemode=False)],
    }


def shown_customer(_: str) -> CustomerResource:
    """Return a customer."""
    example = Customer(
        id=_id(ids.CUSTOMER),
        livemode=False,
        email="ada@example.com",
        name="Ada Lovelace",
        created_at=MOMENT,
        updated_at=MOMENT,
        metadata=None,
    )
    return render.customer(example)


def shown_refund(public_url: str) -> RefundResource:
    """Return a refund whose address the payer has still to give."""
    return render.refund(_REFUND, public_url)


def shown_canceled_refund(public_url: str) -> RefundResource:
    """Return the same refund, canceled."""
    return render.refund(replace(_REFUND, status=RefundStatus.CANCELED), public_url)


def shown_paid_refund(public_url: str) -> RefundResource:
    """Return the same refund, paid."""
    paid = replace(
        _REFUND,
        status=RefundStatus.PAID,
        destination=_PAYER,
        proof=DestinationProof.SIGNATURE,
        approved_at=MOMENT,
        tx_hash="0x" + "7e" * 32,
        payment=RefundPayment(_PAID_BLOCK + 99, "0x" + "a8" * 32, log_index=None),
        paid_at=MOMENT,
    )
    return render.refund(paid, public_url)


def shown_collection(_: str) -> CollectionResource:
    """Return a confirmed collection."""
    return render.collection(replace(_COLLECTION, status=CollectionStatus.CONFIRMED, confirmed_at=MOMENT))


def shown_seen_collection(_: str) -> CollectionResource:
    """Return the same collection, in a block that isn't deep yet."""
    return render.collection(_COLLECTION)


def shown_key(_: str) -> ApiKeyResource:
    """Return an API key."""
    scopes = ("sessions:read", "sessions:write")
    return render.api_key(ApiKey(_id(ids.API_KEY), False, "my shop", "ck_test_4fT9Qa", scopes, MOMENT, None, None))


def shown_event(public_url: str) -> EventResource:
    """Return the event about a paid session."""
    example = Event(_id(ids.EVENT), False, EventType.SESSION_PAID, MOMENT, shown_paid_session(public_url))
    return render.event(example)


def shown_chain(_: str) -> SandboxChainResource:
    """Return the sandbox chain."""
    return {"object": "chain", "livemode": False, "chainId": 1337, "blockNumber": 42}


def _id(prefix: str) -> str:
    return ids.make(prefix, MOMENT, _ENTROPY)


_REFUND = Refund(
    id=_id(ids.REFUND),
    livemode=False,
    session_id=_id(ids.SESSION),
    asset=_ETH,
    units=_UNITS,
    required_confirmations=_CONFIRMATIONS,
    reason="The book is out of print.",
    destination=None,
    proof=DestinationProof.NONE,
    status=RefundStatus.AWAITING_ADDRESS,
    created_at=MOMENT,
    updated_at=MOMENT,
)
_COLLECTION = Collection(
    id=_id(ids.COLLECTION),
    livemode=False,
    chain_id=_ETH.chain_id,
    tx_hash="0x" + "c0" * 32,
    status=CollectionStatus.SEEN,
    way=CollectionWay.CONTRACT,
    destination=_PAYER,
    items=(CollectedItem(_id(ids.SESSION), _PAYER, _ETH, _UNITS),),
    fee=CollectionFee(_ETH.symbol, 64_700 * 10**9, Decimal(2000)),
    block_number=_PAID_BLOCK + 99,
    block_time=MOMENT,
    created_at=MOMENT,
    updated_at=MOMENT,
)
