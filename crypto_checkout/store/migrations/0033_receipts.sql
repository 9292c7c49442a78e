-- Receipts, the keys that sign them, and mails that wait to be sent. Sessions that were settled before have no receipt:
-- a number of today would stand for a sale of an earlier time.
ALTER TABLE checkout_sessions ADD COLUMN receipt_number TEXT;
-- The language of the payer's page, for mails.
ALTER TABLE checkout_sessions ADD COLUMN payer_language TEXT;

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

-- Public keys stay for good; the private ones are encrypted with the key beside the database.
CREATE TABLE receipt_keys (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kid TEXT NOT NULL UNIQUE,
    public_key TEXT NOT NULL,
    private_key TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

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
