package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
)

// TestWatch_ReportsWhatOthersChange: each step is what another process does, or this one.
func TestWatch_ReportsWhatOthersChange(t *testing.T) {
	dir := t.TempDir()
	path, spill := filepath.Join(dir, "tokend.db"), filepath.Join(dir, "spill")
	if err := os.Mkdir(spill, 0o700); err != nil {
		t.Fatal(err)
	}
	open := func() *Store {
		s, err := Open(t.Context(), path, Options{Sealer: noSeal{}, SpillDir: spill})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	other := open()
	saveIn(t, other, "before")
	s := open()
	var got []string
	w := watcher{store: s, revision: s.opened, spilled: s.spilled, changed: func(key string) { got = append(got, key) }}
	w.look(t.Context())
	if got != nil {
		t.Errorf("reported %q at the start", got)
	}
	login := flow.PendingLogin{Key: "pending", Login: flow.Login{State: "state", Expires: time.Now().Add(time.Hour)}}
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"nothing", func() error { return nil }, nil},
		{"another process saves", func() error { saveIn(t, other, "a"); return nil }, []string{"a"}},
		{"this process saves", func() error { saveIn(t, s, "b"); return nil }, nil},
		{"another process writes no grant", func() error { return other.Ping(t.Context()) }, []string{"b"}}, // one too many
		{"again", func() error { return other.Ping(t.Context()) }, nil},
		{"another process deletes", func() error { return other.Delete(t.Context(), "a") }, []string{""}},
		{"another process begins a login", func() error { return other.KeepLogin(t.Context(), login) }, []string{"pending"}},
		{"another process writes with the login pending", func() error { return other.Ping(t.Context()) }, nil},
		{"a grant is spilled", func() error { return os.Chtimes(spill, time.Time{}, time.Now().Add(time.Hour)) }, []string{""}},
		{"the database is gone", func() error { return os.Rename(path, path+".moved") }, []string{""}},
		{"still", func() error { return nil }, nil},
		{"it is back", func() error { return os.Rename(path+".moved", path) }, []string{""}},
	} {
		got = nil
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		w.look(t.Context())
		if !slices.Equal(got, step.want) {
			t.Errorf("%s: reported %q, want %q", step.name, got, step.want)
		}
	}
}

// TestWatch_EndsWithItsContext: what was saved between the opening and Watch is reported,
// and a database in memory has nothing to report.
func TestWatch_EndsWithItsContext(t *testing.T) {
	for _, path := range []string{memory, filepath.Join(t.TempDir(), "tokend.db")} {
		s, err := Open(t.Context(), path, Options{Sealer: noSeal{}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // a bound for a failure
		if path == memory {
			cancel()
		} else {
			saveIn(t, s, "a")
		}
		if err := s.Watch(ctx, func(key string) {
			if key != "a" {
				t.Errorf("reported %q", key)
			}
			cancel()
		}); err != nil || !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("%v; %v", err, ctx.Err())
		}
		cancel()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func saveIn(t *testing.T, s *Store, key string) {
	t.Helper()
	l, err := s.Lock(t.Context(), key, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Release(t.Context()) }()
	if err := s.Save(t.Context(), l, &flow.Grant{}); err != nil {
		t.Fatal(err)
	}
}
