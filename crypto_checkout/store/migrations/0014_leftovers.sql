-- Until all that waited when it was switched off is given up: the last delivery of that time.
ALTER TABLE webhook_endpoints ADD COLUMN given_up_to INTEGER;

-- Until all its deliveries are deleted, and then it itself.
ALTER TABLE webhook_endpoints ADD COLUMN deleted_at TEXT;
