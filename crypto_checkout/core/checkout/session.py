"""Checkout sessions: the request to a payer, and the one table of facts about each status.

To add a status, give it a member in `Status` and a row in `STATUSES`; a sentence of its own on the payer's page goes
into each file of `http/checkout/languages`. `core.ledger.assess` decides which status a session has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset, Choice
from crypto_checkout.core.checkout.questions import CustomField, PayerFields, Question, questions
from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.money import CoinUnits, Fiat, minor_units
from crypto_checkout.core.rows import one_row_each


class Status(StrEnum):
    """The statuses of a session; their rules are in the guide `statuses`."""

    PENDING = "pending"
    DETECTED = "detected"
    UNDERPAID = "underpaid"
    OVERPAID = "overpaid"
    PAID = "paid"
    PAID_LATE = "paid_late"
    EXPIRED = "expired"
    FAILED = "failed"


class SessionStage(StrEnum):
    """The stages of a session, as its payer sees them: each holds one or more statuses."""

    OPEN = "open"
    CONFIRMING = "confirming"
    SETTLED = "settled"
    EXPIRED = "expired"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StatusInfo:
    """The rules and the words of a status.

    `may_become` holds the statuses that may follow, and `event` is the type of the event that announces this one. The
    merchant can close a session (`can_close`), or accept the payments so far as the whole price (`can_accept`).

    `title`, `meaning` and the `tone` of the badge are for the dashboard. `stage` selects the payer's page, and `remark`
    is the key in `http/checkout/languages` of a sentence to add to it. A status with `advice` for the merchant is an
    issue, whose kind is in `core.alerts.issues.STATUS_KINDS`.
    """

    title: str
    meaning: str
    stage: SessionStage
    may_become: frozenset[Status]
    event: str | None = None
    tone: Literal["", "good", "warn", "bad"] = ""
    remark: str | None = None
    can_close: bool = False
    can_accept: bool = False
    advice: str | None = None


FUNDED = frozenset({Status.DETECTED, Status.UNDERPAID, Status.OVERPAID, Status.PAID, Status.PAID_LATE})
"""Statuses in which at least some of the price has arrived."""

STATUSES: Mapping[Status, StatusInfo] = one_row_each(
    "core.checkout.session.STATUSES",
    Status,
    {
        Status.PENDING: StatusInfo(
            title="Pending",
            meaning="Waiting for the payer: nothing that counts has been received yet.",
            stage=SessionStage.OPEN,
            may_become=FUNDED | {Status.EXPIRED},
            can_close=True,
        ),
        Status.DETECTED: StatusInfo(
            title="Confirming",
            meaning="The whole amount has been received and is being confirmed by the network.",
            stage=SessionStage.CONFIRMING,
            # A reorg can take back a payment that was only detected: then the session waits again, or has expired
            # meanwhile, or, where it was settled before, it has failed.
            may_become=(FUNDED - {Status.DETECTED}) | {Status.PENDING, Status.EXPIRED, Status.FAILED},
            event="session.detected",
        ),
        Status.UNDERPAID: StatusInfo(
            title="Underpaid",
            meaning="Less than the expected amount has been received.",
            stage=SessionStage.OPEN,
            may_become=(FUNDED - {Status.UNDERPAID}) | {Status.PENDING, Status.EXPIRED},
            event="session.underpaid",
            tone="warn",
            can_close=True,
            can_accept=True,
            advice="Accept it, close it, or ask the payer for the rest.",
        ),
        # A settled session never merely waits again: without its money it has failed.
        Status.OVERPAID: StatusInfo(
            title="Overpaid",
            meaning="More than the expected amount has been received.",
            stage=SessionStage.SETTLED,
            may_become=frozenset({Status.PAID, Status.PAID_LATE, Status.FAILED}),
            event="session.overpaid",
            tone="warn",
            remark="overpaid_note",
            can_accept=True,
            advice="Accept it and refund the excess.",
        ),
        Status.PAID: StatusInfo(
            title="Paid",
            meaning="The whole amount has been received and confirmed.",
            stage=SessionStage.SETTLED,
            may_become=frozenset({Status.OVERPAID, Status.PAID_LATE, Status.FAILED}),
            event="session.paid",
            tone="good",
        ),
        Status.PAID_LATE: StatusInfo(
            title="Paid late",
            meaning="The whole amount has been received, part of it during the grace period.",
            stage=SessionStage.SETTLED,
            may_become=frozenset({Status.OVERPAID, Status.PAID, Status.FAILED}),
            event="session.paid_late",
            tone="good",
            remark="late_note",
            can_accept=True,
        ),
        # An expired session takes payments in grace, and payments that a reorg moved to an earlier time.
        Status.EXPIRED: StatusInfo(
            title="Expired",
            meaning="The time to pay ran out before the whole amount was received.",
            stage=SessionStage.EXPIRED,
            may_become=FUNDED,
            event="session.expired",
            can_accept=True,
        ),
        Status.FAILED: StatusInfo(
            title="Reversed",
            meaning="It was paid, and then the network reversed the payment.",
            stage=SessionStage.FAILED,
            may_become=frozenset({Status.DETECTED, Status.PAID, Status.PAID_LATE, Status.OVERPAID}),
            event="session.failed",
            tone="bad",
            can_accept=True,
            advice="Don't deliver yet. If the payment is confirmed again, the session becomes paid automatically.",
        ),
    },
)
"""Every status with its rules and words.

