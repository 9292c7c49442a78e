"""The public shape of every resource: what the API answers and what an event's `data` holds.

Amounts of coins are integer texts of smallest units with a decimal beside them; times are ISO 8601 UTC.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypedDict

from . import moments
from .address import checksum
from .assess import Tip, counts
from .assets import Asset
from .customer import Customer
from .endpoint import Endpoint
from .events import Event
from .key import ApiKey
from .link import Link
from .money import format_fiat, format_units
from .payment import Payment
from .payment_uri import payment_uri
from .quotes import Rate
from .session import Session


class AmountResource(TypedDict):
    """A coin amount; `wei` and `eth` are null unless the asset is the chain's native coin."""

    asset: str
    units: str
    value: str
    wei: str | None
    eth: str | None


class FiatResource(TypedDict):
    """A fiat amount with the decimals of its currency (ISO 4217)."""

    amount: str
    currency: str


class RateResource(TypedDict):
    """The rate that a session was priced at: one `base` costs `value` of `quote`."""

    base: str
    quote: str
    value: str
    sources: list[str]
    observedAt: str


# The functional form, because "from" is a keyword of Python.
PaymentResource = TypedDict(
    "PaymentResource",
    {
        "txHash": str | None,
        "logIndex": int | None,
        "kind": str,
        "from": str | None,
        "amount": AmountResource,
        "blockNumber": int,
        "blockHash": str,
        "blockTime": str,
        "confirmations": int,
        "counted": bool,
    },
)
PaymentResource.__doc__ = "A transfer to a session's address in a canonical block; not `counted` when it came too late."


class SessionResource(TypedDict):
    """A checkout session."""

    id: str
    object: Literal["checkout_session"]
    livemode: bool
    linkId: str | None
    status: str
    statusReason: str | None
    address: str
    chainId: int
    asset: str
    amount: AmountResource
    amountReceived: AmountResource
    amountRemaining: AmountResource
    fiat: FiatResource
    ethPriceUsd: str | None
    rate: RateResource
    confirmations: int
    requiredConfirmations: int
    payments: list[PaymentResource]
    txHash: str | None
    paymentUri: str
    checkoutUrl: str
    successUrl: str | None
    cancelUrl: str | None
    returnUrl: str | None
    customerEmail: str | None
    metadata: Mapping[str, str] | None
    expiresAt: str
    paidAt: str | None
    createdAt: str
    updatedAt: str


class LinkResource(TypedDict):
    """A payment link."""

    id: str
    object: Literal["payment_link"]
    livemode: bool
    slug: str
    title: str
    description: str | None
    fiatAmount: str
    fiatCurrency: str
    chainId: int | None
    asset: str | None
    successUrl: str | None
    cancelUrl: str | None
    metadata: Mapping[str, str] | None
    active: bool
    checkoutUrl: str
    createdAt: str
    updatedAt: str


class EndpointResource(TypedDict, total=False):
    """A webhook endpoint; `secret` is there only in the answer to its creation."""

    id: str
    object: Literal["webhook_endpoint"]
    livemode: bool
    url: str
    events: list[str]
    description: str | None
    active: bool
    disabledReason: str | None
    secretPrefix: str
    createdAt: str
    updatedAt: str
    secret: str


class CustomerResource(TypedDict):
    """A customer."""

    id: str
    object: Literal["customer"]
    livemode: bool
    email: str
    name: str | None
    metadata: Mapping[str, str] | None
    createdAt: str
    updatedAt: str


class ApiKeyResource(TypedDict):
    """An API key as the audit log shows it: never the key itself."""

    id: str
    object: Literal["api_key"]
    livemode: bool
    name: str
    prefix: str
    scopes: list[str]
    createdAt: str
    lastUsedAt: str | None
    revokedAt: str | None


class EventResource(TypedDict):
    """An event; `data` is the resource as of its moment."""

    id: str
    object: Literal["event"]
    type: str
    livemode: bool
    data: Mapping[str, Any]
    createdAt: str


class DeletedResource(TypedDict):
    """The answer to a deletion."""

    id: str
    object: str
    deleted: Literal[True]


def amount(asset: Asset, units: int) -> AmountResource:
    """Describe an amount of an asset's smallest units."""
    value = format_units(units, asset.decimals)
    native = asset.is_native
    return {
        "asset": asset.symbol,
        "units": str(units),
        "value": value,
        "wei": str(units) if native else None,
        "eth": value if native else None,
    }


