package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tokend/internal/store"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

var update = flag.Bool("update", false, "write testdata/v4 again: only before this format is released")

func copyV1(t *testing.T) (dir string, keys *seal.Keyset) {
	t.Helper()
	return copyFormat(t, "v1")
}

// copyFormat copies the files of a version of the format, and returns their
// directory and keys.
func copyFormat(t *testing.T, version string) (dir string, keys *seal.Keyset) {
	t.Helper()
	dir = t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS("testdata/"+version)))
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600) // git does not keep this mode
	}))
	keys, err := store.LoadOrCreateKeyset(t.Context(), dir+"/keyset.json", "sqlite:"+dir+"/tokend.db", store.Options{})
	must(t, err)
	return dir, keys
}

// newKey returns the current key of the grant that the first format stores under
// a name.
func newKey(name string) string {
	g := storetest.Grant()
	return flow.GrantKey(g.Issuer, g.ClientID, name)
}

// TestFormat reads the files of each version: keyset, database, mark and spill.
// The keys of the first version were names of clients.
func TestFormat(t *testing.T) {
	if *update {
		writeV4(t)
	}
	for _, version := range []string{"v1", "v2", "v3", "v4"} {
		t.Run(version, func(t *testing.T) { testFormat(t, version) })
	}
}

func testFormat(t *testing.T, version string) {
	dir, keys := copyFormat(t, version)
	o := store.Options{Keys: keys, MarkFile: dir + "/keyset.json.mark"}
	for _, when := range []string{"first", "again"} {
		s := openAt(t, "sqlite:"+dir+"/tokend.db", o)
		for name, generation := range map[string]int64{"saved": 7, "spilled": 8} {
			want := storetest.Grant()
			want.Generation = generation
			got, err := s.Load(t.Context(), newKey(name))
			if err != nil {
				t.Fatalf("%s: Load(%q) = %v", when, name, err)
			}
			if !reflect.DeepEqual(oldFields(got), oldFields(want)) || got.Restored {
				t.Errorf("%s: Load(%q) = %v, want %v", when, name, got, want)
			}
			if _, err := s.Load(t.Context(), name); !errors.Is(err, flow.ErrNotFound) {
				t.Errorf("%s: Load under the former key %q = %v", when, name, err)
			}
		}
		must(t, s.Close())
	}
	s := openAt(t, "sqlite:"+dir+"/tokend.db", o)
	g, err := s.Load(t.Context(), newKey("spilled"))
	must(t, err)
	must(t, s.Save(t.Context(), lock(t, s, newKey("spilled")), g))
	if names, err := filepath.Glob(dir + "/tokend.db.spill/*"); err != nil || len(names) != 0 {
		t.Errorf("%v (%v) after the save, want no spill", names, err)
	}
}

// pendingV4 is the login in the files of version 4.
func pendingV4() flow.PendingLogin {
	return storetest.PendingLogin(newKey("saved"), "canary-state", time.Date(2126, 1, 1, 0, 0, 0, 0, time.UTC))
}

// TestFormat_PendingLogins: a pending login of the format is taken; earlier formats
// have none, and keep one after the migration.
func TestFormat_PendingLogins(t *testing.T) {
	for _, version := range []string{"v1", "v2", "v3", "v4"} {
		t.Run(version, func(t *testing.T) {
			dir, keys := copyFormat(t, version)
			s := openAt(t, "sqlite:"+dir+"/tokend.db", store.Options{Keys: keys, MarkFile: dir + "/keyset.json.mark"})
			want := pendingV4()
			if version != "v4" {
				must(t, s.KeepLogin(t.Context(), want))
			}
			got, err := s.TakeLogin(t.Context(), want.Key, "canary-state")
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("TakeLogin = %+v, %v\nwant %+v", got, err, want)
			}
		})
	}
}

// writeV4 writes the files of this version.
func writeV4(t *testing.T) {
	t.Helper()
	const dir = "testdata/v4"
	must(t, os.RemoveAll(dir))
	keys, err := store.LoadOrCreateKeyset(t.Context(), dir+"/keyset.json", "sqlite:"+dir+"/tokend.db", store.Options{})
	must(t, err)
	s := openAt(t, "sqlite:"+dir+"/tokend.db", store.Options{Keys: keys, MarkFile: dir + "/keyset.json.mark"})
	for _, name := range []string{"saved", "spilled"} {
		key, g := newKey(name), storetest.Grant()
		l := lock(t, s, key)
		must(t, s.Save(t.Context(), l, g))
		if name == "spilled" {
			g.Generation++
			must(t, s.Spill(t.Context(), key, g))
		}
		must(t, l.Release(t.Context()))
	}
	must(t, s.KeepLogin(t.Context(), pendingV4()))
	must(t, s.Close())
	must(t, os.Remove(dir+"/tokend.db.alive"))
}

// TestList_IncludesSpilledOnly lists a saved grant, a spilled one that has a row, and
// one that has none.
func TestList_IncludesSpilledOnly(t *testing.T) {
	dir, keys := copyFormat(t, "v4")
	s := openAt(t, "sqlite:"+dir+"/tokend.db", store.Options{Keys: keys, MarkFile: dir + "/keyset.json.mark"})
	g := storetest.Grant()
	must(t, s.Spill(t.Context(), "only spilled", g))
	found := map[string]int{}
	for g, err := range s.List(t.Context()) {
		must(t, err)
		found[g.Key]++
		if g.Key == "only spilled" && (g.Generation != 7 || g.State != flow.GrantUncertain || g.Revision != 0 || g.Saved.IsZero()) {
			t.Errorf("%+v", g)
		}
	}
	if want := map[string]int{newKey("saved"): 1, newKey("spilled"): 1, "only spilled": 1}; !maps.Equal(found, want) {
		t.Errorf("List = %v, want %v", found, want)
	}
}