`checkout_sessions.status` in the database has a CHECK with the same names. Leave it out when that table is next
rebuilt: until then a new status needs a migration besides its row here.
"""

SETTLED = frozenset(status for status, info in STATUSES.items() if info.stage is SessionStage.SETTLED)
"""Statuses in which the whole price has arrived and is deep enough."""

PAYMENT_REORGED = "payment_reorged"
"""The status reason of a settled session whose payment the chain reversed."""

ACCEPTED = "accepted"
"""The status reason of a session that is paid because the merchant accepted it."""

CLOSED = "closed"
"""The status reason of a session that has expired because the merchant closed it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a session, fixed when it is created; later changes of the configuration don't touch them.

    `minimum_units` and `maximum_units` are the price less and plus the tolerances. A transfer is on time until
    `expires_at`, and within the grace period until `grace_until`, both by the time of its block.
    """

    amount_units: CoinUnits
    minimum_units: CoinUnits
    maximum_units: CoinUnits
    expires_at: datetime
    grace_until: datetime
    required_confirmations: int


@dataclass(frozen=True, slots=True)
class PaymentSums:
    """The sums of a session's payments, in smallest units; orphaned and provisional ones are in none.

    A payment is on time, in grace, or late (`core.ledger.assess.tally`); `payment_count` is the number of all three.
    """

    on_time_units: CoinUnits = 0
    grace_units: CoinUnits = 0
    late_units: CoinUnits = 0
    payment_count: int = 0

    @property
    def counted_units(self) -> int:
        """The sum of the payments that count."""
        return self.on_time_units + self.grace_units


@dataclass(frozen=True, slots=True)
class RefundSums:
    """The sums of a session's refunds in its own asset: those that are paid, and all that aren't canceled."""

    refunded_units: CoinUnits = 0
    promised_units: CoinUnits = 0


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """Optional fields that the merchant sets on a session, stored and shown as they were sent.

    A new field also needs a column (a migration), a request field in `http.api.schemas`, an argument in
    `client.arguments`, and a field in `core.public.types` with its line in `core.public.render`. Exports and pages show
    it if they name it.

    `customer_email`, `customer_name` and entries of `metadata` may also be the payer's answers to `payer_fields` and
    `custom_fields`.
    """

    success_url: str | None = None
    cancel_url: str | None = None
    return_url: str | None = None
    customer_email: str | None = None
    customer_name: str | None = None
    metadata: Mapping[str, str] | None = field(default=None, hash=False)
    payer_fields: PayerFields | None = None
    custom_fields: tuple[CustomField, ...] | None = None

    @property
    def asks(self) -> bool:
        """True if the payer is asked something."""
        return bool(self.custom_fields) or (self.payer_fields is not None and self.payer_fields != PayerFields())

    @property
    def questions(self) -> tuple[Question, ...]:
        """The questions for the payer, in the order of the form."""
        return questions(self.payer_fields, self.custom_fields)


@dataclass(frozen=True, slots=True)
class Session:
    """A session as stored. `derivation_index` is the place of its address in the wallet `wallet_id`.

    `accepted_units` is the amount that had arrived, on time or not, when the merchant accepted the session; `closed_at`
    is the moment when the merchant closed it. Both are None until then.

    `assets` are the payer's choices, empty if there is only one. Until one `is_chosen`, `asset`, `rate` and `terms` are
    those of the first that had a price, and no page shows them.

    `sums` are those of all its payments, updated in the write that changes a payment (`store.checkout.totals`), and
    `refunds` those of its refunds (`store.refunds.refunds`).

    `address_path` is the derivation path of its address, as far as the wallet's key tells; None if it isn't known.

    The payer answered its questions at `answered_at`, from a browser whose secret has the hash `answer_key`; no other
    may correct them. `customer_note` is one of the answers.

    `receipt_number` is set when it is first settled, and stays. `payer_language` is that of the payer's page, noted
    where a mail may follow, as a code of `http.checkout.translations`.

    `quantity` is the number of pieces that it sells, at the price of `fiat` for all of them; None where pieces aren't
    counted.
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
    created_at: datetime
    updated_at: datetime
    options: SessionOptions = field(default_factory=SessionOptions)
    paid_at: datetime | None = None
    accepted_units: CoinUnits | None = None
    closed_at: datetime | None = None
    assets: tuple[Choice, ...] = ()
    is_chosen: bool = True
    sums: PaymentSums = PaymentSums()
    address_path: str | None = None
    refunds: RefundSums = RefundSums()
    customer_note: str | None = None
    answered_at: datetime | None = None
    answer_key: str | None = None
    receipt_number: str | None = None
    payer_language: str | None = None
    quantity: int | None = None

    @property
    def is_answered(self) -> bool:
        """True once the payer has answered, and where nothing is asked."""
        return self.answered_at is not None or not self.options.asks

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The payer's choices: only the session's own asset if there is no choice."""
        return self.assets or (self.asset.choice,)

    def fiat_minor(self, units: int) -> int:
        """Return the value of coin units at this session's rate, in the currency's smallest unit.

        It is their share of the price: `fiat * units / amount`, rounded half up. A payment of exactly the amount is
        worth exactly the price, and the value of a payment doesn't depend on any other.
        """
        whole = self.terms.amount_units
        return (2 * minor_units(self.fiat) * units + whole) // (2 * whole)
