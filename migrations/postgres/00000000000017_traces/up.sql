-- What became of sessions with devices, and what was said in them while somebody wanted to see it. What was said is sealed.

ALTER TABLE devices ADD COLUMN traced_until BIGINT;
ALTER TABLE devices ADD COLUMN traced_messages BIGINT NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN traced_bytes BIGINT NOT NULL DEFAULT 0;

CREATE TABLE session_records (
    id TEXT PRIMARY KEY NOT NULL,
    device_id TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    began_at BIGINT NOT NULL,
    heard_at BIGINT NOT NULL,
    ended_at BIGINT,
    ended_as TEXT CHECK (ended_as IN ('COMPLETED', 'ABORTED_BY_DEVICE', 'ABORTED_BY_SERVER', 'REFUSED', 'SILENT', 'SUPERSEDED')),
    document TEXT NOT NULL
);
CREATE INDEX session_records_device ON session_records (device_id, id);
CREATE INDEX session_records_age ON session_records (heard_at);
CREATE INDEX session_records_open ON session_records (heard_at) WHERE ended_at IS NULL;

CREATE TABLE session_messages (
    record_id TEXT NOT NULL REFERENCES session_records (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    document BYTEA NOT NULL,
    PRIMARY KEY (record_id, number)
);
