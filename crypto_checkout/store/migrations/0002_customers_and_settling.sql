-- email_key is the email as it is compared: whatever its case.
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

-- What had arrived when the merchant accepted a session; less than that later means that the chain took some back.
ALTER TABLE checkout_sessions ADD COLUMN accepted_units TEXT;

ALTER TABLE checkout_sessions ADD COLUMN customer_email_key TEXT;

CREATE INDEX checkout_sessions_by_email ON checkout_sessions (livemode, customer_email_key, seq);

CREATE INDEX checkout_sessions_by_token ON checkout_sessions (chain_id, asset_contract) WHERE asset_contract IS NOT NULL;

-- While both are live, both sign; the old one ends at its time.
ALTER TABLE webhook_endpoints ADD COLUMN old_secret TEXT;
ALTER TABLE webhook_endpoints ADD COLUMN old_secret_until TEXT;

-- How many attempts a replay had behind it: the schedule begins anew from there.
ALTER TABLE deliveries ADD COLUMN replayed_from INTEGER NOT NULL DEFAULT 0;

CREATE INDEX deliveries_by_status ON deliveries (endpoint_id, status, seq);

CREATE INDEX events_by_time ON events (created_at);
