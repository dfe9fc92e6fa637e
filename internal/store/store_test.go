package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store"
	"example.com/tokend/internal/store/postgres/pgtest"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

// The test binary opens this URL with the keyset file of that name, in a child
// process.
const (
	childEnv  = "STORE_TEST_OPEN"
	childKeys = "STORE_TEST_KEYS"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childEnv); url != "" {
		os.Exit(openChild(url))
	}
	goleak.VerifyTestMain(withCluster{m})
}

// cluster is the PostgreSQL server of this package's tests.
var cluster *pgtest.Cluster

// withCluster runs the tests with cluster.
type withCluster struct{ *testing.M }

func (m withCluster) Run() int { return pgtest.Main(m.M, func(c *pgtest.Cluster) { cluster = c }) }

// openChild prints the error of opening a store, as a user other than root.
func openChild(url string) int {
	k, err := store.LoadOrCreateKeyset(context.Background(), os.Getenv(childKeys), url, store.Options{})
	if err == nil {
		_, err = store.Open(context.Background(), url, store.Options{Keys: k})
	}
	fmt.Println(err)
	return 0
}

func newKeys(t testing.TB) *seal.Keyset {
	t.Helper()
	k, err := seal.New()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func open(t testing.TB, url string, k *seal.Keyset) *store.Store {
	t.Helper()
	return openAt(t, url, store.Options{Keys: k})
}

func openAt(t testing.TB, url string, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // a second Close does no harm
	return s
}

func lock(t testing.TB, s *store.Store, key string) flow.Lease {
	t.Helper()
	l, err := s.Lock(t.Context(), key, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func refused(t *testing.T, url, want string) {
	t.Helper()
	s, err := store.Open(t.Context(), url, store.Options{Keys: newKeys(t)})
	if err == nil {
		_ = s.Close()
		t.Fatalf("Open(%q) succeeded, want an error with %q", url, want)
	}
	if !strings.Contains(err.Error(), want) || hint.Of(err) == "" {
		t.Errorf("Open(%q) = %v; want %q and a hint", url, err, want)
	}
}

func TestOpen_URLs(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, c := range []struct{ url, file string }{
		{"sqlite:" + dir + "/state/a.db", "state/a.db"},
		{"sqlite://" + dir + "/b.db", "b.db"},
		{"sqlite:deep/er/c.db", "deep/er/c.db"},
		{"sqlite:d?mode=memory#%41.db", "d?mode=memory#%41.db"},
	} {
		s := open(t, c.url, newKeys(t))
		if err := s.Save(t.Context(), lock(t, s, "a"), storetest.Grant()); err != nil {
			t.Error(err)
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		mode(t, filepath.Join(dir, c.file), 0o600)
		if parent := filepath.Dir(filepath.Join(dir, c.file)); parent != dir {
			mode(t, parent, 0o700)
		}
	}
	s := open(t, "sqlite::memory:", newKeys(t))
	if err := s.Save(t.Context(), lock(t, s, "a"), storetest.Grant()); err != nil {
		t.Error(err)
	}
	if s.Spill(t.Context(), "a", storetest.Grant()) == nil {
		t.Error("a store without a file took a spill")
	}
	for _, url := range []string{"redis://host/db", "SQLITE:a.db", "file:a.db"} {
		refused(t, url, "is not supported")
	}
	for _, url := range []string{"", "tokend.db"} {
		refused(t, url, "is not a URL")
	}
	refused(t, "sqlite://host/a.db", "names a host")
	for _, url := range []string{"sqlite:", "sqlite:dir/", "sqlite:///"} {
		refused(t, url, "names no file")
	}
	if _, err := store.Open(t.Context(), "sqlite:x\x00.db", store.Options{Keys: newKeys(t)}); err == nil {
		t.Error("a path with NUL was taken")
	}
	if _, err := store.Open(t.Context(), "sqlite:x.db", store.Options{}); err == nil {
		t.Error("a store without keys was opened")
	}
}

func mode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Error(err)
	} else if fi.Mode().Perm() != want {
		t.Errorf("%s has mode %#o, want %#o", path, fi.Mode().Perm(), want)
	}
}

// TestOpen_SymlinkIsRejected tests row X10 of docs/guarantees.md.
func TestOpen_SymlinkIsRejected(t *testing.T) {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "tokend.db")
		if suffix != "" {
			if err := open(t, "sqlite:"+path, newKeys(t)).Close(); err != nil {
				t.Fatal(err)
			}
			_ = os.Remove(path + suffix)
		}
		target := filepath.Join(dir, "elsewhere")
		if err := os.WriteFile(target, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path+suffix); err != nil {
			t.Fatal(err)
		}
		refused(t, "sqlite:"+path, "not a regular file")
		if b, err := os.ReadFile(target); err != nil || string(b) != "precious" {
			t.Errorf("the link's target is now %q (%v)", b, err)
		}
	}
	t.Run("dangling", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Symlink(filepath.Join(dir, "none"), filepath.Join(dir, "tokend.db")); err != nil {
			t.Fatal(err)
		}
		refused(t, "sqlite:"+dir+"/tokend.db", "not a regular file")
	})
	t.Run("directory", func(t *testing.T) { refused(t, "sqlite:"+t.TempDir(), "not a regular file") })
	t.Run("fifo", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "tokend.db")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, "sqlite:"+path, "not a regular file")
	})
}

