"""Refunds: the money to send back for a session, and the one table of facts about each status."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.money import CoinUnits
from crypto_checkout.core.rows import one_row_each


class RefundStatus(StrEnum):
    """The statuses of a refund, in the order in which it usually passes them."""

    AWAITING_ADDRESS = "awaiting_address"
    AWAITING_APPROVAL = "awaiting_approval"
    TO_PAY = "to_pay"
    SEEN = "seen"
    PAID = "paid"
    CANCELED = "canceled"


class DestinationProof(StrEnum):
    """The reason to believe that a refund's address belongs to the payer, the weakest first.

    `none`: whoever knew the link of the payment page gave it. `email`: a code came back that was mailed to the
    session's customer. `signature`: the account that paid signed it. `merchant`: the merchant gave it.
    """

    NONE = "none"
    EMAIL = "email"
    SIGNATURE = "signature"
    MERCHANT = "merchant"

    @property
    def rank(self) -> int:
        """The strength of the proof: a stronger one outranks a weaker one."""
        return tuple(DestinationProof).index(self)


@dataclass(frozen=True, slots=True)
class RefundStatusInfo:
    """The words of a status for the dashboard, and whether the refund can be canceled in it."""

    title: str
    meaning: str
    tone: Literal["", "good", "warn", "bad"] = ""
    can_cancel: bool = False


REFUND_STATUSES: Mapping[RefundStatus, RefundStatusInfo] = one_row_each(
    "core.refunds.refund.REFUND_STATUSES",
    RefundStatus,
    {
        RefundStatus.AWAITING_ADDRESS: RefundStatusInfo(
            "Awaiting address", "The payer has not given an address yet.", can_cancel=True
        ),
        RefundStatus.AWAITING_APPROVAL: RefundStatusInfo(
            "Awaiting approval", "An address was given. Approve it, or cancel the refund.", "warn", can_cancel=True
        ),
        RefundStatus.TO_PAY: RefundStatusInfo(
            "To pay", "The address is approved. Send the money from your wallet.", "warn", can_cancel=True
        ),
        RefundStatus.SEEN: RefundStatusInfo(
            "Confirming", "The payment was seen and is being confirmed by the network."
        ),
        RefundStatus.PAID: RefundStatusInfo("Paid", "The money has been returned to the payer.", "good"),
        RefundStatus.CANCELED: RefundStatusInfo("Canceled", "The refund was canceled."),
    },
)
"""Every status with its words."""


@dataclass(frozen=True, slots=True)
class RefundPayment:
    """The transfer that pays a refund: its block, and its log for a token."""

    block_number: int
    block_hash: str
    log_index: int | None


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund as stored: `units` of an asset that a session's address received go back to `destination`.

    `destination` is None until one was given; before the approval it can still change. `tx_hash` is the transaction
    that is said to pay it, or was found to, and `payment` its transfer, once it was seen on the chain.
    `searched_from` is the last block before the approval: a payment without a hash is looked for after it.
    `counted_units` is the part of a paid refund that had counted as revenue.
    """

    id: str
    livemode: bool
    session_id: str
    asset: Asset
    units: CoinUnits
    required_confirmations: int
    reason: str | None
    destination: Address | None
    proof: DestinationProof
    status: RefundStatus
    created_at: datetime
    updated_at: datetime
    approved_at: datetime | None = None
    searched_from: int | None = None
    tx_hash: str | None = None
    payment: RefundPayment | None = None
    paid_at: datetime | None = None
    counted_units: CoinUnits = 0
