package store_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/pkg/flow"
)

// snapshotOf returns the files of a directory by name; of the index of SQLite's
// log, which is only a cache, only the name.
func snapshotOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		files[e.Name()] = nil
		if e.IsDir() || strings.HasSuffix(e.Name(), "-shm") {
			continue
		}
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// saveOne stores a grant.
func saveOne(t *testing.T, s *store.Store, key string) {
	t.Helper()
	ctx := context.Background() // also used in a cleanup
	l, err := s.Lock(ctx, key, time.Minute)
	if err == nil {
		err = errors.Join(s.Save(ctx, l, &flow.Grant{RefreshToken: "rt"}), l.Release(ctx))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheck_ChangesNothing(t *testing.T) {
	keys := newKeys(t)
	for name, tc := range map[string]struct {
		keys    *seal.Keyset
		prepare func(t *testing.T, dir, url string)
		made    bool
		want    string // in the error; "": none
	}{
		"no directory": {keys, func(t *testing.T, dir, _ string) { must(t, os.Remove(dir)) }, false, ""},
		"no store":     {keys, func(*testing.T, string, string) {}, false, ""},
		"no keys yet":  {nil, func(*testing.T, string, string) {}, false, ""},
		"good":         {keys, func(t *testing.T, _, url string) { must(t, open(t, url, keys).Close()) }, true, ""},
		"in use": {keys, func(t *testing.T, _, url string) {
			s := open(t, url, keys)
			saveOne(t, s, "demo")
			t.Cleanup(func() { saveOne(t, s, "other"); must(t, s.Close()) })
		}, true, ""},
		"after kill -9": {keys, func(t *testing.T, dir, _ string) {
			from := t.TempDir()
			s := open(t, "sqlite:"+filepath.Join(from, "tokend.db"), keys)
			saveOne(t, s, "demo")
			must(t, os.CopyFS(dir, os.DirFS(from)))
			must(t, s.Close())
		}, true, ""},
		"other keys":  {newKeys(t), func(t *testing.T, _, url string) { must(t, open(t, url, keys).Close()) }, true, "sealed with another keyset"},
		"keyset gone": {nil, func(t *testing.T, _, url string) { must(t, open(t, url, keys).Close()) }, true, "there is no keyset file k.json"},
		"cut off": {keys, func(t *testing.T, dir, url string) {
			must(t, open(t, url, keys).Close())
			must(t, os.Truncate(filepath.Join(dir, "tokend.db"), 5000))
		}, true, "not one of whole pages"},
		"another file": {keys, func(t *testing.T, dir, _ string) {
			must(t, os.WriteFile(filepath.Join(dir, "tokend.db"), make([]byte, 4096), 0o600))
		}, true, "hint: "},
		"log alone": {keys, func(t *testing.T, dir, _ string) {
			must(t, os.WriteFile(filepath.Join(dir, "tokend.db-wal"), nil, 0o600))
		}, true, "its log"},
		"spill alone":    {keys, func(t *testing.T, dir, _ string) { must(t, os.Mkdir(filepath.Join(dir, "tokend.db.spill"), 0o700)) }, false, ""},
		"open directory": {keys, func(t *testing.T, dir, _ string) { must(t, os.Chmod(dir, 0o770)) }, false, "chmod 700"},
		"open file": {keys, func(t *testing.T, dir, url string) {
			must(t, open(t, url, keys).Close())
			must(t, os.Chmod(filepath.Join(dir, "tokend.db"), 0o620))
		}, false, "chmod 600"},
		"symbolic link": {keys, func(t *testing.T, dir, _ string) { must(t, os.Symlink("/etc/hosts", filepath.Join(dir, "tokend.db"))) }, false, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			must(t, os.Mkdir(dir, 0o700))
			url := "sqlite:" + filepath.Join(dir, "tokend.db")
			tc.prepare(t, dir, url)
			var before map[string][]byte
			if name != "no directory" {
				before = snapshotOf(t, dir)
			}
			made, err := store.Check(t.Context(), url, store.Options{Keys: tc.keys}, "k.json")
			if made != tc.made || (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error()+"\nhint: "+hint.Of(err), tc.want) {
				t.Errorf("made %v, error %v", made, err)
			}
			if before == nil {
				if _, err := os.Stat(dir); err == nil {
					t.Error("the directory was made")
				}
				return
			}
			if after := snapshotOf(t, dir); !maps.EqualFunc(before, after, bytes.Equal) {
				t.Errorf("was %v, is %v", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
			}
		})
	}
}

func TestCheck_OtherURLs(t *testing.T) {
	if made, err := store.Check(t.Context(), "sqlite::memory:", store.Options{}, ""); made || err != nil {
		t.Errorf("memory: %v, %v", made, err)
	}
	if _, err := store.Check(t.Context(), "redis:x", store.Options{}, ""); err == nil || !strings.Contains(err.Error(), "redis") {
		t.Errorf("redis: %v", err)
	}
	for url, want := range map[string]string{"sqlite::memory:": "", "sqlite:/a/b/tokend.db": "/a/b", "sqlite:///a/tokend.db": "/a"} {
		if dir, err := store.Dir(url); dir != want || err != nil {
			t.Errorf("%s: %q, %v", url, dir, err)
		}
	}
	if _, err := store.Dir("redis:x"); err == nil {
		t.Error("redis has a directory")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheck_Postgres(t *testing.T) {
	keys, url, made := newKeys(t), cluster.URL(t), cluster.URL(t)
	must(t, openAt(t, made, store.Options{Keys: keys, StateDir: t.TempDir()}).Close())
	const nowhere = "postgres://tokend@127.0.0.1:1/tokend?connect_timeout=1"
	dir := t.TempDir()
	for name, tc := range map[string]struct {
		url  string
		o    store.Options
		made bool
		want string // in the error; "": none
	}{
		"no store":               {url, store.Options{Keys: keys, StateDir: dir}, false, ""},
		"good":                   {made, store.Options{Keys: keys, StateDir: dir}, true, ""},
		"other keys":             {made, store.Options{Keys: newKeys(t), StateDir: dir}, true, "sealed with another keyset"},
		"no keys yet":            {url, store.Options{StateDir: dir}, false, ""},
		"keyset gone":            {made, store.Options{StateDir: dir}, true, "there is no keyset file k.json"},
		"no answer":              {nowhere, store.Options{Keys: keys, StateDir: dir}, false, "store postgres://tokend@127.0.0.1:1/"},
		"no answer, and no keys": {nowhere, store.Options{StateDir: dir}, false, "store postgres://tokend@127.0.0.1:1/"},
		"nowhere to spill":       {made, store.Options{Keys: keys}, false, "set TOKEND_SPILL_DIR, HOME or XDG_STATE_HOME"},
	} {
		found, err := store.Check(t.Context(), tc.url, tc.o, "k.json")
		if found != tc.made || (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error()+"\nhint: "+hint.Of(err), tc.want) {
			t.Errorf("%s: made %v, error %v", name, found, err)
		}
	}
}
