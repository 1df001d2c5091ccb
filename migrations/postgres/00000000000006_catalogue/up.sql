-- By which manufacturers and models the deliverables are found that a device may be given: names in small letters, empty for any, a model with
-- `*` at its end for all that begin so. What is withdrawn has no rows here.

CREATE TABLE deliverable_targets (
    organisation_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    manufacturer TEXT NOT NULL,
    model TEXT NOT NULL,
    deliverable_id TEXT NOT NULL REFERENCES deliverables (id) ON DELETE CASCADE,
    expires_at BIGINT,
    PRIMARY KEY (organisation_id, kind, manufacturer, model, deliverable_id)
);
CREATE INDEX deliverable_targets_deliverable ON deliverable_targets (deliverable_id);
CREATE INDEX deliverables_kind ON deliverables (organisation_id, kind, id);
