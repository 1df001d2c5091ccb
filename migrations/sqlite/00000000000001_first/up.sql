-- The first schema. Times are microseconds since 1970 UTC, ids are UUIDs of 32 hex digits, documents are JSON text.

CREATE TABLE organisations (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    next_event INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT;

CREATE TABLE clients (
    id TEXT PRIMARY KEY NOT NULL,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    revision INTEGER NOT NULL
) STRICT;
CREATE INDEX clients_organisation ON clients (organisation_id, id);

CREATE TABLE devices (
    id TEXT PRIMARY KEY NOT NULL,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    client_id TEXT NOT NULL REFERENCES clients (id),
    dm_identity TEXT NOT NULL UNIQUE,
    server_id TEXT NOT NULL,
    client_auth TEXT NOT NULL CHECK (client_auth IN ('BASIC', 'DIGEST', 'HMAC')),
    client_name TEXT NOT NULL,
    client_secret BLOB NOT NULL,
    server_auth TEXT CHECK (server_auth IN ('BASIC', 'DIGEST', 'HMAC')),
    server_name TEXT NOT NULL,
    server_secret BLOB,
    server_nonce BLOB NOT NULL,
    nonce_epoch INTEGER NOT NULL DEFAULT 0,
    failed_tries INTEGER NOT NULL DEFAULT 0,
    failed_at INTEGER,
    push_address TEXT,
    subscriber TEXT,
    tags TEXT NOT NULL,
    manufacturer TEXT,
    model TEXT,
    firmware_version TEXT,
    facts TEXT NOT NULL,
    last_seen_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
CREATE INDEX devices_kind ON devices (organisation_id, manufacturer, model, firmware_version, id);
CREATE INDEX devices_page ON devices (organisation_id, id);
CREATE INDEX devices_subscriber ON devices (organisation_id, subscriber, id) WHERE subscriber IS NOT NULL;

CREATE TABLE device_identities (
    kind TEXT NOT NULL CHECK (kind IN ('IMEI', 'MEID', 'ESN', 'MAC', 'SERIAL_NUMBER')),
    value TEXT NOT NULL,
    device_id TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    PRIMARY KEY (kind, value)
) STRICT;
CREATE INDEX device_identities_device ON device_identities (device_id);

CREATE TABLE strangers (
    dm_identity TEXT PRIMARY KEY NOT NULL,
    reason TEXT NOT NULL CHECK (reason IN ('UNKNOWN', 'CREDENTIALS')),
    description TEXT NOT NULL,
    first_seen_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    times INTEGER NOT NULL
) STRICT;
CREATE INDEX strangers_age ON strangers (last_seen_at);

CREATE TABLE imports (
    id TEXT PRIMARY KEY NOT NULL,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    client_id TEXT NOT NULL REFERENCES clients (id),
    idempotency_key TEXT,
    fingerprint TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('RUNNING', 'COMPLETED')),
    line INTEGER NOT NULL,
    created INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    UNIQUE (client_id, idempotency_key)
) STRICT;

CREATE TABLE import_verdicts (
    import_id TEXT NOT NULL REFERENCES imports (id) ON DELETE CASCADE,
    first_line INTEGER NOT NULL,
    verdicts TEXT NOT NULL,
    PRIMARY KEY (import_id, first_line)
) STRICT;

CREATE TABLE jobs (
    id TEXT PRIMARY KEY NOT NULL,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    client_id TEXT NOT NULL REFERENCES clients (id),
    client_correlator TEXT,
    fingerprint TEXT NOT NULL,
    correlator TEXT,
    operation_type TEXT NOT NULL,
    operation TEXT NOT NULL,
    target_type TEXT NOT NULL,
    target_count INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ACCEPTED', 'EXPANDING', 'RUNNING', 'PAUSED', 'CANCELLING', 'COMPLETED', 'CANCELLED', 'EXPIRED', 'REJECTED')),
    outcome TEXT CHECK (outcome IN ('SUCCEEDED', 'PARTIAL', 'FAILED')),
    counts TEXT NOT NULL,
    expand_cursor INTEGER NOT NULL DEFAULT 0,
    expires_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    finished_at INTEGER,
    revision INTEGER NOT NULL,
    UNIQUE (client_id, client_correlator)
) STRICT;
CREATE INDEX jobs_page ON jobs (client_id, id);
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE finished_at IS NULL;

CREATE TABLE job_targets (
    job_id TEXT PRIMARY KEY NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE job_deltas (
    id TEXT PRIMARY KEY NOT NULL,
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    counts TEXT NOT NULL
) STRICT;
CREATE INDEX job_deltas_job ON job_deltas (job_id, id);

CREATE TABLE executions (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    organisation_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('QUEUED', 'WAITING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'DECLINED', 'CANCELLED', 'EXPIRED', 'REFUSED')),
    phase TEXT,
    attempt INTEGER NOT NULL,
    progress INTEGER,
    operation TEXT NOT NULL,
    evidence TEXT NOT NULL,
    outcome TEXT,
    detail TEXT,
    due_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    finished_at INTEGER,
    revision INTEGER NOT NULL,
    PRIMARY KEY (job_id, ordinal),
    UNIQUE (job_id, device_id)
) STRICT;
CREATE INDEX executions_of_device ON executions (device_id, job_id) WHERE finished_at IS NULL;
CREATE INDEX executions_due ON executions (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE execution_results (
    job_id TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (job_id, ordinal),
    FOREIGN KEY (job_id, ordinal) REFERENCES executions (job_id, ordinal) ON DELETE CASCADE
) STRICT;

CREATE TABLE sessions (
    device_id TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    session TEXT NOT NULL,
    generation INTEGER NOT NULL,
    is_open INTEGER NOT NULL CHECK (is_open IN (0, 1)),
    job_id TEXT,
    ordinal INTEGER,
    document TEXT NOT NULL,
    nonce_epoch INTEGER NOT NULL,
    nonce_counter INTEGER NOT NULL,
    last_message INTEGER NOT NULL,
    last_body BLOB NOT NULL,
    last_reply BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (device_id, session, generation)
) STRICT;
CREATE UNIQUE INDEX sessions_open ON sessions (device_id) WHERE is_open;
CREATE INDEX sessions_age ON sessions (updated_at);

CREATE TABLE events (
    id TEXT PRIMARY KEY NOT NULL,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    client_id TEXT,
    number INTEGER,
    type TEXT NOT NULL,
    job_id TEXT,
    ordinal INTEGER,
    device_id TEXT,
    revision INTEGER NOT NULL,
    data TEXT NOT NULL,
    correlator TEXT,
    created_at INTEGER NOT NULL,
    UNIQUE (organisation_id, number)
) STRICT;
CREATE INDEX events_unnumbered ON events (organisation_id, id) WHERE number IS NULL;
CREATE INDEX events_of_job ON events (job_id, ordinal, id);
CREATE INDEX events_of_device ON events (device_id, id);

CREATE TABLE idempotency_keys (
    client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    status INTEGER,
    headers TEXT,
    body BLOB,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (client_id, key)
) STRICT;
CREATE INDEX idempotency_keys_age ON idempotency_keys (expires_at);
