-- Numbers grow by originator; and what is asked for each delivery is found by an index that holds nothing else.

ALTER TABLE containers ADD COLUMN originator TEXT NOT NULL DEFAULT '';
UPDATE containers SET originator = COALESCE(head::json -> 'originator' ->> 'id', '') WHERE head IS NOT NULL;
DROP INDEX containers_sequence;
CREATE UNIQUE INDEX containers_sequence ON containers (organisation_id, originator, sequence) WHERE state IN ('AVAILABLE', 'WITHDRAWN') AND same_as IS NULL;
CREATE INDEX containers_available ON containers (organisation_id, bytes) WHERE state = 'AVAILABLE' AND same_as IS NULL;
CREATE INDEX containers_waiting ON containers (organisation_id, bytes) WHERE state = 'VERIFYING';
CREATE INDEX containers_expiry ON containers (expires_at) WHERE state = 'AVAILABLE' AND expires_at IS NOT NULL;
CREATE INDEX uploads_open ON uploads (organisation_id, length) WHERE container_id IS NULL;
