"""Fill in what earlier versions didn't store of customers: the part of a migration that SQL can't do."""

import json
from collections import defaultdict

from crypto_checkout.core.checkout.customer import search_text
from crypto_checkout.encryption import Cipher
from crypto_checkout.store.units import EngineConnection


def fill_customers(connection: EngineConnection, _: Cipher) -> None:
    """Fill the search texts of all customers, and the totals of all email addresses.

    The sums are added here, because those of SQLite end at 64 bits.
    """
    for seq, email, name, metadata in connection.execute("SELECT seq, email, name, metadata FROM customers").fetchall():
        text = search_text(email, name, json.loads(metadata) if metadata else None)
        connection.execute("UPDATE customers SET search_text = :text WHERE seq = :seq", {"text": text, "seq": seq})
    connection.execute(
        "INSERT INTO customer_payments (livemode, email_key, paid, last_paid_at)"
        " SELECT livemode, customer_email_key, COUNT(*), MAX(paid_at) FROM checkout_sessions"
        " WHERE customer_email_key IS NOT NULL AND counted_as_paid = 1"
        " GROUP BY livemode, customer_email_key"
    )
    sums: defaultdict[tuple[int, str, str], int] = defaultdict(int)
    for livemode, email_key, currency, minor in connection.execute(
        "SELECT s.livemode, s.customer_email_key, s.fiat_currency, p.counted_minor"
        " FROM payments AS p JOIN checkout_sessions AS s ON s.id = p.session_id"
        " WHERE s.customer_email_key IS NOT NULL AND p.tally IN ('on_time', 'grace')"
    ):
        sums[livemode, email_key, currency] += int(minor or 0)
    connection.executemany(
        "INSERT INTO customer_money (livemode, email_key, currency, fiat_minor) VALUES (?, ?, ?, ?)",
        [(*key, str(minor)) for key, minor in sums.items()],
    )
