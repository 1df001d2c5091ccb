-- The state of a deliverable's container stands beside the deliverable, and lists of what is in one state pass over nothing else.

ALTER TABLE deliverables ADD COLUMN state TEXT NOT NULL DEFAULT 'AVAILABLE' CHECK (state IN ('AVAILABLE', 'WITHDRAWN'));
UPDATE deliverables SET state = 'WITHDRAWN' WHERE container_id IN (SELECT id FROM containers WHERE state = 'WITHDRAWN');
CREATE INDEX deliverables_state ON deliverables (organisation_id, state, id);
CREATE INDEX deliverables_kind_state ON deliverables (organisation_id, kind, state, id);
CREATE INDEX containers_state ON containers (organisation_id, state, id) WHERE same_as IS NULL;
