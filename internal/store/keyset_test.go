package store_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store"
	"example.com/tokend/internal/store/storetest"
)

func TestKeyset_IsCreatedOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	path, url := filepath.Join(dir, "keys", "tokend.keyset"), "sqlite:"+dir+"/tokend.db"
	first, err := store.LoadOrCreateKeyset(t.Context(), path, url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mode(t, path, 0o600)
	mode(t, filepath.Dir(path), 0o700)
	before := contents(t, dir)
	if len(before) != 1 {
		t.Errorf("files %v, want the keyset alone", before)
	}
	s := open(t, url, first)
	if err := s.Save(t.Context(), lock(t, s, "a"), storetest.Grant()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := store.LoadOrCreateKeyset(t.Context(), path, url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if string(contents(t, dir)[path]) != string(before[path]) {
		t.Error("the keyset was changed")
	}
	if _, err := open(t, url, again).Load(t.Context(), "a"); err != nil {
		t.Error(err)
	}
}

// TestKeyset_ExistingStore_IsNotCreated: a new key could not open the store.
func TestKeyset_ExistingStore_IsNotCreated(t *testing.T) {
	for _, name := range []string{"tokend.db", "tokend.db-wal", "tokend.db.spill"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil { // even an empty file
			t.Fatal(err)
		}
		_, err := store.LoadOrCreateKeyset(t.Context(), dir+"/keys", "sqlite:"+dir+"/tokend.db", store.Options{})
		if err == nil || !strings.Contains(err.Error(), name+" exists and is sealed") || hint.Of(err) == "" {
			t.Errorf("%s is there: %v", name, err)
		}
		if files := contents(t, dir); len(files) != 1 {
			t.Errorf("%s is there: files afterwards %v", name, files)
		}
	}
	dir := t.TempDir()
	if _, err := store.LoadOrCreateKeyset(t.Context(), dir+"/keys", "redis://host/db", store.Options{}); err == nil || !strings.Contains(err.Error(), "not supported") {
		t.Errorf("for a store of an unknown scheme: %v", err)
	}
	if _, err := store.LoadOrCreateKeyset(t.Context(), dir+"/keys", "sqlite::memory:", store.Options{}); err != nil {
		t.Error(err)
	}
}

func TestKeyset_Rejected(t *testing.T) {
	good := filepath.Join(t.TempDir(), "keys")
	if _, err := store.LoadOrCreateKeyset(t.Context(), good, "sqlite::memory:", store.Options{}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		make       func(path string) error
	}{
		{"symlink", "not a regular file", func(p string) error { return os.Symlink(good, p) }},
		{"dangling symlink", "not a regular file", func(p string) error { return os.Symlink(good+"none", p) }},
		{"directory", "not a regular file", func(p string) error { return os.Mkdir(p, 0o700) }},
		{"group may read", "is open to its group (mode 0640)", func(p string) error { return writeMode(p, text, 0o640) }},
		{"all may read", "is open to everyone (mode 0604)", func(p string) error { return writeMode(p, text, 0o604) }},
		{"group may write", "is open to its group (mode 0620)", func(p string) error { return writeMode(p, text, 0o620) }},
		{"empty", "keyset is empty", func(p string) error { return writeMode(p, nil, 0o600) }},
		{"garbage", "neither Tink JSON nor base64", func(p string) error { return writeMode(p, []byte("\x00garbage"), 0o600) }},
		{"cut", "not a cleartext Tink keyset", func(p string) error { return writeMode(p, text[:len(text)/2], 0o600) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys")
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(path) // a directory has no content
			_, err := store.LoadOrCreateKeyset(t.Context(), path, "sqlite::memory:", store.Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) || hint.Of(err) == "" {
				t.Errorf("error %v; want %q and a hint", err, c.want)
			}
			if after, _ := os.ReadFile(path); string(before) != string(after) {
				t.Error("the file was changed")
			}
		})
	}
	t.Run("directory writable by others", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o770); err != nil {
			t.Fatal(err)
		}
		if _, err := store.LoadOrCreateKeyset(t.Context(), dir+"/keys", "sqlite::memory:", store.Options{}); err == nil || !strings.Contains(err.Error(), "can be written by others") {
			t.Errorf("error %v", err)
		}
	})
}

func writeMode(path string, b []byte, mode fs.FileMode) error {
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return err
	}
	return os.Chmod(path, mode) // regardless of the umask
}

// TestOpen_FirstStartOfManyProcesses checks that they agree on one keyset and one
// database.
func TestOpen_FirstStartOfManyProcesses(t *testing.T) {
	dir := t.TempDir()
	url := "sqlite:" + dir + "/tokend.db"
	const starters = 8
	var wg sync.WaitGroup
	for range starters {
		wg.Go(func() {
			k, err := store.LoadOrCreateKeyset(t.Context(), dir+"/keys", url, store.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			s, err := store.Open(t.Context(), url, store.Options{Keys: k})
			if err != nil {
				t.Error(err)
				return
			}
			storetest.Increment(t, s, "a")
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	k, err := store.LoadOrCreateKeyset(t.Context(), dir+"/keys", url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, url, k)
	if g, err := s.Load(t.Context(), "a"); err != nil || g.Generation != starters {
		t.Errorf("Load = %v, %v; want generation %d", g, err, starters)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if files := contents(t, dir); len(files) != 3 {
		t.Errorf("%d files, want keyset, database and mark, and no temporary files", len(files))
	}
}
