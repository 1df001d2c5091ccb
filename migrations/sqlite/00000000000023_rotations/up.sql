-- Secrets that devices were offered and do not use yet, sealed as those of their accounts are.
CREATE TABLE secret_rotations (
    device_id TEXT PRIMARY KEY NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    client_secret BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('DOUBTFUL', 'OFFERED', 'TAKEN')),
    made_at INTEGER NOT NULL
) STRICT;
