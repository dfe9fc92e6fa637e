package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/store/sqlite"
	"example.com/tokend/pkg/flow"
)

// files is a copy of a database in use: the last saves are only in the log.
type files struct{ db, wal []byte }

const lastGeneration = 6

func databaseFiles(t *testing.T, o sqlite.Options) files {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokend.db")
	first, err := sqlite.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	put(t, first, "a", 1)
	put(t, first, "b", 1)
	if err := first.Close(); err != nil { // moves the log into the database
		t.Fatal(err)
	}
	s := open(t, path, o)
	for i := int64(2); i <= lastGeneration; i++ {
		put(t, s, "a", i)
	}
	var f files
	if f.db, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if f.wal, err = os.ReadFile(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f files) write(t *testing.T, path string) {
	t.Helper()
	_ = os.Remove(path + "-shm") // the index of another log
	for name, b := range map[string][]byte{path: f.db, path + "-wal": f.wal} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// readDamaged opens a possibly damaged database: an error must be ErrCorrupt and
// keep the database unchanged, and a grant that is read must be one that was
// saved.
func readDamaged(t *testing.T, path string, o sqlite.Options, what string) (refused bool) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), path, o)
	if err != nil {
		after, readErr := os.ReadFile(path)
		if readErr != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: a refused database was changed (%v)", what, readErr)
		}
		if !acceptable(err) {
			t.Errorf("%s: Open = %v", what, err)
		}
		return true
	}
	defer func() {
		if err := s.Close(); err != nil && !acceptable(err) {
			t.Errorf("%s: Close = %v", what, err)
		}
	}()
	for _, key := range []string{"a", "b"} {
		g, err := s.Load(t.Context(), key)
		switch {
		case err != nil:
			if !errors.Is(err, flow.ErrCorrupt) {
				t.Errorf("%s: Load(%q) = %v", what, key, err)
			}
			refused = true
		case g.Generation < 1 || g.Generation > lastGeneration || key == "b" && g.Generation != 1:
			t.Errorf("%s: Load(%q) has generation %d", what, key, g.Generation)
		}
	}
	return refused
}

