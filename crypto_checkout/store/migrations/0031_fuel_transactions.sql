-- Automatic collection: what the fuel key signed, before it is sent.
CREATE TABLE fuel_transactions (
    seq INTEGER PRIMARY KEY,
    chain_id INTEGER NOT NULL,
    sender TEXT NOT NULL,
    nonce INTEGER NOT NULL,
    tx_hash TEXT NOT NULL UNIQUE,
    raw TEXT NOT NULL,
    data TEXT NOT NULL,
    gas INTEGER NOT NULL,
    max_fee_per_gas TEXT NOT NULL,
    max_priority_fee_per_gas TEXT NOT NULL,
    cost_fiat TEXT NOT NULL,
    signed_at TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'sent' CHECK (state IN ('sent', 'mined', 'replaced'))
) STRICT;

CREATE INDEX fuel_transactions_waiting ON fuel_transactions (chain_id) WHERE state = 'sent';

CREATE INDEX fuel_transactions_by_time ON fuel_transactions (chain_id, signed_at);

CREATE INDEX outflows_collected ON outflows (livemode, block_number) WHERE collected = 1 AND canonical = 1;
