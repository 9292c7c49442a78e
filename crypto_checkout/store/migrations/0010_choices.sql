-- What a payer may choose from, as JSON like [[1, "ETH"], [10, "USDC"]]; null where there is no choice. A session that
-- nobody has chosen for yet has the terms of the first of them that had a price.
ALTER TABLE payment_links ADD COLUMN assets TEXT;
ALTER TABLE checkout_sessions ADD COLUMN assets TEXT;
ALTER TABLE checkout_sessions ADD COLUMN asset_chosen INTEGER NOT NULL DEFAULT 1 CHECK (asset_chosen IN (0, 1));
