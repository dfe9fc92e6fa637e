package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

// filled returns a store with an active, a spilled, a logged-out and a tokenless grant.
func filled(t *testing.T) *store.Store {
	t.Helper()
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "tokend.db"), newKeys(t))
	for key, g := range grants() {
		if key == "spilled" {
			must(t, s.Spill(t.Context(), key, g))
			continue
		}
		l := lock(t, s, key)
		must(t, s.Save(t.Context(), l, g))
		must(t, l.Release(t.Context()))
	}
	return s
}

func grants() map[string]*flow.Grant {
	active, restored, spilled := storetest.Grant(), storetest.Grant(), storetest.Grant()
	active.Moved, restored.Moved, spilled.Moved = false, false, false
	restored.Restored = true
	spilled.Generation++
	return map[string]*flow.Grant{
		"active": active, "restored": restored, "spilled": spilled,
		"out":  {State: flow.GrantLoggedOut, LoggedIn: active.LoggedIn, Exchanged: active.Exchanged},
		"none": {State: flow.GrantActive, Generation: 3},
	}
}

func exportOf(t *testing.T, s *store.Store) []byte {
	t.Helper()
	var b []byte
	n, err := s.Export(t.Context(), time.Now(), func(out []byte) error { b = out; return nil })
	if err != nil || n != len(grants()) {
		t.Fatalf("Export = %d, %v", n, err)
	}
	return b
}

func into(t *testing.T, s, from *store.Store, b []byte) store.Imported {
	t.Helper()
	r, err := s.Import(t.Context(), b, store.KeysOf(from))
	must(t, err)
	return r
}

// holds checks which grants are in s, and whether they are marked as moved.
func holds(t *testing.T, s *store.Store, moved bool) {
	t.Helper()
	for key, want := range grants() {
		got, err := s.Load(t.Context(), key)
		if err != nil {
			t.Errorf("Load(%q) = %v", key, err)
			continue
		}
		want.Moved, want.Revision = moved && want.RefreshToken != "", got.Revision
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, moved %v, restored %v\nwant %v, moved %v, restored %v", key, got, got.Moved, got.Restored, want, want.Moved, want.Restored)
		}
	}
}

func TestExport_MovesGrants(t *testing.T) {
	from, to := filled(t), open(t, "sqlite:"+filepath.Join(t.TempDir(), "tokend.db"), newKeys(t))
	b := exportOf(t, from)
	holds(t, from, true)
	for _, secret := range []string{"canary", "auth0|1", "Y2FuYXJ5"} {
		if strings.Contains(string(b), secret) {
			t.Errorf("the export holds %q in the clear", secret)
		}
	}
	if r := into(t, to, from, b); r.Grants != 5 || r.Present != 0 || len(r.Refused) != 0 {
		t.Errorf("%+v", r)
	}
	holds(t, to, false)
	if r := into(t, to, from, b); r.Grants != 0 || r.Present != 5 {
		t.Errorf("again: %+v", r)
	}
	if again := exportOf(t, from); len(again) == 0 { // of what is marked already
		t.Error("nothing")
	}
}

// TestImport_Back imports an export into its own store: the marks are removed.
func TestImport_Back(t *testing.T) {
	s := filled(t)
	if r := into(t, s, s, exportOf(t, s)); r.Grants != 3 || r.Present != 2 {
		t.Errorf("%+v", r)
	}
	holds(t, s, false)
}

func TestImport_LaterGrantStays(t *testing.T) {
	from, to := filled(t), filled(t)
	b := exportOf(t, from)
	change := map[string]func(*flow.Grant){
		"active":   func(g *flow.Grant) { g.Generation++ },
		"restored": func(g *flow.Grant) { g.LoggedIn = g.LoggedIn.Add(time.Minute); g.Generation = 1 },
		"spilled":  func(g *flow.Grant) { g.State, g.RefreshToken, g.Exchanged = flow.GrantLoggedOut, "", time.Now() },
		"none":     func(g *flow.Grant) { g.Generation-- }, // an earlier one is replaced
	}
	for key, f := range change {
		g, err := to.Load(t.Context(), key)
		must(t, err)
		f(g)
		l := lock(t, to, key)
		must(t, to.Save(t.Context(), l, g))
		must(t, l.Release(t.Context()))
	}
	r := into(t, to, from, b)
	if strings.Join(r.Refused, " ") != "active restored spilled" || r.Grants != 1 || r.Present != 1 {
		t.Errorf("%+v", r)
	}
	if g, err := to.Load(t.Context(), "active"); err != nil || g.Generation != 8 {
		t.Errorf("%v, %v", g, err)
	}
}

