package postgres_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/postgres/pgtest"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

// backup copies the tables aside, and restore puts the copy back.
const (
	backup = `CREATE TABLE g AS SELECT * FROM tokend_grants; CREATE TABLE s AS SELECT * FROM tokend_shards`
	goBack = `BEGIN; DELETE FROM tokend_grants; INSERT INTO tokend_grants SELECT * FROM g; DELETE FROM tokend_shards; INSERT INTO tokend_shards SELECT * FROM s; COMMIT`
)

func restored(t *testing.T, s *postgres.Store, key string, want bool) {
	t.Helper()
	g, err := s.Load(t.Context(), key)
	must(t, err)
	if g.Restored != want {
		t.Errorf("grant %q has Restored %v, want %v", key, g.Restored, want)
	}
}

// TestRestored_OlderCopy: an older copy is noticed by the mark of a process that
// starts, and its grants are marked for all, also for a replica without a mark.
//
// Row F32 of docs/guarantees.md.
func TestRestored_OlderCopy(t *testing.T) {
	url, keys := cluster.URL(t), newKeys(t)
	db := pgtest.Database(t, url)
	o := postgres.Options{Sealer: keys, MarkFiles: []string{"/proc/none/mark", filepath.Join(t.TempDir(), "mark")}}
	first, err := postgres.Open(t.Context(), url, o)
	must(t, err)
	put(t, first, "a", 1)
	cluster.SQL(t, db, backup)
	put(t, first, "a", 2)
	lost := put(t, first, "a", 3)
	must(t, first.Close())
	cluster.SQL(t, db, goBack)

	s := open(t, url, o)
	restored(t, s, "a", true)
	restored(t, open(t, url, postgres.Options{Sealer: keys}), "a", true)
	// Until a person resumes or logs in. No revision is used twice.
	g, err := s.Load(t.Context(), "a")
	must(t, err)
	l, err := s.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	g.Restored = false
	must(t, s.Save(t.Context(), l, g))
	if g.Revision <= lost.Revision {
		t.Errorf("revision %d, %d was lost", g.Revision, lost.Revision)
	}
	restored(t, open(t, url, o), "a", false)
}

// TestRestored_WhileOpen: any process that knew a later state notices an older copy,
// with the saves of other processes if it watches, and marks the grants.
func TestRestored_WhileOpen(t *testing.T) {
	for name, watches := range map[string]bool{"own save": false, "save of another process": true} {
		t.Run(name, func(t *testing.T) {
			url, o := cluster.URL(t), postgres.Options{Sealer: newKeys(t)}
			db := pgtest.Database(t, url)
			s := open(t, url, o)
			put(t, s, "a", 1)
			cluster.SQL(t, db, backup)
			if watches {
				heard := watch(t, s)
				put(t, open(t, url, o), "a", 2)
				heard.await(t, "a")
			} else {
				put(t, s, "a", 2)
			}
			cluster.SQL(t, db, goBack)
			_, err := s.Load(t.Context(), "a")
			if !errors.Is(err, flow.ErrReplaced) || !strings.Contains(err.Error(), "was restored to an older state") || !strings.Contains(hint.Of(err), "tokend resume") {
				t.Errorf("Load = %v", err)
			}
			restored(t, s, "a", true)
			restored(t, open(t, url, o), "a", true)
		})
	}
}

// TestRestored_OneRow: a row that was put back by itself is noticed, too.
func TestRestored_OneRow(t *testing.T) {
	url, o := cluster.URL(t), postgres.Options{Sealer: newKeys(t)}
	s := open(t, url, o)
	put(t, s, "a", 1)
	cluster.SQL(t, pgtest.Database(t, url), backup)
	put(t, s, "a", 2)
	cluster.SQL(t, pgtest.Database(t, url), `BEGIN; DELETE FROM tokend_grants; INSERT INTO tokend_grants SELECT * FROM g; COMMIT`)
	if _, err := s.Load(t.Context(), "a"); !errors.Is(err, flow.ErrReplaced) || !strings.Contains(err.Error(), "has an older grant again") {
		t.Errorf("Load = %v", err)
	}
	restored(t, s, "a", true)
}

// TestRestored_NotByARestart: neither a restart nor a lost or damaged mark file makes
// a grant a restored one.
func TestRestored_NotByARestart(t *testing.T) {
	for name, content := range map[string]string{
		"as it was": "keep", "empty": "", "text": strings.Repeat("hello ", 1000), "huge": strings.Repeat("9999999999999999999\n", 256), "short": "000",
	} {
		t.Run(name, func(t *testing.T) {
			url, dir := cluster.URL(t), t.TempDir()
			o := postgres.Options{Sealer: newKeys(t), MarkFiles: []string{filepath.Join(dir, "mark")}}
			s, err := postgres.Open(t.Context(), url, o)
			must(t, err)
			put(t, s, "a", 1)
			must(t, s.Close())
			if content != "keep" {
				must(t, os.WriteFile(filepath.Join(dir, "mark."+s.ID()), []byte(content), 0o600))
			}
			restored(t, open(t, url, o), "a", false)
		})
	}
}

