-- The queue. A task is a bell: its payload names rows of ours, and it may ring more than once.

CREATE TABLE tasks (
    id TEXT PRIMARY KEY NOT NULL,
    queue TEXT NOT NULL,
    key TEXT,
    payload TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('READY', 'CLAIMED', 'DEAD')),
    run_at INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    worker TEXT,
    lease_until INTEGER,
    again INTEGER NOT NULL CHECK (again IN (0, 1)),
    error TEXT,
    created_at INTEGER NOT NULL,
    UNIQUE (queue, key)
) STRICT;
CREATE INDEX tasks_ready ON tasks (queue, run_at, id) WHERE state = 'READY';
CREATE INDEX tasks_leased ON tasks (queue, lease_until) WHERE state = 'CLAIMED';
CREATE INDEX tasks_dead ON tasks (queue, id) WHERE state = 'DEAD';
