-- Every list is read from an index in the order of its pages, whatever it is filtered by.

-- A row for each tag of a device, in step with devices.tags.
CREATE TABLE device_tags (
    organisation_id TEXT NOT NULL,
    tag TEXT NOT NULL,
    device_id TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    PRIMARY KEY (organisation_id, tag, device_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_tags_device ON device_tags (device_id);
INSERT INTO device_tags (organisation_id, tag, device_id)
SELECT DISTINCT devices.organisation_id, tags.value, devices.id FROM devices, json_each(devices.tags) AS tags;

-- A model says who made it, so only the other two pairs have an index of their own. Devices that have not called yet are in none of them.
DROP INDEX devices_kind;
CREATE INDEX devices_manufacturer ON devices (organisation_id, manufacturer, id) WHERE manufacturer IS NOT NULL;
CREATE INDEX devices_model ON devices (organisation_id, model, id) WHERE model IS NOT NULL;
CREATE INDEX devices_firmware ON devices (organisation_id, firmware_version, id) WHERE firmware_version IS NOT NULL;
CREATE INDEX devices_manufacturer_firmware ON devices (organisation_id, manufacturer, firmware_version, id)
    WHERE manufacturer IS NOT NULL AND firmware_version IS NOT NULL;
CREATE INDEX devices_model_firmware ON devices (organisation_id, model, firmware_version, id)
    WHERE model IS NOT NULL AND firmware_version IS NOT NULL;

CREATE INDEX executions_state ON executions (job_id, state, ordinal);
CREATE INDEX jobs_state ON jobs (client_id, state, id);
CREATE INDEX jobs_kind ON jobs (client_id, operation_type, id);
CREATE INDEX jobs_kind_state ON jobs (client_id, operation_type, state, id);

-- What the sweep looks for.
CREATE INDEX imports_age ON imports (updated_at);
