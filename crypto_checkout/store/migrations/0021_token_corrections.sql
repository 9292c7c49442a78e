-- Payments in tokens whose log gives more than what arrived, because the token keeps a fee: the amount in the log. The
-- payment itself has what arrived.
CREATE TABLE token_corrections (
    payment_seq INTEGER PRIMARY KEY REFERENCES payments (seq),
    logged_units TEXT NOT NULL
) STRICT;

-- In the block of a token payment without a known transaction there may be dust too.
DROP INDEX payments_by_transaction;

CREATE UNIQUE INDEX payments_by_transaction ON payments (
    chain_id, COALESCE(tx_hash, block_hash), session_id, kind, COALESCE(log_index, -1), dust IS NULL
);
