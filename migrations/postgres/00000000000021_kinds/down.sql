ALTER TABLE session_messages DROP COLUMN repeats;
DROP INDEX devices_auth;
