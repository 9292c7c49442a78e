-- The wallet's addresses below its next index that no session has: given out after the copy that this database was put
-- back from, or passed over. `used_before` is 1 for those that the chain showed as used before this database gave out
-- any address of the wallet: they are the owner's, and aren't watched. A start reports each of the others once.
CREATE TABLE unassigned_addresses (
    seq INTEGER PRIMARY KEY,
    wallet_id TEXT NOT NULL,
    derivation_index INTEGER NOT NULL,
    address TEXT NOT NULL UNIQUE,
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    used_before INTEGER NOT NULL CHECK (used_before IN (0, 1)),
    created_at TEXT NOT NULL,
    reported INTEGER NOT NULL DEFAULT 0 CHECK (reported IN (0, 1)),
    UNIQUE (wallet_id, derivation_index)
) STRICT;

CREATE INDEX unassigned_addresses_by_mode ON unassigned_addresses (livemode, seq);

CREATE INDEX unassigned_addresses_unreported ON unassigned_addresses (wallet_id, derivation_index)
WHERE reported = 0 AND used_before = 0;

-- The database's own name, which the files `given-out-WALLET` beside it carry too: a copy that is used elsewhere has
-- files of another life, or none.
CREATE TABLE database_life (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    id TEXT NOT NULL,
    since TEXT NOT NULL
) STRICT;

-- An address holds money whether a session has it or not.
ALTER TABLE balances RENAME TO balances_before;

CREATE TABLE balances (
    chain_id INTEGER NOT NULL,
    address TEXT NOT NULL,
    block_number INTEGER NOT NULL,
    units TEXT NOT NULL,
    PRIMARY KEY (chain_id, address)
) STRICT, WITHOUT ROWID;

-- Only those of sessions that may still be compared: of a million of earlier sessions nothing is read again.
INSERT INTO balances (chain_id, address, block_number, units)
SELECT before.chain_id, checkout_sessions.address, before.block_number, before.units
FROM checkout_sessions
CROSS JOIN chain_cursors
CROSS JOIN balances_before AS before ON before.chain_id = chain_cursors.chain_id
    AND before.session_id = checkout_sessions.id
WHERE checkout_sessions.livemode IN (0, 1)
    AND grace_until > (SELECT STRFTIME('%Y-%m-%dT%H:%M:%fZ', MIN(time), '-2 days') FROM chain_cursors);

DROP TABLE balances_before;

CREATE INDEX balances_by_block ON balances (chain_id, block_number);

ALTER TABLE unmatched_payments RENAME TO unmatched_payments_before;

-- `session_id` is NULL for money at an unassigned address.
CREATE TABLE unmatched_payments (
    seq INTEGER PRIMARY KEY,
    address TEXT NOT NULL,
    session_id TEXT REFERENCES checkout_sessions (id),
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
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
    recorded_at TEXT NOT NULL,
    provisional_balance TEXT
) STRICT;

INSERT INTO unmatched_payments (
    seq, address, session_id, livemode, chain_id, tx_hash, log_index, kind, sender, contract, units, block_number,
    block_hash, block_time, canonical, recorded_at, provisional_balance
)
SELECT
    before.seq, checkout_sessions.address, before.session_id, before.livemode, before.chain_id, tx_hash, log_index, kind,
    sender, contract, units, block_number, block_hash, block_time, canonical, recorded_at, provisional_balance
FROM unmatched_payments_before AS before
JOIN checkout_sessions ON checkout_sessions.id = before.session_id
ORDER BY before.seq;

DROP TABLE unmatched_payments_before;

CREATE UNIQUE INDEX unmatched_payments_by_transaction ON unmatched_payments (
    chain_id, COALESCE(tx_hash, block_hash), address, kind, COALESCE(log_index, -1)
);

CREATE INDEX unmatched_payments_by_address ON unmatched_payments (address, block_number);

CREATE INDEX unmatched_payments_by_session ON unmatched_payments (session_id, block_number);

CREATE INDEX unmatched_payments_by_block ON unmatched_payments (chain_id, block_number);

CREATE INDEX unmatched_payments_by_tx_hash ON unmatched_payments (tx_hash);

CREATE INDEX unmatched_payments_here ON unmatched_payments (livemode, seq) WHERE canonical = 1;

CREATE INDEX unmatched_payments_provisional ON unmatched_payments (chain_id) WHERE provisional_balance IS NOT NULL;
