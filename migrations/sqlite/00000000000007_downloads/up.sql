-- What was sent to devices that download, added up in memory and written in batches. Nothing of it touches the row of the execution.

CREATE TABLE downloads (
    job_id TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    payload TEXT NOT NULL,
    size INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    reached INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (job_id, ordinal, payload),
    FOREIGN KEY (job_id, ordinal) REFERENCES executions (job_id, ordinal) ON DELETE CASCADE
) STRICT;
