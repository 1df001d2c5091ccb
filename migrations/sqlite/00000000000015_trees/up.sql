-- What is known of the trees of devices, node by node. What a node holds is sealed.

CREATE TABLE device_nodes (
    device_id TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    learned_by TEXT NOT NULL CHECK (learned_by IN ('READ', 'WRITTEN')),
    learned_at INTEGER NOT NULL,
    document BLOB NOT NULL,
    PRIMARY KEY (device_id, path)
) STRICT;
