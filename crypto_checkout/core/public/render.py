"""Render domain objects as public resources (`core.public.types`), for the API and for the `data` of events."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

import orjson

from crypto_checkout.core import moments
from crypto_checkout.core.address import checksum
from crypto_checkout.core.assets import Asset, Choice
from crypto_checkout.core.checkout.customer import Customer
from crypto_checkout.core.checkout.link import Link, LinkQuantity, LinkSales
from crypto_checkout.core.checkout.payment_uri import payment_uri
from crypto_checkout.core.checkout.questions import CustomField, FieldKind, PayerFields
from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.collect.collection import COIN_DECIMALS, Collection, CollectionFee
from crypto_checkout.core.ledger.assess import Tip, counts
from crypto_checkout.core.ledger.dust import SHARE_OF_PRICE
from crypto_checkout.core.ledger.payment import Payment, ShownPayments, TransferKind
from crypto_checkout.core.money import format_units
from crypto_checkout.core.owner.api_key import ApiKey
from crypto_checkout.core.public.collection_types import CollectionFeeResource, CollectionResource
from crypto_checkout.core.public.link_types import LinkResource, QuantityResource
from crypto_checkout.core.public.names import EventName
from crypto_checkout.core.public.refund_types import RefundResource
from crypto_checkout.core.public.types import (
    AmountResource,
    ApiKeyResource,
    ChoiceResource,
    CustomerResource,
    CustomFieldResource,
    DeletedResource,
    EndpointResource,
    EventResource,
    PayerFieldsResource,
    PaymentResource,
    RateResource,
    SessionResource,
)
from crypto_checkout.core.public.webhook_types import AttemptResource, DeliveryResource
from crypto_checkout.core.refunds.refund import Refund, RefundStatus
from crypto_checkout.core.webhooks.delivery import Attempt, Delivery
from crypto_checkout.core.webhooks.endpoint import Endpoint
from crypto_checkout.core.webhooks.events import Event


def amount(asset: Asset, units: int) -> AmountResource:
    """Render an amount given in an asset's smallest units."""
    value = format_units(units, asset.decimals)
    native = asset.is_native
    return {
        "asset": asset.symbol,
        "units": str(units),
        "value": value,
        "wei": str(units) if native else None,
        "eth": value if native else None,
    }


def session(session: Session, shown: ShownPayments, tip: Tip | None, public_url: str) -> SessionResource:
    """Render a session; `tip` is its chain's last processed block, None before the first."""
    asset, terms = session.asset, session.terms
    received = session.sums.counted_units
    remaining = max(0, terms.amount_units - received)
    return {
        "id": session.id,
        "object": "checkout_session",
        "livemode": session.livemode,
        "linkId": session.link_id,
        "status": session.status.value,
        "statusReason": session.status_reason,
        "address": checksum(session.address),
        "addressIndex": session.derivation_index,
        "addressPath": session.address_path,
        "chainId": asset.chain_id,
        "asset": asset.symbol,
        "assets": [choice(each) for each in session.choices],
        "assetChosen": session.is_chosen,
        "amount": amount(asset, terms.amount_units),
        "amountReceived": amount(asset, received),
        "amountRemaining": amount(asset, remaining),
        "amountRefunded": amount(asset, session.refunds.refunded_units),
        "refundable": amount(asset, max(0, shown.confirmed_units - session.refunds.promised_units)),
        "fiat": {"amount": str(session.fiat), "currency": session.fiat.currency},
        "quantity": session.quantity,
        "ethPriceUsd": session.eth_price_usd,
        "rate": rate(session.rate),
        "confirmations": 0 if tip is None or shown.newest_block is None else tip.confirmations(shown.newest_block),
        "requiredConfirmations": terms.required_confirmations,
        "payments": [payment(session, each, tip) for each in shown.newest],
        "txHash": shown.tx_hash,
        "paymentUri": payment_uri(asset, session.address, remaining or terms.amount_units),
        "checkoutUrl": f"{public_url}/checkout/{session.id}",
        "successUrl": session.options.success_url,
        "cancelUrl": session.options.cancel_url,
        "returnUrl": session.options.return_url,
        "customerEmail": session.options.customer_email,
        "customerName": session.options.customer_name,
        "customerNote": session.customer_note,
        "metadata": session.options.metadata,
        "payerFields": payer_fields(session.options.payer_fields),
        "customFields": custom_fields(session.options.custom_fields),
        "payerAnswered": session.is_answered,
        "expiresAt": moments.to_text(terms.expires_at),
        "paidAt": moments.to_optional_text(session.paid_at),
        "receiptNumber": session.receipt_number,
        "receiptUrl": f"{public_url}/checkout/{session.id}/receipt" if session.receipt_number else None,
        "createdAt": moments.to_text(session.created_at),
        "updatedAt": moments.to_text(session.updated_at),
    }


