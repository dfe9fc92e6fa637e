package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"example.com/tokend/pkg/flow"
)

// migration changes the schema from one user_version to the next.
type migration struct {
	sql  string
	fill func(ctx context.Context, s *Store, tx *sql.Tx) error // called after sql; may be nil
}

// migrations are all migrations; the first one creates the schema. A revision is
// never used twice, so that a deleted and recreated grant is not mistaken for the
// previous one.
var migrations = [...]migration{
	{sql: `CREATE TABLE meta (
		name  TEXT PRIMARY KEY,
		value ANY
	) STRICT, WITHOUT ROWID;
	INSERT INTO meta VALUES ('revision', 0);
	CREATE TABLE grants (
		key        TEXT PRIMARY KEY,
		revision   INTEGER NOT NULL,
		generation INTEGER NOT NULL,
		state      TEXT NOT NULL,
		saved      REAL NOT NULL, -- Unix seconds
		sealed     BLOB NOT NULL
	) STRICT;
	CREATE TABLE leases (
		key   TEXT PRIMARY KEY,
		owner TEXT NOT NULL,
		ends  REAL NOT NULL, -- Unix seconds
		ttl   REAL NOT NULL  -- seconds
	) STRICT, WITHOUT ROWID;`},
	{
		sql: `INSERT INTO meta VALUES ('id', lower(hex(randomblob(16))));
	INSERT INTO meta SELECT 'revisions', coalesce(sum(revision), 0) FROM grants; -- the sum of them
	ALTER TABLE grants ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE leases ADD COLUMN holder TEXT NOT NULL DEFAULT ''; -- a file of alive; '' when unknown`,
		fill: changeKeys,
	},
	// Rows of an older version have 0; for those the wall clock decides.
	{sql: `ALTER TABLE leases ADD COLUMN uptime REAL NOT NULL DEFAULT 0; -- the end again, in seconds since the machine started`},
	{sql: `CREATE TABLE logins (
		id      TEXT PRIMARY KEY,
		key     TEXT NOT NULL,    -- of the client's grant
		expires INTEGER NOT NULL, -- Unix microseconds
		sealed  BLOB NOT NULL
	) STRICT; -- in the order of their rowid
	CREATE INDEX logins_key ON logins (key);`},
}

// migrate migrates the schema from a version to the newest, in one transaction.
func (s *Store) migrate(ctx context.Context, from int) error {
	if from == len(migrations) {
		return nil
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return wrap("migrate", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing after Commit
	// Another process may have migrated it.
	if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&from); err != nil {
		return wrap("migrate", err)
	}
	if from > len(migrations) {
		return tooNew(from)
	}
	for _, m := range migrations[from:] {
		if _, err := tx.ExecContext(ctx, m.sql); err != nil {
			return wrap("migrate", err)
		}
		if m.fill == nil {
			continue
		}
		if err := m.fill(ctx, s, tx); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(migrations))); err != nil {
		return wrap("migrate", err)
	}
	return wrap("migrate", tx.Commit())
}

// row is a row of grants.
type row struct {
	key                  string
	revision, generation int64
	sealed               []byte
}

// changeKeys is part of version 2: it replaces keys that are a client's name by
// [flow.GrantKey]. The seal binds a grant to its key, so the grant is sealed
// again. A row that does not open is not changed.
func changeKeys(ctx context.Context, s *Store, tx *sql.Tx) error {
	rows, err := readRows(ctx, tx)
	if err != nil {
		return wrap("migrate", err)
	}
	for _, r := range rows {
		plain, err := s.seal.Open(r.sealed, place(r.key, r.revision, r.generation)...)
		if err != nil {
			continue
		}
		var g flow.Grant
		if json.Unmarshal(plain, &g) != nil {
			continue
		}
		key := flow.GrantKey(g.Issuer, g.ClientID, r.key)
		sealed, err := s.seal.Seal(plain, place(key, r.revision, r.generation)...)
		if err != nil {
			return fmt.Errorf("sqlite: migrate: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `UPDATE grants SET key = ?, sealed = ? WHERE key = ?`, key, sealed, r.key); err != nil {
			return wrap("migrate", err)
		}
		// Keep the lease of a refresh that the older version is making.
		if _, err := tx.ExecContext(ctx, `UPDATE leases SET key = ? WHERE key = ?`, key, r.key); err != nil {
			return wrap("migrate", err)
		}
	}
	return nil
}

func readRows(ctx context.Context, tx *sql.Tx) ([]row, error) {
	found, err := tx.QueryContext(ctx, `SELECT key, revision, generation, sealed FROM grants`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }() // Err returns the error
	var rows []row
	for found.Next() {
		var r row
		if err := found.Scan(&r.key, &r.revision, &r.generation, &r.sealed); err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, found.Err()
}
