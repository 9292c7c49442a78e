-- What left our addresses, whoever moved it: `core.ledger.outflow`. An orphaned block's outflows stay, as payments do.
CREATE TABLE outflows (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    chain_id INTEGER NOT NULL,
    address TEXT NOT NULL,
    session_id TEXT REFERENCES checkout_sessions (id),
    contract TEXT,
    units TEXT NOT NULL,
    destination TEXT,
    tx_hash TEXT,
    -- Below zero for what has no log: the value or the fee of the address's own transaction, or coins that left unseen.
    log_index INTEGER NOT NULL,
    block_number INTEGER NOT NULL,
    block_hash TEXT NOT NULL,
    block_time TEXT NOT NULL,
    collected INTEGER NOT NULL CHECK (collected IN (0, 1)),
    canonical INTEGER NOT NULL CHECK (canonical IN (0, 1)),
    recorded_at TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX outflows_by_log ON outflows (
    chain_id, COALESCE(tx_hash, block_hash), address, COALESCE(contract, ''), log_index
);

CREATE INDEX outflows_by_block ON outflows (chain_id, block_number);

CREATE INDEX outflows_by_address ON outflows (address);

-- The address that a transfer of the sandbox leaves: NULL for the simulated payer.
ALTER TABLE sandbox_transactions ADD COLUMN sender TEXT;

CREATE INDEX sandbox_transactions_by_sender ON sandbox_transactions (sender) WHERE sender IS NOT NULL;
