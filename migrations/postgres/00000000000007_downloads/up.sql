-- What was sent to devices that download, added up in memory and written in batches. Nothing of it touches the row of the execution.

CREATE TABLE downloads (
    job_id TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    payload TEXT NOT NULL,
    size BIGINT NOT NULL,
    sent BIGINT NOT NULL,
    reached BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (job_id, ordinal, payload),
    FOREIGN KEY (job_id, ordinal) REFERENCES executions (job_id, ordinal) ON DELETE CASCADE
);
