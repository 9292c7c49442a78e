-- Of the simulated chain's transactions only the newest blocks' and those of watched addresses are needed.
CREATE INDEX sandbox_transactions_by_block ON sandbox_transactions (block_number);

CREATE INDEX sandbox_transactions_by_recipient ON sandbox_transactions (recipient);

-- How far the test helpers came with a request that carries an idempotency key, until it is answered.
CREATE TABLE sandbox_requests (
    request TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    steps INTEGER NOT NULL,
    updated_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sandbox_requests_by_age ON sandbox_requests (updated_at);
