DROP INDEX uploads_open;
DROP INDEX containers_expiry;
DROP INDEX containers_waiting;
DROP INDEX containers_available;
DROP INDEX containers_sequence;
CREATE UNIQUE INDEX containers_sequence ON containers (organisation_id, sequence) WHERE state IN ('AVAILABLE', 'WITHDRAWN') AND same_as IS NULL;
ALTER TABLE containers DROP COLUMN originator;
