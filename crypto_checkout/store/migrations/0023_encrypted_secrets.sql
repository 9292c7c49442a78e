-- Secrets are encrypted with a key kept outside the database (store/secret_key.py); `store/encrypt_secrets.py` encrypts
-- those that are here, in this migration's transaction. The beginning of a webhook's secret is shown.
ALTER TABLE webhook_endpoints ADD COLUMN secret_prefix TEXT NOT NULL DEFAULT '';
