-- A session keeps the sums of its payments, so that it is judged and shown without reading them all.
ALTER TABLE checkout_sessions ADD COLUMN on_time_units TEXT NOT NULL DEFAULT '0';
ALTER TABLE checkout_sessions ADD COLUMN grace_units TEXT NOT NULL DEFAULT '0';
ALTER TABLE checkout_sessions ADD COLUMN late_units TEXT NOT NULL DEFAULT '0';
ALTER TABLE checkout_sessions ADD COLUMN payment_count INTEGER NOT NULL DEFAULT 0;

-- The time of the last block with late payments that an event has told of, and whether others have come since.
ALTER TABLE checkout_sessions ADD COLUMN late_told_at TEXT;
ALTER TABLE checkout_sessions ADD COLUMN late_untold INTEGER NOT NULL DEFAULT 0 CHECK (late_untold IN (0, 1));

-- The sum that a payment is in, NULL for none. `counted_units` is now its amount there; with `tallied` = 0 the payment
-- has changed since.
ALTER TABLE payments ADD COLUMN tally TEXT CHECK (tally IN ('on_time', 'grace', 'late'));
ALTER TABLE payments ADD COLUMN tallied INTEGER NOT NULL DEFAULT 0 CHECK (tallied IN (0, 1));

-- The number of transfers of a block that a row sums up, NULL for a single transfer, and what identifies each of them.
ALTER TABLE payments ADD COLUMN dust INTEGER CHECK (dust > 0);
ALTER TABLE payments ADD COLUMN fingerprints TEXT;
ALTER TABLE unmatched_payments ADD COLUMN dust INTEGER CHECK (dust > 0);
ALTER TABLE unmatched_payments ADD COLUMN fingerprints TEXT;

DROP INDEX payments_late;
DROP INDEX payments_to_count;
DROP INDEX payments_provisional;

UPDATE payments
SET tally = (
    SELECT CASE
        WHEN block_time <= expires_at THEN 'on_time'
        WHEN block_time <= grace_until OR accepted_units IS NOT NULL THEN 'grace'
        ELSE 'late'
    END
    FROM checkout_sessions
    WHERE checkout_sessions.id = payments.session_id
)
WHERE canonical = 1 AND provisional_balance IS NULL AND counted IS NOT NULL;

UPDATE payments SET counted_units = units, counted_day = SUBSTR(block_time, 1, 10) WHERE tally IS NOT NULL;

UPDATE payments SET tallied = 1 WHERE counted IS NOT NULL;

-- Amounts are texts of up to 78 digits. They are added in parts of 12 digits, the lowest first, each with a carry.
CREATE TABLE payment_sums (
    session_id TEXT NOT NULL,
    tally TEXT NOT NULL,
    units TEXT NOT NULL,
    payments INTEGER NOT NULL,
    PRIMARY KEY (session_id, tally)
) STRICT, WITHOUT ROWID;