// TestOpen_WritableByOthersIsRejected tests row X11 of docs/guarantees.md.
func TestOpen_WritableByOthersIsRejected(t *testing.T) {
	for _, m := range []fs.FileMode{0o720, 0o702, 0o777, 0o777 | fs.ModeSticky} {
		dir := t.TempDir()
		if err := os.Chmod(dir, m); err != nil {
			t.Fatal(err)
		}
		refused(t, "sqlite:"+dir+"/tokend.db", "can be written by others")
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
			t.Errorf("something was made in a refused directory: %v (%v)", entries, err)
		}
	}
	t.Run("file", func(t *testing.T) {
		path, keys := filepath.Join(t.TempDir(), "tokend.db"), newKeys(t)
		if err := open(t, "sqlite:"+path, keys).Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o660); err != nil {
			t.Fatal(err)
		}
		refused(t, "sqlite:"+path, "can be written by others")
	})
}

// TestOpen_DirectoryNotWritable opens the store as a user other than root,
// because permissions do not restrict root.
//
// Row F18 of docs/guarantees.md.
func TestOpen_DirectoryNotWritable(t *testing.T) {
	top := t.TempDir()
	exe := filepath.Join(top, "test")
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(exe, b, 0o755), os.Chmod(top, 0o755), os.Chmod(filepath.Dir(top), 0o755)); err != nil {
		t.Fatal(err)
	}
	locked, readOnly := filepath.Join(top, "locked"), filepath.Join(top, "readonly")
	if err := errors.Join(os.Mkdir(locked, 0o500), os.Mkdir(readOnly, 0o700)); err != nil {
		t.Fatal(err)
	}
	keyset, file := filepath.Join(readOnly, "keys"), filepath.Join(readOnly, "tokend.db")
	k, err := store.LoadOrCreateKeyset(t.Context(), keyset, "sqlite:"+file, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := open(t, "sqlite:"+file, k).Close(); err != nil {
		t.Fatal(err)
	}
	unreadable := filepath.Join(readOnly, "unreadable")
	if err := errors.Join(os.Chmod(file, 0o400), os.WriteFile(unreadable, nil, 0o600), os.Chmod(unreadable, 0)); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	asRoot := os.Getuid() == 0
	if asRoot {
		for _, name := range []string{locked, readOnly, keyset, unreadable, file} {
			if err := os.Chown(name, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct{ keys, path, want string }{
		{keyset, locked + "/tokend.db", "state directory " + locked + " not writable: permission denied"},
		{keyset, locked + "/deeper/tokend.db", "state directory " + locked + "/deeper not writable: permission denied"},
		{unreadable, file, "store: keyset file " + unreadable + " cannot be read: permission denied"},
		{keyset, file, "open for writing: attempt to write a readonly database"},
	} {
		cmd := exec.CommandContext(t.Context(), exe)
		cmd.Env, cmd.Dir = []string{childEnv + "=sqlite:" + c.path, childKeys + "=" + c.keys}, "/"
		if asRoot {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
		start := time.Now()
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("Open(%q) = %s (%v), want %q", c.path, out, err, c.want)
		}
		if d := time.Since(start); d > 5*time.Second { // allows for -race
			t.Errorf("refusing took %v", d)
		}
	}
}

// TestNoSecretOnDisk searches all written files for a grant's secrets, while the
// store is open and afterwards.
func TestNoSecretOnDisk(t *testing.T) {
	dir := t.TempDir()
	keys := newKeys(t)
	s := open(t, "sqlite:"+dir+"/tokend.db", keys)
	l := lock(t, s, "clear-name")
	g := storetest.Grant()
	for range 3 {
		if err := s.Save(t.Context(), l, g); err != nil {
			t.Fatal(err)
		}
	}
	g.Generation++
	if err := s.Spill(t.Context(), "clear-name", g); err != nil {
		t.Fatal(err)
	}
	scan := func(when string) {
		clear := 0
		for name, b := range contents(t, dir) {
			for _, word := range []string{"canary", "auth0|1", "Y2FuYXJ5"} { // the last is base64 of the first
				if bytes.Contains(b, []byte(word)) {
					t.Errorf("%s: %s holds %q in the clear", when, name, word)
				}
			}
			clear += bytes.Count(b, []byte("clear-name"))
			mode(t, name, 0o600)
		}
		if clear < 2 { // the key is in the clear, so the search works
			t.Errorf("%s: the key was found %d times", when, clear)
		}
	}
	scan("open")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	scan("closed")
}

func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestOpen_WrongKeyset(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, "sqlite:"+dir+"/tokend.db", newKeys(t)).Close(); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	refused(t, "sqlite:"+dir+"/tokend.db", "sealed with another keyset")
	after := contents(t, dir)
	if !bytes.Equal(before[dir+"/tokend.db"], after[dir+"/tokend.db"]) {
		t.Error("the database was changed")
	}
}
