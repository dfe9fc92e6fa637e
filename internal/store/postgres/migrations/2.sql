-- Pending logins, of any process.
CREATE TABLE tokend_logins (
	id      bytea PRIMARY KEY, -- a hash: the login's own id is a secret
	seq     bigint NOT NULL GENERATED ALWAYS AS IDENTITY, -- the order
	key     bytea NOT NULL,    -- of the client's grant
	client  bytea NOT NULL,    -- SHA-256 of the key
	expires bigint NOT NULL,   -- Unix microseconds
	sealed  bytea NOT NULL,
	taken   text               -- by this call; NULL: not yet
);
CREATE INDEX tokend_logins_client ON tokend_logins (client);
