-- Before when no device needs to be called because of an execution that waits for its report or for a time; and how often a wake was opened, by
-- which a call ends no wake that it has not seen.

ALTER TABLE executions ADD COLUMN rests_until INTEGER;
CREATE INDEX executions_rests ON executions (rests_until) WHERE rests_until IS NOT NULL;
ALTER TABLE wakes ADD COLUMN openings INTEGER NOT NULL DEFAULT 0;
