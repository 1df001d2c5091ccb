DROP TABLE session_messages;
DROP TABLE session_records;
ALTER TABLE devices DROP COLUMN traced_bytes;
ALTER TABLE devices DROP COLUMN traced_messages;
ALTER TABLE devices DROP COLUMN traced_until;
