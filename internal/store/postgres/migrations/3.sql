-- The id of the key that seals, as in the key check: a statement that seals locks
-- its shard's row with the key that it used. It is set with the key check.
ALTER TABLE tokend_shards ADD COLUMN key_id bigint NOT NULL DEFAULT 0;
