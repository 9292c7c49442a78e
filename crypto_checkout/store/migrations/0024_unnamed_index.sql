-- The unnamed credits of a session are few, however many payments it has.
CREATE INDEX payments_unnamed ON payments (session_id, kind, dust, canonical) WHERE tx_hash IS NULL;
