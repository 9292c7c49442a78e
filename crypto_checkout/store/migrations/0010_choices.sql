-- The assets that a payer may choose from, as JSON like [[1, "ETH"], [10, "USDC"]]; null without a choice. Until one is
-- chosen, a session has the terms of the first asset that had a price.
ALTER TABLE payment_links ADD COLUMN assets TEXT;
ALTER TABLE checkout_sessions ADD COLUMN assets TEXT;
ALTER TABLE checkout_sessions ADD COLUMN asset_chosen INTEGER NOT NULL DEFAULT 1 CHECK (asset_chosen IN (0, 1));
