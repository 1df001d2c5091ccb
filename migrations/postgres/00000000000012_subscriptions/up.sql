-- Who is told of what, and each event on its way to a subscriber. `distributed` is the number up to which an organisation's log was laid out for its
-- subscriptions; `subscriptions_revision` counts the changes of these, and `change` of a subscription is that count at its last one.

ALTER TABLE organisations ADD COLUMN distributed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE organisations ADD COLUMN subscriptions_revision BIGINT NOT NULL DEFAULT 0;
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
    secrets BYTEA NOT NULL,
    signing TEXT NOT NULL CHECK (signing IN ('HMAC', 'ED25519')),
    max_events BIGINT,
    events BIGINT NOT NULL,
    rate BIGINT,
    expires_at BIGINT,
    expires_by TEXT NOT NULL,
    failures BIGINT NOT NULL,
    failing_since BIGINT,
    open_until BIGINT,
    notice BIGINT NOT NULL,
    is_troubled BOOLEAN NOT NULL,
    paced_until BIGINT,
    recover_after BIGINT,
    recover_until BIGINT,
    recover_failed_only BOOLEAN NOT NULL,
    starts_after BIGINT NOT NULL,
    change BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision BIGINT NOT NULL
);
CREATE INDEX subscriptions_page ON subscriptions (client_id, id);
CREATE INDEX subscriptions_open ON subscriptions (client_id) WHERE status NOT IN ('EXPIRED', 'DELETED');
CREATE INDEX subscriptions_change ON subscriptions (organisation_id, change);
CREATE INDEX subscriptions_job ON subscriptions (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX subscriptions_expiring ON subscriptions (expires_at)
    WHERE expires_at IS NOT NULL AND status NOT IN ('EXPIRED', 'DELETED');

-- Of the events that a subscriber must have one after the other (`order_key`) only the first that is pending has `next_at`.
CREATE TABLE deliveries (
    subscription_id TEXT NOT NULL REFERENCES subscriptions (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    order_key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('PENDING', 'DELIVERED', 'DEAD')),
    attempt BIGINT NOT NULL,
    attempts TEXT NOT NULL,
    next_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (subscription_id, number)
);
CREATE INDEX deliveries_due ON deliveries (subscription_id, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_key ON deliveries (subscription_id, order_key, number) WHERE state = 'PENDING';
CREATE INDEX deliveries_state ON deliveries (subscription_id, state, number);
CREATE INDEX deliveries_event ON deliveries (event_id);
