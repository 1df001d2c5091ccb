-- Containers, what was accepted of them, and the content they bring. Digests are 64 hex digits.

CREATE TABLE containers (
    id TEXT PRIMARY KEY NOT NULL,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    client_id TEXT NOT NULL REFERENCES clients (id),
    state TEXT NOT NULL CHECK (state IN ('RECEIVING', 'RECEIVED', 'VERIFYING', 'AVAILABLE', 'REJECTED', 'WITHDRAWN')),
    partial BOOLEAN NOT NULL,
    reference TEXT,
    sequence BIGINT,
    head TEXT,
    fingerprint TEXT,
    bytes BIGINT NOT NULL,
    verdicts TEXT NOT NULL,
    fault TEXT,
    same_as TEXT REFERENCES containers (id),
    correlator TEXT,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision BIGINT NOT NULL
);
CREATE INDEX containers_page ON containers (organisation_id, id) WHERE same_as IS NULL;
CREATE UNIQUE INDEX containers_reference ON containers (organisation_id, reference) WHERE state IN ('AVAILABLE', 'WITHDRAWN') AND same_as IS NULL;
CREATE UNIQUE INDEX containers_sequence ON containers (organisation_id, sequence) WHERE state IN ('AVAILABLE', 'WITHDRAWN') AND same_as IS NULL;
CREATE INDEX containers_rejected ON containers (updated_at) WHERE state = 'REJECTED' OR same_as IS NOT NULL;
CREATE INDEX containers_same ON containers (same_as) WHERE same_as IS NOT NULL;

CREATE TABLE container_manifests (
    container_id TEXT PRIMARY KEY NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    manifest BYTEA NOT NULL,
    signature BYTEA
);

CREATE TABLE deliverables (
    id TEXT PRIMARY KEY NOT NULL,
    container_id TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    ordinal BIGINT NOT NULL,
    organisation_id TEXT NOT NULL,
    reference TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('CONFIGURATION', 'CONTENT', 'FIRMWARE', 'SOFTWARE_COMPONENT')),
    version TEXT NOT NULL,
    document TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (container_id, ordinal)
);
CREATE INDEX deliverables_page ON deliverables (organisation_id, id);
CREATE INDEX deliverables_reference ON deliverables (organisation_id, reference);

CREATE TABLE contents (
    digest TEXT PRIMARY KEY NOT NULL,
    size BIGINT NOT NULL,
    touched_at BIGINT NOT NULL
);
CREATE INDEX contents_age ON contents (touched_at);

CREATE TABLE content_references (
    container_id TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    deliverable_id TEXT REFERENCES deliverables (id) ON DELETE CASCADE,
    digest TEXT NOT NULL REFERENCES contents (digest),
    PRIMARY KEY (container_id, path)
);
CREATE INDEX content_references_digest ON content_references (digest);
CREATE INDEX content_references_deliverable ON content_references (deliverable_id);

CREATE TABLE content_markers (
    name TEXT PRIMARY KEY NOT NULL,
    marker TEXT NOT NULL
);

CREATE TABLE uploads (
    id TEXT PRIMARY KEY NOT NULL,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    client_id TEXT NOT NULL REFERENCES clients (id),
    length BIGINT,
    digests TEXT NOT NULL,
    partial BOOLEAN NOT NULL,
    container_id TEXT REFERENCES containers (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revision BIGINT NOT NULL
);
CREATE INDEX uploads_client ON uploads (client_id, id);
CREATE INDEX uploads_age ON uploads (expires_at);
CREATE INDEX uploads_container ON uploads (container_id) WHERE container_id IS NOT NULL;
