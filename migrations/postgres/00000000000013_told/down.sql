ALTER TABLE organisations DROP COLUMN first_event;
DROP INDEX events_alerts_of_device;
DROP INDEX events_alerts;
ALTER TABLE events DROP COLUMN alert_type;
ALTER TABLE jobs DROP COLUMN progress_ended;
ALTER TABLE jobs DROP COLUMN progress_at;
ALTER TABLE jobs DROP COLUMN acknowledgement;
