-- email_key is the email in the form that is compared, ignoring case.
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
) STRICT;

CREATE UNIQUE INDEX customers_by_email ON customers (livemode, email_key);

CREATE INDEX customers_by_mode ON customers (livemode, seq);

-- The amount received when the merchant accepted a session; less than that later means that a reorg removed some.
ALTER TABLE checkout_sessions ADD COLUMN accepted_units TEXT;

ALTER TABLE checkout_sessions ADD COLUMN customer_email_key TEXT;

CREATE INDEX checkout_sessions_by_email ON checkout_sessions (livemode, customer_email_key, seq);

CREATE INDEX checkout_sessions_by_token ON checkout_sessions (chain_id, asset_contract) WHERE asset_contract IS NOT NULL;

-- Until old_secret_until, both secrets sign.
ALTER TABLE webhook_endpoints ADD COLUMN old_secret TEXT;
ALTER TABLE webhook_endpoints ADD COLUMN old_secret_until TEXT;

-- The number of attempts before the last replay: the schedule starts over from there.
ALTER TABLE deliveries ADD COLUMN replayed_from INTEGER NOT NULL DEFAULT 0;

CREATE INDEX deliveries_by_status ON deliveries (endpoint_id, status, seq);

CREATE INDEX events_by_time ON events (created_at);
