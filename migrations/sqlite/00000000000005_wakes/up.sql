-- The last wake of each device. It is open while `next_at` stands, which is when the device is woken next.

CREATE TABLE wakes (
    device_id TEXT PRIMARY KEY NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    session INTEGER NOT NULL CHECK (session BETWEEN 1 AND 65535),
    state TEXT NOT NULL CHECK (state IN ('WAKING', 'ANSWERED', 'CALLED', 'WITHDRAWN', 'EXPIRED', 'FAILED')),
    is_asked INTEGER NOT NULL CHECK (is_asked IN (0, 1)),
    attempts INTEGER NOT NULL,
    attempted_at INTEGER,
    trouble TEXT,
    next_at INTEGER,
    expires_at INTEGER,
    opened_at INTEGER NOT NULL,
    ended_at INTEGER,
    CHECK ((state = 'WAKING') = (next_at IS NOT NULL))
) STRICT;
CREATE INDEX wakes_due ON wakes (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX wakes_awaited ON wakes (attempted_at) WHERE next_at IS NOT NULL;
