-- The failure streak: its first failure, the first failure of its newest day with one, and the number of such days.
ALTER TABLE webhook_endpoints ADD COLUMN failing_since TEXT;
ALTER TABLE webhook_endpoints ADD COLUMN failing_counted_at TEXT;
ALTER TABLE webhook_endpoints ADD COLUMN failing_days INTEGER;

-- The time since which a disabled endpoint may have missed events, until they are replayed.
ALTER TABLE webhook_endpoints ADD COLUMN missed_since TEXT;

-- Old secrets that still sign beside the newest one, each with its end, as JSON, newest first.
ALTER TABLE webhook_endpoints ADD COLUMN old_secrets TEXT NOT NULL DEFAULT '[]';
UPDATE webhook_endpoints
SET old_secrets = json_array(json_array(old_secret, old_secret_until))
WHERE old_secret IS NOT NULL;
ALTER TABLE webhook_endpoints DROP COLUMN old_secret;
ALTER TABLE webhook_endpoints DROP COLUMN old_secret_until;

-- Due deliveries are now queried per endpoint.
DROP INDEX deliveries_next;
