package postgres

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"example.com/tokend/internal/hint"
)

const keyCheck = "tokend store" // sealed in tokend_meta when the tables are made

// tables are the tables of the newest schema.
var tables = [...]string{"tokend_meta", "tokend_shards", "tokend_grants", "tokend_logins"}

//go:embed migrations/*.sql
var migrations embed.FS

// versions is the number of migrations, and the newest schema's version.
const versions = 3

// withKeyID is the version whose shards have the id of the key that seals.
const withKeyID = 3

// prepare rejects, before anything is written, what inspect rejects, and then
// brings the schema to the newest version.
func (s *Store) prepare(ctx context.Context) error {
	found, err := s.inspect(ctx, s.pool)
	if err != nil {
		return err
	}
	if found.version < versions {
		if err := s.migrate(ctx); err != nil {
			return err
		}
		if found, err = s.inspect(ctx, s.pool); err != nil { // another process may have made the tables
			return err
		}
	}
	s.id = found.id
	return s.checkRights(ctx)
}

// schema is what there is in a database.
type schema struct {
	version int // 0: no tables
	id      string
	check   []byte // the key check
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// inspect rejects tables of another program, of a newer version, damaged ones, and
// those that were sealed with another key.
func (s *Store) inspect(ctx context.Context, q querier) (schema, error) {
	found, keycheck, err := read(ctx, q)
	switch {
	case err != nil || found.version == 0:
		return found, err
	case found.version > versions:
		return found, hint.Errorf("use the version that wrote them, or a newer one",
			"postgres: the tables have schema version %d, newer than the %d that this program knows", found.version, versions)
	case found.id == "":
		return found, damaged("the id is missing")
	case keycheck == "":
		return found, damaged("the key check is missing")
	case s.seal == nil:
		return found, nil
	}
	if found.check, err = base64.StdEncoding.DecodeString(keycheck); err != nil {
		return found, damaged("the key check is not base64")
	}
	return found, s.follow(found.check, found.id)
}

// read returns what the tables say about themselves.
func read(ctx context.Context, q querier) (found schema, keycheck string, err error) {
	kinds, err := relations(ctx, q)
	if err != nil || len(kinds) == 0 {
		return found, "", err
	}
	for _, name := range tables {
		if kind, exists := kinds[name]; exists && kind != "r" && kind != "p" {
			return found, "", foreign(name, "is not a table (relkind "+kind+")")
		}
	}
	if _, exists := kinds["tokend_meta"]; !exists {
		for name := range kinds {
			return found, "", foreign(name, "exists without tokend_meta")
		}
	}
	rows, err := q.Query(ctx, `SELECT name::text, value::text FROM tokend_meta WHERE name IN ('schema', 'id', 'keycheck')`)
	meta := map[string]string{}
	var name, value string
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
			meta[name] = value
			return nil
		})
	}
	if codeOf(err) == "42703" || codeOf(err) == "42883" { // it has no such columns
		return found, "", foreign("tokend_meta", "has other columns")
	}
	if err != nil {
		return found, "", err
	}
	found.id = meta["id"]
	if found.version, err = strconv.Atoi(meta["schema"]); err != nil || found.version < 1 {
		return found, "", foreign("tokend_meta", "has no schema version")
	}
	return found, meta["keycheck"], nil
}

func foreign(table, why string) error {
	return hint.Errorf("use another database, or another schema: ALTER ROLE … SET search_path",
		"postgres: %s belongs to another program: it %s", table, why)
}

// relations returns the kinds of the existing relations with names of ours.
func relations(ctx context.Context, q querier) (map[string]string, error) {
	rows, err := q.Query(ctx, `SELECT c.relname::text, c.relkind::text FROM pg_class c JOIN unnest($1::text[]) AS t (name) ON c.oid = to_regclass(t.name)`, tables[:])
	if err != nil {
		return nil, err
	}
	kinds := map[string]string{}
	var name, kind string
	_, err = pgx.ForEachRow(rows, []any{&name, &kind}, func() error {
		kinds[name] = kind
		return nil
	})
	return kinds, err
}

// migrate brings the schema to the newest version in one transaction, which one
// process at a time runs.
func (s *Store) migrate(ctx context.Context) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('tokend ' || current_schema(), 0))`); err != nil {
			return err
		}
		found, err := s.inspect(ctx, tx) // another process may have been first
		if err != nil {
			return err
		}
		for n := found.version + 1; n <= versions; n++ {
			text, err := fs.ReadFile(migrations, "migrations/"+strconv.Itoa(n)+".sql")
			if err != nil {
				return err
			}
			if _, err := tx.Conn().PgConn().Exec(ctx, string(text)).ReadAll(); err != nil {
				return err
			}
		}
		return s.setMeta(ctx, tx, found)
	})
	if codeOf(err) == "42501" || codeOf(err) == "3F000" {
		return hint.Errorf("GRANT CREATE ON SCHEMA … TO the user, or let the schema's owner run tokend once", "postgres: no right to create the tables: %w", plain(err))
	}
	return err
}

func (s *Store) setMeta(ctx context.Context, tx pgx.Tx, found schema) error {
	meta := map[string]string{"schema": strconv.Itoa(versions)}
	if found.version == 0 {
		id := strings.ToLower(rand.Text())
		var err error
		if found.check, err = s.seal.Seal([]byte(keyCheck), "meta", "keycheck", id); err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
		meta["id"], meta["keycheck"] = id, base64.StdEncoding.EncodeToString(found.check)
	}
	if found.version < withKeyID {
		if _, err := tx.Exec(ctx, `UPDATE tokend_shards SET key_id = $1::bigint`, s.keyOf(found.check)); err != nil {
			return err
		}
	}
	for name, value := range meta {
		_, err := tx.Exec(ctx, `INSERT INTO tokend_meta VALUES ($1::text, $2::text) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
		if err != nil {
			return err
		}
	}
	return nil
}

// checkRights rejects a user that may not read and write all tables.
func (s *Store) checkRights(ctx context.Context) error {
	var right, table string
	err := s.pool.QueryRow(ctx, `
		SELECT r, t FROM unnest($1::text[]) AS t, unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS r
		WHERE (r <> 'DELETE' OR t = 'tokend_logins') AND NOT has_table_privilege(t, r) LIMIT 1`, tables[:]).Scan(&right, &table)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return hint.Errorf(rightsHint, "postgres: the user has no right to %s on %s", right, table)
}

// Check checks the store as [Open] does, while others may use it, and changes
// nothing. made is false if there are no tables yet.
func Check(ctx context.Context, url string, o Options) (made bool, err error) {
	if o.Sealer == nil {
		return false, errors.New("postgres: no sealer")
	}
	return look(ctx, url, o)
}

// Exists reports whether there is a store in the database.
func Exists(ctx context.Context, url string, o Options) (bool, error) {
	o.Sealer = nil
	return look(ctx, url, o)
}

func look(ctx context.Context, url string, o Options) (made bool, err error) {
	s, err := connect(url, o)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	found, err := s.inspect(ctx, s.pool)
	if err == nil && found.version == versions {
		err = s.checkRights(ctx)
	}
	return found.version > 0, errors.Join(opening(err), s.Close())
}
