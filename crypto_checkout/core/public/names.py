"""The values of enums as Literals, for the type checkers of those who read the API's answers.

Type checkers can't derive them, so they are listed again; the import fails where they differ from the enum.
"""

from enum import StrEnum
from typing import Any, Literal, get_args

from crypto_checkout.core.checkout.questions import Asked, FieldKind
from crypto_checkout.core.checkout.session import Status
from crypto_checkout.core.collect.collection import CollectionStatus, CollectionWay
from crypto_checkout.core.collect.holdings import NotWorthMoving
from crypto_checkout.core.ledger.payment import TransferKind
from crypto_checkout.core.refunds.refund import DestinationProof, RefundStatus
from crypto_checkout.core.webhooks.delivery import DeliveryStatus
from crypto_checkout.core.webhooks.events import EventType

SessionStatus = Literal["pending", "detected", "underpaid", "overpaid", "paid", "paid_late", "expired", "failed"]
"""The status of a session, as `core.checkout.session.Status` has them."""

EventName = Literal[
    "session.created",
    "session.detected",
    "session.paid",
    "session.paid_late",
    "session.underpaid",
    "session.overpaid",
    "session.expired",
    "session.failed",
    "session.reorged",
    "session.late_payment",
    "session.refunded",
    "session.updated",
    "payment_link.created",
    "payment_link.updated",
    "payment_link.deleted",
    "webhook_endpoint.created",
    "webhook_endpoint.updated",
    "webhook_endpoint.deleted",
    "webhook_endpoint.disabled",
    "customer.created",
    "customer.updated",
    "refund.created",
    "refund.address_given",
    "refund.approved",
    "refund.paid",
    "refund.reorged",
    "refund.canceled",
    "collection.created",
    "collection.confirmed",
    "collection.failed",
    "collection.reorged",
    "api_key.created",
    "api_key.revoked",
]
"""The type of an event, as `core.webhooks.events.EventType` has them."""

DeliveryState = Literal["pending", "succeeded", "abandoned"]
"""The status of a delivery, as `core.webhooks.delivery.DeliveryStatus` has them."""

RefundState = Literal["awaiting_address", "awaiting_approval", "to_pay", "seen", "paid", "canceled"]
"""The status of a refund, as `core.refunds.refund.RefundStatus` has them."""

DestinationProofName = Literal["none", "email", "signature", "merchant"]
"""The proof of a refund's address, as `core.refunds.refund.DestinationProof` has them."""

CollectionState = Literal["sent", "seen", "confirmed", "failed", "reorged"]
"""The status of a collection, as `core.collect.collection.CollectionStatus` has them."""

CollectionWayName = Literal["contract", "transfer"]
"""The way out of a collection, as `core.collect.collection.CollectionWay` has them."""

TransferName = Literal["native", "internal", "token"]
"""The kind of a transfer, as `core.ledger.payment.TransferKind` has them."""

AskedName = Literal["no", "optional", "required"]
"""The place of a field in the payer's form, as `core.checkout.questions.Asked` has it."""

FieldKindName = Literal["text", "choice"]
"""The kind of a custom field, as `core.checkout.questions.FieldKind` has them."""

ReasonToLeave = Literal["fee_too_high", "unknown_fee", "unknown_price"]
"""The reason to leave money where it is, as `core.collect.holdings.NotWorthMoving` has them."""


def check_same(names: Any, members: type[StrEnum]) -> None:
    """Raise ValueError unless a Literal has exactly the values of an enum, which type checkers can't derive."""
    if get_args(names) != tuple(each.value for each in members):
        raise ValueError(f"core.public.names has {', '.join(get_args(names))}, where {members.__name__} has others.")


check_same(SessionStatus, Status)
check_same(EventName, EventType)
check_same(DeliveryState, DeliveryStatus)
check_same(TransferName, TransferKind)
check_same(RefundState, RefundStatus)
check_same(DestinationProofName, DestinationProof)
check_same(ReasonToLeave, NotWorthMoving)
check_same(CollectionState, CollectionStatus)
check_same(CollectionWayName, CollectionWay)
check_same(AskedName, Asked)
check_same(FieldKindName, FieldKind)
