DROP INDEX subscriptions_rate;
DROP INDEX subscriptions_allowed_rate;
ALTER TABLE subscriptions ADD COLUMN paced_until INTEGER;
ALTER TABLE subscriptions DROP COLUMN endpoint;
DROP TABLE turns;
DROP TABLE endpoints;
