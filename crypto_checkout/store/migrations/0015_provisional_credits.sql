-- The balance that an unnamed internal transfer was concluded from, until it has been read again with a later block
-- there: the payment shows meanwhile, and doesn't count. NULL for everything else.
ALTER TABLE payments ADD COLUMN provisional_balance TEXT;

ALTER TABLE unmatched_payments ADD COLUMN provisional_balance TEXT;

CREATE INDEX payments_provisional ON payments (chain_id) WHERE provisional_balance IS NOT NULL;

CREATE INDEX unmatched_payments_provisional ON unmatched_payments (chain_id) WHERE provisional_balance IS NOT NULL;
