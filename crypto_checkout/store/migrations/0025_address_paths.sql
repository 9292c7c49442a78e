-- The derivation path of each address, as far as the wallet's key tells. The next start fills it in for the wallets that
-- are configured.
ALTER TABLE checkout_sessions ADD COLUMN address_path TEXT;
ALTER TABLE unassigned_addresses ADD COLUMN address_path TEXT;