INSERT INTO payment_sums (session_id, tally, units, payments)
WITH
padded AS (
    SELECT session_id, tally, SUBSTR(PRINTF('%.*c', 84, '0') || units, -84) AS digits FROM payments
    WHERE tally IS NOT NULL
),
s0 AS (
    SELECT session_id, tally, COUNT(*) AS payments,
        SUM(CAST(SUBSTR(digits, 73, 12) AS INTEGER)) AS a, SUM(CAST(SUBSTR(digits, 61, 12) AS INTEGER)) AS b,
        SUM(CAST(SUBSTR(digits, 49, 12) AS INTEGER)) AS c, SUM(CAST(SUBSTR(digits, 37, 12) AS INTEGER)) AS d,
        SUM(CAST(SUBSTR(digits, 25, 12) AS INTEGER)) AS e, SUM(CAST(SUBSTR(digits, 13, 12) AS INTEGER)) AS f,
        SUM(CAST(SUBSTR(digits, 1, 12) AS INTEGER)) AS g
    FROM padded
    GROUP BY session_id, tally
),
s1 AS (SELECT session_id, tally, payments, a, b + a / 1000000000000 AS b, c, d, e, f, g FROM s0),
s2 AS (SELECT session_id, tally, payments, a, b, c + b / 1000000000000 AS c, d, e, f, g FROM s1),
s3 AS (SELECT session_id, tally, payments, a, b, c, d + c / 1000000000000 AS d, e, f, g FROM s2),
s4 AS (SELECT session_id, tally, payments, a, b, c, d, e + d / 1000000000000 AS e, f, g FROM s3),
s5 AS (SELECT session_id, tally, payments, a, b, c, d, e, f + e / 1000000000000 AS f, g FROM s4),
s6 AS (SELECT session_id, tally, payments, a, b, c, d, e, f, g + f / 1000000000000 AS g FROM s5)
SELECT session_id, tally, COALESCE(NULLIF(LTRIM(PRINTF(
    '%d%012d%012d%012d%012d%012d%012d', g, f % 1000000000000, e % 1000000000000, d % 1000000000000,
    c % 1000000000000, b % 1000000000000, a % 1000000000000
), '0'), ''), '0'), payments
FROM s6;

UPDATE checkout_sessions
SET on_time_units = COALESCE(
        (SELECT units FROM payment_sums WHERE session_id = checkout_sessions.id AND tally = 'on_time'), '0'
    ),
    grace_units = COALESCE(
        (SELECT units FROM payment_sums WHERE session_id = checkout_sessions.id AND tally = 'grace'), '0'
    ),
    late_units = COALESCE(
        (SELECT units FROM payment_sums WHERE session_id = checkout_sessions.id AND tally = 'late'), '0'
    ),
    payment_count = (SELECT SUM(payments) FROM payment_sums WHERE session_id = checkout_sessions.id),
    late_told_at = (SELECT MAX(block_time) FROM payments WHERE session_id = checkout_sessions.id AND tally = 'late')
WHERE id IN (SELECT session_id FROM payment_sums);

DROP TABLE payment_sums;

CREATE INDEX checkout_sessions_late_untold ON checkout_sessions (chain_id) WHERE late_untold = 1;

CREATE INDEX checkout_sessions_late ON checkout_sessions (livemode, late_told_at) WHERE late_told_at IS NOT NULL;

-- What an unmatched coin is worth: the newest session that asks for it says so.
CREATE INDEX checkout_sessions_by_coin ON checkout_sessions (chain_id) WHERE asset_contract IS NULL;

CREATE INDEX payments_to_tally ON payments (session_id, tallied) WHERE tallied = 0;

CREATE INDEX payments_of_session ON payments (session_id);

CREATE INDEX payments_single ON payments (session_id, canonical) WHERE canonical = 1 AND dust IS NULL;

CREATE INDEX payments_counted ON payments (session_id, block_number, log_index) WHERE counted = 1 AND dust IS NULL;

CREATE INDEX payments_late ON payments (session_id, tally) WHERE tally = 'late' AND dust IS NULL;

CREATE INDEX payments_provisional ON payments (chain_id, session_id) WHERE provisional_balance IS NOT NULL;

-- In one block, dust of several tokens may reach one address.
DROP INDEX unmatched_payments_by_transaction;

CREATE UNIQUE INDEX unmatched_payments_by_transaction ON unmatched_payments (
    chain_id, COALESCE(tx_hash, block_hash), address, kind, COALESCE(log_index, -1), COALESCE(contract, '')
);

CREATE INDEX unmatched_payments_of_session ON unmatched_payments (session_id) WHERE session_id IS NOT NULL;

CREATE INDEX unmatched_payments_of_address ON unmatched_payments (address);

CREATE INDEX unmatched_payments_single ON unmatched_payments (livemode, seq) WHERE canonical = 1 AND dust IS NULL;
