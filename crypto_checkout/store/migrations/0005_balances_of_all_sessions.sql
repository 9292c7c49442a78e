-- Every open session's address is compared on every chain of its mode, whatever its asset, so that transfers from
-- contracts in another coin or on another chain are shown too.
ALTER TABLE balances RENAME TO balances_before;

CREATE TABLE balances (
    chain_id INTEGER NOT NULL,
    session_id TEXT NOT NULL REFERENCES checkout_sessions (id),
    block_number INTEGER NOT NULL,
    units TEXT NOT NULL,
    PRIMARY KEY (chain_id, session_id)
) STRICT, WITHOUT ROWID;

INSERT INTO balances (chain_id, session_id, block_number, units)
SELECT chain_id, session_id, block_number, units FROM balances_before;

DROP TABLE balances_before;

CREATE INDEX balances_by_block ON balances (chain_id, block_number);

DROP INDEX checkout_sessions_by_grace;

CREATE INDEX checkout_sessions_by_grace ON checkout_sessions (livemode, grace_until);

-- When the merchant closed the session. It never reopens, even if later payments are reorged.
ALTER TABLE checkout_sessions ADD COLUMN closed_at TEXT;

UPDATE checkout_sessions SET closed_at = updated_at WHERE status = 'expired' AND status_reason = 'closed';

-- A transfer without a known transaction is identified by its block, as in payments.
ALTER TABLE unmatched_payments RENAME TO unmatched_payments_before;

CREATE TABLE unmatched_payments (
    seq INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES checkout_sessions (id),
    chain_id INTEGER NOT NULL,
    tx_hash TEXT,
    log_index INTEGER,
    kind TEXT NOT NULL CHECK (kind IN ('native', 'internal', 'token')),
    sender TEXT,
    contract TEXT,
    units TEXT NOT NULL,
    block_number INTEGER NOT NULL,
    block_hash TEXT NOT NULL,
    block_time TEXT NOT NULL,
    canonical INTEGER NOT NULL CHECK (canonical IN (0, 1)),
    recorded_at TEXT NOT NULL
) STRICT;

INSERT INTO unmatched_payments SELECT * FROM unmatched_payments_before;

DROP TABLE unmatched_payments_before;

CREATE UNIQUE INDEX unmatched_payments_by_transaction ON unmatched_payments (
    chain_id, COALESCE(tx_hash, block_hash), session_id, kind, COALESCE(log_index, -1)
);

CREATE INDEX unmatched_payments_by_session ON unmatched_payments (session_id, block_number);

CREATE INDEX unmatched_payments_by_block ON unmatched_payments (chain_id, block_number);
