-- A device that proves itself by the certificate of its TLS client, which is named in client_name; and whether a device does so in every message.
ALTER TABLE devices ADD COLUMN client_certified INTEGER NOT NULL DEFAULT false CHECK (client_certified IN (0, 1));
ALTER TABLE devices ADD COLUMN every_message INTEGER NOT NULL DEFAULT false CHECK (every_message IN (0, 1));
