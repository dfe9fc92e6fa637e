package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/store/sqlite"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

// TestReplaced_WhileOpen checks that every operation reports it.
//
// Row F32 of docs/guarantees.md.
func TestReplaced_WhileOpen(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, path string, keys *seal.Keyset)
		want   string
	}{
		{"file deleted", func(t *testing.T, path string, _ *seal.Keyset) { must(t, os.Remove(path)) }, "was deleted"},
		{"directory deleted", func(t *testing.T, path string, _ *seal.Keyset) { must(t, os.RemoveAll(filepath.Dir(path))) }, "was deleted"},
		{"directory replaced", func(t *testing.T, path string, _ *seal.Keyset) {
			dir := filepath.Dir(path)
			must(t, os.Rename(dir, dir+".old"))
			must(t, os.CopyFS(dir, os.DirFS(dir+".old")))
		}, "was replaced by another file"},
		{"new store in its place", func(t *testing.T, path string, keys *seal.Keyset) {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				must(t, os.Remove(path+suffix))
			}
			open(t, path, sqlite.Options{Sealer: keys})
		}, "was replaced by another file"},
		{"older copy renamed over it", func(t *testing.T, path string, _ *seal.Keyset) {
			b, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path+".copy", b, 0o600))
			must(t, os.Rename(path+".copy", path))
		}, "was replaced by another file"},
		{"older content in the same file", func(t *testing.T, path string, _ *seal.Keyset) {
			change(t, path, `UPDATE meta SET value = value - 1 WHERE name = 'revision'`)
		}, "was restored to an older state"},
		{"another store in the same file", func(t *testing.T, path string, _ *seal.Keyset) {
			change(t, path, `UPDATE meta SET value = lower(hex(randomblob(16))) WHERE name = 'id'`)
		}, "was overwritten with another store"},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, path := newKeys(t), filepath.Join(t.TempDir(), "state", "tokend.db")
			must(t, os.Mkdir(filepath.Dir(path), 0o700))
			s := open(t, path, sqlite.Options{Sealer: keys})
			put(t, s, "a", 1)
			l, err := s.Lock(t.Context(), "a", time.Minute)
			must(t, err)
			g, err := s.Load(t.Context(), "a")
			must(t, err)
			must(t, s.Ping(t.Context()))
			c.change(t, path, keys)

			ctx := t.Context()
			_, loadErr := s.Load(ctx, "a")
			_, lockErr := s.Lock(ctx, "b", time.Minute)
			for op, err := range map[string]error{
				"Load": loadErr, "Lock": lockErr, "Save": s.Save(ctx, l, g), "Delete": s.Delete(ctx, "a"), "Ping": s.Ping(ctx),
			} {
				if !errors.Is(err, flow.ErrReplaced) || !strings.Contains(err.Error(), path+" "+c.want) ||
					hint.Of(err) != "restart tokend" {
					t.Errorf("%s = %v, want ErrReplaced that says %q and a hint", op, err, c.want)
				}
			}
			if strings.Contains(c.want, "file") || strings.Contains(c.want, "deleted") {
				for op, err := range map[string]error{"Renew": l.Renew(ctx), "Release": l.Release(ctx)} {
					if !errors.Is(err, flow.ErrReplaced) {
						t.Errorf("%s = %v, want ErrReplaced", op, err)
					}
				}
			}
		})
	}
}