// TestExport_WaitsForRefresh: the export does not take a grant from a running refresh.
func TestExport_WaitsForRefresh(t *testing.T) {
	s := filled(t)
	l := lock(t, s, "active")
	g, err := s.Load(t.Context(), "active")
	must(t, err)
	g.Generation++
	saved := make(chan error, 1)
	time.AfterFunc(300*time.Millisecond, func() {
		saved <- errors.Join(s.Save(context.Background(), l, g), l.Release(context.Background()))
	})
	b := exportOf(t, s)
	must(t, <-saved)
	to := open(t, "sqlite:"+filepath.Join(t.TempDir(), "tokend.db"), newKeys(t))
	into(t, to, s, b)
	if got, err := to.Load(t.Context(), "active"); err != nil || got.Generation != 8 {
		t.Errorf("%v, %v; want the refreshed generation", got, err)
	}
}

func TestExport_NotWritten_MarksAreRemoved(t *testing.T) {
	s := filled(t)
	broken := errors.New("disk full")
	if _, err := s.Export(t.Context(), time.Now(), func([]byte) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("Export = %v", err)
	}
	holds(t, s, false)
}

func TestImport_Refused(t *testing.T) {
	from := filled(t)
	b := string(exportOf(t, from))
	for name, tc := range map[string]struct{ text, want string }{
		"empty":         {"", "not an export"},
		"other JSON":    {`{"a":1}`, "not an export"},
		"truncated":     {b[:len(b)/2], "not an export"},
		"newer":         {strings.Replace(b, `"tokend_export":1`, `"tokend_export":2`, 1), "has format 2"},
		"grant removed": {without(b), "was changed"},
		"grant renamed": {strings.Replace(b, `"key":"active"`, `"key":"another"`, 1), "another does not open"},
		"generation":    {strings.Replace(b, `"generation":3`, `"generation":4`, 1), "none does not open"},
		"restored":      {strings.Replace(b, `"restored":true,`, ``, 1), "restored does not open"},
		"other store":   {strings.Replace(b, `"store":"`, `"store":"0`, 1), "cannot be opened"},
	} {
		t.Run(name, func(t *testing.T) {
			to := open(t, "sqlite:"+filepath.Join(t.TempDir(), "tokend.db"), newKeys(t))
			_, err := to.Import(t.Context(), []byte(tc.text), store.KeysOf(from))
			if err == nil || !strings.Contains(err.Error(), tc.want) || hint.Of(err) == "" {
				t.Errorf("%v", err)
			}
			for g := range to.List(t.Context()) {
				t.Errorf("%s was imported", g.Key)
			}
		})
	}
	t.Run("other key", func(t *testing.T) {
		to := open(t, "sqlite:"+filepath.Join(t.TempDir(), "tokend.db"), newKeys(t))
		if _, err := to.Import(t.Context(), []byte(b), nil); err == nil || !strings.Contains(err.Error(), "another keyset") || !strings.Contains(hint.Of(err), "--keyset") {
			t.Errorf("%v", err)
		}
	})
}

// without removes the first grant of an export.
func without(b string) string {
	start := strings.Index(b, `{"key":`)
	return b[:start] + b[start+strings.Index(b[start:], `},`)+2:]
}

// TestExport_MarksStay: the store fails while its marks are removed.
func TestExport_MarksStay(t *testing.T) {
	s, broken := filled(t), errors.New("disk full")
	_, err := s.Export(t.Context(), time.Now(), func([]byte) error {
		must(t, s.Close())
		return broken
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "active stays marked as moved") {
		t.Errorf("Export = %v", err)
	}
}

// TestExport_DamagedGrant: nothing is exported, and nothing stays marked.
func TestExport_DamagedGrant(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokend.db")
	s := open(t, "sqlite:"+path, newKeys(t))
	saveOne(t, s, "a")
	saveOne(t, s, "b")
	change(t, path, `UPDATE grants SET sealed = substr(sealed, 1, 40) WHERE key = 'b'`)
	n, err := s.Export(t.Context(), time.Now(), func([]byte) error { t.Error("written"); return nil })
	if n != 0 || !errors.Is(err, flow.ErrCorrupt) || !strings.Contains(err.Error(), "store: export b: ") {
		t.Errorf("Export = %d, %v", n, err)
	}
	if g, err := s.Load(t.Context(), "a"); err != nil || g.Moved {
		t.Errorf("%v, %v; want the other grant not marked", g, err)
	}
}

// TestImport_CannotSave: the error names the grant.
func TestImport_CannotSave(t *testing.T) {
	from := filled(t)
	b := exportOf(t, from)
	to := open(t, "sqlite:"+filepath.Join(t.TempDir(), "tokend.db"), newKeys(t))
	must(t, to.Close())
	if _, err := to.Import(t.Context(), b, store.KeysOf(from)); err == nil || !strings.Contains(err.Error(), "store: import active: ") {
		t.Errorf("Import = %v", err)
	}
}
