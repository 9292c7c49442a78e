-- The dashboard's totals, updated in the write that changes them (store.checkout.totals), and a search by metadata.

-- A payment's part in daily_payments: none while `counted` is 0; NULL until its session is judged the next time.
ALTER TABLE payments ADD COLUMN livemode INTEGER NOT NULL DEFAULT 0 CHECK (livemode IN (0, 1));
ALTER TABLE payments ADD COLUMN counted INTEGER CHECK (counted IN (0, 1));
ALTER TABLE payments ADD COLUMN counted_day TEXT;
ALTER TABLE payments ADD COLUMN counted_units TEXT;
ALTER TABLE payments ADD COLUMN counted_minor TEXT;

UPDATE payments
SET livemode = (SELECT livemode FROM checkout_sessions WHERE checkout_sessions.id = payments.session_id);

CREATE INDEX payments_by_mode ON payments (livemode, seq, block_time);
CREATE INDEX payments_by_tx_hash ON payments (tx_hash);
CREATE INDEX payments_to_count ON payments (session_id) WHERE counted IS NULL;
CREATE INDEX payments_late ON payments (livemode, seq) WHERE canonical = 1 AND counted = 0;

-- By the day (UTC) of the payment's block. `fiat_minor` is in the currency's smallest unit.
CREATE TABLE daily_payments (
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    day TEXT NOT NULL,
    chain_id INTEGER NOT NULL,
    asset TEXT NOT NULL,
    asset_decimals INTEGER NOT NULL,
    currency TEXT NOT NULL,
    payments INTEGER NOT NULL,
    units TEXT NOT NULL,
    fiat_minor TEXT NOT NULL,
    PRIMARY KEY (livemode, day, chain_id, asset, asset_decimals, currency)
) STRICT, WITHOUT ROWID;

ALTER TABLE checkout_sessions ADD COLUMN counted_as_paid INTEGER NOT NULL DEFAULT 0 CHECK (counted_as_paid IN (0, 1));

UPDATE checkout_sessions
SET counted_as_paid = 1
WHERE status IN ('paid', 'paid_late', 'overpaid');

-- By the day (UTC) on which sessions were created.
CREATE TABLE daily_sessions (
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    day TEXT NOT NULL,
    created INTEGER NOT NULL,
    paid INTEGER NOT NULL,
    PRIMARY KEY (livemode, day)
) STRICT, WITHOUT ROWID;

INSERT INTO daily_sessions (livemode, day, created, paid)
SELECT livemode, SUBSTR(created_at, 1, 10), COUNT(*), SUM(counted_as_paid)
FROM checkout_sessions
GROUP BY livemode, SUBSTR(created_at, 1, 10);

-- The values of sessions' metadata to search by, in lower case and truncated to 64 characters (store.reporting.search).
CREATE TABLE session_metadata (
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    value TEXT NOT NULL,
    session_seq INTEGER NOT NULL REFERENCES checkout_sessions (seq),
    name TEXT NOT NULL,
    PRIMARY KEY (livemode, value, session_seq, name)
) STRICT, WITHOUT ROWID;

INSERT INTO session_metadata (livemode, value, session_seq, name)
SELECT checkout_sessions.livemode, SUBSTR(LOWER(entries.value), 1, 64), checkout_sessions.seq, entries.key
FROM checkout_sessions, json_each(checkout_sessions.metadata) AS entries
WHERE checkout_sessions.metadata IS NOT NULL;
