"""A checkout session: what is asked of the payer, its statuses, and how they may move.

Who decides which status it is: `core.ledger.assess`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset, Choice
from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.money import Fiat, minor_units


class Status(StrEnum):
    """The statuses of a session; their rules are in the README under "How a session moves"."""

    PENDING = "pending"
    DETECTED = "detected"
    UNDERPAID = "underpaid"
    OVERPAID = "overpaid"
    PAID = "paid"
    PAID_LATE = "paid_late"
    EXPIRED = "expired"
    FAILED = "failed"


_FUNDED = frozenset({Status.DETECTED, Status.UNDERPAID, Status.OVERPAID, Status.PAID, Status.PAID_LATE})

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.PENDING: _FUNDED | {Status.EXPIRED},
    # A reorg can take back what was only detected: then it waits again, or has expired meanwhile, or, where it was
    # settled before, it has failed.
    Status.DETECTED: (_FUNDED - {Status.DETECTED}) | {Status.PENDING, Status.EXPIRED, Status.FAILED},
    Status.UNDERPAID: (_FUNDED - {Status.UNDERPAID}) | {Status.PENDING, Status.EXPIRED},
    # What was settled is never merely waiting again: without its money it has failed.
    Status.PAID: frozenset({Status.OVERPAID, Status.PAID_LATE, Status.FAILED}),
    Status.PAID_LATE: frozenset({Status.OVERPAID, Status.PAID, Status.FAILED}),
    Status.OVERPAID: frozenset({Status.PAID, Status.PAID_LATE, Status.FAILED}),
    # An expired session takes payments in grace, and payments that a reorg moved to an earlier time.
    Status.EXPIRED: _FUNDED,
    Status.FAILED: frozenset({Status.DETECTED, Status.PAID, Status.PAID_LATE, Status.OVERPAID}),
}
"""From each status, the ones it may move to."""

SETTLED = frozenset({Status.PAID, Status.PAID_LATE, Status.OVERPAID})
"""Statuses in which the whole price has arrived and is deep enough."""

PAYMENT_REORGED = "payment_reorged"
"""The status reason of a settled session whose money the chain took back."""

ACCEPTED = "accepted"
"""The status reason of a session that is paid because the merchant said so."""

CLOSED = "closed"
"""The status reason of a session that has expired because the merchant said so."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed when the session was made; changing the configuration later changes none of it.

    `minimum_units` and `maximum_units` are the price less and plus the tolerances. A transfer counts on time until
    `expires_at` and in grace until `grace_until`, both by the time of its block.
    """

    amount_units: int
    minimum_units: int
    maximum_units: int
    expires_at: datetime
    grace_until: datetime
    required_confirmations: int


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it is stored. `derivation_index` is the place of its address in the wallet `wallet_id`.

    `accepted_units` is what had arrived, on time or not, when the merchant accepted it, and `closed_at` when the
    merchant closed it; None where nobody did.

    `assets` are those that the payer may choose from, empty where there is no choice. Until one `is_chosen`, `asset`,
    `rate` and `terms` are those of the first of them that had a price, and no page shows them.
    """

    id: str
    livemode: bool
    link_id: str | None
    status: Status
    status_reason: str | None
    wallet_id: str
    derivation_index: int
    address: Address
    asset: Asset
    fiat: Fiat
    rate: Rate
    eth_price_usd: str | None
    terms: Terms
    success_url: str | None
    cancel_url: str | None
    return_url: str | None
    customer_email: str | None
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, str] | None = field(default=None, hash=False)
    paid_at: datetime | None = None
    accepted_units: int | None = None
    closed_at: datetime | None = None
    assets: tuple[Choice, ...] = ()
    is_chosen: bool = True

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What the payer may choose from: just its own asset where there is no choice."""
        return self.assets or (self.asset.choice,)

    def fiat_minor(self, units: int) -> int:
        """Return what so many units of the coin are worth at this session's rate, in the currency's smallest unit.

        It is the share of the price that they pay: `fiat * units / amount`, rounded half up. So a payment of exactly
        the amount is worth exactly the price, and the worth of one payment doesn't depend on any other.
        """
        whole = self.terms.amount_units
        return (2 * minor_units(self.fiat) * units + whole) // (2 * whole)
