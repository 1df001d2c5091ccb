DROP INDEX subscriptions_paced;
ALTER TABLE subscriptions ADD COLUMN paced_until INTEGER;
ALTER TABLE subscriptions DROP COLUMN endpoint;
DROP TABLE endpoints;
