"""The signed form of a receipt: what the shop states about a payment, with the transactions that prove it.

It is a set of claims (RFC 7519). Unlike the page it has no words of any language, and it is made anew at each request:
`iat` tells as of when it is true.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from typing_extensions import TypedDict

from crypto_checkout.core import moments
from crypto_checkout.core.public.refund_types import RefundResource
from crypto_checkout.core.public.types import (
    AmountResource,
    FiatResource,
    PaymentResource,
    RateResource,
    SessionResource,
)
from crypto_checkout.core.receipts.receipt import Receipt

MEDIA_TYPE = "receipt+jwt"
"""The `typ` of the signed form."""


class SellerClaims(TypedDict):
    """The shop, as it was when the payment was settled; null where it names nothing."""

    name: str | None
    address: str | None
    taxNumber: str | None


class PayerClaims(TypedDict):
    """The payer, as far as known."""

    name: str | None
    email: str | None


class TransferClaims(TypedDict):
    """A transfer that counts, in its block."""

    txHash: str | None
    logIndex: int | None
    kind: str
    amount: AmountResource
    blockNumber: int
    blockHash: str
    blockTime: str


class RefundClaims(TypedDict):
    """A refund that was paid."""

    id: str
    amount: AmountResource
    chainId: int
    txHash: str | None
    paidAt: str | None


class ReceiptClaims(TypedDict):
    """The payload of a signed receipt. `iss` is the shop's server, `iat` the time of signing in seconds."""

    iss: str
    iat: int
    object: Literal["receipt"]
    number: str
    status: Literal["valid", "void"]
    livemode: bool
    issuedAt: str
    seller: SellerClaims
    payer: PayerClaims | None
    sessionId: str
    title: str | None
    quantity: int | None
    fiat: FiatResource
    rate: RateResource
    chainId: int
    asset: str
    address: str
    amount: AmountResource
    amountReceived: AmountResource
    fiatReceived: FiatResource
    paidAt: str | None
    transfers: list[TransferClaims]
    refunds: list[RefundClaims]


def claims(
    receipt: Receipt,
    session: SessionResource,
    received: FiatResource,
    refunds: Sequence[RefundResource],
    *,
    is_valid: bool,
    issuer: str,
    now: datetime,
) -> ReceiptClaims:
    """Return the claims of a receipt as of now; `received` is the worth of what was received."""
    seller = receipt.seller
    name, email = session["customerName"], session["customerEmail"]
    return {
        "iss": issuer,
        "iat": int(now.timestamp()),
        "object": "receipt",
        "number": receipt.name,
        "status": "valid" if is_valid else "void",
        "livemode": receipt.livemode,
        "issuedAt": moments.to_text(receipt.issued_at),
        "seller": {
            "name": seller.name or None,
            "address": seller.address or None,
            "taxNumber": seller.tax_number or None,
        },
        "payer": {"name": name, "email": email} if name or email else None,
        "sessionId": session["id"],
        "title": receipt.title,
        "quantity": session["quantity"],
        "fiat": session["fiat"],
        "rate": session["rate"],
        "chainId": session["chainId"],
        "asset": session["asset"],
        "address": session["address"],
        "amount": session["amount"],
        "amountReceived": session["amountReceived"],
        "fiatReceived": received,
        "paidAt": session["paidAt"],
        "transfers": [_transfer(each) for each in session["payments"] if each["counted"]],
        "refunds": [_refund(each) for each in refunds],
    }


def _transfer(payment: PaymentResource) -> TransferClaims:
    return {
        "txHash": payment["txHash"],
        "logIndex": payment["logIndex"],
        "kind": payment["kind"],
        "amount": payment["amount"],
        "blockNumber": payment["blockNumber"],
        "blockHash": payment["blockHash"],
        "blockTime": payment["blockTime"],
    }


def _refund(refund: RefundResource) -> RefundClaims:
    return {
        "id": refund["id"],
        "amount": refund["amount"],
        "chainId": refund["chainId"],
        "txHash": refund["txHash"],
        "paidAt": refund["paidAt"],
    }
