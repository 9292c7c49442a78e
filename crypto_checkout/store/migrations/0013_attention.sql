-- Issues that need a person (store.alerts.issues), and the alerts about them (store.alerts.alerts).

ALTER TABLE unmatched_payments ADD COLUMN livemode INTEGER NOT NULL DEFAULT 0 CHECK (livemode IN (0, 1));

UPDATE unmatched_payments
SET livemode = (SELECT livemode FROM checkout_sessions WHERE checkout_sessions.id = unmatched_payments.session_id);

CREATE INDEX unmatched_payments_here ON unmatched_payments (livemode, seq) WHERE canonical = 1;
CREATE INDEX unmatched_payments_by_tx_hash ON unmatched_payments (tx_hash);
CREATE INDEX deliveries_retried ON deliveries (endpoint_id, seq) WHERE status = 'pending' AND attempts > 0;

-- Issues that the merchant has dismissed.
CREATE TABLE attention_dismissed (
    cause TEXT PRIMARY KEY,
    dismissed_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per alert whose issue exists, or whose end has yet to be notified.
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

-- When each channel was last used, so that a restart sends no flood.
CREATE TABLE alarm_channels (
    name TEXT PRIMARY KEY,
    sent_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
