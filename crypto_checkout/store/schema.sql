-- Today's tables, for reading. Made from migrations/ by scripts/schema; a change is a new migration.

CREATE TABLE admin (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    password_hash TEXT NOT NULL,
    password_set_at TEXT NOT NULL,
    -- Null while no second factor is asked for.
    totp_secret TEXT,
    -- The newest time step whose code was taken: each code counts once (RFC 6238, section 5.2).
    totp_step INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE alarm_channels (
    name TEXT PRIMARY KEY,
    sent_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE alarms (
    cause TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    livemode INTEGER CHECK (livemode IN (0, 1)),
    words TEXT NOT NULL,
    advice TEXT NOT NULL,
    path TEXT NOT NULL,
    since TEXT NOT NULL,
    seen_at TEXT NOT NULL,
    gone_at TEXT,
    -- The channels that were told of it, separated by spaces.
    told TEXT NOT NULL
) STRICT, WITHOUT ROWID;

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

CREATE TABLE arrived_tables (
    name TEXT PRIMARY KEY,
    -- The key of the last row that arrived, as JSON.
    last_key TEXT NOT NULL,
    row_count INTEGER NOT NULL,
    digest TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE attention_dismissed (
    cause TEXT PRIMARY KEY,
    dismissed_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    actor TEXT NOT NULL CHECK (actor IN ('owner', 'command_line', 'visitor')),
    login_id TEXT,
    address TEXT,
    action TEXT NOT NULL,
    livemode INTEGER CHECK (livemode IN (0, 1)),
    subject TEXT,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX audit_by_action ON audit (action, at);

CREATE TABLE balances (
    chain_id INTEGER NOT NULL,
    address TEXT NOT NULL,
    block_number INTEGER NOT NULL,
    units TEXT NOT NULL,
    PRIMARY KEY (chain_id, address)
) STRICT, WITHOUT ROWID;

CREATE INDEX balances_by_block ON balances (chain_id, block_number);

CREATE TABLE blocks (
    chain_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hash TEXT NOT NULL,
    time TEXT NOT NULL,
    PRIMARY KEY (chain_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE chain_cursors (
    chain_id INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,
    hash TEXT NOT NULL,
    time TEXT NOT NULL,
    final_number INTEGER,
    updated_at TEXT NOT NULL
, compared_time TEXT) STRICT;

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
    awaits_depth INTEGER NOT NULL DEFAULT 0 CHECK (awaits_depth IN (0, 1)), accepted_units TEXT, customer_email_key TEXT, closed_at TEXT, assets TEXT, asset_chosen INTEGER NOT NULL DEFAULT 1 CHECK (asset_chosen IN (0, 1)), counted_as_paid INTEGER NOT NULL DEFAULT 0 CHECK (counted_as_paid IN (0, 1)), on_time_units TEXT NOT NULL DEFAULT '0', grace_units TEXT NOT NULL DEFAULT '0', late_units TEXT NOT NULL DEFAULT '0', payment_count INTEGER NOT NULL DEFAULT 0, late_told_at TEXT, late_untold INTEGER NOT NULL DEFAULT 0 CHECK (late_untold IN (0, 1)), address_path TEXT, refunded_units TEXT NOT NULL DEFAULT '0', promised_units TEXT NOT NULL DEFAULT '0', payer_fields TEXT, custom_fields TEXT, customer_name TEXT, customer_note TEXT, answered_at TEXT, answer_key TEXT, receipt_number TEXT, payer_language TEXT, quantity INTEGER CHECK (quantity > 0),
    UNIQUE (wallet_id, derivation_index)
) STRICT;

CREATE INDEX checkout_sessions_awaiting_depth ON checkout_sessions (chain_id) WHERE awaits_depth = 1;

CREATE INDEX checkout_sessions_by_coin ON checkout_sessions (chain_id) WHERE asset_contract IS NULL;

CREATE INDEX checkout_sessions_by_email ON checkout_sessions (livemode, customer_email_key, seq);

CREATE INDEX checkout_sessions_by_grace ON checkout_sessions (livemode, grace_until);

CREATE INDEX checkout_sessions_by_link ON checkout_sessions (livemode, link_id, seq);

CREATE INDEX checkout_sessions_by_mode ON checkout_sessions (livemode, seq);

CREATE INDEX checkout_sessions_by_status ON checkout_sessions (livemode, status, seq);

CREATE INDEX checkout_sessions_by_stock ON checkout_sessions (link_id, status, quantity) WHERE quantity IS NOT NULL;

CREATE INDEX checkout_sessions_by_time ON checkout_sessions (livemode, created_at);

CREATE INDEX checkout_sessions_by_token ON checkout_sessions (chain_id, asset_contract) WHERE asset_contract IS NOT NULL;

CREATE INDEX checkout_sessions_funded ON checkout_sessions (livemode, seq) WHERE payment_count > 0;

CREATE INDEX checkout_sessions_late ON checkout_sessions (livemode, late_told_at) WHERE late_told_at IS NOT NULL;

CREATE INDEX checkout_sessions_late_untold ON checkout_sessions (chain_id) WHERE late_untold = 1;

CREATE INDEX checkout_sessions_to_expire ON checkout_sessions (chain_id, expires_at) WHERE status = 'pending';

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

CREATE INDEX collections_by_block ON collections (chain_id, block_number);

CREATE INDEX collections_by_mode ON collections (livemode, seq);

CREATE INDEX collections_by_status ON collections (livemode, status, seq);

CREATE TABLE comparisons (
    chain_id INTEGER PRIMARY KEY,
    session_seq INTEGER NOT NULL,
    block_number INTEGER NOT NULL
) STRICT;

CREATE TABLE customer_money (
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    email_key TEXT NOT NULL,
    currency TEXT NOT NULL,
    fiat_minor TEXT NOT NULL,
    PRIMARY KEY (livemode, email_key, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE customer_payments (
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    email_key TEXT NOT NULL,
    paid INTEGER NOT NULL,
    last_paid_at TEXT,
    PRIMARY KEY (livemode, email_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX customer_payments_by_time ON customer_payments (livemode, last_paid_at);

CREATE TABLE customers (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    name TEXT,
    metadata TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
, search_text TEXT NOT NULL DEFAULT '') STRICT;

CREATE UNIQUE INDEX customers_by_email ON customers (livemode, email_key);

CREATE INDEX customers_by_mode ON customers (livemode, seq);

CREATE TABLE daily_payments (
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    day TEXT NOT NULL,
    chain_id INTEGER NOT NULL,
    asset TEXT NOT NULL,
    asset_decimals INTEGER NOT NULL,
    currency TEXT NOT NULL,
    payments INTEGER NOT NULL,
    units TEXT NOT NULL,
    fiat_minor TEXT NOT NULL,
    PRIMARY KEY (livemode, day, chain_id, asset, asset_decimals, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE daily_sessions (
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    day TEXT NOT NULL,
    created INTEGER NOT NULL,
    paid INTEGER NOT NULL,
    PRIMARY KEY (livemode, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE database_life (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    id TEXT NOT NULL,
    since TEXT NOT NULL
) STRICT;

CREATE TABLE database_moves (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- "arriving" while the copy to here isn't complete, "moved" once all of this is elsewhere.
    state TEXT NOT NULL CHECK (state IN ('arriving', 'moved')),
    -- The other place, without its password.
    place TEXT NOT NULL,
    -- The life of the database that is copied, empty for one without a name.
    life TEXT NOT NULL,
    since TEXT NOT NULL,
    -- The statements that make the indexes again, as JSON: they are left out until all rows are there.
    indexes TEXT NOT NULL
) STRICT;

CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_seq INTEGER NOT NULL REFERENCES events (seq) ON DELETE CASCADE,
    endpoint_id TEXT NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'abandoned')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL, replayed_from INTEGER NOT NULL DEFAULT 0,
    UNIQUE (event_seq, endpoint_id)
) STRICT;

CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint_id, seq);

CREATE INDEX deliveries_by_status ON deliveries (endpoint_id, status, seq);

CREATE INDEX deliveries_due ON deliveries (endpoint_id, next_attempt_at, seq) WHERE status = 'pending';

CREATE INDEX deliveries_retried ON deliveries (endpoint_id, seq) WHERE status = 'pending' AND attempts > 0;

CREATE TABLE delivery_attempts (
    delivery_seq INTEGER NOT NULL REFERENCES deliveries (seq) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    duration_ms INTEGER NOT NULL,
    status_code INTEGER,
    error TEXT,
    excerpt TEXT NOT NULL, detail TEXT,
    PRIMARY KEY (delivery_seq, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX delivery_attempts_by_age ON delivery_attempts (started_at);

CREATE TABLE deposit_chains (
    wallet_id TEXT NOT NULL,
    chain_id INTEGER NOT NULL,
    has_code INTEGER NOT NULL CHECK (has_code IN (0, 1)),
    passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
    PRIMARY KEY (wallet_id, chain_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE differences (
    chain_id INTEGER NOT NULL,
    session_id TEXT NOT NULL REFERENCES checkout_sessions (id),
    -- The token's contract, empty for the native coin.
    contract TEXT NOT NULL,
    symbol TEXT NOT NULL,
    decimals INTEGER NOT NULL,
    -- What the chain shows less what was credited, in smallest units.
    units TEXT NOT NULL,
    found_at TEXT NOT NULL,
    found_block TEXT NOT NULL,
    confirmed_at TEXT,
    PRIMARY KEY (chain_id, session_id, contract)
) STRICT, WITHOUT ROWID;

CREATE TABLE disk_days (
    day TEXT PRIMARY KEY,
    measured_at TEXT NOT NULL,
    database_bytes INTEGER NOT NULL,
    other_bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE event_packing (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- Every event up to this one is packed, or packs into no less.
    done_seq INTEGER NOT NULL
) STRICT;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    type TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at TEXT NOT NULL
, packed BLOB) STRICT;

CREATE INDEX events_by_mode ON events (livemode, seq);

CREATE INDEX events_by_resource ON events (livemode, resource_id, seq);

CREATE INDEX events_by_time ON events (livemode, created_at);

CREATE INDEX events_by_type ON events (livemode, type, seq);

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

CREATE INDEX fuel_transactions_by_time ON fuel_transactions (chain_id, signed_at);

CREATE INDEX fuel_transactions_waiting ON fuel_transactions (chain_id) WHERE state = 'sent';

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

CREATE TABLE known_browsers (
    sha256 TEXT PRIMARY KEY,
    created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX known_browsers_by_age ON known_browsers (created_at);

CREATE TABLE late_pages (
    chain_id INTEGER NOT NULL,
    page INTEGER NOT NULL,
    block_number INTEGER NOT NULL,
    PRIMARY KEY (chain_id, page)
) STRICT, WITHOUT ROWID;

CREATE TABLE leader (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- Rises whenever a process begins to lead. What a leader writes carries its term, and an earlier one is refused.
    term INTEGER NOT NULL,
    -- Of this term: the process, as 4242@shop-1, and since when it leads.
    process TEXT,
    since TEXT,
    -- The term whose leader was asked to step back.
    asked_to_end INTEGER,
    -- What only the leader sees of the chains, as JSON, for the others' pages and answers.
    seen TEXT NOT NULL
) STRICT;

CREATE TABLE logins (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL UNIQUE,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created_at TEXT NOT NULL,
    seen_at TEXT NOT NULL,
    -- When the password was last given.
    confirmed_at TEXT NOT NULL
) STRICT;

CREATE INDEX logins_by_age ON logins (created_at);

CREATE TABLE mails (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    kind TEXT NOT NULL,
    -- The session, or the day.
    subject_id TEXT NOT NULL,
    recipients TEXT NOT NULL,
    created_at TEXT NOT NULL,
    next_attempt_at TEXT NOT NULL,
    status TEXT NOT NULL,
    -- How often the owner had it sent.
    round INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT,
    sent_at TEXT,
    UNIQUE (kind, livemode, subject_id)
) STRICT;

CREATE INDEX mails_due ON mails (next_attempt_at) WHERE status = 'pending';

CREATE INDEX mails_undelivered ON mails (livemode, seq) WHERE status IN ('bounced', 'failed');

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

CREATE INDEX outflows_by_address ON outflows (address);

CREATE INDEX outflows_by_block ON outflows (chain_id, block_number);

CREATE UNIQUE INDEX outflows_by_log ON outflows (
    chain_id, COALESCE(tx_hash, block_hash), address, COALESCE(contract, ''), log_index
);

CREATE INDEX outflows_collected ON outflows (livemode, block_number) WHERE collected = 1 AND canonical = 1;

CREATE INDEX outflows_here ON outflows (livemode, seq) WHERE canonical = 1;

CREATE TABLE payment_links (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    slug TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    description TEXT,
    fiat_currency TEXT NOT NULL,
    chain_id INTEGER,
    asset TEXT,
    success_url TEXT,
    cancel_url TEXT,
    metadata TEXT,
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
, assets TEXT, payer_fields TEXT, custom_fields TEXT, fiat_amount TEXT, fiat_minimum TEXT, fiat_maximum TEXT, fiat_suggested TEXT NOT NULL DEFAULT '[]', quantity_minimum INTEGER CHECK (quantity_minimum > 0), quantity_maximum INTEGER CHECK (quantity_maximum > 0), quantity_stock INTEGER CHECK (quantity_stock >= 0)) STRICT;

CREATE INDEX payment_links_by_activity ON payment_links (livemode, active, seq);

CREATE INDEX payment_links_by_mode ON payment_links (livemode, seq);

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
, livemode INTEGER NOT NULL DEFAULT 0 CHECK (livemode IN (0, 1)), counted INTEGER CHECK (counted IN (0, 1)), counted_day TEXT, counted_units TEXT, counted_minor TEXT, provisional_balance TEXT, proof TEXT, agreeing INTEGER, tally TEXT CHECK (tally IN ('on_time', 'grace', 'late')), tallied INTEGER NOT NULL DEFAULT 0 CHECK (tallied IN (0, 1)), dust INTEGER CHECK (dust > 0), fingerprints TEXT) STRICT;

CREATE INDEX payments_by_block ON payments (chain_id, block_number);

CREATE INDEX payments_by_mode ON payments (livemode, seq, block_time);

CREATE INDEX payments_by_session ON payments (session_id, block_number);

CREATE UNIQUE INDEX payments_by_transaction ON payments (
    chain_id, COALESCE(tx_hash, block_hash), session_id, kind, COALESCE(log_index, -1), dust IS NULL
);

CREATE INDEX payments_by_tx_hash ON payments (tx_hash);

CREATE INDEX payments_counted ON payments (session_id, block_number, log_index) WHERE counted = 1 AND dust IS NULL;

CREATE INDEX payments_late ON payments (session_id, tally) WHERE tally = 'late' AND dust IS NULL;

CREATE INDEX payments_of_session ON payments (session_id);

CREATE INDEX payments_provisional ON payments (chain_id, session_id) WHERE provisional_balance IS NOT NULL;

CREATE INDEX payments_single ON payments (session_id, canonical) WHERE canonical = 1 AND dust IS NULL;

CREATE INDEX payments_to_tally ON payments (session_id, tallied) WHERE tallied = 0;

CREATE INDEX payments_unnamed ON payments (session_id, kind, dust, canonical) WHERE tx_hash IS NULL;

CREATE TABLE receipt_keys (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kid TEXT NOT NULL UNIQUE,
    public_key TEXT NOT NULL,
    private_key TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE receipts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    -- In UTC.
    year INTEGER NOT NULL,
    -- From 1, without gaps.
    number INTEGER NOT NULL,
    session_id TEXT NOT NULL UNIQUE REFERENCES checkout_sessions (id),
    -- The title of the payment link, and the seller, as they were.
    title TEXT,
    seller_name TEXT NOT NULL,
    seller_address TEXT NOT NULL,
    seller_tax_number TEXT NOT NULL,
    issued_at TEXT NOT NULL,
    UNIQUE (livemode, year, number)
) STRICT;

CREATE INDEX receipts_by_time ON receipts (livemode, issued_at);

CREATE TABLE recovery_codes (
    sha256 TEXT PRIMARY KEY,
    used_at TEXT
) STRICT, WITHOUT ROWID;

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

CREATE TABLE refund_searches (
    chain_id INTEGER PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT;

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

CREATE INDEX refunds_by_session ON refunds (session_id, seq);

CREATE INDEX refunds_by_status ON refunds (livemode, status, seq);

CREATE INDEX refunds_by_time ON refunds (livemode, paid_at) WHERE paid_at IS NOT NULL;

CREATE UNIQUE INDEX refunds_by_transfer ON refunds (
    chain_id, tx_hash, COALESCE(payment_log_index, -1), COALESCE(destination, '')
) WHERE payment_block_number IS NOT NULL;

CREATE INDEX refunds_to_recognize ON refunds (chain_id, status);

CREATE TABLE room_by_kind (
    kind TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL,
    measured_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rpc_usage (
    day TEXT NOT NULL,
    chain_id INTEGER NOT NULL,
    provider TEXT NOT NULL,
    calls INTEGER NOT NULL,
    bytes_sent INTEGER NOT NULL,
    bytes_received INTEGER NOT NULL,
    PRIMARY KEY (day, chain_id, provider)
) STRICT, WITHOUT ROWID;

CREATE TABLE sandbox (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    state TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE TABLE sandbox_requests (
    request TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    steps INTEGER NOT NULL,
    updated_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sandbox_requests_by_age ON sandbox_requests (updated_at);

CREATE TABLE sandbox_tasks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    operation TEXT NOT NULL,
    -- Both as JSON. The answer is NULL until it is done.
    arguments TEXT NOT NULL,
    answer TEXT,
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE sandbox_transactions (
    seq INTEGER PRIMARY KEY,
    hash TEXT NOT NULL,
    place INTEGER NOT NULL,
    block_number INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    units TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('native', 'internal', 'token')),
    contract TEXT
, sender TEXT) STRICT;

CREATE INDEX sandbox_transactions_by_block ON sandbox_transactions (block_number);

CREATE UNIQUE INDEX sandbox_transactions_by_hash ON sandbox_transactions (hash, place);

CREATE INDEX sandbox_transactions_by_recipient ON sandbox_transactions (recipient);

CREATE INDEX sandbox_transactions_by_sender ON sandbox_transactions (sender) WHERE sender IS NOT NULL;

CREATE TABLE session_metadata (
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    value TEXT NOT NULL,
    session_seq INTEGER NOT NULL REFERENCES checkout_sessions (seq),
    name TEXT NOT NULL,
    PRIMARY KEY (livemode, value, session_seq, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE set_up_links (
    sha256 TEXT PRIMARY KEY,
    good_until TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE setup_marks (
    name TEXT PRIMARY KEY,
    at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE shared_key (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    key_id TEXT NOT NULL
) STRICT;

CREATE TABLE token_corrections (
    payment_seq INTEGER PRIMARY KEY REFERENCES payments (seq),
    logged_units TEXT NOT NULL
) STRICT;

CREATE TABLE unassigned_addresses (
    seq INTEGER PRIMARY KEY,
    wallet_id TEXT NOT NULL,
    derivation_index INTEGER NOT NULL,
    address TEXT NOT NULL UNIQUE,
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    used_before INTEGER NOT NULL CHECK (used_before IN (0, 1)),
    created_at TEXT NOT NULL,
    reported INTEGER NOT NULL DEFAULT 0 CHECK (reported IN (0, 1)), address_path TEXT,
    UNIQUE (wallet_id, derivation_index)
) STRICT;

CREATE INDEX unassigned_addresses_by_mode ON unassigned_addresses (livemode, seq);

CREATE INDEX unassigned_addresses_unreported ON unassigned_addresses (wallet_id, derivation_index)
WHERE reported = 0 AND used_before = 0;

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
, proof TEXT, agreeing INTEGER, dust INTEGER CHECK (dust > 0), fingerprints TEXT) STRICT;

CREATE INDEX unmatched_payments_by_address ON unmatched_payments (address, block_number);

CREATE INDEX unmatched_payments_by_block ON unmatched_payments (chain_id, block_number);

CREATE INDEX unmatched_payments_by_session ON unmatched_payments (session_id, block_number);

CREATE UNIQUE INDEX unmatched_payments_by_transaction ON unmatched_payments (
    chain_id, COALESCE(tx_hash, block_hash), address, kind, COALESCE(log_index, -1), COALESCE(contract, '')
);

CREATE INDEX unmatched_payments_by_tx_hash ON unmatched_payments (tx_hash);

CREATE INDEX unmatched_payments_here ON unmatched_payments (livemode, seq) WHERE canonical = 1;

CREATE INDEX unmatched_payments_of_address ON unmatched_payments (address);

CREATE INDEX unmatched_payments_of_session ON unmatched_payments (session_id) WHERE session_id IS NOT NULL;

CREATE INDEX unmatched_payments_provisional ON unmatched_payments (chain_id) WHERE provisional_balance IS NOT NULL;

CREATE INDEX unmatched_payments_single ON unmatched_payments (livemode, seq) WHERE canonical = 1 AND dust IS NULL;

CREATE TABLE wallets (
    wallet_id TEXT PRIMARY KEY,
    next_index INTEGER NOT NULL CHECK (next_index >= 0)
, system INTEGER, destination TEXT, label TEXT) STRICT;

CREATE INDEX wallets_of_deposits ON wallets (system) WHERE system IS NOT NULL;

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
, failing_since TEXT, failing_counted_at TEXT, failing_days INTEGER, missed_since TEXT, old_secrets TEXT NOT NULL DEFAULT '[]', given_up_to INTEGER, deleted_at TEXT, secret_prefix TEXT NOT NULL DEFAULT '') STRICT;

CREATE INDEX webhook_endpoints_by_mode ON webhook_endpoints (livemode, seq);