def choice(choice: Choice) -> ChoiceResource:
    """Render an asset that a payer may choose."""
    return {"chainId": choice.chain_id, "asset": choice.symbol}


def payer_fields(fields: PayerFields | None) -> PayerFieldsResource | None:
    """Render the usual questions to a payer."""
    if fields is None:
        return None
    return {"email": fields.email.value, "name": fields.name.value, "note": fields.note.value}


def custom_fields(fields: Sequence[CustomField] | None) -> list[CustomFieldResource] | None:
    """Render a merchant's own questions to a payer."""
    return None if fields is None else [custom_field(each) for each in fields]


def custom_field(field: CustomField) -> CustomFieldResource:
    """Render one of a merchant's own questions."""
    is_choice = field.kind is FieldKind.CHOICE
    return {
        "key": field.key,
        "label": field.label,
        "type": field.kind.value,
        "required": field.required,
        "options": list(field.options) if is_choice else None,
        "maxLength": None if is_choice else field.max_length,
    }


def rate(rate: Rate) -> RateResource:
    """Render the rate at which a session was priced."""
    return {
        "base": rate.base,
        "quote": rate.quote,
        "value": decimal_text(rate.value),
        "sources": list(rate.sources),
        "observedAt": moments.to_text(rate.observed_at),
    }


