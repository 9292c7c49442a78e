"""A made-up session that was paid: what a test of a webhook endpoint carries, and what the documentation shows."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from . import ids, resources
from .address import Address
from .assess import Tip
from .assets import Asset
from .money import Fiat
from .payment import Kind, Payment, Transfer
from .quotes import Rate
from .session import Session, Status, Terms
from .shapes import SessionResource

_ETH = Asset(1, "ETH", 18)
_ADDRESS = Address("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")
_PAYER = Address("0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359")
_UNITS = 3_333_340_000_000_000
_CONFIRMATIONS = 3


def session(at: datetime, entropy: bytes = bytes(ids.ENTROPY_BYTES)) -> Session:
    """Return a session of test mode that was made and not paid yet."""
    expires_at = at + timedelta(minutes=15)
    return Session(
        id=ids.make(ids.SESSION, at, entropy),
        livemode=False,
        link_id=None,
        status=Status.PENDING,
        status_reason=None,
        wallet_id="example",
        derivation_index=0,
        address=_ADDRESS,
        asset=_ETH,
        fiat=Fiat(Decimal("10.00"), "USD"),
        rate=Rate("ETH", "USD", Decimal(3000), ("coinbase", "kraken"), at),
        eth_price_usd="3000",
        terms=Terms(_UNITS, _UNITS, _UNITS, expires_at, expires_at + timedelta(hours=1), _CONFIRMATIONS),
        success_url="https://shop.example.com/thanks?session={CHECKOUT_SESSION_ID}",
        cancel_url="https://shop.example.com/cart",
        return_url=None,
        customer_email="ada@example.com",
        created_at=at,
        updated_at=at,
        metadata={"order": "1042"},
    )


def paid_session(at: datetime, public_url: str, entropy: bytes = bytes(ids.ENTROPY_BYTES)) -> SessionResource:
    """Return a session that was paid a minute after it was made, as the API shows it."""
    paid_at = at + timedelta(minutes=1)
    transfer = Transfer(
        to=_ADDRESS,
        sender=_PAYER,
        units=_UNITS,
        kind=Kind.NATIVE,
        contract=None,
        tx_hash="0x" + "5c" * 32,
        log_index=None,
        block_number=21_000_000,
        block_hash="0x" + "a7" * 32,
        block_time=paid_at,
    )
    paid = replace(session(at, entropy), status=Status.PAID, paid_at=paid_at, updated_at=paid_at)
    tip = Tip(transfer.block_number + _CONFIRMATIONS - 1, paid_at)
    return resources.session(paid, [Payment(transfer)], tip, public_url)
