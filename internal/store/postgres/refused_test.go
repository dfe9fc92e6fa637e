package postgres_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/postgres/pgtest"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

// as returns the URL with another user.
func as(url, user string) string { return strings.Replace(url, "postgres@", user+"@", 1) }

// content returns everything that a refused Open could have changed: the relations
// with their rows.
func content(t *testing.T, url string) string {
	t.Helper()
	db := pgtest.Database(t, url)
	text := cluster.SQL(t, db, `SELECT relname, relkind FROM pg_class WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname !~ '^(pg_|information)') ORDER BY 1`)
	for _, table := range []string{"tokend_meta", "tokend_shards", "tokend_grants", "tokend_logins"} {
		if strings.Contains(text, table+"|r") {
			text += cluster.SQL(t, db, "SELECT md5(string_agg(r::text, ',' ORDER BY r::text)) FROM "+table+" r")
		}
	}
	return text
}

// TestOpen_Rejected: what a person must fix is one clear error with a hint, and
// nothing is written.
func TestOpen_Rejected(t *testing.T) {
	cluster.URL(t) // skips without a cluster
	for _, role := range []string{"noright", "reader", "rw"} {
		cluster.SQL(t, "postgres", "CREATE ROLE "+role+" LOGIN")
	}
	keys := newKeys(t)
	made := func(change string) func(t *testing.T, url string) {
		return func(t *testing.T, url string) {
			s, err := postgres.Open(t.Context(), url, postgres.Options{Sealer: keys})
			must(t, err)
			put(t, s, "a", 1)
			must(t, s.Close())
			if change != "" {
				cluster.SQL(t, pgtest.Database(t, url), change)
			}
		}
	}
	run := func(change string) func(t *testing.T, url string) {
		return func(t *testing.T, url string) { cluster.SQL(t, pgtest.Database(t, url), change) }
	}
	for _, c := range []struct {
		name, user, want string
		prepare          func(t *testing.T, url string)
	}{
		{"no right to create", "noright", "no right to create the tables: permission denied for schema public", nil},
		{"no right to read", "noright", "permission denied for table tokend_meta", made("")},
		{"no right to write", "reader", "the user has no right to INSERT on tokend_meta", made("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")},
		{"no right to one table", "rw", "no right to UPDATE on tokend_grants", made(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO rw; REVOKE UPDATE ON tokend_grants FROM rw`)},
		{"unknown user", "nobody", `role "nobody" does not exist`, nil},
		{"unknown database", "", `database "none" does not exist`, nil},
		{"newer schema", "", "schema version 99, newer than", made("UPDATE tokend_meta SET value = '99' WHERE name = 'schema'")},
		{"no id", "", "the id is missing", made("DELETE FROM tokend_meta WHERE name = 'id'")},
		{"no key check", "", "the key check is missing", made("DELETE FROM tokend_meta WHERE name = 'keycheck'")},
		{"key check of another store", "", "sealed with another keyset", made("UPDATE tokend_meta SET value = 'x' WHERE name = 'id'")},
		{"table of another program", "", "tokend_grants belongs to another program: it exists without tokend_meta", run("CREATE TABLE tokend_grants (id int)")},
		{"meta of another program", "", "tokend_meta belongs to another program: it has other columns", run("CREATE TABLE tokend_meta (id int)")},
		{"meta with our columns", "", "tokend_meta belongs to another program: it has no schema version", run("CREATE TABLE tokend_meta (name text, value text)")},
		{"view", "", "tokend_meta belongs to another program: it is not a table (relkind v)", run("CREATE VIEW tokend_meta AS SELECT 'schema' AS name, '1' AS value")},
		{"read-only", "", "the database is read-only", func(t *testing.T, url string) {
			run("ALTER DATABASE "+pgtest.Database(t, url)+" SET default_transaction_read_only = on")(t, url)
		}},
		{"read-only with tables", "", "the database is read-only", func(t *testing.T, url string) {
			made("")(t, url)
			run("ALTER DATABASE "+pgtest.Database(t, url)+" SET default_transaction_read_only = on")(t, url)
		}},
		{"unknown parameter", "", `unrecognized configuration parameter "nope"`, nil},
		{"shards missing", "", "tokend_shards has 255 rows", made("DELETE FROM tokend_shards WHERE shard = 7")},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := cluster.URL(t)
			if c.prepare != nil {
				c.prepare(t, url)
			}
			before := content(t, url)
			at := url
			if c.user != "" {
				at = as(url, c.user)
			}
			if c.name == "unknown database" {
				at = strings.Replace(url, pgtest.Database(t, url), "none", 1)
			}
			if c.name == "unknown parameter" {
				at = strings.Replace(url, "?", "?nope=1&", 1)
			}
			s, err := postgres.Open(t.Context(), at, postgres.Options{Sealer: keys})
			if err == nil {
				_ = s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || hint.Of(err) == "" || strings.Contains(err.Error(), "\n") || errors.Is(err, postgres.ErrUnreachable) {
				t.Errorf("Open = %v (hint: %s), want %q, a hint, one line", err, hint.Of(err), c.want)
			}
			if after := content(t, url); after != before {
				t.Errorf("was %s\nis  %s", before, after)
			}
		})
	}
	t.Run("another keyset", func(t *testing.T) {
		url := cluster.URL(t)
		made("")(t, url)
		before := content(t, url)
		for name, open := range map[string]func() error{
			"Open": func() error {
				_, err := postgres.Open(t.Context(), url, postgres.Options{Sealer: newKeys(t)})
				return err
			},
			"Check": func() error {
				_, err := postgres.Check(t.Context(), url, postgres.Options{Sealer: newKeys(t)})
				return err
			},
		} {
			if err := open(); err == nil || !strings.Contains(err.Error(), "sealed with another keyset") || !strings.Contains(hint.Of(err), "all replicas") {
				t.Errorf("%s = %v", name, err)
			}
		}
		if after := content(t, url); after != before {
			t.Errorf("was %s\nis  %s", before, after)
		}
	})
}

// TestOpen_WithoutRightToCreate: a user who may not create tables uses those that
// another one has made.
func TestOpen_WithoutRightToCreate(t *testing.T) {
	url, keys := cluster.URL(t), newKeys(t)
	cluster.SQL(t, "postgres", "CREATE ROLE writer LOGIN")
	open(t, url, postgres.Options{Sealer: keys})
	cluster.SQL(t, pgtest.Database(t, url), "GRANT SELECT, INSERT, UPDATE ON tokend_meta, tokend_shards, tokend_grants TO writer; GRANT SELECT, INSERT, UPDATE, DELETE ON tokend_logins TO writer")
	s := open(t, as(url, "writer"), postgres.Options{Sealer: keys})
	put(t, s, "a", 1)
	must(t, s.Delete(t.Context(), "a"))
	must(t, s.Ping(t.Context()))
}

// TestOpen_Unreachable: a database that does not answer may answer later.
func TestOpen_Unreachable(t *testing.T) {
	silent := listenSilently(t)
	for name, url := range map[string]string{
		"refused": "postgres://u:canary@127.0.0.1:1/db", "silent": "postgres://u@" + silent + "/db?connect_timeout=1&sslmode=disable",
		"no socket": "postgres://u@/db?host=" + t.TempDir(), "both": "postgres://u@127.0.0.1:1,127.0.0.1:2/db",
	} {
		start := time.Now()
		_, err := postgres.Open(t.Context(), url, postgres.Options{Sealer: newKeys(t)})
		if !errors.Is(err, postgres.ErrUnreachable) || hint.Of(err) == "" || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
		if made, err := postgres.Check(t.Context(), url, postgres.Options{Sealer: newKeys(t)}); made || !errors.Is(err, postgres.ErrUnreachable) {
			t.Errorf("%s: Check = %v, %v", name, made, err)
		}
	}
}

// A database without TLS: the URL is to be corrected, not the network.
func TestOpen_WithoutTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(c, make([]byte, 8)) // SSLRequest
			_, _ = c.Write([]byte("N"))
			_ = c.Close()
		}
	}()
	defer func() { must(t, l.Close()); <-ended }()
	_, err = postgres.Open(t.Context(), "postgres://u:canary@"+l.Addr().String()+"/db?sslmode=require", postgres.Options{Sealer: newKeys(t)})
	if err == nil || !strings.Contains(hint.Of(err), "sslmode") || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v (%s)", err, hint.Of(err))
	}
}

func TestCheckURL(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://u:canary@h/db?sslmode=no": "sslmode is invalid", "postgres://u:canary@h/db?pool_max_conns=x": "cannot parse pool_max_conns: strconv",
		"postgres://u:canary@h/db?pool_max_conns=0": "not valid: pool_max_conns too small", "postgres://u:canary@h:99999999/db": "not valid: invalid port",
		"postgres://u:canary@h/db?sslmode=verify-full&sslrootcert=/none.pem": "/none.pem",
	} {
		err := postgres.CheckURL(url)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") || hint.Of(err) == "" {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"postgres://u@h1:5432,h2/db?sslmode=verify-full&listen=h3:5432&pool_max_conns=9", "postgresql:///db?host=/run/postgresql"} {
		must(t, postgres.CheckURL(url))
	}
}

func TestCheck(t *testing.T) {
	url, o := cluster.URL(t), postgres.Options{Sealer: newKeys(t)}
	for range 2 {
		if made, err := postgres.Check(t.Context(), url, o); made || err != nil {
			t.Errorf("an empty database: %v, %v", made, err)
		}
	}
	s := open(t, url, o)
	put(t, s, "a", 1)
	before := content(t, url)
	if made, err := postgres.Check(t.Context(), url, o); !made || err != nil {
		t.Errorf("%v, %v", made, err)
	}
	if made, err := postgres.Exists(t.Context(), url, postgres.Options{}); !made || err != nil {
		t.Errorf("Exists = %v, %v", made, err)
	}
	if after := content(t, url); after != before {
		t.Errorf("was %s\nis  %s", before, after)
	}
}

// TestPassword: the password of the options replaces that of the URL, and PGPASSFILE
// is read without one.
func TestPassword(t *testing.T) {
	c := pgtest.New(t, "password_encryption=scram-sha-256")
	c.SQL(t, "postgres", "ALTER ROLE postgres PASSWORD 'canary'")
	must(t, c.RequirePassword())
	url := c.DSN("postgres")
	withPassword := strings.Replace(url, "postgres@", "postgres:wrong@", 1)
	keys := newKeys(t)
	try := func(url, password, want string) {
		t.Helper()
		s, err := postgres.Open(t.Context(), url, postgres.Options{Sealer: keys, Password: password})
		if err == nil {
			_ = s.Close()
		}
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || hint.Of(err) == "" || strings.Contains(err.Error(), "canary")) {
			t.Errorf("%q: %v, want %q", password, err, want)
		}
	}
	try(url, "", "password authentication failed")
	try(url, "other", "password authentication failed")
	try(withPassword, "", "password authentication failed")
	try(withPassword, "canary", "")
	file := filepath.Join(t.TempDir(), "pgpass")
	must(t, os.WriteFile(file, []byte("127.0.0.1:"+strconv.Itoa(c.Port)+":*:postgres:canary\n"), 0o600))
	t.Setenv("PGPASSFILE", file)
	try(url, "", "")
}

// TestDamage_RowsMoved moves sealed grants inside the database: none opens at
// another place, and other grants are not affected.
func TestDamage_RowsMoved(t *testing.T) {
	const other = `(SELECT sealed FROM tokend_grants WHERE key = 'b')`
	for _, c := range []struct{ name, query string }{
		{"another key's", "UPDATE tokend_grants SET sealed = " + other + " WHERE key = 'a'"},
		{"whole row of another key", "UPDATE tokend_grants SET (revision, generation, sealed) = (SELECT revision, generation, sealed FROM tokend_grants WHERE key = 'b') WHERE key = 'a'"},
		{"another generation", "UPDATE tokend_grants SET generation = generation + 1 WHERE key = 'a'"},
		{"another revision", "UPDATE tokend_grants SET revision = revision + 1 WHERE key = 'a'"},
		{"cut", "UPDATE tokend_grants SET sealed = substr(sealed, 1, length(sealed) - 1) WHERE key = 'a'"},
		{"emptied", "UPDATE tokend_grants SET sealed = '' WHERE key = 'a'"},
		{"the key check", "UPDATE tokend_grants SET sealed = (SELECT decode(value, 'base64') FROM tokend_meta WHERE name = 'keycheck') WHERE key = 'a'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, o := cluster.URL(t), postgres.Options{Sealer: newKeys(t)}
			s := open(t, url, o)
			put(t, s, "a", 1)
			put(t, s, "b", 1)
			cluster.SQL(t, pgtest.Database(t, url), c.query)
			if _, err := s.Load(t.Context(), "a"); !errors.Is(err, flow.ErrCorrupt) || !errors.Is(err, seal.ErrOpen) {
				t.Errorf("Load = %v, want ErrCorrupt because it does not open", err)
			}
			if _, err := s.Load(t.Context(), "b"); err != nil {
				t.Errorf("Load of the neighbour = %v", err)
			}
		})
	}
}

func TestSave_Errors(t *testing.T) {
	url := cluster.URL(t)
	s := open(t, url, postgres.Options{Sealer: newKeys(t)})
	g := put(t, s, "a", 1)
	l, err := s.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	odd := *g
	odd.LoggedIn = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) // has no JSON form
	if err := s.Save(t.Context(), l, &odd); err == nil || !strings.Contains(err.Error(), `postgres: save "a": `) {
		t.Errorf("Save of a grant that cannot be written = %v", err)
	}
	if got, err := s.Load(t.Context(), "a"); err != nil || got.Revision != g.Revision {
		t.Errorf("Load = %v, %v; want the grant as it was", got, err)
	}
	cluster.SQL(t, pgtest.Database(t, url), "DELETE FROM tokend_grants WHERE key = 'a'")
	if err := s.Save(t.Context(), l, g); !errors.Is(err, flow.ErrConflict) || !strings.Contains(err.Error(), "the lease was lost") {
		t.Errorf("Save of a deleted row = %v, want ErrConflict", err)
	}
}

// TestSave_StoreReplaced: the first operation after the store was replaced is a save.
func TestSave_StoreReplaced(t *testing.T) {
	url := cluster.URL(t)
	s := open(t, url, postgres.Options{Sealer: newKeys(t)})
	g := put(t, s, "a", 1)
	l, err := s.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	cluster.SQL(t, pgtest.Database(t, url), "UPDATE tokend_meta SET value = 'other' WHERE name = 'id'; UPDATE tokend_grants SET owner = 'other'")
	if err := s.Save(t.Context(), l, g); !errors.Is(err, flow.ErrReplaced) {
		t.Errorf("Save = %v, want ErrReplaced", err)
	}
}

// TestLoad_SealedButNotAGrant: sealed data that is not a grant is damaged, and
// the error does not quote it.
func TestLoad_SealedButNotAGrant(t *testing.T) {
	url, keys := cluster.URL(t), newKeys(t)
	s := open(t, url, postgres.Options{Sealer: keys})
	g := put(t, s, "a", 1)
	sealed, err := keys.Seal([]byte(`"canary"`), "grants", "sealed", "a", strconv.FormatInt(g.Revision, 10), strconv.FormatInt(g.Generation, 10))
	must(t, err)
	cluster.SQL(t, pgtest.Database(t, url), "UPDATE tokend_grants SET sealed = decode('"+hex.EncodeToString(sealed)+"', 'hex') WHERE key = 'a'")
	if _, err := s.Load(t.Context(), "a"); !errors.Is(err, flow.ErrCorrupt) || !strings.Contains(err.Error(), "it is not a grant") || strings.Contains(err.Error(), "canary") {
		t.Errorf("Load = %v, want ErrCorrupt without the content", err)
	}
}

// TestLogins_Damaged: a row that does not open, or does not hold a login, is damaged, and the
// error does not quote it.
func TestLogins_Damaged(t *testing.T) {
	url, keys := cluster.URL(t), newKeys(t)
	s := open(t, url, postgres.Options{Sealer: keys})
	odd := storetest.PendingLogin("a", "odd", time.Now())
	odd.Started = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) // has no JSON form
	if err := s.KeepLogin(t.Context(), odd); err == nil || !strings.Contains(err.Error(), `postgres: keep a login of "a": `) {
		t.Errorf("KeepLogin of a login that cannot be written = %v", err)
	}
	l := storetest.PendingLogin("a", "state", time.Now())
	must(t, s.KeepLogin(t.Context(), l))
	id := sha256.Sum256([]byte("login\x00" + l.Login.ID()))
	sealed, err := keys.Seal([]byte(`"canary"`), "logins", "sealed", hex.EncodeToString(id[:]), "a", strconv.FormatInt(l.Login.Expires.UnixMicro(), 10))
	must(t, err)
	for _, c := range []struct{ sealed, want string }{
		{"decode('" + hex.EncodeToString(sealed) + "', 'hex')", "it is not a login"},
		{"substr(sealed, 1, 30)", seal.ErrOpen.Error()},
	} {
		cluster.SQL(t, pgtest.Database(t, url), "UPDATE tokend_logins SET sealed = "+c.sealed)
		if _, err := s.TakeLogin(t.Context(), "a", l.Login.ID()); !errors.Is(err, flow.ErrCorrupt) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("TakeLogin = %v, want ErrCorrupt because %s", err, c.want)
		}
		if list, err := s.PendingLogins(t.Context(), "a"); err != nil || len(list) != 0 {
			t.Errorf("PendingLogins = %d, %v", len(list), err)
		}
	}
}

// failing does not seal.
type failing struct{ *seal.Keyset }

var errBroken = errors.New("no sealing today")

func (failing) Seal([]byte, ...string) ([]byte, error) { return nil, errBroken }

// TestOpen_SealerFails: no tables are made without a key check.
func TestOpen_SealerFails(t *testing.T) {
	url := cluster.URL(t)
	if _, err := postgres.Open(t.Context(), url, postgres.Options{Sealer: failing{newKeys(t)}}); !errors.Is(err, errBroken) {
		t.Errorf("Open = %v, want the sealer's error", err)
	}
	if made, err := postgres.Exists(t.Context(), url, postgres.Options{}); made || err != nil {
		t.Errorf("Exists = %v, %v", made, err)
	}
	if made, err := postgres.Check(t.Context(), url, postgres.Options{}); made || err == nil || !strings.Contains(err.Error(), "no sealer") {
		t.Errorf("Check without a sealer = %v, %v", made, err)
	}
}