// TestRestored_OlderCopyWrittenIntoFile: SQLite's log still has some of the newer
// pages, including the revision.
//
// Row F32 of docs/guarantees.md.
func TestRestored_OlderCopyWrittenIntoFile(t *testing.T) {
	o, path := sqlite.Options{Sealer: newKeys(t)}, filepath.Join(t.TempDir(), "tokend.db")
	first, err := sqlite.Open(t.Context(), path, o)
	must(t, err)
	put(t, first, "a", 1)
	put(t, first, "b", 1)
	must(t, first.Close())
	old, err := os.ReadFile(path)
	must(t, err)

	s := open(t, path, o)
	put(t, s, "a", 2)
	put(t, s, "a", 3)
	change(t, path, "PRAGMA wal_checkpoint(TRUNCATE)")
	_, err = s.Load(t.Context(), "a") // fills SQLite's cache
	must(t, err)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.Write(old)
	must(t, errors.Join(err, f.Close()))
	must(t, s.Ping(t.Context())) // from the cache: now the revision is in the log

	other := open(t, path, o)
	restored(t, other, "a", true)
	if g, err := s.Load(t.Context(), "a"); !errors.Is(err, flow.ErrReplaced) {
		t.Errorf("Load in the process that has seen newer ones = %v, %v; want ErrReplaced", g, err)
	}
	put(t, other, "a", 1) // with the flag, like pkg/flow until Resume
	g, err := other.Load(t.Context(), "a")
	must(t, err)
	l, err := other.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	g.Restored = false
	must(t, other.Save(t.Context(), l, g))
	restored(t, open(t, path, o), "a", false)
}

// TestRestored_DeletedGrantIsNotOlder: after grants were deleted, and others
// created by a version without the sum, the database is not an older copy.
func TestRestored_DeletedGrantIsNotOlder(t *testing.T) {
	o := sqlite.Options{Sealer: newKeys(t)}
	path := closedDatabase(t, o)
	s := open(t, path, o)
	must(t, s.Delete(t.Context(), "b"))
	must(t, s.Delete(t.Context(), "b"))
	put(t, s, "b", 1)
	must(t, s.Delete(t.Context(), "b"))
	restored(t, open(t, path, o), "a", false)
	change(t, path, `INSERT INTO grants SELECT 'c', revision, generation, state, saved, sealed, 0 FROM grants WHERE key = 'a'`)
	restored(t, open(t, path, o), "a", false)
}

// TestReplaced_OtherProcessSaves: new revisions of other processes are not a
// replacement.
func TestReplaced_OtherProcessSaves(t *testing.T) {
	o, path := sqlite.Options{Sealer: newKeys(t)}, filepath.Join(t.TempDir(), "tokend.db")
	first, second := open(t, path, o), open(t, path, o)
	for i := range int64(5) {
		put(t, first, "a", i+1)
		put(t, second, "a", i+1)
		must(t, errors.Join(first.Ping(t.Context()), second.Ping(t.Context())))
	}
}

// TestSave_LockedDatabase: an operation that waits for another process fails
// after about five seconds, even if many wait. The error is neither damage nor a
// conflict.
//
// Row F30 of docs/guarantees.md.
func TestSave_LockedDatabase(t *testing.T) {
	o, path := sqlite.Options{Sealer: newKeys(t)}, filepath.Join(t.TempDir(), "tokend.db")
	s := open(t, path, o)
	put(t, s, "a", 1)
	l, err := s.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	unlock := lockDatabase(t, path)
	start, failed := time.Now(), make(chan error)
	const waiters = 4
	for range waiters {
		go func() { failed <- s.Save(t.Context(), l, storetest.Grant()) }() // received below
	}
	go func() { failed <- s.Ping(t.Context()) }() // received below
	for range waiters + 1 {
		err := <-failed
		if err == nil || !strings.Contains(err.Error(), "locked") {
			t.Errorf("Save = %v, want it locked", err)
		}
		for _, not := range []error{flow.ErrCorrupt, flow.ErrConflict, flow.ErrLocked, flow.ErrReplaced} {
			if errors.Is(err, not) {
				t.Errorf("Save = %v, which is %v", err, not)
			}
		}
	}
	if d := time.Since(start); d > 7*time.Second {
		t.Errorf("the last failed after %v, want about 5 s", d)
	}
	unlock()
	put(t, s, "b", 1)
	g, err := s.Load(t.Context(), "a")
	must(t, err)
	must(t, s.Save(t.Context(), l, g))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
