-- The expected balance of a session's address in the chain's native coin, from a block on: the balance when the session
-- was created, plus all known transfers since. A surplus is an internal transfer.
CREATE TABLE balances (
    session_id TEXT PRIMARY KEY REFERENCES checkout_sessions (id),
    chain_id INTEGER NOT NULL,
    block_number INTEGER NOT NULL,
    units TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX balances_by_block ON balances (chain_id, block_number);

-- The sessions whose balances are compared at each block: few, however many sessions there are.
CREATE INDEX checkout_sessions_by_grace ON checkout_sessions (chain_id, grace_until) WHERE asset_contract IS NULL;

-- A transfer without a known transaction is identified by its block, which has at most one of each kind.
DROP INDEX payments_by_transaction;

CREATE UNIQUE INDEX payments_by_transaction ON payments (
    chain_id, COALESCE(tx_hash, block_hash), session_id, kind, COALESCE(log_index, -1)
);

-- Transfers to a session's address in another asset or on another chain. They never count.
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
