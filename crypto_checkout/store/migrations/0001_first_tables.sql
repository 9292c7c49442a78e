-- Conventions: seq orders rows as they were committed, and is never reused (cursors rely on it); id is public. Times
-- are ISO 8601 texts in UTC of fixed width; coin amounts are decimal texts in smallest units (2^63 wei is only 9.22 ETH);
-- addresses and hashes are lower-case 0x-hex.

CREATE TABLE api_keys (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL UNIQUE,
    prefix TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at TEXT NOT NULL,
    last_used_at TEXT,
    revoked_at TEXT
) STRICT;

-- The next derivation index of each wallet; taken in the transaction that stores the session.
CREATE TABLE wallets (
    wallet_id TEXT PRIMARY KEY,
    next_index INTEGER NOT NULL CHECK (next_index >= 0)
) STRICT;

CREATE TABLE payment_links (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    slug TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    description TEXT,
    fiat_amount TEXT NOT NULL,
    fiat_currency TEXT NOT NULL,
    chain_id INTEGER,
    asset TEXT,
    success_url TEXT,
    cancel_url TEXT,
    metadata TEXT,
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE INDEX payment_links_by_mode ON payment_links (livemode, seq);

CREATE INDEX payment_links_by_activity ON payment_links (livemode, active, seq);

CREATE TABLE checkout_sessions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    link_id TEXT,
    status TEXT NOT NULL CHECK (
        status IN ('pending', 'detected', 'underpaid', 'overpaid', 'paid', 'paid_late', 'expired', 'failed')
    ),
    status_reason TEXT,
    wallet_id TEXT NOT NULL,
    derivation_index INTEGER NOT NULL,
    address TEXT NOT NULL UNIQUE,
    chain_id INTEGER NOT NULL,
    asset TEXT NOT NULL,
    asset_decimals INTEGER NOT NULL,
    asset_contract TEXT,
    amount_units TEXT NOT NULL,
    minimum_units TEXT NOT NULL,
    maximum_units TEXT NOT NULL,
    fiat_amount TEXT NOT NULL,
    fiat_currency TEXT NOT NULL,
    rate_base TEXT NOT NULL,
    rate_quote TEXT NOT NULL,
    rate_value TEXT NOT NULL,
    rate_sources TEXT NOT NULL,
    rate_observed_at TEXT NOT NULL,
    eth_price_usd TEXT,
    required_confirmations INTEGER NOT NULL,
    success_url TEXT,
    cancel_url TEXT,
    return_url TEXT,
    customer_email TEXT,
    metadata TEXT,
    expires_at TEXT NOT NULL,
    grace_until TEXT NOT NULL,
    paid_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    -- 1 while money for it lies in blocks that are not deep yet: the next block may change the verdict.
    awaits_depth INTEGER NOT NULL DEFAULT 0 CHECK (awaits_depth IN (0, 1)),
    UNIQUE (wallet_id, derivation_index)
) STRICT;

CREATE INDEX checkout_sessions_by_mode ON checkout_sessions (livemode, seq);

CREATE INDEX checkout_sessions_by_status ON checkout_sessions (livemode, status, seq);

CREATE INDEX checkout_sessions_by_link ON checkout_sessions (livemode, link_id, seq);

-- Queried by the watcher at every block: small, however many sessions there are.
CREATE INDEX checkout_sessions_to_expire ON checkout_sessions (chain_id, expires_at) WHERE status = 'pending';

CREATE INDEX checkout_sessions_awaiting_depth ON checkout_sessions (chain_id) WHERE awaits_depth = 1;

CREATE TABLE payments (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
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
    -- 0 once its block was orphaned; the same transaction mined again is the same payment and turns it back to 1.
    canonical INTEGER NOT NULL CHECK (canonical IN (0, 1)),
    recorded_at TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX payments_by_transaction ON payments (chain_id, tx_hash, session_id, COALESCE(log_index, -1));

CREATE INDEX payments_by_session ON payments (session_id, block_number);

CREATE INDEX payments_by_block ON payments (chain_id, block_number);

-- The cursor of each chain: its last processed block.
CREATE TABLE chain_cursors (
    chain_id INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,
    hash TEXT NOT NULL,
    time TEXT NOT NULL,
    final_number INTEGER,
    updated_at TEXT NOT NULL
) STRICT;

-- The newest processed blocks of each chain, to find the common ancestor after a reorg.
CREATE TABLE blocks (
    chain_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hash TEXT NOT NULL,
    time TEXT NOT NULL,
    PRIMARY KEY (chain_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_endpoints (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    description TEXT,
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    disabled_reason TEXT,
    secret TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE INDEX webhook_endpoints_by_mode ON webhook_endpoints (livemode, seq);

-- body is the event as the API and every webhook attempt send it, byte for byte.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    type TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

CREATE INDEX events_by_mode ON events (livemode, seq);

CREATE INDEX events_by_type ON events (livemode, type, seq);

CREATE INDEX events_by_resource ON events (livemode, resource_id, seq);

-- The outbox: one row per event and subscribed endpoint.
CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_seq INTEGER NOT NULL REFERENCES events (seq) ON DELETE CASCADE,
    endpoint_id TEXT NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'abandoned')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (event_seq, endpoint_id)
) STRICT;

CREATE INDEX deliveries_due ON deliveries (endpoint_id, next_attempt_at, seq) WHERE status = 'pending';

CREATE INDEX deliveries_next ON deliveries (next_attempt_at) WHERE status = 'pending';

CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint_id, seq);

CREATE TABLE delivery_attempts (
    delivery_seq INTEGER NOT NULL REFERENCES deliveries (seq) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    duration_ms INTEGER NOT NULL,
    status_code INTEGER,
    error TEXT,
    excerpt TEXT NOT NULL,
    PRIMARY KEY (delivery_seq, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    api_key_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_sha256 TEXT NOT NULL,
    status_code INTEGER NOT NULL,
    body TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (api_key_id, idempotency_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- The sandbox chain of test mode: its transactions and state. Its blocks are derived from these.
CREATE TABLE sandbox (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    state TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
