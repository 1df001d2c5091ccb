-- Who is told of what, and each event on its way to a subscriber. `distributed` is the number up to which an organisation's log was laid out for its
-- subscriptions; `subscriptions_revision` counts the changes of these, and `change` of a subscription is that count at its last one.

ALTER TABLE organisations ADD COLUMN distributed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE organisations ADD COLUMN subscriptions_revision INTEGER NOT NULL DEFAULT 0;
UPDATE organisations SET distributed = next_event - 1;

CREATE TABLE subscriptions (
    id TEXT PRIMARY KEY NOT NULL,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    client_id TEXT NOT NULL REFERENCES clients (id),
    job_id TEXT,
    sink TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('ACTIVATION_REQUESTED', 'ACTIVE', 'INACTIVE', 'EXPIRED', 'DELETED')),
    status_reason TEXT,
    purpose TEXT NOT NULL,
    secrets BLOB NOT NULL,
    signing TEXT NOT NULL CHECK (signing IN ('HMAC', 'ED25519')),
    max_events INTEGER,
    events INTEGER NOT NULL,
    rate INTEGER,
    expires_at INTEGER,
    expires_by TEXT NOT NULL,
    failures INTEGER NOT NULL,
    failing_since INTEGER,
    open_until INTEGER,
    notice INTEGER NOT NULL,
    is_troubled INTEGER NOT NULL CHECK (is_troubled IN (0, 1)),
    paced_until INTEGER,
    recover_after INTEGER,
    recover_until INTEGER,
    recover_failed_only INTEGER NOT NULL CHECK (recover_failed_only IN (0, 1)),
    starts_after INTEGER NOT NULL,
    change INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
CREATE INDEX subscriptions_page ON subscriptions (client_id, id);
CREATE INDEX subscriptions_open ON subscriptions (client_id) WHERE status NOT IN ('EXPIRED', 'DELETED');
CREATE INDEX subscriptions_change ON subscriptions (organisation_id, change);
CREATE INDEX subscriptions_job ON subscriptions (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX subscriptions_expiring ON subscriptions (expires_at)
    WHERE expires_at IS NOT NULL AND status NOT IN ('EXPIRED', 'DELETED');

-- Of the events that a subscriber must have one after the other (`order_key`) only the first that is pending has `next_at`.
CREATE TABLE deliveries (
    subscription_id TEXT NOT NULL REFERENCES subscriptions (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    order_key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('PENDING', 'DELIVERED', 'DEAD')),
    attempt INTEGER NOT NULL,
    attempts TEXT NOT NULL,
    next_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (subscription_id, number)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (subscription_id, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_key ON deliveries (subscription_id, order_key, number) WHERE state = 'PENDING';
CREATE INDEX deliveries_state ON deliveries (subscription_id, state, number);
CREATE INDEX deliveries_event ON deliveries (event_id);
