-- Why an attempt failed, in a sentence.
ALTER TABLE delivery_attempts ADD COLUMN detail TEXT;

-- Old attempts are forgotten by their age.
CREATE INDEX delivery_attempts_by_age ON delivery_attempts (started_at);

-- Lists by time begin where the time does, in each mode.
DROP INDEX events_by_time;
CREATE INDEX events_by_time ON events (livemode, created_at);
CREATE INDEX checkout_sessions_by_time ON checkout_sessions (livemode, created_at);
