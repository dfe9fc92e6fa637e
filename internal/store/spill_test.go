package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/store"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

// spilling is a store with a saved grant of generation 7.
type spilling struct {
	*store.Store
	url   string
	keys  *seal.Keyset
	lease flow.Lease
	saved *flow.Grant
}

func newSpilling(t testing.TB) *spilling {
	t.Helper()
	p := &spilling{url: "sqlite:" + t.TempDir() + "/tokend.db", keys: newKeys(t), saved: storetest.Grant()}
	p.Store = open(t, p.url, p.keys)
	p.lease = lock(t, p.Store, "a")
	p.put(t, p.saved)
	return p
}

func (p *spilling) put(t testing.TB, g *flow.Grant) {
	t.Helper()
	if err := p.Save(t.Context(), p.lease, g); err != nil {
		t.Fatal(err)
	}
}

func (p *spilling) aside(t testing.TB, g *flow.Grant) {
	t.Helper()
	if err := p.Spill(t.Context(), "a", g); err != nil {
		t.Fatal(err)
	}
}

// files returns the files of the spill.
func (p *spilling) files(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob(strings.TrimPrefix(p.url, "sqlite:") + ".spill/*")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func (p *spilling) get(t testing.TB) *flow.Grant {
	t.Helper()
	g, err := p.Load(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// next returns the grant after another exchange.
func next(g *flow.Grant) *flow.Grant {
	n := *g
	n.Generation++
	n.RefreshToken = "canary-successor"
	return &n
}

func TestSpill_IsLoaded(t *testing.T) {
	p := newSpilling(t)
	g := next(p.saved)
	p.aside(t, g)
	if names := p.files(t); len(names) != 1 {
		t.Fatalf("files %v, want one", names)
	}
	mode(t, p.files(t)[0], 0o600)
	mode(t, filepath.Dir(p.files(t)[0]), 0o700)
	if got := p.get(t); !reflect.DeepEqual(got, g) {
		t.Errorf("Load = %v, want the spilled grant", got)
	}
	if err := p.Close(); err != nil { // the spill outlives the process
		t.Fatal(err)
	}
	p.Store = open(t, p.url, p.keys)
	got := p.get(t)
	if !reflect.DeepEqual(got, g) {
		t.Errorf("Load after a restart = %v, want the spilled grant", got)
	}
	if _, err := p.Load(t.Context(), "b"); !errors.Is(err, flow.ErrNotFound) {
		t.Errorf("Load of another key = %v", err)
	}
	l, err := p.Lock(t.Context(), "b", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Save(t.Context(), l, storetest.Grant()); err != nil { // saving another key keeps the spill
		t.Fatal(err)
	}
	if len(p.files(t)) != 1 {
		t.Error("another key's save removed the spill")
	}
}

func TestSpill_IsRemovedWhenSaved(t *testing.T) {
	p := newSpilling(t)
	p.aside(t, next(p.saved))
	g := p.get(t)
	p.put(t, g)
	if names := p.files(t); len(names) != 0 {
		t.Errorf("files %v after the save, want none", names)
	}
	if got := p.get(t); got.Generation != g.Generation || got.RefreshToken != "canary-successor" {
		t.Errorf("Load = %v, want what was spilled and saved", got)
	}
}

// TestSpill_AgainstSavedGrant compares a spilled grant with what was saved since.
func TestSpill_AgainstSavedGrant(t *testing.T) {
	for _, c := range []struct {
		name  string
		spill func(g *flow.Grant) // g was made from the saved grant
		then  func(t *testing.T, p *spilling)
		want  string // refresh token
	}{
		{"nothing since", func(g *flow.Grant) { g.Generation++ }, nil, "spilled"},
		{"same generation, changed state", func(*flow.Grant) {}, nil, "spilled"},
		{"same generation saved since", func(*flow.Grant) {}, savedSince(func(*flow.Grant) {}), "saved"},
		{
			"the spilled generation saved since", func(g *flow.Grant) { g.Generation++ },
			savedSince(func(g *flow.Grant) { g.Generation++ }), "saved",
		},
		{
			"later generation saved since", func(g *flow.Grant) { g.Generation++ },
			savedSince(func(g *flow.Grant) { g.Generation += 2 }), "saved",
		},
		{
			"only a state saved since", func(g *flow.Grant) { g.Generation += 2 },
			savedSince(func(g *flow.Grant) { g.Generation++ }), "spilled",
		},
		{
			"later login saved since", func(g *flow.Grant) { g.Generation += 9 },
			savedSince(func(g *flow.Grant) { g.Generation, g.LoggedIn = 1, g.LoggedIn.Add(time.Hour) }), "saved",
		},
		{
			"a later login that was spilled", func(g *flow.Grant) { g.Generation, g.LoggedIn = 1, g.LoggedIn.Add(time.Hour) },
			nil, "spilled",
		},
		{"an older generation", func(g *flow.Grant) { g.Generation-- }, nil, "first"},
		{
			"a later login that was spilled, by a clock that was set back",
			func(g *flow.Grant) { g.Generation, g.LoggedIn = 1, g.LoggedIn.Add(-time.Hour) }, nil, "spilled",
		},
		{
			"an earlier login, with another saved since", func(g *flow.Grant) { g.Generation++; g.LoggedIn = g.LoggedIn.Add(-time.Hour) },
			savedSince(func(*flow.Grant) {}), "saved",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newSpilling(t)
			p.saved.RefreshToken = "first"
			p.put(t, p.saved)
			g := *p.saved
			g.RefreshToken = "spilled"
			c.spill(&g)
			p.put(t, p.saved) // the spilled grant was made from this one
			g.Revision = p.saved.Revision
			p.aside(t, &g)
			if c.then != nil {
				c.then(t, p)
			}
			got := p.get(t)
			if got.RefreshToken.Reveal() != c.want {
				t.Errorf("Load has the %s one, want the %s", got.RefreshToken.Reveal(), c.want)
			}
			p.put(t, got) // it can be saved in both cases
			names := p.files(t)
			switch {
			case c.want == "spilled" && len(names) != 0:
				t.Errorf("files %v after the save, want none", names)
			case c.want != "spilled" && (len(names) != 1 || !strings.HasSuffix(names[0], ".lost")):
				t.Errorf("files %v after the save, want the spilled one under another name", names)
			}
			if err := p.Delete(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			if names := p.files(t); len(names) != 0 {
				t.Errorf("files %v after Delete, want none", names)
			}
		})
	}
}

// savedSince lets another process, without a spill, save a change of the same
// grant.
func savedSince(change func(*flow.Grant)) func(*testing.T, *spilling) {
	return func(t *testing.T, p *spilling) {
		hidden := p.files(t)[0]
		if err := os.Rename(hidden, hidden+"~"); err != nil {
			t.Fatal(err)
		}
		g := p.get(t)
		g.RefreshToken = "saved"
		change(g)
		p.put(t, g)
		if err := os.Rename(hidden+"~", hidden); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSpill_OfFirstLogin(t *testing.T) {
	p := newSpilling(t)
	g := storetest.Grant()
	if err := p.Spill(t.Context(), "new", g); err != nil {
		t.Fatal(err)
	}
	got, err := p.Load(t.Context(), "new")
	if err != nil || !reflect.DeepEqual(got, g) {
		t.Errorf("Load = %v, %v; want the spilled grant", got, err)
	}
}

func TestSpill_OfDeletedGrant(t *testing.T) {
	p := newSpilling(t)
	p.aside(t, next(p.saved))
	kept, err := os.ReadFile(p.files(t)[0])
	if err != nil {
		t.Fatal(err)
	}
	name := p.files(t)[0]
	if err := p.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if names := p.files(t); len(names) != 0 {
		t.Errorf("files %v after Delete, want none", names)
	}
	if err := os.WriteFile(name, kept, 0o600); err != nil { // as if the logout was on another machine
		t.Fatal(err)
	}
	if _, err := p.Load(t.Context(), "a"); !errors.Is(err, flow.ErrNotFound) {
		t.Errorf("Load = %v: a logout was undone", err)
	}
}

func TestSpill_DoesNotReplaceNewer(t *testing.T) {
	p := newSpilling(t)
	g := next(p.saved)
	p.aside(t, g)
	p.aside(t, g) // spilling it again does no harm
	earlier := next(g)
	earlier.LoggedIn = g.LoggedIn.Add(-time.Hour)
	for name, g := range map[string]*flow.Grant{"an older generation": p.saved, "an earlier login, made from the same revision": earlier} {
		if err := p.Spill(t.Context(), "a", g); !errors.Is(err, flow.ErrConflict) {
			t.Errorf("Spill of %s = %v, want ErrConflict", name, err)
		}
	}
	if got := p.get(t); got.Generation != g.Generation {
		t.Errorf("Load has generation %d, want %d", got.Generation, g.Generation)
	}
}

// TestSpill_Damaged: an unreadable file is ignored, and kept for inspection.
//
// Row F19 of docs/guarantees.md.
func TestSpill_Damaged(t *testing.T) {
	p := newSpilling(t)
	p.aside(t, next(p.saved))
	name := p.files(t)[0]
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	ignored := func(what string, b []byte) {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := p.get(t); got.Generation != p.saved.Generation {
			t.Errorf("%s: Load has generation %d, want the saved %d", what, got.Generation, p.saved.Generation)
		}
	}
	for n := range len(whole) {
		ignored("cut", whole[:n])
	}
	ignored("generation raised", bytes.Replace(whole, []byte(`"generation":8`), []byte(`"generation":9`), 1))
	ignored("revision raised", bytes.Replace(whole, []byte(`"revision":1`), []byte(`"revision":2`), 1))
	other := newSpilling(t)
	other.aside(t, next(other.saved))
	b, err := os.ReadFile(other.files(t)[0])
	if err != nil {
		t.Fatal(err)
	}
	ignored("another store's", b)
	if err := p.Spill(t.Context(), "b", next(p.saved)); err != nil {
		t.Fatal(err)
	}
	for _, n := range p.files(t) {
		if n != name {
			if b, err = os.ReadFile(n); err != nil {
				t.Fatal(err)
			}
		}
	}
	ignored("another key's", b)
	ignored("another key's, renamed inside", bytes.Replace(b, []byte(`"key":"b"`), []byte(`"key":"a"`), 1))

	p.put(t, p.saved)
	if kept, err := os.ReadFile(name + ".damaged"); err != nil || len(kept) != len(b) {
		t.Errorf("the damaged spill was not kept: %v", err)
	}
	p.aside(t, next(p.saved)) // the damaged file does not block a new one
	if got := p.get(t); got.Generation != p.saved.Generation+1 {
		t.Errorf("Load has generation %d, want the spilled one", got.Generation)
	}
}
