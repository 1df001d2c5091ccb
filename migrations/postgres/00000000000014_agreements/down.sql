ALTER TABLE subscriptions DROP COLUMN allowed_rate;
ALTER TABLE subscriptions DROP COLUMN agreed_at;
