-- When the receiver of a subscription last said that it wants the events, and how many deliveries a minute it allows.
ALTER TABLE subscriptions ADD COLUMN agreed_at INTEGER;
ALTER TABLE subscriptions ADD COLUMN allowed_rate INTEGER;
