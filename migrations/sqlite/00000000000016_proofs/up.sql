-- When a device shows its credentials: once a session or in each message; and whether it proves itself by the certificate of its TLS client instead, which
-- is named in client_name.
ALTER TABLE devices ADD COLUMN client_proof TEXT NOT NULL DEFAULT 'SESSION' CHECK (client_proof IN (
    'SESSION', 'EACH_MESSAGE', 'CERTIFICATE', 'CERTIFICATE_EACH_MESSAGE'));