// TestReplaced_WhileOpen: every operation reports another store in the same database,
// or none.
func TestReplaced_WhileOpen(t *testing.T) {
	for _, c := range []struct{ name, change, want string }{
		{"another store", "UPDATE tokend_meta SET value = 'other' WHERE name = 'id'", "was overwritten with another store"},
		{"no tables", "DROP TABLE tokend_meta, tokend_grants, tokend_shards", "has no tables of this program any more"},
		{"other tables", "ALTER TABLE tokend_grants DROP COLUMN sealed; DROP TABLE tokend_meta", "has no tables of this program any more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := cluster.URL(t)
			s := open(t, url, postgres.Options{Sealer: newKeys(t)})
			put(t, s, "a", 1)
			l, err := s.Lock(t.Context(), "a", time.Minute)
			must(t, err)
			g, err := s.Load(t.Context(), "a")
			must(t, err)
			cluster.SQL(t, pgtest.Database(t, url), c.change)
			ctx := t.Context()
			_, loadErr := s.Load(ctx, "a")
			_, lockErr := s.Lock(ctx, "b", time.Minute)
			for op, err := range map[string]error{"Load": loadErr, "Lock": lockErr, "Save": s.Save(ctx, l, g), "Ping": s.Ping(ctx)} {
				if !errors.Is(err, flow.ErrReplaced) || !strings.Contains(err.Error(), c.want) || hint.Of(err) != "restart tokend" {
					t.Errorf("%s = %v, want ErrReplaced that says %q and a hint", op, err, c.want)
				}
			}
		})
	}
}

// TestLoad_RowsOfTheStoreChanged: what identifies the store is gone.
func TestLoad_RowsOfTheStoreChanged(t *testing.T) {
	for _, c := range []struct{ change, want string }{
		{"DELETE FROM tokend_meta WHERE name = 'id'", "has no store of this program any more"},
		{"DELETE FROM tokend_shards", "has no store of this program any more"},
	} {
		url := cluster.URL(t)
		s := open(t, url, postgres.Options{Sealer: newKeys(t)})
		put(t, s, "a", 1)
		cluster.SQL(t, pgtest.Database(t, url), c.change)
		if _, err := s.Load(t.Context(), "a"); !errors.Is(err, flow.ErrReplaced) || !strings.Contains(err.Error(), c.want) || hint.Of(err) != "restart tokend" {
			t.Errorf("%s: %v, want %q", c.change, err, c.want)
		}
	}
}

// TestOpen_UnknownShard: a row that no version has written is damage.
func TestOpen_UnknownShard(t *testing.T) {
	for _, shard := range []string{"-1", "9999"} {
		url := cluster.URL(t)
		o := postgres.Options{Sealer: newKeys(t), MarkFiles: []string{filepath.Join(t.TempDir(), "mark")}}
		must(t, open(t, url, o).Close())
		cluster.SQL(t, pgtest.Database(t, url), "UPDATE tokend_shards SET shard = "+shard+" WHERE shard = 0")
		if s, err := postgres.Open(t.Context(), url, o); err == nil || !strings.Contains(err.Error(), "unknown shard") {
			t.Errorf("shard %s: %v", shard, err)
			if s != nil {
				must(t, s.Close())
			}
		}
	}
}

// TestLease_ClockOfDatabase: an expiry that is too far away to have been written by
// this database's clock has passed.
func TestLease_ClockOfDatabase(t *testing.T) {
	url, o := cluster.URL(t), postgres.Options{Sealer: newKeys(t)}
	s := open(t, url, o)
	l, err := s.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	db := pgtest.Database(t, url)
	cluster.SQL(t, db, "UPDATE tokend_grants SET ends = ends + interval '50 s'")
	if _, err := s.Lock(t.Context(), "a", time.Minute); !errors.Is(err, flow.ErrLocked) {
		t.Errorf("Lock = %v", err)
	}
	cluster.SQL(t, db, "UPDATE tokend_grants SET ends = ends + interval '1 day'")
	if _, err := s.Lock(t.Context(), "a", time.Minute); err != nil {
		t.Errorf("Lock = %v", err)
	}
	if err := s.Save(t.Context(), l, storetest.Grant()); !errors.Is(err, flow.ErrConflict) {
		t.Errorf("Save = %v", err)
	}
}
