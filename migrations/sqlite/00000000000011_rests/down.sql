ALTER TABLE wakes DROP COLUMN openings;
DROP INDEX executions_rests;
ALTER TABLE executions DROP COLUMN rests_until;