def decimal_text(value: Decimal) -> str:
    """Write a decimal without exponent and trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def payment(session: Session, payment: Payment, tip: Tip | None) -> PaymentResource:
    """Render a payment of a session."""
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
        "transfers": payment.dust or 1,
    }


def is_dust(session: SessionResource, payment: PaymentResource) -> bool:
    """Tell whether a rendered payment of a session is a sum of dust.

    Without a transaction there are also internal transfers, and token payments that only a balance shows; these are
    told apart by their amount.
    """
    if payment["txHash"] is not None or payment["kind"] == TransferKind.INTERNAL.value:
        return False
    is_small = int(payment["amount"]["units"]) * SHARE_OF_PRICE < int(session["amount"]["units"])
    return payment["transfers"] > 1 or is_small


def link(link: Link, sales: LinkSales, public_url: str) -> LinkResource:
    """Render a payment link with the number of pieces that are sold and reserved."""
    price = link.price
    return {
        "id": link.id,
        "object": "payment_link",
        "livemode": link.livemode,
        "slug": link.slug,
        "title": link.title,
        "description": link.description,
        "fiatAmount": None if price.amount is None else price.text(price.amount),
        "fiatCurrency": price.currency,
        "minFiatAmount": None if price.minimum is None else price.text(price.minimum),
        "maxFiatAmount": None if price.maximum is None else price.text(price.maximum),
        "suggestedAmounts": [price.text(each) for each in price.suggested] or None,
        "quantity": None if link.quantity is None else quantity(link.quantity, sales),
        "chainId": link.chain_id,
        "asset": link.asset,
        "assets": [choice(each) for each in link.assets] or None,
        "successUrl": link.success_url,
        "cancelUrl": link.cancel_url,
        "metadata": link.metadata,
        "payerFields": payer_fields(link.payer_fields),
        "customFields": custom_fields(link.custom_fields),
        "active": link.active,
        "checkoutUrl": f"{public_url}/l/{link.slug}",
        "createdAt": moments.to_text(link.created_at),
        "updatedAt": moments.to_text(link.updated_at),
    }


def quantity(quantity: LinkQuantity, sales: LinkSales) -> QuantityResource:
    """Render the number of pieces that a link sells, and what is left of them."""
    return {
        "min": quantity.minimum,
        "max": quantity.maximum,
        "stock": quantity.stock,
        "sold": sales.sold,
        "reserved": sales.reserved,
        "available": sales.left_of(quantity),
    }


def endpoint(endpoint: Endpoint) -> EndpointResource:
    """Render a webhook endpoint, without its secret."""
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "livemode": endpoint.livemode,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "description": endpoint.description,
        "active": endpoint.active,
        "disabledReason": endpoint.disabled_reason,
        "missedSince": moments.to_optional_text(endpoint.missed_since),
        "secretPrefix": endpoint.secret_prefix,
        "createdAt": moments.to_text(endpoint.created_at),
        "updatedAt": moments.to_text(endpoint.updated_at),
    }


def customer(customer: Customer) -> CustomerResource:
    """Render a customer."""
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


def refund(refund: Refund, public_url: str) -> RefundResource:
    """Render a refund."""
    payable = refund.destination if refund.status is RefundStatus.TO_PAY else None
    return {
        "id": refund.id,
        "object": "refund",
        "livemode": refund.livemode,
        "sessionId": refund.session_id,
        "chainId": refund.asset.chain_id,
        "asset": refund.asset.symbol,
        "amount": amount(refund.asset, refund.units),
        "reason": refund.reason,
        "destination": checksum(refund.destination) if refund.destination else None,
        "proof": refund.proof.value,
        "status": refund.status.value,
        "txHash": refund.tx_hash,
        "logIndex": refund.payment.log_index if refund.payment else None,
        "claimUrl": f"{public_url}/checkout/{refund.session_id}/refund",
        "paymentUri": payment_uri(refund.asset, payable, refund.units) if payable else None,
        "approvedAt": moments.to_optional_text(refund.approved_at),
        "paidAt": moments.to_optional_text(refund.paid_at),
        "createdAt": moments.to_text(refund.created_at),
        "updatedAt": moments.to_text(refund.updated_at),
    }


def collection(collection: Collection) -> CollectionResource:
    """Render a collection."""
    return {
        "id": collection.id,
        "object": "collection",
        "livemode": collection.livemode,
        "chainId": collection.chain_id,
        "txHash": collection.tx_hash,
        "status": collection.status.value,
        "way": collection.way.value,
        "destination": checksum(collection.destination) if collection.destination else None,
        "items": [
            {
                "sessionId": item.session_id,
                "address": checksum(item.address),
                "asset": item.asset.symbol,
                "amount": amount(item.asset, item.units),
            }
            for item in collection.items
        ],
        "totals": [amount(asset, units) for asset, units in collection.totals],
        "fee": collection_fee(collection.chain_id, collection.fee) if collection.fee else None,
        "blockNumber": collection.block_number,
        "collectedAt": moments.to_optional_text(collection.block_time),
        "confirmedAt": moments.to_optional_text(collection.confirmed_at),
        "createdAt": moments.to_text(collection.created_at),
        "updatedAt": moments.to_text(collection.updated_at),
    }


def collection_fee(chain_id: int, fee: CollectionFee) -> CollectionFeeResource:
    """Render the fee of a collection."""
    worth = fee.worth
    return {
        "amount": amount(Asset(chain_id, fee.asset, COIN_DECIMALS), fee.units),
        "fiat": None if worth is None else {"amount": str(worth), "currency": worth.currency},
    }


def api_key(key: ApiKey) -> ApiKeyResource:
    """Render an API key, without the key itself."""
    return {
        "id": key.id,
        "object": "api_key",
        "livemode": key.livemode,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": list(key.scopes),
        "createdAt": moments.to_text(key.created_at),
        "lastUsedAt": moments.to_optional_text(key.last_used_at),
        "revokedAt": moments.to_optional_text(key.revoked_at),
    }


def event(event: Event) -> EventResource:
    """Render an event."""
    return {
        "id": event.id,
        "object": "event",
        "type": cast("EventName", event.type),
        "livemode": event.livemode,
        "data": event.data,
        "createdAt": moments.to_text(event.created_at),
    }


def deleted(resource_id: str, kind: str) -> DeletedResource:
    """Render the confirmation that a resource was deleted."""
    return {"id": resource_id, "object": kind, "deleted": True}


def attempt(attempt: Attempt) -> AttemptResource:
    """Render a delivery attempt."""
    return {
        "number": attempt.number,
        "startedAt": moments.to_text(attempt.started_at),
        "durationMs": attempt.duration_ms,
        "statusCode": attempt.status_code,
        "error": attempt.error,
        "detail": attempt.detail,
        "responseExcerpt": attempt.excerpt,
    }


def delivery(delivery: Delivery) -> DeliveryResource:
    """Render a delivery with its attempts."""
    return {
        "object": "webhook_delivery",
        "eventId": delivery.event_id,
        "eventType": cast("EventName", delivery.event_type),
        "endpointId": delivery.endpoint_id,
        "status": delivery.status.value,
        "nextAttemptAt": moments.to_optional_text(delivery.next_attempt_at),
        "attempts": [attempt(each) for each in delivery.attempts],
        "createdAt": moments.to_text(delivery.created_at),
        "updatedAt": moments.to_text(delivery.updated_at),
    }


def json_text(resource: Mapping[str, Any]) -> str:
    """Write a resource as JSON, the exact text that is stored, signed and sent."""
    return orjson.dumps(resource).decode()


def json_bytes(resource: Mapping[str, Any]) -> bytes:
    """Write a resource as JSON, in UTF-8."""
    # A copy: orjson's own keeps the buffer it was written to, ten times as long, and answers are kept by the thousand.
    return bytes(memoryview(orjson.dumps(resource)))
