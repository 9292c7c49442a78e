-- Links whose payer names the amount have no `fiat_amount`, but bounds and suggestions (JSON). Links that sell several of
-- a thing have a `quantity_minimum`; `quantity_stock` is the number for sale, sold and reserved ones included.
ALTER TABLE payment_links RENAME COLUMN fiat_amount TO fixed_amount;
ALTER TABLE payment_links ADD COLUMN fiat_amount TEXT;
UPDATE payment_links SET fiat_amount = fixed_amount;
ALTER TABLE payment_links DROP COLUMN fixed_amount;
ALTER TABLE payment_links ADD COLUMN fiat_minimum TEXT;
ALTER TABLE payment_links ADD COLUMN fiat_maximum TEXT;
ALTER TABLE payment_links ADD COLUMN fiat_suggested TEXT NOT NULL DEFAULT '[]';
ALTER TABLE payment_links ADD COLUMN quantity_minimum INTEGER CHECK (quantity_minimum > 0);
ALTER TABLE payment_links ADD COLUMN quantity_maximum INTEGER CHECK (quantity_maximum > 0);
ALTER TABLE payment_links ADD COLUMN quantity_stock INTEGER CHECK (quantity_stock >= 0);

-- The number of pieces that a session sells; its price is that of all of them.
ALTER TABLE checkout_sessions ADD COLUMN quantity INTEGER CHECK (quantity > 0);

-- For the count of pieces that are sold or reserved: no count is stored that could differ from the sessions.
CREATE INDEX checkout_sessions_by_stock ON checkout_sessions (link_id, status, quantity) WHERE quantity IS NOT NULL;
