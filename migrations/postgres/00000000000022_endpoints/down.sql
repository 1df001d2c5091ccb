DROP INDEX subscriptions_paced;
ALTER TABLE subscriptions ADD COLUMN paced_until BIGINT;
ALTER TABLE subscriptions DROP COLUMN endpoint;
DROP TABLE endpoints;
