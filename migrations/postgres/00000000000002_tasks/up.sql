-- The queue. A task is a bell: its payload names rows of ours, and it may ring more than once.

CREATE TABLE tasks (
    id TEXT PRIMARY KEY NOT NULL,
    queue TEXT NOT NULL,
    key TEXT,
    payload TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('READY', 'CLAIMED', 'DEAD')),
    run_at BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    max_attempts BIGINT NOT NULL,
    claim BIGINT NOT NULL,
    worker TEXT,
    lease_until BIGINT,
    again BOOLEAN NOT NULL,
    error TEXT,
    created_at BIGINT NOT NULL,
    UNIQUE (queue, key)
);
CREATE INDEX tasks_ready ON tasks (queue, run_at, id) WHERE state = 'READY';
CREATE INDEX tasks_leased ON tasks (queue, lease_until) WHERE state = 'CLAIMED';
CREATE INDEX tasks_dead ON tasks (queue, id) WHERE state = 'DEAD';
