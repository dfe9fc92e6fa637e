package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/store/sqlite"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

func TestMain(m *testing.M) {
	childMain() // does not return in a child process
	goleak.VerifyTestMain(m)
}

func newKeys(t testing.TB) *seal.Keyset {
	t.Helper()
	k, err := seal.New()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func open(t testing.TB, path string, o sqlite.Options) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// clock is added to a store's clock by a test.
type clock struct{ skew atomic.Int64 }

func (c *clock) now() time.Duration      { return time.Duration(c.skew.Load()) }
func (c *clock) advance(d time.Duration) { c.skew.Add(int64(d)) }

func TestStore(t *testing.T) {
	t.Run("file", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) storetest.Opened {
			var passed, set clock
			path, o := filepath.Join(t.TempDir(), "a b?c%41#.db"), sqlite.Options{Sealer: newKeys(t), Skew: passed.now, ClockSet: set.now}
			return storetest.Opened{
				Store: open(t, path, o), Other: open(t, path, o), Advance: passed.advance, SetClock: set.advance,
				Raw: func(t testing.TB) []byte { return written(t, path) }, Swap: func(t testing.TB) { swapRows(t, path) },
				Snapshot: func(t testing.TB) func(testing.TB) flow.Store { return snapshot(t, path, o) },
			}
		})
	})
	t.Run("memory", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) storetest.Opened {
			var passed, set clock
			s := open(t, ":memory:", sqlite.Options{Sealer: newKeys(t), Skew: passed.now, ClockSet: set.now})
			return storetest.Opened{Store: s, Other: s, Advance: passed.advance, SetClock: set.advance}
		})
	})
}

// written returns the content of the database and its log.
func written(t testing.TB, path string) (all []byte) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		must(t, err)
		all = append(all, b...)
	}
	return all
}

// swapRows exchanges the sealed values of the two rows of each table.
func swapRows(t testing.TB, path string) {
	t.Helper()
	for _, table := range []string{"grants", "logins"} {
		change(t, path, `CREATE TEMP TABLE swapped AS SELECT rowid AS id, sealed FROM `+table+`;
			UPDATE `+table+` SET sealed = (SELECT sealed FROM swapped WHERE id <> `+table+`.rowid);`)
	}
}

// snapshot copies the database, and returns what puts the copy in place of its content.
func snapshot(t testing.TB, path string, o sqlite.Options) (restore func(testing.TB) flow.Store) {
	t.Helper()
	change(t, path, "PRAGMA wal_checkpoint(TRUNCATE)")
	old, err := os.ReadFile(path)
	must(t, err)
	return func(t testing.TB) flow.Store {
		change(t, path, "PRAGMA wal_checkpoint(TRUNCATE)")
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		must(t, err)
		_, err = f.Write(old)
		must(t, errors.Join(err, f.Truncate(int64(len(old))), f.Close()))
		return open(t, path, o)
	}
}

// put saves a grant of that generation and returns it.
func put(t testing.TB, s *sqlite.Store, key string, generation int64) *flow.Grant {
	t.Helper()
	l, err := s.Lock(t.Context(), key, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	g, err := s.Load(t.Context(), key)
	if err != nil {
		g = storetest.Grant()
	}
	g.Generation = generation
	if err := s.Save(t.Context(), l, g); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	return g
}

func BenchmarkSave(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "tokend.db"), sqlite.Options{Sealer: newKeys(b)})
	l, err := s.Lock(b.Context(), "a", time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	g := storetest.Grant()
	for b.Loop() {
		if err := s.Save(b.Context(), l, g); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "tokend.db"), sqlite.Options{Sealer: newKeys(b)})
	put(b, s, "a", 1)
	for b.Loop() {
		if _, err := s.Load(b.Context(), "a"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRefresh measures the store's part of a refresh: lease, load, save.
func BenchmarkRefresh(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "tokend.db"), sqlite.Options{Sealer: newKeys(b)})
	for b.Loop() {
		put(b, s, "a", 1)
	}
}

var _ interface {
	flow.Store
	Ping(context.Context) error
} = (*sqlite.Store)(nil)