// acceptable reports whether err is possible for a file with a damaged first
// page: it can look like another program's or another version's.
func acceptable(err error) bool {
	for _, s := range []string{"another program", "newer than", "another keyset"} {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return errors.Is(err, flow.ErrCorrupt)
}

// TestDamage_DatabaseTruncated tests row F19 of docs/guarantees.md.
func TestDamage_DatabaseTruncated(t *testing.T) {
	o := sqlite.Options{Sealer: newKeys(t)}
	f := databaseFiles(t, o)
	path := filepath.Join(t.TempDir(), "tokend.db")
	f.write(t, path)
	for n := len(f.db) - 1; n >= 0; n-- {
		if n%4096 != 0 { // a rejected database is unchanged, so it need not be written again
			must(t, os.Truncate(path, int64(n)))
		} else {
			files{db: f.db[:n]}.write(t, path)
		}
		if !readDamaged(t, path, o, fmt.Sprintf("%d of %d bytes", n, len(f.db))) {
			t.Errorf("the first %d of %d bytes were taken for the whole", n, len(f.db))
		}
	}
	files{db: f.db}.write(t, path)
	if readDamaged(t, path, o, "all") {
		t.Error("the whole database was refused")
	}
}

// TestDamage_LogTruncated tests row F19 of docs/guarantees.md.
func TestDamage_LogTruncated(t *testing.T) {
	o := sqlite.Options{Sealer: newKeys(t)}
	f := databaseFiles(t, o)
	path := filepath.Join(t.TempDir(), "tokend.db")
	const header, frame = 32, 24 + 4096
	for n := 0; n <= len(f.wal); n++ {
		if at := (n - header) % frame; n > header && at > 2 && at < frame-2 && at%389 != 0 {
			continue // the edges of each frame, and some points inside
		}
		files{db: f.db, wal: f.wal[:n]}.write(t, path)
		if readDamaged(t, path, o, fmt.Sprintf("log of %d bytes", n)) {
			t.Errorf("log of %d of %d bytes: refused, want an earlier generation", n, len(f.wal))
		}
	}
}

// TestDamage_BytesChanged tests row F19 of docs/guarantees.md.
func TestDamage_BytesChanged(t *testing.T) {
	o := sqlite.Options{Sealer: newKeys(t)}
	f := databaseFiles(t, o)
	path := filepath.Join(t.TempDir(), "tokend.db")
	r := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range 500 {
		bad := files{db: bytes.Clone(f.db)}
		at, bit := r.IntN(len(bad.db)), byte(1)<<r.IntN(8)
		bad.db[at] ^= bit
		bad.write(t, path)
		if readDamaged(t, path, o, fmt.Sprintf("byte %d ^ %#x", at, bit)) {
			refused++
		}
	}
	if refused == 0 {
		t.Error("no change was noticed") // most changes hit free space
	}
}

// TestDamage_NotADatabase tests row F19 of docs/guarantees.md.
func TestDamage_NotADatabase(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "text": "hello", "page of zeros": string(make([]byte, 4096)),
		"page of text": strings.Repeat("grant ", 4096)[:8192],
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tokend.db")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := sqlite.Open(t.Context(), path, sqlite.Options{Sealer: newKeys(t)})
			if !errors.Is(err, flow.ErrCorrupt) && (err == nil || !strings.Contains(err.Error(), "another program")) {
				t.Errorf("Open = %v, want ErrCorrupt", err)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != content {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
}

func TestDamage_DatabaseDeletedLogLeft(t *testing.T) {
	o := sqlite.Options{Sealer: newKeys(t)}
	f := databaseFiles(t, o)
	path := filepath.Join(t.TempDir(), "tokend.db")
	f.write(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), path, o); !errors.Is(err, flow.ErrCorrupt) {
		t.Errorf("Open = %v, want ErrCorrupt", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a new database was made next to the log of the old one")
	}
}

// change runs SQL without the store.
func change(t testing.TB, path, query string, args ...any) {
	t.Helper()
	name := url.URL{Scheme: "file", Path: path}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// lockDatabase blocks writes to the database until unlock is called.
func lockDatabase(t *testing.T, path string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	must(t, err)
	return func() { must(t, db.Close()) } // rolls back
}

func TestOpen_Rejected(t *testing.T) {
	for _, c := range []struct{ name, query, want string }{
		{"newer schema", "PRAGMA user_version = 99", "schema version 99"},
		{"another program's", "PRAGMA application_id = 1", "another program"},
		{"no schema", "PRAGMA user_version = 0", "another program"},
		{"no key check", "DELETE FROM meta WHERE name = 'keycheck'", "key check is missing"},
		{"no id", "DELETE FROM meta WHERE name = 'id'", "its id is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := sqlite.Options{Sealer: newKeys(t)}
			path := closedDatabase(t, o)
			change(t, path, c.query)
			refusedUnchanged(t, path, o, c.want)
		})
	}
	t.Run("another keyset", func(t *testing.T) {
		path := closedDatabase(t, sqlite.Options{Sealer: newKeys(t)})
		refusedUnchanged(t, path, sqlite.Options{Sealer: newKeys(t)}, "sealed with another keyset")
	})
}

func closedDatabase(t *testing.T, o sqlite.Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokend.db")
	s, err := sqlite.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", 1)
	put(t, s, "b", 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func refusedUnchanged(t *testing.T, path string, o sqlite.Options, want string) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = sqlite.Open(t.Context(), path, o)
	if err == nil || !strings.Contains(err.Error(), want) || hint.Of(err) == "" {
		t.Errorf("Open = %v, want %q and a hint", err, want)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the refused database was changed (%v)", err)
	}
}

// TestDamage_RowsMoved moves sealed grants inside the file: none opens at another
// place, and other grants are not affected.
func TestDamage_RowsMoved(t *testing.T) {
	for _, c := range []struct{ name, query string }{
		{"another key's", "UPDATE grants SET sealed = (SELECT sealed FROM grants WHERE key = 'b') WHERE key = 'a'"},
		{"whole row of another key", "UPDATE grants SET (revision, generation, sealed) = (SELECT revision, generation, sealed FROM grants WHERE key = 'b') WHERE key = 'a'"},
		{"another generation", "UPDATE grants SET generation = generation + 1 WHERE key = 'a'"},
		{"another revision", "UPDATE grants SET revision = revision + 1 WHERE key = 'a'"},
		{"cut", "UPDATE grants SET sealed = substr(sealed, 1, length(sealed) - 1) WHERE key = 'a'"},
		{"emptied", "UPDATE grants SET sealed = x'' WHERE key = 'a'"},
		{"the key check", "UPDATE grants SET sealed = (SELECT value FROM meta WHERE name = 'keycheck') WHERE key = 'a'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := sqlite.Options{Sealer: newKeys(t)}
			path := closedDatabase(t, o)
			change(t, path, c.query)
			s := open(t, path, o)
			if _, err := s.Load(t.Context(), "a"); !errors.Is(err, flow.ErrCorrupt) || !errors.Is(err, seal.ErrOpen) {
				t.Errorf("Load = %v, want ErrCorrupt because it does not open", err)
			}
			if _, err := s.Load(t.Context(), "b"); err != nil {
				t.Errorf("Load of the neighbour = %v", err)
			}
		})
	}
}

func TestSave_Canceled_ChangesNothing(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "tokend.db"), sqlite.Options{Sealer: newKeys(t)})
	g := put(t, s, "a", 1)
	l, err := s.Lock(t.Context(), "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.Generation = 2
	if err := s.Save(ctx, l, g); !errors.Is(err, context.Canceled) {
		t.Errorf("Save = %v, want context.Canceled", err)
	}
	if got, err := s.Load(t.Context(), "a"); err != nil || got.Generation != 1 {
		t.Errorf("Load = %v, %v; want generation 1", got, err)
	}
	if err := s.Save(t.Context(), l, g); err != nil {
		t.Errorf("Save afterwards = %v", err)
	}
}

func TestPing(t *testing.T) {
	s, err := sqlite.Open(t.Context(), ":memory:", sqlite.Options{Sealer: newKeys(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping = %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s.Ping(t.Context()) == nil {
		t.Error("Ping of a closed store = nil")
	}
}
