-- Why a payment was believed: whether the hash of its block proves it ("proven", or "unprovable" where that can't be
-- recomputed), and the number of providers that agreed. NULL for what was recorded before, and in the sandbox.
ALTER TABLE payments ADD COLUMN proof TEXT;

ALTER TABLE payments ADD COLUMN agreeing INTEGER;

ALTER TABLE unmatched_payments ADD COLUMN proof TEXT;

ALTER TABLE unmatched_payments ADD COLUMN agreeing INTEGER;
