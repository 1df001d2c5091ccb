-- A device that proves itself by the certificate of its TLS client, which is named in client_name; and whether a device does so in every message.
ALTER TABLE devices ADD COLUMN client_certified BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE devices ADD COLUMN every_message BOOLEAN NOT NULL DEFAULT false;
