-- Failures without a success between them: since when, the first of the newest day that had one, and how many such days.
ALTER TABLE webhook_endpoints ADD COLUMN failing_since TEXT;
ALTER TABLE webhook_endpoints ADD COLUMN failing_counted_at TEXT;
ALTER TABLE webhook_endpoints ADD COLUMN failing_days INTEGER;

-- Since when it may have missed events because it was switched off, until they are replayed.
ALTER TABLE webhook_endpoints ADD COLUMN missed_since TEXT;

-- Every secret that still signs beside the newest one, with the moment that it ends: JSON, the newest first.
ALTER TABLE webhook_endpoints ADD COLUMN old_secrets TEXT NOT NULL DEFAULT '[]';
UPDATE webhook_endpoints
SET old_secrets = json_array(json_array(old_secret, old_secret_until))
WHERE old_secret IS NOT NULL;
ALTER TABLE webhook_endpoints DROP COLUMN old_secret;
ALTER TABLE webhook_endpoints DROP COLUMN old_secret_until;

-- What is due next is asked of each endpoint.
DROP INDEX deliveries_next;
