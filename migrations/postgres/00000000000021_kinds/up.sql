-- How many devices prove themselves in which way: who is not known is answered as they are, in the same shares.
CREATE INDEX devices_auth ON devices (client_auth, server_auth);

-- How often a kept message came again and was answered the same.
ALTER TABLE session_messages ADD COLUMN repeats BIGINT NOT NULL DEFAULT 0;
