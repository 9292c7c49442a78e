-- What the address of a session should hold of the chain's native coin, from its block on: what was there when the
-- session was made, and all that is known to have come and gone since. More than that is an internal transfer.
CREATE TABLE balances (
    session_id TEXT PRIMARY KEY REFERENCES checkout_sessions (id),
    chain_id INTEGER NOT NULL,
    block_number INTEGER NOT NULL,
    units TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX balances_by_block ON balances (chain_id, block_number);

-- Whose balances are compared at each block: small however many sessions were ever made.
CREATE INDEX checkout_sessions_by_grace ON checkout_sessions (chain_id, grace_until) WHERE asset_contract IS NULL;

-- A transfer without a known transaction is named by its block: there is one of each kind at most.
DROP INDEX payments_by_transaction;

CREATE UNIQUE INDEX payments_by_transaction ON payments (
    chain_id, COALESCE(tx_hash, block_hash), session_id, kind, COALESCE(log_index, -1)
);

-- Money at a session's address that isn't what it asked for: another asset, or on another chain. It never counts.
CREATE TABLE unmatched_payments (
    seq INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES checkout_sessions (id),
    chain_id INTEGER NOT NULL,
    tx_hash TEXT NOT NULL,
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

CREATE UNIQUE INDEX unmatched_payments_by_transaction ON unmatched_payments (
    chain_id, tx_hash, session_id, COALESCE(log_index, -1)
);

CREATE INDEX unmatched_payments_by_session ON unmatched_payments (session_id, block_number);

CREATE INDEX unmatched_payments_by_block ON unmatched_payments (chain_id, block_number);