def session(session: Session, payments: Sequence[Payment], tip: Tip | None, public_url: str) -> SessionResource:
    """Describe a session; `tip` is its chain's last processed block, None before the first."""
    asset, terms = session.asset, session.terms
    canonical = [p for p in payments if p.canonical]
    counted = [p for p in canonical if counts(p, session)]
    received = sum(p.transfer.units for p in counted)
    depths = [tip.confirmations(p.transfer.block_number) if tip else 0 for p in counted]
    return {
        "id": session.id,
        "object": "checkout_session",
        "livemode": session.livemode,
        "linkId": session.link_id,
        "status": session.status.value,
        "statusReason": session.status_reason,
        "address": checksum(session.address),
        "chainId": asset.chain_id,
        "asset": asset.symbol,
        "amount": amount(asset, terms.amount_units),
        "amountReceived": amount(asset, received),
        "amountRemaining": amount(asset, max(0, terms.amount_units - received)),
        "fiat": {"amount": str(session.fiat), "currency": session.fiat.currency},
        "ethPriceUsd": session.eth_price_usd,
        "rate": rate(session.rate),
        # All that was counted has at least this depth.
        "confirmations": min(depths, default=0),
        "requiredConfirmations": terms.required_confirmations,
        "payments": [_payment(session, p, tip) for p in canonical],
        "txHash": next((p.transfer.tx_hash for p in counted), None),
        "paymentUri": payment_uri(asset, session.address, max(0, terms.amount_units - received) or terms.amount_units),
        "checkoutUrl": f"{public_url}/checkout/{session.id}",
        "successUrl": session.success_url,
        "cancelUrl": session.cancel_url,
        "returnUrl": session.return_url,
        "customerEmail": session.customer_email,
        "metadata": session.metadata,
        "expiresAt": moments.to_text(terms.expires_at),
        "paidAt": _moment(session.paid_at),
        "createdAt": moments.to_text(session.created_at),
        "updatedAt": moments.to_text(session.updated_at),
    }


def rate(rate: Rate) -> RateResource:
    """Describe the rate that a session was priced at."""
    return {
        "base": rate.base,
        "quote": rate.quote,
        "value": decimal_text(rate.value),
        "sources": list(rate.sources),
        "observedAt": moments.to_text(rate.observed_at),
    }


def decimal_text(value: Decimal) -> str:
    """Write a decimal plainly: no exponent, no zeros at its end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _payment(session: Session, payment: Payment, tip: Tip | None) -> PaymentResource:
    transfer = payment.transfer
    return {
        "txHash": transfer.tx_hash,
        "logIndex": transfer.log_index,
        "kind": transfer.kind.value,
        "from": checksum(transfer.sender) if transfer.sender else None,
        "amount": amount(session.asset, transfer.units),
        "blockNumber": transfer.block_number,
        "blockHash": transfer.block_hash,
        "blockTime": moments.to_text(transfer.block_time),
        "confirmations": tip.confirmations(transfer.block_number) if tip else 0,
        "counted": counts(payment, session),
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moments.to_text(moment)


def link(link: Link, public_url: str) -> LinkResource:
    """Describe a payment link."""
    return {
        "id": link.id,
        "object": "payment_link",
        "livemode": link.livemode,
        "slug": link.slug,
        "title": link.title,
        "description": link.description,
        "fiatAmount": format_fiat(link.fiat.amount, link.fiat.currency),
        "fiatCurrency": link.fiat.currency,
        "chainId": link.chain_id,
        "asset": link.asset,
        "successUrl": link.success_url,
        "cancelUrl": link.cancel_url,
        "metadata": link.metadata,
        "active": link.active,
        "checkoutUrl": f"{public_url}/l/{link.slug}",
        "createdAt": moments.to_text(link.created_at),
        "updatedAt": moments.to_text(link.updated_at),
    }


def endpoint(endpoint: Endpoint) -> EndpointResource:
    """Describe a webhook endpoint, without its secret."""
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "livemode": endpoint.livemode,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "description": endpoint.description,
        "active": endpoint.active,
        "disabledReason": endpoint.disabled_reason,
        "secretPrefix": endpoint.secret[:12],
        "createdAt": moments.to_text(endpoint.created_at),
        "updatedAt": moments.to_text(endpoint.updated_at),
    }


def customer(customer: Customer) -> CustomerResource:
    """Describe a customer."""
    return {
        "id": customer.id,
        "object": "customer",
        "livemode": customer.livemode,
        "email": customer.email,
        "name": customer.name,
        "metadata": customer.metadata,
        "createdAt": moments.to_text(customer.created_at),
        "updatedAt": moments.to_text(customer.updated_at),
    }


def api_key(key: ApiKey) -> ApiKeyResource:
    """Describe an API key, without the key."""
    return {
        "id": key.id,
        "object": "api_key",
        "livemode": key.livemode,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": list(key.scopes),
        "createdAt": moments.to_text(key.created_at),
        "lastUsedAt": _moment(key.last_used_at),
        "revokedAt": _moment(key.revoked_at),
    }


def event(event: Event) -> EventResource:
    """Describe an event."""
    return {
        "id": event.id,
        "object": "event",
        "type": event.type,
        "livemode": event.livemode,
        "data": event.data,
        "createdAt": moments.to_text(event.created_at),
    }


def deleted(resource_id: str, kind: str) -> DeletedResource:
    """Describe what is left of a deleted resource."""
    return {"id": resource_id, "object": kind, "deleted": True}
