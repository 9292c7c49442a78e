-- Balances that differ from the ledger, found by the comparison in the background. A difference counts once it was found
-- again at another block: `confirmed_at`.
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

-- How far each chain was compared: the place of the last session, and the block up to which unnamed credits were.
CREATE TABLE comparisons (
    chain_id INTEGER PRIMARY KEY,
    session_seq INTEGER NOT NULL,
    block_number INTEGER NOT NULL
) STRICT;
