-- What became of sessions with devices, and what was said in them while somebody wanted to see it. What was said is sealed.

ALTER TABLE devices ADD COLUMN traced_until INTEGER;
ALTER TABLE devices ADD COLUMN traced_messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN traced_bytes INTEGER NOT NULL DEFAULT 0;

CREATE TABLE session_records (
    id TEXT PRIMARY KEY NOT NULL,
    device_id TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    began_at INTEGER NOT NULL,
    heard_at INTEGER NOT NULL,
    ended_at INTEGER,
    ended_as TEXT CHECK (ended_as IN ('COMPLETED', 'ABORTED_BY_DEVICE', 'ABORTED_BY_SERVER', 'REFUSED', 'SILENT', 'SUPERSEDED')),
    document TEXT NOT NULL
) STRICT;
CREATE INDEX session_records_device ON session_records (device_id, id);
CREATE INDEX session_records_age ON session_records (heard_at);
CREATE INDEX session_records_open ON session_records (heard_at) WHERE ended_at IS NULL;

CREATE TABLE session_messages (
    record_id TEXT NOT NULL REFERENCES session_records (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    document BLOB NOT NULL,
    PRIMARY KEY (record_id, number)
) STRICT;
