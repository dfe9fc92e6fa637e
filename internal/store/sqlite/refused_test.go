package sqlite_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/store/sqlite"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

// failing is a keyset that fails to seal once it is broken.
type failing struct {
	*seal.Keyset
	broken bool
}

var errBroken = errors.New("no sealing today")

func (f *failing) Seal(plain []byte, place ...string) ([]byte, error) {
	if f.broken {
		return nil, errBroken
	}
	return f.Keyset.Seal(plain, place...)
}

// openFails checks for an error of Open with that text.
func openFails(t *testing.T, path string, o sqlite.Options, want string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, o)
	if err == nil {
		_ = s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Open = %v, want %q", err, want)
	}
}

func TestOpen_Errors(t *testing.T) {
	o, dir := sqlite.Options{Sealer: newKeys(t)}, t.TempDir()
	path := filepath.Join(dir, "tokend.db")
	openFails(t, path, sqlite.Options{}, "no sealer")
	openFails(t, path, sqlite.Options{Sealer: &failing{newKeys(t), true}}, errBroken.Error())
	openFails(t, filepath.Join(dir, "none", "tokend.db"), o, "sqlite: open "+filepath.Join(dir, "none", ".tokend.db-"))
	openFails(t, filepath.Join(dir, strings.Repeat("n", 300)), o, "file name too long")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%v (%v) afterwards, want nothing", entries, err)
	}
	t.Run("no place for the mark", func(t *testing.T) {
		path := closedDatabase(t, o)
		must(t, os.Remove(path+".mark"))
		must(t, os.Mkdir(path+".mark", 0o700))
		openFails(t, path, o, "sqlite: mark file: open "+path+".mark: is a directory")
	})
	t.Run("no place for the life files", func(t *testing.T) {
		long := filepath.Join(t.TempDir(), strings.Repeat("n", 250)) // too long with ".alive", not with "-wal"
		must(t, os.Rename(closedDatabase(t, o), long))
		openFails(t, long, o, "sqlite: mkdir "+long+".alive: file name too long")
	})
}

// TestMigrate_Fails: the database does not change.
func TestMigrate_Fails(t *testing.T) {
	b, err := os.ReadFile("../testdata/v1/tokend.db")
	must(t, err)
	path := filepath.Join(t.TempDir(), "tokend.db")
	must(t, os.WriteFile(path, b, 0o600))
	text, err := os.ReadFile("../testdata/v1/keyset.json")
	must(t, err)
	keys, err := seal.Parse(string(text))
	must(t, err)
	sealer := &failing{keys, true}
	openFails(t, path, sqlite.Options{Sealer: sealer}, "sqlite: migrate: "+errBroken.Error())
	sealer.broken = false
	s := open(t, path, sqlite.Options{Sealer: sealer})
	g := storetest.Grant()
	if _, err := s.Load(t.Context(), flow.GrantKey(g.Issuer, g.ClientID, "saved")); err != nil {
		t.Errorf("Load afterwards = %v", err)
	}
}

// TestLock_AliveFileCannotBeCreated: without an alive file no lease is taken.
func TestLock_AliveFileCannotBeCreated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokend.db")
	s := open(t, path, sqlite.Options{Sealer: newKeys(t)})
	must(t, os.RemoveAll(path+".alive"))
	if _, err := s.Lock(t.Context(), "a", time.Minute); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Lock = %v, want fs.ErrNotExist", err)
	}
}

func TestSave_Errors(t *testing.T) {
	sealer := &failing{Keyset: newKeys(t)}
	s := open(t, ":memory:", sqlite.Options{Sealer: sealer})
	g := put(t, s, "a", 1)
	l, err := s.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	odd := *g
	odd.LoggedIn = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) // has no JSON form
	if err := s.Save(t.Context(), l, &odd); err == nil || !strings.Contains(err.Error(), `sqlite: save "a": `) {
		t.Errorf("Save of a grant that cannot be written = %v", err)
	}
	sealer.broken = true
	if err := s.Save(t.Context(), l, g); !errors.Is(err, errBroken) {
		t.Errorf("Save = %v, want the sealer's error", err)
	}
	if got, err := s.Load(t.Context(), "a"); err != nil || got.Revision != g.Revision || !got.LoggedIn.Equal(g.LoggedIn) {
		t.Errorf("Load = %v, %v; want the grant as it was", got, err)
	}
}

// TestLoad_SealedButNotAGrant: sealed data that is not a grant is damaged, and
// the error does not quote it.
func TestLoad_SealedButNotAGrant(t *testing.T) {
	keys := newKeys(t)
	path := closedDatabase(t, sqlite.Options{Sealer: keys})
	s := open(t, path, sqlite.Options{Sealer: keys})
	g, err := s.Load(t.Context(), "a")
	must(t, err)
	sealed, err := keys.Seal([]byte(`"canary"`), "grants", "sealed", "a", strconv.FormatInt(g.Revision, 10), strconv.FormatInt(g.Generation, 10))
	must(t, err)
	change(t, path, `UPDATE grants SET sealed = ? WHERE key = 'a'`, sealed)
	if _, err := s.Load(t.Context(), "a"); !errors.Is(err, flow.ErrCorrupt) || strings.Contains(err.Error(), "canary") {
		t.Errorf("Load = %v, want ErrCorrupt without the content", err)
	}
}

// TestReplaced_OlderRow: only one row is older.
func TestReplaced_OlderRow(t *testing.T) {
	o := sqlite.Options{Sealer: newKeys(t)}
	path := closedDatabase(t, o)
	change(t, path, `CREATE TABLE older AS SELECT * FROM grants`)
	s := open(t, path, o)
	put(t, s, "a", 2)
	change(t, path, `DELETE FROM grants WHERE key = 'a'`)
	change(t, path, `INSERT INTO grants SELECT * FROM older WHERE key = 'a'`)
	if _, err := s.Load(t.Context(), "a"); !errors.Is(err, flow.ErrReplaced) || !strings.Contains(err.Error(), "has an older grant again") {
		t.Errorf("Load = %v, want ErrReplaced", err)
	}
}

// TestLoad_DirectoryBecameAFile: the file is not found, and nothing is done.
func TestLoad_DirectoryBecameAFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	must(t, os.Mkdir(dir, 0o700))
	s := open(t, filepath.Join(dir, "tokend.db"), sqlite.Options{Sealer: newKeys(t)})
	put(t, s, "a", 1)
	must(t, os.Rename(dir, dir+".old"))
	must(t, os.WriteFile(dir, nil, 0o600))
	if _, err := s.Load(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("Load = %v, want the system's error", err)
	}
}

func TestCheck(t *testing.T) {
	o := sqlite.Options{Sealer: newKeys(t)}
	check := func(path string) error { return sqlite.Check(context.Background(), path, o.Sealer) }
	if err := check(filepath.Join(t.TempDir(), "tokend.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Check of none = %v, want fs.ErrNotExist", err)
	}
	path := closedDatabase(t, o)
	must(t, check(path))
	newer := closedDatabase(t, o)
	change(t, newer, "PRAGMA user_version = 99")
	if err := check(newer); err == nil || !strings.Contains(err.Error(), "schema version 99") {
		t.Errorf("Check of a newer version = %v, want it refused", err)
	}
	for _, size := range []int64{5000, 0} {
		must(t, os.Truncate(path, size))
		if err := check(path); !errors.Is(err, flow.ErrCorrupt) || !strings.Contains(err.Error(), "not one of whole pages") {
			t.Errorf("Check of %d bytes = %v, want ErrCorrupt", size, err)
		}
	}
}
