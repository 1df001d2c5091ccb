-- The last wake of each device. It is open while `next_at` stands, which is when the device is woken next.

CREATE TABLE wakes (
    device_id TEXT PRIMARY KEY NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    session BIGINT NOT NULL CHECK (session BETWEEN 1 AND 65535),
    state TEXT NOT NULL CHECK (state IN ('WAKING', 'ANSWERED', 'CALLED', 'WITHDRAWN', 'EXPIRED', 'FAILED')),
    is_asked BOOLEAN NOT NULL,
    attempts BIGINT NOT NULL,
    attempted_at BIGINT,
    trouble TEXT,
    next_at BIGINT,
    expires_at BIGINT,
    opened_at BIGINT NOT NULL,
    ended_at BIGINT,
    CHECK ((state = 'WAKING') = (next_at IS NOT NULL))
);
CREATE INDEX wakes_due ON wakes (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX wakes_awaited ON wakes (attempted_at) WHERE next_at IS NOT NULL;
