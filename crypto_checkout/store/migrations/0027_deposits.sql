-- Wallets of cold-address mode: their destination and label, from which every address follows. NULL for xpubs.
ALTER TABLE wallets ADD COLUMN system INTEGER;
ALTER TABLE wallets ADD COLUMN destination TEXT;
ALTER TABLE wallets ADD COLUMN label TEXT;

-- For each chain, what was found when it was last asked whether it can have a wallet's deposits.
CREATE TABLE deposit_chains (
    wallet_id TEXT NOT NULL,
    chain_id INTEGER NOT NULL,
    has_code INTEGER NOT NULL CHECK (has_code IN (0, 1)),
    passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
    PRIMARY KEY (wallet_id, chain_id)
) STRICT, WITHOUT ROWID;
