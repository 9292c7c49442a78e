"""Totals per email address: paid sessions, when the last one was paid, and the worth of the payments that count.

They change in the writes that change `store.checkout.totals`, and are kept by the address rather than by the customer:
an address can have payments before it has a customer, and a customer can get another address.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.checkout.customer import email_key
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.store.database import Parameters, ReadUnit, WriteUnit, placeholders


@dataclass(frozen=True, slots=True)
class CustomerTotals:
    """The number of paid sessions, and by currency the worth of the payments that count, in its smallest unit."""

    paid: int = 0
    last_paid_at: datetime | None = None
    received_minor: Mapping[str, int] = field(default_factory=dict, hash=False)


def of(unit: ReadUnit, livemode: bool, emails: Collection[str]) -> dict[str, CustomerTotals]:
    """Return the totals of email addresses, by their keys (`core.checkout.customer.email_key`)."""
    keys = {email_key(each) for each in emails}
    names, among = placeholders(sorted(keys) or [""])
    parameters: Parameters = {"livemode": int(livemode), **among}
    received: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in unit.all(
        f"""
        SELECT email_key, currency, fiat_minor FROM customer_money
        WHERE livemode = :livemode AND email_key IN ({names})
        ORDER BY email_key, currency
        """,  # noqa: S608 - the names of parameters
        parameters,
    ):
        if row["fiat_minor"] != "0":
            received[row["email_key"]][row["currency"]] = int(row["fiat_minor"])
    rows = {
        row["email_key"]: (row["paid"], moments.from_optional_text(row["last_paid_at"]))
        for row in unit.all(
            f"""
            SELECT email_key, paid, last_paid_at FROM customer_payments
            WHERE livemode = :livemode AND email_key IN ({names})
            """,  # noqa: S608 - as above
            parameters,
        )
    }
    return {key: CustomerTotals(*rows.get(key, (0, None)), received_minor=received[key]) for key in keys}


def count_paid(unit: WriteUnit, session: Session, change: int) -> None:
    """Count a session as paid (1), or no longer (-1)."""
    key = _key(session)
    if key is None:
        return
    unit.run(
        """
        INSERT INTO customer_payments (livemode, email_key, paid, last_paid_at)
        VALUES (:livemode, :email_key, :change, :paid_at)
        ON CONFLICT (livemode, email_key) DO UPDATE
        SET paid = customer_payments.paid + :change,
            last_paid_at = CASE
                WHEN :change < 0 THEN (
                    SELECT MAX(paid_at) FROM checkout_sessions
                    WHERE livemode = :livemode AND customer_email_key = :email_key AND counted_as_paid = 1
                )
                WHEN customer_payments.last_paid_at > :paid_at THEN customer_payments.last_paid_at
                ELSE :paid_at
            END
        """,
        {**key, "change": change, "paid_at": moments.to_optional_text(session.paid_at)},
    )


def add_received(unit: WriteUnit, session: Session, minor: int) -> None:
    """Add the worth of a payment that counts, or subtract it. The sums are texts, as those of `daily_payments` are."""
    key = _key(session)
    if key is None:
        return
    key = {**key, "currency": session.fiat.currency}
    row = unit.one(
        """
        SELECT fiat_minor FROM customer_money
        WHERE livemode = :livemode AND email_key = :email_key AND currency = :currency
        """,
        key,
    )
    unit.run(
        """
        INSERT INTO customer_money (livemode, email_key, currency, fiat_minor)
        VALUES (:livemode, :email_key, :currency, :fiat_minor)
        ON CONFLICT (livemode, email_key, currency) DO UPDATE SET fiat_minor = excluded.fiat_minor
        """,
        {**key, "fiat_minor": str((int(row["fiat_minor"]) if row else 0) + minor)},
    )


def _key(session: Session) -> Parameters | None:
    email = session.options.customer_email
    return None if email is None else {"livemode": int(session.livemode), "email_key": email_key(email)}
