"""Gather the details of one session, for the merchant who has to decide about it.

Beside the session: its link, its customer, unmatched payments, the deliveries of its events, and the decisions that are
allowed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crypto_checkout.core.address import checksum
from crypto_checkout.core.checkout.customer import Customer
from crypto_checkout.core.checkout.link import Link
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.diagnosis.explanation import ChainContext, NamedChain
from crypto_checkout.core.money import format_minor
from crypto_checkout.core.public import render
from crypto_checkout.core.public.types import AmountResource, FiatResource, SessionResource
from crypto_checkout.core.public.webhook_types import DeliveryResource
from crypto_checkout.services.checkout.decisions import AllowedDecisions, allowed_decisions
from crypto_checkout.services.checkout.payment_methods import PaymentMethodsByMode
from crypto_checkout.services.checkout.session_reader import SessionReader, find
from crypto_checkout.store import paging
from crypto_checkout.store.checkout import customers, links
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.ledger import unmatched
from crypto_checkout.store.ledger.unmatched import UnmatchedPayment
from crypto_checkout.store.webhooks import deliveries, endpoints

MOST_DELIVERIES = 50
"""The most deliveries shown, those of the newest events."""

MOST_UNMATCHED = 20
"""The most unmatched payments shown, the newest ones; a list of its own has them all."""


@dataclass(frozen=True, slots=True)
class UnmatchedAmount:
    """An unmatched payment with its amount (`coins`) and the address it reached as texts."""

    unmatched: UnmatchedPayment
    address: str
    coins: str
    chain_name: str


@dataclass(frozen=True, slots=True)
class DeliveryDetail:
    """A delivery, and the URL of its endpoint."""

    delivery: DeliveryResource
    url: str


@dataclass(frozen=True, slots=True)
class ValuedAmount:
    """An amount of coins, and its worth at the session's rate."""

    amount: AmountResource
    fiat: FiatResource

    @property
    def is_zero(self) -> bool:
        """True without any coins."""
        return self.amount["units"] == "0"


@dataclass(frozen=True, slots=True)
class PaymentAmounts:
    """The amounts of a session, which add up: received is expected less missing, plus excess.

    `too_late` arrived too late to count and is in none of the others.
    """

    received: ValuedAmount
    missing: ValuedAmount
    excess: ValuedAmount
    too_late: ValuedAmount


@dataclass(frozen=True, slots=True)
class PaymentDetail:
    """A session and all that belongs to it; `acceptable` is the amount that accepting it would take.

    `payment_count` is the number of its payments, of which the session shows the newest. With `more_unmatched` there
    are more unmatched ones.
    """

    session: SessionResource
    payment_count: int
    amounts: PaymentAmounts
    decisions: AllowedDecisions
    acceptable: AmountResource
    link: Link | None
    customer: Customer | None
    unmatched: Sequence[UnmatchedAmount]
    more_unmatched: bool
    deliveries: Sequence[DeliveryDetail]


class PaymentDetails:
    """The details of the sessions of both modes."""

    def __init__(self, db: Database, reader: SessionReader, payment_methods: PaymentMethodsByMode) -> None:
        self._db = db
        self._reader = reader
        self._known = ChainContext(
            {each.id: NamedChain(each.name, each.assets) for each in payment_methods.all_chains().values()}, {}
        )

    async def of(self, livemode: bool, session_id: str) -> PaymentDetail:
        """Return the details of a session. Raises ResourceNotFound."""
        return await self._db.read(lambda unit: self._detail(unit, find(unit, session_id, livemode)))

    async def unmatched(
        self, livemode: bool, window: paging.Window, session_id: str | None = None, *, is_open: bool = False
    ) -> paging.ListPage[UnmatchedAmount]:
        """Return a page of the unmatched payments in canonical blocks, of a mode or of one of its sessions.

        With `is_open`, return only those that need attention.
        """
        page = await self._db.read(
            lambda unit: unmatched.listed(unit, livemode, window, session_id=session_id, is_open=is_open)
        )
        return page.map(self._described)

    def _detail(self, unit: ReadUnit, session: Session) -> PaymentDetail:
        livemode, email = session.livemode, session.options.customer_email
        urls = {each.id: each.url for each in endpoints.all_of(unit, livemode)}
        may = allowed_decisions(unit, session)
        others = unmatched.newest(unit, session.id, MOST_UNMATCHED + 1)
        return PaymentDetail(
            session=self._reader.describe(unit, session),
            payment_count=session.sums.payment_count,
            amounts=_amounts(session),
            decisions=may,
            acceptable=render.amount(session.asset, may.accepted_units),
            link=None if session.link_id is None else links.get(unit, session.link_id, livemode),
            customer=None if email is None else customers.by_email(unit, livemode, email),
            unmatched=[self._described(each) for each in others[-MOST_UNMATCHED:]],
            more_unmatched=len(others) > MOST_UNMATCHED,
            deliveries=[
                DeliveryDetail(render.delivery(each), urls[each.endpoint_id])
                for each in deliveries.of_resource(unit, livemode, session.id, MOST_DELIVERIES)
            ],
        )

    def _described(self, found: UnmatchedPayment) -> UnmatchedAmount:
        transfer = found.payment.transfer
        coins = self._known.coins(transfer, found.chain_id)
        return UnmatchedAmount(found, checksum(transfer.to), coins, self._known.chain(found.chain_id))


def _amounts(session: Session) -> PaymentAmounts:
    received, expected = session.sums.counted_units, session.terms.amount_units
    return PaymentAmounts(
        received=_valued(session, received),
        missing=_valued(session, max(0, expected - received)),
        excess=_valued(session, max(0, received - expected)),
        too_late=_valued(session, session.sums.late_units),
    )


def _valued(session: Session, units: int) -> ValuedAmount:
    currency = session.fiat.currency
    fiat: FiatResource = {"amount": format_minor(session.fiat_minor(units), currency), "currency": currency}
    return ValuedAmount(render.amount(session.asset, units), fiat)
