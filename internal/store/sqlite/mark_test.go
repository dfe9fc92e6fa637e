package sqlite_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"example.com/tokend/internal/store/sqlite"
	"example.com/tokend/internal/store/storetest"
)

// rolledBack returns a database that was restored to generation 1 of its grants a
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

// TestRestored_OlderCopy: all grants of the copy are restored ones, also for
// later processes, until the flag is cleared by a Save.
//
// Row F32 of docs/guarantees.md.
func TestRestored_OlderCopy(t *testing.T) {
	for name, markFile := range map[string]string{"next to it": "", "elsewhere": filepath.Join(t.TempDir(), "keyset.json.mark")} {
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
			if g.Revision != 5 { // two of the copy, two lost ones, this one
				t.Errorf("revision %d, want 5: none is used twice", g.Revision)
			}
			other := open(t, path, o)
			restored(t, other, "a", false)
			restored(t, other, "b", true)
		})
	}
}

// TestRestored_NoMark: without a mark of this store no grant is a restored one.
func TestRestored_NoMark(t *testing.T) {
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
			if m := readMarks(t, path+".mark"); m[s.ID()] != 2 {
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

// readMarks returns the revision of each store in a mark file.
func readMarks(t *testing.T, path string) map[string]int64 {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	var v struct {
		Stores []struct {
			Store    string
			Revision int64
		}
	}
	must(t, json.Unmarshal(b, &v))
	m := map[string]int64{}
	for _, s := range v.Stores {
		m[s.Store] = s.Revision
	}
	return m
}

// saves opens the store at path, saves its grant a that often, and returns the
// store's id.
func saves(t *testing.T, path string, o sqlite.Options, times int) (id string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, o)
	must(t, err)
	for range times {
		put(t, s, "a", 1)
	}
	must(t, s.Close())
	return s.ID()
}

// TestMark_SharedByTwoStores: two databases share a keyset and its mark. Each has
// its own entry, so a restored one is detected even if the other has written
// since, and the other is not affected.
//
// Row F32 of docs/guarantees.md.
func TestMark_SharedByTwoStores(t *testing.T) {
	o := sqlite.Options{Sealer: newKeys(t), MarkFile: filepath.Join(t.TempDir(), "keyset.json.mark")}
	first, second := filepath.Join(t.TempDir(), "tokend.db"), filepath.Join(t.TempDir(), "tokend.db")
	saves(t, first, o, 2)
	old, err := os.ReadFile(first)
	must(t, err)
	id := saves(t, first, o, 2)
	otherID := saves(t, second, o, 9)
	want := map[string]int64{id: 4, otherID: 9}
	if m := readMarks(t, o.MarkFile); !maps.Equal(m, want) {
		t.Fatalf("the mark is %v, want %v", m, want)
	}
	must(t, os.WriteFile(first, old, 0o600))
	for range 2 {
		s, err := sqlite.Open(t.Context(), first, o)
		must(t, err)
		restored(t, s, "a", true)
		must(t, s.Close())
		other, err := sqlite.Open(t.Context(), second, o)
		must(t, err)
		restored(t, other, "a", false)
		must(t, other.Close())
	}
	if m := readMarks(t, o.MarkFile); !maps.Equal(m, want) {
		t.Errorf("the mark is %v, want it as it was, %v", m, want)
	}
	saves(t, second, o, 1)
	saves(t, first, o, 1)
	if m, want := readMarks(t, o.MarkFile), map[string]int64{id: 5, otherID: 10}; !maps.Equal(m, want) {
		t.Errorf("the mark is %v, want %v", m, want)
	}
}

// TestMark_OfFormerVersion: the old format has one database. It counts for that
// one, and a write of another one does not remove it.
func TestMark_OfFormerVersion(t *testing.T) {
	o := sqlite.Options{Sealer: newKeys(t), MarkFile: filepath.Join(t.TempDir(), "keyset.json.mark")}
	path := filepath.Join(t.TempDir(), "tokend.db")
	id := saves(t, path, o, 2)
	must(t, os.WriteFile(o.MarkFile, fmt.Appendf(nil, "{\"store\":%q,\"revision\":5}\n", id), 0o600))
	other := saves(t, filepath.Join(t.TempDir(), "tokend.db"), o, 1)
	if m, want := readMarks(t, o.MarkFile), map[string]int64{id: 5, other: 1}; !maps.Equal(m, want) {
		t.Errorf("the mark is %v, want %v", m, want)
	}
	restored(t, open(t, path, o), "a", true)
}

// TestMark_ConcurrentSaves: many stores save at once, and the mark never
// decreases.
func TestMark_ConcurrentSaves(t *testing.T) {
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
				var m struct{ Stores []struct{ Revision int64 } }
				if err != nil || json.Unmarshal(b, &m) != nil || len(m.Stores) != 1 {
					continue // it is being written
				}
				if at := m.Stores[0].Revision; at < last {
					t.Errorf("the mark went from %d to %d", last, at)
				}
				last = m.Stores[0].Revision
			}
		})
	}
	wg.Wait()
	for _, at := range readMarks(t, o.MarkFile) {
		if at != stores*saves {
			t.Errorf("the mark is at %d after %d saves", at, stores*saves)
		}
	}
	if _, err := os.Stat(path + ".mark"); err == nil {
		t.Error("there are two marks")
	}
}

// TestMark_ReadOnlyDirectory: the directory of the keyset may be read-only.
func TestMark_ReadOnlyDirectory(t *testing.T) {
	o := sqlite.Options{Sealer: newKeys(t), MarkFile: filepath.Join(t.TempDir(), "none", "keyset.json.mark")}
	path := rolledBack(t, o)
	restored(t, open(t, path, o), "a", true)
}
