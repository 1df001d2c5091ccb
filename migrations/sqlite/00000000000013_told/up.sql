-- That a job's result was confirmed; when and of how many ended executions its progress was last told.
ALTER TABLE jobs ADD COLUMN acknowledgement TEXT;
ALTER TABLE jobs ADD COLUMN progress_at INTEGER;
ALTER TABLE jobs ADD COLUMN progress_ended INTEGER NOT NULL DEFAULT 0;

-- Alerts are found in the log without reading the rest of it.
ALTER TABLE events ADD COLUMN alert_type TEXT;
UPDATE events SET alert_type = json_extract(data, '$.alertType') WHERE type = 'dmwsi.v1.device-alert';
CREATE INDEX events_alerts ON events (organisation_id, number) WHERE alert_type IS NOT NULL;
CREATE INDEX events_alerts_of_device ON events (device_id, number) WHERE alert_type IS NOT NULL;

-- The number of the first event that is kept.
ALTER TABLE organisations ADD COLUMN first_event INTEGER NOT NULL DEFAULT 1;
