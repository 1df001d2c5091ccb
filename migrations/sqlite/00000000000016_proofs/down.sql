ALTER TABLE devices DROP COLUMN client_proof;
