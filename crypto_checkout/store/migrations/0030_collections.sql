-- Transactions by which money left our addresses: `core.collect.collection`. `items` is JSON, as far as it is known.
CREATE TABLE collections (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    chain_id INTEGER NOT NULL,
    tx_hash TEXT NOT NULL,
    status TEXT NOT NULL,
    way TEXT NOT NULL,
    destination TEXT,
    items TEXT NOT NULL,
    fee_asset TEXT,
    fee_units TEXT,
    fee_price TEXT,
    block_number INTEGER,
    block_time TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    confirmed_at TEXT,
    UNIQUE (chain_id, tx_hash)
) STRICT;

CREATE INDEX collections_by_mode ON collections (livemode, seq);

CREATE INDEX collections_by_status ON collections (livemode, status, seq);

CREATE INDEX collections_by_block ON collections (chain_id, block_number);
