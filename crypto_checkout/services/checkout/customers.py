"""Make, show and change customers. A paid session with an email address makes or touches its customer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from crypto_checkout.core import ids
from crypto_checkout.core.checkout.customer import Customer, email_key
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.errors import CustomerExists, ResourceNotFound
from crypto_checkout.core.money import format_minor
from crypto_checkout.core.public import render
from crypto_checkout.core.public.types import CustomerResource, FiatResource
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.checkout import customer_totals
from crypto_checkout.store.checkout import customers as store
from crypto_checkout.store.checkout.customer_totals import CustomerTotals
from crypto_checkout.store.checkout.customers import CustomerOrder
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit


@dataclass(frozen=True, slots=True)
class CustomerRequest:
    """The merchant's data of a new customer."""

    email: str
    name: str | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class CustomerWithTotals:
    """A customer with the number of paid sessions, when the last was paid, and what was received by currency."""

    customer: CustomerResource
    paid: int
    last_paid_at: datetime | None
    received: Sequence[FiatResource]


class Customers:
    """The customers of both modes."""

    def __init__(self, db: Database, events: Outbox) -> None:
        self._db = db
        self._events = events

    def create(self, livemode: bool, new: CustomerRequest) -> Callable[[WriteUnit], CustomerResource]:
        """Return the unit that stores a new customer. The unit raises CustomerExists."""

        def make(unit: WriteUnit) -> CustomerResource:
            customer = Customer(
                id=unit.new_id(ids.CUSTOMER),
                livemode=livemode,
                email=new.email,
                name=new.name,
                created_at=unit.now,
                updated_at=unit.now,
                metadata=new.metadata,
            )
            if not store.insert(unit, customer):
                raise _taken(unit, customer)
            return _recorded(unit, self._events, EventType.CUSTOMER_CREATED, customer)

        return make

    async def get(self, livemode: bool, customer_id: str) -> CustomerResource:
        """Return a customer. Raises ResourceNotFound."""
        return render.customer(await self._db.read(lambda unit: _found(unit, customer_id, livemode)))

    def update(
        self, livemode: bool, customer_id: str, changes: Mapping[str, Any]
    ) -> Callable[[WriteUnit], CustomerResource]:
        """Return the unit that changes a customer's `email`, `name` or `metadata`.

        The unit raises ResourceNotFound and CustomerExists.
        """

        def change(unit: WriteUnit) -> CustomerResource:
            before = _found(unit, customer_id, livemode)
            customer = replace(before, **changes, updated_at=unit.now)
            if not store.update(unit, customer):
                raise _taken(unit, customer)
            return _recorded(unit, self._events, EventType.CUSTOMER_UPDATED, customer)

        return change

    async def search(
        self, livemode: bool, text: str, order: CustomerOrder, number: int, limit: int
    ) -> tuple[list[CustomerWithTotals], int]:
        """Return a numbered page of the customers that a text refers to, and the number of customers on all pages."""

        def read(unit: ReadUnit) -> tuple[list[CustomerWithTotals], int]:
            page = store.search(unit, livemode, text, order, number, limit)
            return _with_totals(unit, livemode, page.customers), page.total

        return await self._db.read(read)

    async def with_totals(self, livemode: bool, customer_id: str) -> CustomerWithTotals:
        """Return a customer with the totals of their payments. Raises ResourceNotFound."""

        def read(unit: ReadUnit) -> CustomerWithTotals:
            return _with_totals(unit, livemode, [_found(unit, customer_id, livemode)])[0]

        return await self._db.read(read)

    async def page(self, livemode: bool, email: str | None, number: int, limit: int) -> store.NumberedPage:
        """Return a numbered page of customers."""
        return await self._db.read(lambda unit: store.page(unit, livemode, email, number, limit))


def touch(unit: WriteUnit, events: Outbox, session: Session) -> None:
    """Record a payment by a session's customer, if it names one: make the customer, or set the time of its last update.

    A customer without a name gets the payer's; one that has a name keeps it.
    """
    livemode, email, name = session.livemode, session.options.customer_email, session.options.customer_name
    if email is None:
        return
    known = store.by_email(unit, livemode, email)
    if known is not None:
        customer = replace(known, name=known.name or name, updated_at=unit.now)
        store.update(unit, customer)
        if customer.name != known.name:
            _recorded(unit, events, EventType.CUSTOMER_UPDATED, customer)
        return
    customer = Customer(
        id=unit.new_id(ids.CUSTOMER),
        livemode=livemode,
        email=email,
        name=name,
        created_at=unit.now,
        updated_at=unit.now,
    )
    store.insert(unit, customer)
    _recorded(unit, events, EventType.CUSTOMER_CREATED, customer)


def _recorded(unit: WriteUnit, events: Outbox, event_type: EventType, customer: Customer) -> CustomerResource:
    resource = render.customer(customer)
    events.record(unit, event_type, resource)
    return resource


def _with_totals(unit: ReadUnit, livemode: bool, customers: Sequence[Customer]) -> list[CustomerWithTotals]:
    totals = customer_totals.of(unit, livemode, [each.email for each in customers])
    return [_described(each, totals[email_key(each.email)]) for each in customers]


def _described(customer: Customer, totals: CustomerTotals) -> CustomerWithTotals:
    received: list[FiatResource] = [
        {"amount": format_minor(minor, currency), "currency": currency}
        for currency, minor in totals.received_minor.items()
    ]
    return CustomerWithTotals(render.customer(customer), totals.paid, totals.last_paid_at, received)


def _found(unit: ReadUnit, customer_id: str, livemode: bool) -> Customer:
    customer = store.get(unit, customer_id, livemode)
    if customer is None:
        raise ResourceNotFound(f"There is no customer {customer_id[:40]} in this mode.")
    return customer


def _taken(unit: ReadUnit, customer: Customer) -> CustomerExists:
    other = store.by_email(unit, customer.livemode, customer.email)
    assert other is not None, "it stood in the way"
    return CustomerExists(f"email: {other.id} has this address already; change that customer instead.", param="email")
