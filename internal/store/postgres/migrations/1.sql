CREATE TABLE tokend_meta (
	name  text PRIMARY KEY,
	value text NOT NULL
);

-- How often grants were saved, by shard of their ids. A restored older copy has
-- lower counts. There are many rows so that concurrent saves rarely wait for one.
CREATE TABLE tokend_shards (
	shard smallint PRIMARY KEY,
	saves bigint NOT NULL
) WITH (fillfactor = 20);
INSERT INTO tokend_shards SELECT n, 0 FROM generate_series(0, 255) AS n;

-- A grant and its lease. A row stays when its grant is deleted, so that a revision
-- is not used twice.
CREATE TABLE tokend_grants (
	id         bytea PRIMARY KEY, -- SHA-256 of the key, which may be too long for an index
	key        bytea NOT NULL,
	shard      smallint NOT NULL, -- the first byte of the id
	revision   bigint NOT NULL DEFAULT 0,
	generation bigint NOT NULL DEFAULT 0,
	state      text NOT NULL DEFAULT '',
	saved      timestamptz,
	sealed     bytea, -- NULL: no grant
	restored   boolean NOT NULL DEFAULT false,
	owner      text, -- NULL: no lease
	ends       timestamptz,
	ttl        interval
) WITH (fillfactor = 70);
ALTER TABLE tokend_grants ALTER COLUMN sealed SET STORAGE EXTERNAL; -- sealed bytes cannot be compressed
CREATE INDEX tokend_grants_shard ON tokend_grants (shard);
