"""Customers."""

import json
from dataclasses import dataclass

from crypto_checkout.core import moments
from crypto_checkout.core.checkout.customer import Customer, email_key
from crypto_checkout.store.database import ReadUnit, Row, WriteUnit


@dataclass(frozen=True, slots=True)
class NumberedPage:
    """One page of a numbered list, newest first, and how many customers there are on all pages."""

    customers: list[Customer]
    total: int


def insert(unit: WriteUnit, customer: Customer) -> bool:
    """Store a new customer; return False, having stored nothing, where the email is taken."""
    inserted = unit.run(
        """
        INSERT INTO customers (id, livemode, email, email_key, name, metadata, created_at, updated_at)
        VALUES (:id, :livemode, :email, :email_key, :name, :metadata, :created_at, :updated_at)
        ON CONFLICT (livemode, email_key) DO NOTHING
        """,
        {
            "livemode": int(customer.livemode),
            "created_at": moments.to_text(customer.created_at),
            **_writable(customer),
        },
    )
    return inserted > 0


def update(unit: WriteUnit, customer: Customer) -> bool:
    """Store what may change of a customer; return False, having stored nothing, where the email is taken."""
    other = by_email(unit, customer.livemode, customer.email)
    if other is not None and other.id != customer.id:
        return False
    unit.run(
        """
        UPDATE customers
        SET email = :email, email_key = :email_key, name = :name, metadata = :metadata, updated_at = :updated_at
        WHERE id = :id
        """,
        _writable(customer),
    )
    return True


def get(unit: ReadUnit, customer_id: str, livemode: bool) -> Customer | None:
    """Return a customer of this mode."""
    row = unit.one(
        "SELECT * FROM customers WHERE id = :id AND livemode = :livemode",
        {"id": customer_id, "livemode": int(livemode)},
    )
    return _customer(row) if row else None


def by_email(unit: ReadUnit, livemode: bool, email: str) -> Customer | None:
    """Return the customer with this email, whatever its case."""
    row = unit.one(
        "SELECT * FROM customers WHERE livemode = :livemode AND email_key = :email_key",
        {"livemode": int(livemode), "email_key": email_key(email)},
    )
    return _customer(row) if row else None


def page(unit: ReadUnit, livemode: bool, email: str | None, number: int, limit: int) -> NumberedPage:
    """Return the page with a number, from 1."""
    if email is not None:
        found = by_email(unit, livemode, email)
        everybody = [found] if found else []
        return NumberedPage(everybody if number == 1 else [], len(everybody))
    count = unit.one("SELECT COUNT(*) AS total FROM customers WHERE livemode = :livemode", {"livemode": int(livemode)})
    rows = unit.all(
        """
        SELECT * FROM customers
        WHERE livemode = :livemode
        ORDER BY seq DESC
        LIMIT :limit OFFSET :offset
        """,
        {"livemode": int(livemode), "limit": limit, "offset": (number - 1) * limit},
    )
    assert count is not None, "a count is always answered"
    return NumberedPage([_customer(row) for row in rows], count["total"])


def _writable(customer: Customer) -> dict[str, str | int | None]:
    return {
        "id": customer.id,
        "email": customer.email,
        "email_key": email_key(customer.email),
        "name": customer.name,
        "metadata": None if customer.metadata is None else json.dumps(dict(customer.metadata), ensure_ascii=False),
        "updated_at": moments.to_text(customer.updated_at),
    }


def _customer(row: Row) -> Customer:
    return Customer(
        id=row["id"],
        livemode=bool(row["livemode"]),
        email=row["email"],
        name=row["name"],
        created_at=moments.from_text(row["created_at"]),
        updated_at=moments.from_text(row["updated_at"]),
        metadata=None if row["metadata"] is None else json.loads(row["metadata"]),
    )
