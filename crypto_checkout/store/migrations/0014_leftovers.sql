-- The last delivery to abandon after the endpoint was disabled; null once all are abandoned.
ALTER TABLE webhook_endpoints ADD COLUMN given_up_to INTEGER;

-- Set until all deliveries of a deleted endpoint are deleted, and then the endpoint itself.
ALTER TABLE webhook_endpoints ADD COLUMN deleted_at TEXT;
