-- What payers are asked before they see an address, and what they answered. payer_fields is a JSON list like
-- ["required", "no", "optional"] for email, name and note; custom_fields a JSON list of the merchant's own questions.
ALTER TABLE payment_links ADD COLUMN payer_fields TEXT;
ALTER TABLE payment_links ADD COLUMN custom_fields TEXT;
ALTER TABLE checkout_sessions ADD COLUMN payer_fields TEXT;
ALTER TABLE checkout_sessions ADD COLUMN custom_fields TEXT;
ALTER TABLE checkout_sessions ADD COLUMN customer_name TEXT;
ALTER TABLE checkout_sessions ADD COLUMN customer_note TEXT;
ALTER TABLE checkout_sessions ADD COLUMN answered_at TEXT;
-- The SHA-256 of the secret of the browser that answered.
ALTER TABLE checkout_sessions ADD COLUMN answer_key TEXT;
