-- Subscriptions that are over are forgotten some time later, the oldest first.
CREATE INDEX subscriptions_over ON subscriptions (updated_at) WHERE status IN ('EXPIRED', 'DELETED');
