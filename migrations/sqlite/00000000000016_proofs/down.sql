ALTER TABLE devices DROP COLUMN every_message;
ALTER TABLE devices DROP COLUMN client_certified;
