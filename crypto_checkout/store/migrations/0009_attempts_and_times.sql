-- The error of a failed attempt, as a sentence.
ALTER TABLE delivery_attempts ADD COLUMN detail TEXT;

-- Old attempts are deleted by age.
CREATE INDEX delivery_attempts_by_age ON delivery_attempts (started_at);

-- Lists filtered by time start at that time, in each mode.
DROP INDEX events_by_time;
CREATE INDEX events_by_time ON events (livemode, created_at);
CREATE INDEX checkout_sessions_by_time ON checkout_sessions (livemode, created_at);
