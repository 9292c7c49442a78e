-- What to search customers by: email, name and values of metadata, folded, one a line (store.checkout.customers). The
-- rows that there are get theirs from store.fill_customers, and so do the two tables.
ALTER TABLE customers ADD COLUMN search_text TEXT NOT NULL DEFAULT '';

-- The paid sessions of an email address, and when the last of them was paid.
CREATE TABLE customer_payments (
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    email_key TEXT NOT NULL,
    paid INTEGER NOT NULL,
    last_paid_at TEXT,
    PRIMARY KEY (livemode, email_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX customer_payments_by_time ON customer_payments (livemode, last_paid_at);

-- The worth of the payments that count, of an email address in a currency, in its smallest unit.
CREATE TABLE customer_money (
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    email_key TEXT NOT NULL,
    currency TEXT NOT NULL,
    fiat_minor TEXT NOT NULL,
    PRIMARY KEY (livemode, email_key, currency)
) STRICT, WITHOUT ROWID;
