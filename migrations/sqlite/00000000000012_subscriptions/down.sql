DROP TABLE deliveries;
DROP TABLE subscriptions;
ALTER TABLE organisations DROP COLUMN subscriptions_revision;
ALTER TABLE organisations DROP COLUMN distributed;
