package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/store"
)

// wantError checks for an error with that text.
func wantError(t *testing.T, what string, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("%s = %v, want %q", what, err, text)
	}
}

// tooLong is not a valid file name: the system rejects it.
var tooLong = strings.Repeat("n", 300)

// TestOpen_InvalidPaths checks that Open and Check report them.
func TestOpen_InvalidPaths(t *testing.T) {
	dir, keys := t.TempDir(), newKeys(t)
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, c := range []struct{ name, path, spill, open, check string }{
		{"a file as the directory", file + "/tokend.db", "", "state directory " + file + " is not a directory", "is not a directory"},
		{"a file on the way to the directory", file + "/deep/tokend.db", "", "not a directory", "store: stat " + file + "/deep: not a directory"},
		{"a name that is too long", dir + "/" + tooLong, "", "file name too long", "file name too long"},
		{"NUL", dir + "/x\x00.db", "", "holds a NUL byte", "holds a NUL byte"},
		{"a file on the way to the spill", dir + "/tokend.db", file + "/deep", "spill directory", "store: spill: stat " + file + "/deep: not a directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := store.Options{Keys: keys, SpillDir: c.spill}
			s, err := store.Open(t.Context(), "sqlite:"+c.path, o)
			if err == nil {
				_ = s.Close()
			}
			wantError(t, "Open", err, c.open)
			_, err = store.Check(t.Context(), "sqlite:"+c.path, o, "")
			wantError(t, "Check", err, c.check)
		})
	}
}

// TestOpen_WorkingDirectoryDeleted: a relative path cannot be resolved.
func TestOpen_WorkingDirectoryDeleted(t *testing.T) {
	url, keys := "sqlite:"+t.TempDir()+"/tokend.db", newKeys(t)
	gone := filepath.Join(t.TempDir(), "gone")
	must(t, os.Mkdir(gone, 0o700))
	t.Chdir(gone)
	must(t, os.Remove(gone))
	_, err := store.Open(t.Context(), "sqlite:tokend.db", store.Options{Keys: keys})
	wantError(t, "Open of a relative path", err, `store: sqlite path "tokend.db": `)
	_, err = store.Open(t.Context(), url, store.Options{Keys: keys, SpillDir: "spill"})
	wantError(t, "Open with a relative spill directory", err, "store: spill: ")
}

// TestKeyset_CannotBeCreated: it cannot be written, or it is unknown whether a
// store exists.
func TestKeyset_CannotBeCreated(t *testing.T) {
	for _, c := range []struct{ name, keyset, db, want string }{
		{"no room for the name of the file that becomes it", strings.Repeat("k", 250), "tokend.db", "file name too long"},
		{"no telling whether there is a store", "keys", tooLong, "file name too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := store.LoadOrCreateKeyset(t.Context(), filepath.Join(dir, c.keyset), "sqlite:"+filepath.Join(dir, c.db), store.Options{})
			wantError(t, "LoadOrCreateKeyset", err, c.want)
			if files := contents(t, dir); len(files) != 0 {
				t.Errorf("files %v, want none", files)
			}
		})
	}
}

// TestSpill_Errors checks that Spill reports what it cannot store.
func TestSpill_Errors(t *testing.T) {
	p := newSpilling(t)
	g := next(p.saved)
	g.LoggedIn = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) // has no JSON form
	wantError(t, "Spill of a grant that cannot be written", p.Spill(t.Context(), "a", g), "store: spill: ")
	p.aside(t, next(p.saved))
	name := p.files(t)[0]
	must(t, os.Remove(name))
	must(t, os.MkdirAll(filepath.Join(name, "full"), 0o700)) // in place of the file
	wantError(t, "Spill", p.Spill(t.Context(), "a", next(p.saved)), "store: spill: rename")
	if entries, err := os.ReadDir(filepath.Dir(name)); err != nil || len(entries) != 1 {
		t.Errorf("%v (%v), want nothing left over", entries, err)
	}
	wantError(t, "Delete", p.Delete(t.Context(), "a"), "store: remove the spill: remove ")
}

// TestSpill_CannotBeMoved: a spilled grant may be newer than the saved one, so
// the store is not opened without it.
func TestSpill_CannotBeMoved(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(dir string) error
		want    string
	}{
		"no directory":                     {func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, "store: spill: "},
		"a directory in place of the file": {func(dir string) error { return os.MkdirAll(filepath.Join(dir, "entry"), 0o700) }, "store: spill entry: read "},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tokend.db")
			must(t, c.prepare(path+".spill"))
			s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{Keys: newKeys(t), SpillDir: t.TempDir()})
			if err == nil {
				_ = s.Close()
			}
			wantError(t, "Open", err, c.want)
		})
	}
}

// TestSpill_InBothDirectories: after the setting was added, the newer spilled
// grant counts, in either directory.
func TestSpill_InBothDirectories(t *testing.T) {
	for name, generations := range map[string][2]int64{"next to the database": {9, 8}, "in the directory that is configured": {8, 9}} {
		t.Run(name, func(t *testing.T) {
			p, dir := newSpilling(t), t.TempDir()
			for i, o := range []store.Options{{Keys: p.keys}, {Keys: p.keys, SpillDir: dir}} {
				must(t, p.Close())
				if i == 1 { // so that it is not moved yet
					must(t, os.Rename(strings.TrimPrefix(p.url, "sqlite:")+".spill", dir+".aside"))
				}
				p.Store = openAt(t, p.url, o)
				g := next(p.saved)
				g.Generation = generations[i]
				p.aside(t, g)
			}
			must(t, p.Close())
			must(t, os.Rename(dir+".aside", strings.TrimPrefix(p.url, "sqlite:")+".spill"))
			p.Store = openAt(t, p.url, store.Options{Keys: p.keys, SpillDir: dir})
			if g := p.get(t); g.Generation != 9 {
				t.Errorf("Load has generation %d, want 9", g.Generation)
			}
		})
	}
}
