-- The time of the last processed block whose balances were compared with the ledger; nothing expires beyond it. NULL until
-- the first comparison.
ALTER TABLE chain_cursors ADD COLUMN compared_time TEXT;
