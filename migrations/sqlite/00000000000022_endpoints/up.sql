-- Up to when the rate of an endpoint is used up, whichever subscriptions of the organisation deliver to it. The endpoint is the digest of the sink without
-- its query; it is unknown of a subscription that was not changed since.
CREATE TABLE endpoints (
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    endpoint TEXT NOT NULL,
    rate INTEGER NOT NULL,
    used_until INTEGER NOT NULL,
    PRIMARY KEY (organisation_id, endpoint)
) STRICT;
-- What a subscription was promised of a rate and waits for.
CREATE TABLE turns (
    subscription_id TEXT PRIMARY KEY REFERENCES subscriptions (id) ON DELETE CASCADE,
    begin_at INTEGER NOT NULL,
    promised INTEGER NOT NULL,
    rate INTEGER NOT NULL
) STRICT;
CREATE INDEX endpoints_used ON endpoints (used_until);
ALTER TABLE subscriptions ADD COLUMN endpoint TEXT;
ALTER TABLE subscriptions DROP COLUMN paced_until;
CREATE INDEX subscriptions_rate ON subscriptions (organisation_id, endpoint, rate) WHERE status = 'ACTIVE' AND rate IS NOT NULL;
CREATE INDEX subscriptions_allowed_rate ON subscriptions (organisation_id, endpoint, allowed_rate)
    WHERE status = 'ACTIVE' AND allowed_rate IS NOT NULL;
