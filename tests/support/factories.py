"""Records of the domain, complete and plausible; a test names only the fields that it is about.

    a_session(status=Status.PAID, fiat=Fiat(Decimal(10), "USD"))
    a_payment(units=5, block_number=12, canonical=False)

They are values: nothing is stored. A session that the server knows is made through the API.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.link import Link, LinkPrice
from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.checkout.session import Session, Status, Terms
from crypto_checkout.core.ledger.payment import Payment, Transfer, TransferKind
from crypto_checkout.core.money import Fiat

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
ADDRESS = Address("0x" + "ad" * 20)
ETH = Asset(1, "ETH", 18)
COIN = 10**18


def a_session(**changes: Any) -> Session:
    """Return a pending live session for 3,000 USD, which is one ETH: 15 minutes to pay, an hour of grace."""
    session = Session(
        id="cs_1",
        livemode=True,
        link_id=None,
        status=Status.PENDING,
        status_reason=None,
        wallet_id="w",
        derivation_index=0,
        address=ADDRESS,
        asset=ETH,
        fiat=Fiat(Decimal(3000), "USD"),
        rate=Rate("ETH", "USD", Decimal(3000), ("fixed",), NOW),
        eth_price_usd="3000",
        terms=Terms(COIN, COIN, COIN, NOW + timedelta(minutes=15), NOW + timedelta(minutes=75), 3),
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(session, **changes)


def a_link(**changes: Any) -> Link:
    """Return an active live link that sells tea for 10 USD."""
    link = Link(
        id="pl_1",
        livemode=True,
        slug="abc",
        title="Tea",
        description=None,
        price=LinkPrice(Decimal(10), "USD"),
        chain_id=None,
        asset=None,
        success_url=None,
        cancel_url=None,
        active=True,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(link, **changes)


def a_transfer(**changes: Any) -> Transfer:
    """Return a plain transfer of one ETH to the address of `a_session()`, in block 10."""
    transfer = Transfer(
        to=ADDRESS,
        sender=None,
        units=COIN,
        kind=TransferKind.NATIVE,
        contract=None,
        tx_hash="0x" + "ab" * 32,
        log_index=None,
        block_number=10,
        block_hash="0x" + "01" * 32,
        block_time=NOW,
    )
    return replace(transfer, **changes)


def a_payment(*, canonical: bool = True, **changes: Any) -> Payment:
    """Return a payment with the transfer of `a_transfer(**changes)`."""
    return Payment(a_transfer(**changes), canonical)
