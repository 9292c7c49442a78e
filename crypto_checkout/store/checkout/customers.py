"""Customers."""

from dataclasses import dataclass

from crypto_checkout.core.checkout.customer import Customer, email_key
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.table import Table


@dataclass(frozen=True, slots=True)
class NumberedPage:
    """A page of a numbered list, newest first, and the number of customers on all pages."""

    customers: list[Customer]
    total: int


_CUSTOMERS = Table("customers", Customer, computed={"email_key": lambda customer: email_key(customer.email)})
_INSERT = f"{_CUSTOMERS.insert} ON CONFLICT (livemode, email_key) DO NOTHING"
_UPDATE = _CUSTOMERS.update_all_but("livemode", "created_at")


def insert(unit: WriteUnit, customer: Customer) -> bool:
    """Store a new customer; return False, having stored nothing, if the email is taken."""
    return unit.run(_INSERT, _CUSTOMERS.values(customer)) > 0


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
