-- Sums of the refunds of each session in its own asset: those that are paid, and all that aren't canceled.
ALTER TABLE checkout_sessions ADD COLUMN refunded_units TEXT NOT NULL DEFAULT '0';
ALTER TABLE checkout_sessions ADD COLUMN promised_units TEXT NOT NULL DEFAULT '0';

CREATE TABLE refunds (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    session_id TEXT NOT NULL REFERENCES checkout_sessions (id),
    chain_id INTEGER NOT NULL,
    asset TEXT NOT NULL,
    asset_decimals INTEGER NOT NULL,
    asset_contract TEXT,
    units TEXT NOT NULL,
    required_confirmations INTEGER NOT NULL,
    reason TEXT,
    destination TEXT,
    proof TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    approved_at TEXT,
    -- The last processed block before the approval: a payment without a hash is looked for after it.
    searched_from INTEGER,
    tx_hash TEXT,
    -- The transfer that pays it, null until it is seen on the chain.
    payment_log_index INTEGER,
    payment_block_number INTEGER,
    payment_block_hash TEXT,
    paid_at TEXT,
    -- The part of a paid refund that had counted as revenue.
    counted_units TEXT NOT NULL DEFAULT '0'
) STRICT;

CREATE INDEX refunds_by_mode ON refunds (livemode, seq);
CREATE INDEX refunds_by_status ON refunds (livemode, status, seq);
CREATE INDEX refunds_by_session ON refunds (session_id, seq);
CREATE INDEX refunds_by_time ON refunds (livemode, paid_at) WHERE paid_at IS NOT NULL;
CREATE INDEX refunds_to_recognize ON refunds (chain_id, status);

-- A transfer pays one refund. Coins have no log: there it is the receiver that tells transfers of a transaction apart.
CREATE UNIQUE INDEX refunds_by_transfer ON refunds (
    chain_id, tx_hash, COALESCE(payment_log_index, -1), COALESCE(destination, '')
) WHERE payment_block_number IS NOT NULL;

-- The addresses that payers gave, those that contradict each other too.
CREATE TABLE refund_claims (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    refund_id TEXT NOT NULL REFERENCES refunds (id),
    session_id TEXT NOT NULL REFERENCES checkout_sessions (id),
    destination TEXT NOT NULL,
    proof TEXT NOT NULL,
    signer TEXT,
    created_at TEXT NOT NULL,
    UNIQUE (refund_id, destination, proof)
) STRICT;

CREATE INDEX refund_claims_by_session ON refund_claims (session_id, proof);

-- Codes that were mailed to the customer, each for one address.
CREATE TABLE refund_codes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    refund_id TEXT NOT NULL REFERENCES refunds (id),
    session_id TEXT NOT NULL REFERENCES checkout_sessions (id),
    destination TEXT NOT NULL,
    code_sha256 TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    sent_at TEXT NOT NULL
) STRICT;

CREATE INDEX refund_codes_by_session ON refund_codes (session_id, sent_at);

-- The last block up to which each chain was searched for payments of refunds without a hash.
CREATE TABLE refund_searches (
    chain_id INTEGER PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT;
