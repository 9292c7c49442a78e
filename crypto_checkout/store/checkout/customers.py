"""Customers."""

from dataclasses import dataclass
from enum import StrEnum

from crypto_checkout.core.checkout.customer import Customer, email_key, search_text
from crypto_checkout.store.database import Parameters, ReadUnit, WriteUnit
from crypto_checkout.store.table import Table


@dataclass(frozen=True, slots=True)
class NumberedPage:
    """A page of a numbered list, newest first, and the number of customers on all pages."""

    customers: list[Customer]
    total: int


_CUSTOMERS = Table(
    "customers",
    Customer,
    computed={
        "email_key": lambda customer: email_key(customer.email),
        "search_text": lambda customer: search_text(customer.email, customer.name, customer.metadata),
    },
)
_UPDATE = _CUSTOMERS.update_all_but("livemode", "created_at")


def insert(unit: WriteUnit, customer: Customer) -> bool:
    """Store a new customer; return False, having stored nothing, if the email is taken."""
    if by_email(unit, customer.livemode, customer.email) is not None:
        return False
    unit.run(_CUSTOMERS.insert, _CUSTOMERS.values(customer))
    return True


def update(unit: WriteUnit, customer: Customer) -> bool:
    """Store the fields of a customer that may change; return False, having stored nothing, if the email is taken."""
    other = by_email(unit, customer.livemode, customer.email)
    if other is not None and other.id != customer.id:
        return False
    unit.run(_UPDATE, _CUSTOMERS.values(customer))
    return True


def get(unit: ReadUnit, customer_id: str, livemode: bool) -> Customer | None:
    """Return a customer of this mode."""
    return _CUSTOMERS.one(
        unit, "WHERE id = :id AND livemode = :livemode", {"id": customer_id, "livemode": int(livemode)}
    )


def by_email(unit: ReadUnit, livemode: bool, email: str) -> Customer | None:
    """Return the customer with this email, in any case."""
    return _CUSTOMERS.one(
        unit,
        "WHERE livemode = :livemode AND email_key = :email_key",
        {"livemode": int(livemode), "email_key": email_key(email)},
    )


def page(unit: ReadUnit, livemode: bool, email: str | None, number: int, limit: int) -> NumberedPage:
    """Return a page by its number, from 1."""
    if email is not None:
        found = by_email(unit, livemode, email)
        return NumberedPage([found] if found and number == 1 else [], int(found is not None))
    count = unit.one("SELECT COUNT(*) AS total FROM customers WHERE livemode = :livemode", {"livemode": int(livemode)})
    assert count is not None, "COUNT always returns a row"
    customers = _CUSTOMERS.all(
        unit,
        """
        WHERE livemode = :livemode
        ORDER BY seq DESC
        LIMIT :limit OFFSET :offset
        """,
        {"livemode": int(livemode), "limit": limit, "offset": (number - 1) * limit},
    )
    return NumberedPage(customers, count["total"])


class CustomerOrder(StrEnum):
    """The orders of a search: the newest customers first, or those who paid last."""

    NEWEST = "newest"
    LAST_PAID = "last_paid"


_LAST_PAID = """(
    SELECT last_paid_at FROM customer_payments
    WHERE customer_payments.livemode = customers.livemode AND customer_payments.email_key = customers.email_key
)"""
_SOURCES = {
    CustomerOrder.NEWEST: "customers WHERE customers.livemode = :livemode",
    # With CROSS JOIN, SQLite follows the first table's index, so that a page needs no sorting.
    CustomerOrder.LAST_PAID: """
        customer_payments CROSS JOIN customers
            ON customers.livemode = customer_payments.livemode AND customers.email_key = customer_payments.email_key
        WHERE customer_payments.livemode = :livemode AND customer_payments.last_paid_at IS NOT NULL
    """,
}
_ENDS = {
    CustomerOrder.NEWEST: "customers.seq DESC",
    CustomerOrder.LAST_PAID: "customer_payments.last_paid_at DESC, customers.seq DESC",
}
_FINAL_ENDS = {CustomerOrder.NEWEST: "seq DESC", CustomerOrder.LAST_PAID: f"{_LAST_PAID} DESC, seq DESC"}


def search(unit: ReadUnit, livemode: bool, text: str, order: CustomerOrder, number: int, limit: int) -> NumberedPage:
    """Return a page, by its number, of the customers with a text in their email, name or metadata; empty matches all.

    Ordered by the last payment, it has only those who have paid. The text may be anywhere in a word, which no index
    finds: all customers of the mode are looked through.
    """
    parameters: Parameters = {"livemode": int(livemode), "text": email_key(text.strip())}
    source = _SOURCES[order] + (" AND instr(customers.search_text, :text) > 0" if text.strip() else "")
    count = unit.one(f"SELECT COUNT(*) AS total FROM {source}", parameters)  # noqa: S608 - of this module only
    assert count is not None, "COUNT always returns a row"
    customers = _CUSTOMERS.all(
        unit,
        f"""
        WHERE seq IN (
            SELECT customers.seq FROM {source}
            ORDER BY {_ENDS[order]}
            LIMIT :limit OFFSET :offset
        )
        ORDER BY {_FINAL_ENDS[order]}
        """,  # noqa: S608 - as above
        {**parameters, "limit": limit, "offset": (number - 1) * limit},
    )
    return NumberedPage(customers, count["total"])
