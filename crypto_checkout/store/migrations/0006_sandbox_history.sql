-- Of the sandbox chain's transactions, only those in the newest blocks and to watched addresses are needed.
CREATE INDEX sandbox_transactions_by_block ON sandbox_transactions (block_number);

CREATE INDEX sandbox_transactions_by_recipient ON sandbox_transactions (recipient);

-- The progress of test helpers' requests with an idempotency key, until they are answered.
CREATE TABLE sandbox_requests (
    request TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    steps INTEGER NOT NULL,
    updated_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sandbox_requests_by_age ON sandbox_requests (updated_at);