// TestFormatV1_UnreadableRowStays checks that an unreadable row is kept, and the
// others are migrated.
func TestFormatV1_UnreadableRowStays(t *testing.T) {
	dir, keys := copyV1(t)
	change(t, dir+"/tokend.db", `INSERT INTO grants SELECT 'bad', revision, generation, state, saved, sealed FROM grants WHERE key = 'saved'`)
	s := open(t, "sqlite:"+dir+"/tokend.db", keys)
	_, err := s.Load(t.Context(), newKey("saved"))
	must(t, err)
	if _, err := s.Load(t.Context(), newKey("bad")); !errors.Is(err, flow.ErrNotFound) {
		t.Errorf("Load = %v, want ErrNotFound", err)
	}
	must(t, s.Close())
	db, err := sql.Open("sqlite", dir+"/tokend.db")
	must(t, err)
	var size int
	err = db.QueryRowContext(t.Context(), `SELECT length(sealed) FROM grants WHERE key = 'bad'`).Scan(&size)
	must(t, errors.Join(err, db.Close()))
	if size == 0 {
		t.Error("the row that cannot be read is lost")
	}
}

// TestFormatV1_LeaseIsKept checks the lease of a refresh by the older version.
func TestFormatV1_LeaseIsKept(t *testing.T) {
	dir, keys := copyV1(t)
	change(t, dir+"/tokend.db", `INSERT OR REPLACE INTO leases VALUES ('saved', 'x', unixepoch('subsec') + 60, 60)`)
	s := open(t, "sqlite:"+dir+"/tokend.db", keys)
	if _, err := s.Lock(t.Context(), newKey("saved"), time.Minute); !errors.Is(err, flow.ErrLocked) {
		t.Errorf("Lock = %v, want ErrLocked", err)
	}
}

// TestFormatV1_StartOfMany checks that one process migrates and the others find
// it done.
func TestFormatV1_StartOfMany(t *testing.T) {
	dir, keys := copyV1(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := store.Open(t.Context(), "sqlite:"+dir+"/tokend.db", store.Options{Keys: keys})
			if err != nil {
				t.Error(err)
				return
			}
			for name, generation := range map[string]int64{"saved": 7, "spilled": 8} {
				if g, err := s.Load(t.Context(), newKey(name)); err != nil || g.Generation != generation || g.Restored {
					t.Errorf("Load(%q) = %v, %v", name, g, err)
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestFormatV1_Check checks that Check accepts the format and migrates nothing.
func TestFormatV1_Check(t *testing.T) {
	dir, keys := copyV1(t)
	before := contents(t, dir)
	made, err := store.Check(t.Context(), "sqlite:"+dir+"/tokend.db", store.Options{Keys: keys}, "")
	if !made || err != nil {
		t.Errorf("Check = %v, %v", made, err)
	}
	if after := contents(t, dir); !maps.EqualFunc(before, after, bytes.Equal) {
		t.Error("Check changed files")
	}
}

// TestFormatV1_SpillDirConfigured checks that spilled grants next to the database
// move to the directory that is configured now.
func TestFormatV1_SpillDirConfigured(t *testing.T) {
	dir, keys := copyV1(t)
	to := filepath.Join(t.TempDir(), "spill")
	s := openAt(t, "sqlite:"+dir+"/tokend.db", store.Options{Keys: keys, SpillDir: to})
	g, err := s.Load(t.Context(), newKey("spilled"))
	if err != nil || g.Generation != 8 {
		t.Errorf("Load = %v, %v; want the spilled generation 8", g, err)
	}
	if names, err := filepath.Glob(to + "/*"); err != nil || len(names) != 1 {
		t.Errorf("%v (%v), want one file", names, err)
	}
}

// change runs SQL without the store.
func change(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	_, err = db.ExecContext(t.Context(), query)
	must(t, errors.Join(err, db.Close()))
}

// oldFields returns the fields of a grant that the first format had.
func oldFields(g *flow.Grant) []any {
	fields := []any{
		g.Issuer, g.ClientID, g.Subject, g.Generation, g.State, g.RefreshToken.Reveal(), g.IDToken.Reveal(),
		g.Scopes, g.Rotation, g.LoggedIn, g.Exchanged, g.AuthTime, g.Intent,
	}
	if f := g.Failure; f != nil {
		fields = append(fields, f.Time, f.Class, f.Code, f.Description)
	}
	for _, t := range g.Tokens {
		fields = append(fields, t.AccessToken.Reveal(), t.TokenType, t.Scope, t.Audience, t.IDToken.Reveal(), t.Obtained, t.Expiry, t.Generation)
	}
	return fields
}

// FuzzSpill gives Load arbitrary bytes as the spill: it returns the saved grant,
// unless Spill wrote them.
func FuzzSpill(f *testing.F) {
	p := newSpilling(f)
	p.aside(f, next(p.saved))
	name := p.files(f)[0]
	whole, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"key":"a","revision":1,"generation":9,"sealed":""}`))
	f.Add([]byte(strings.Replace(string(whole), `"generation":8`, `"generation":9`, 1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		g, err := p.Load(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case g.Generation == p.saved.Generation && g.RefreshToken == p.saved.RefreshToken:
		case g.Generation == p.saved.Generation+1 && g.RefreshToken == "canary-successor":
		default:
			t.Fatalf("Load = %v", g)
		}
	})
}
