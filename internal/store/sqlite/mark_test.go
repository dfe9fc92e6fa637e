package sqlite_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"example.com/tokend/internal/store/sqlite"
	"example.com/tokend/internal/store/storetest"
)

// rolledBack is a database that was put back to generation 1 of its grants a
// and b, after generation 5 of a was saved.
func rolledBack(t *testing.T, o sqlite.Options) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "tokend.db")
	step := func(f func(s *sqlite.Store)) {
		s, err := sqlite.Open(t.Context(), path, o)
		must(t, err)
		f(s)
		must(t, s.Close())
	}
	step(func(s *sqlite.Store) { put(t, s, "a", 1); put(t, s, "b", 1) })
	old, err := os.ReadFile(path)
	must(t, err)
	step(func(s *sqlite.Store) { put(t, s, "a", 5); put(t, s, "a", 5) })
	must(t, os.WriteFile(path, old, 0o600))
	return path
}

func restored(t *testing.T, s *sqlite.Store, key string, want bool) {
	t.Helper()
	g, err := s.Load(t.Context(), key)
	must(t, err)
	if g.Restored != want {
		t.Errorf("grant %q has Restored %v, want %v", key, g.Restored, want)
	}
}

// TestF32_OlderCopyPutBack: all grants of the copy are restored ones, in every
// later process too, until the flag is saved away.
func TestF32_OlderCopyPutBack(t *testing.T) {
	for name, markFile := range map[string]string{"beside": "", "elsewhere": filepath.Join(t.TempDir(), "keyset.json.mark")} {
		t.Run(name, func(t *testing.T) {
			o := sqlite.Options{Sealer: newKeys(t), MarkFile: markFile}
			path := rolledBack(t, o)
			for range 2 {
				s, err := sqlite.Open(t.Context(), path, o)
				must(t, err)
				restored(t, s, "a", true)
				restored(t, s, "b", true)
				must(t, s.Ping(t.Context()))
				must(t, s.Close())
			}
			s := open(t, path, o)
			g, err := s.Load(t.Context(), "a")
			must(t, err)
			l, err := s.Lock(t.Context(), "a", time.Minute)
			must(t, err)
			g.Restored = false
			must(t, s.Save(t.Context(), l, g))
			if g.Revision != 5 { // two of the copy, two that were lost, this one
				t.Errorf("revision %d, want 5: none is used twice", g.Revision)
			}
			other := open(t, path, o)
			restored(t, other, "a", false)
			restored(t, other, "b", true)
		})
	}
}

// TestMarkSaysNothing: no grant is a restored one without a mark of this store.
func TestMarkSaysNothing(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "cut": `{"store":"`, "another store's": `{"store":"00112233445566778899aabbccddeeff","revision":99}`,
		"text": "hello", "no revision": "{}",
	} {
		t.Run(name, func(t *testing.T) {
			o := sqlite.Options{Sealer: newKeys(t)}
			path := rolledBack(t, o)
			must(t, os.WriteFile(path+".mark", []byte(content), 0o600))
			s := open(t, path, o)
			restored(t, s, "a", false)
			if m := readMark(t, path+".mark"); m.Store != s.ID() || m.Revision != 2 {
				t.Errorf("the mark is %v, want this store's at revision 2", m)
			}
		})
	}
	t.Run("the same", func(t *testing.T) {
		o := sqlite.Options{Sealer: newKeys(t)}
		path := closedDatabase(t, o)
		restored(t, open(t, path, o), "a", false)
	})
}

type marked struct {
	Store    string
	Revision int64
}

func readMark(t *testing.T, path string) (m marked) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, json.Unmarshal(b, &m))
	return m
}

// TestMarkFollows many stores at once, and never goes back.
func TestMarkFollows(t *testing.T) {
	const stores, saves = 4, 25
	o := sqlite.Options{Sealer: newKeys(t), MarkFile: filepath.Join(t.TempDir(), "keyset.json.mark")}
	path := filepath.Join(t.TempDir(), "tokend.db")
	var wg sync.WaitGroup
	for i := range stores {
		s := open(t, path, o)
		wg.Go(func() {
			last := int64(0)
			for range saves {
				storetest.Increment(t, s, fmt.Sprint(i))
				b, err := os.ReadFile(o.MarkFile)
				var m marked
				if err != nil || json.Unmarshal(b, &m) != nil {
					continue // it is being written
				}
				if m.Revision < last {
					t.Errorf("the mark went from %d to %d", last, m.Revision)
				}
				last = m.Revision
			}
		})
	}
	wg.Wait()
	if m := readMark(t, o.MarkFile); m.Revision != stores*saves {
		t.Errorf("the mark is at %d after %d saves", m.Revision, stores*saves)
	}
	if _, err := os.Stat(path + ".mark"); err == nil {
		t.Error("there are two marks")
	}
}

// TestMarkWhereItCanBeWritten: the directory of the keyset may be read-only.
func TestMarkWhereItCanBeWritten(t *testing.T) {
	o := sqlite.Options{Sealer: newKeys(t), MarkFile: filepath.Join(t.TempDir(), "none", "keyset.json.mark")}
	path := rolledBack(t, o)
	restored(t, open(t, path, o), "a", true)
}
