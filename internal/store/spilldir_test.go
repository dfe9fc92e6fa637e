package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/store"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

func TestSpillDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "spill")
	url, o := "sqlite:"+t.TempDir()+"/tokend.db", store.Options{Keys: newKeys(t), SpillDir: dir}
	s := openAt(t, url, o)
	mode(t, dir, 0o700)
	g := storetest.Grant()
	must(t, s.Spill(t.Context(), "a", g))
	names, err := filepath.Glob(dir + "/*")
	if err != nil || len(names) != 1 {
		t.Fatalf("%v (%v), want one file", names, err)
	}
	mode(t, names[0], 0o600)
	must(t, s.Close())
	s = openAt(t, url, o)
	if _, err := s.Load(t.Context(), "a"); err != nil {
		t.Errorf("Load after a restart = %v", err)
	}
	must(t, s.Save(t.Context(), lock(t, s, "a"), g))
	if names, _ := filepath.Glob(dir + "/*"); len(names) != 0 {
		t.Errorf("%v after the save, want none", names)
	}
}

// TestSpillDir_Shared: two stores with the same keyset and a grant of the same
// key.
func TestSpillDir_Shared(t *testing.T) {
	o := store.Options{Keys: newKeys(t), SpillDir: t.TempDir()}
	var stores []*store.Store
	for i := range 2 {
		s := openAt(t, "sqlite:"+t.TempDir()+"/tokend.db", o)
		g := storetest.Grant()
		g.Generation = int64(i + 1)
		must(t, s.Spill(t.Context(), "a", g))
		stores = append(stores, s)
	}
	for i, s := range stores {
		g, err := s.Load(t.Context(), "a")
		if err != nil || g.Generation != int64(i+1) {
			t.Errorf("store %d: Load = %v, %v", i, g, err)
		}
	}
}

// TestSpillDir_ConfiguredLater: the setting was added after a grant was spilled.
func TestSpillDir_ConfiguredLater(t *testing.T) {
	p := newSpilling(t)
	p.aside(t, next(p.saved))
	must(t, p.Close())
	p.Store = openAt(t, p.url, store.Options{Keys: p.keys, SpillDir: t.TempDir()})
	if g := p.get(t); g.Generation != p.saved.Generation+1 {
		t.Errorf("Load has generation %d, want the spilled %d", g.Generation, p.saved.Generation+1)
	}
	if names := p.files(t); len(names) != 0 {
		t.Errorf("%v next to the database, want none", names)
	}
}

func TestSpillDir_WritableByOthers(t *testing.T) {
	keys := newKeys(t)
	for name, place := range map[string]func(db string) (dir string, o store.Options){
		"configured": func(string) (string, store.Options) {
			dir := t.TempDir()
			return dir, store.Options{Keys: keys, SpillDir: dir}
		},
		"default": func(db string) (string, store.Options) {
			must(t, os.Mkdir(db+".spill", 0o700))
			return db + ".spill", store.Options{Keys: keys}
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := t.TempDir() + "/tokend.db"
			dir, o := place(db)
			must(t, os.Chmod(dir, 0o770))
			s, err := store.Open(t.Context(), "sqlite:"+db, o)
			if err == nil {
				t.Fatal("Open succeeded", s.Close())
			}
			_, checkErr := store.Check(t.Context(), "sqlite:"+db, o, "")
			for _, err := range []error{err, checkErr} {
				if err == nil || !strings.Contains(err.Error(), "spill directory "+dir+" can be written by others") {
					t.Errorf("error %v", err)
				}
			}
		})
	}
}

// TestSpill_Unreadable: the saved grant may be older than the spilled one and its
// token already used, so it is not served.
func TestSpill_Unreadable(t *testing.T) {
	p := newSpilling(t)
	p.aside(t, next(p.saved))
	name := p.files(t)[0]
	must(t, os.Remove(name))
	must(t, os.Mkdir(name, 0o700)) // reading it fails even for root
	if g, err := p.Load(t.Context(), "a"); err == nil || errors.Is(err, flow.ErrNotFound) || errors.Is(err, flow.ErrCorrupt) {
		t.Errorf("Load = %v, %v; want an error", g, err)
	}
}

func loggedOut(g *flow.Grant) *flow.Grant {
	return &flow.Grant{
		Issuer: g.Issuer, ClientID: g.ClientID, Revision: g.Revision, LoggedIn: g.LoggedIn,
		Exchanged: g.LoggedIn.Add(30 * time.Minute), State: flow.GrantLoggedOut,
	}
}

func TestSpill_LogoutRemovesIt(t *testing.T) {
	p := newSpilling(t)
	p.aside(t, next(p.saved))
	name := p.files(t)[0]
	kept, err := os.ReadFile(name)
	must(t, err)
	for _, suffix := range []string{".lost", ".damaged"} {
		must(t, os.WriteFile(name+suffix, kept, 0o600))
	}
	p.put(t, loggedOut(p.get(t)))
	if names := p.files(t); len(names) != 0 {
		t.Errorf("%v after the logout, want none", names)
	}
	must(t, os.WriteFile(name, kept, 0o600)) // as if it could not be removed
	if g := p.get(t); g.State != flow.GrantLoggedOut || g.RefreshToken != "" {
		t.Errorf("Load = %v: a spill undid the logout", g)
	}
	for _, revision := range []int64{p.get(t).Revision, 0} { // 0: from a process that did not see the logout
		must(t, os.RemoveAll(name))
		login := storetest.Grant()
		login.Revision = revision
		login.LoggedIn = login.LoggedIn.Add(time.Hour)
		p.aside(t, login)
		g := p.get(t)
		if g.State != login.State || !g.LoggedIn.Equal(login.LoggedIn) {
			t.Errorf("Load = %v, want the login that was spilled after the logout", g)
		}
	}
	p.put(t, p.get(t)) // replaces the logout
	if names := p.files(t); len(names) != 0 {
		t.Errorf("%v after the save, want none", names)
	}
}

// TestSpill_OfLogout: a spilled logout supersedes a refresh of the same login,
// but not a later login.
func TestSpill_OfLogout(t *testing.T) {
	p := newSpilling(t)
	p.aside(t, loggedOut(p.saved))
	savedSince(func(g *flow.Grant) { g.State = flow.GrantActive; g.Generation++ })(t, p)
	if g := p.get(t); g.State != flow.GrantLoggedOut {
		t.Errorf("Load = %v, want the logout", g)
	}
	savedSince(func(g *flow.Grant) { g.LoggedIn = g.LoggedIn.Add(time.Hour) })(t, p)
	if g := p.get(t); g.State == flow.GrantLoggedOut {
		t.Errorf("Load = %v, want the later login", g)
	}
	p.put(t, p.get(t))
	if names := p.files(t); len(names) != 0 {
		t.Errorf("%v after the save, want none: a logout holds no token", names)
	}
}

// TestSpill_OfRestoredGrant: a spilled grant does not mean that the older copy
// was resumed.
func TestSpill_OfRestoredGrant(t *testing.T) {
	p := newSpilling(t)
	p.saved.Restored = true
	p.put(t, p.saved)
	p.aside(t, next(p.saved))
	if g := p.get(t); !g.Restored || g.RefreshToken != "canary-successor" {
		t.Errorf("Load = %v, Restored %v; want the spilled grant, restored", g, g.Restored)
	}
}

// TestSpill_ReplacedStore: errors of the medium are returned, and Spill, which
// does not use it, still stores the grant.
func TestSpill_ReplacedStore(t *testing.T) {
	p := newSpilling(t)
	db := strings.TrimPrefix(p.url, "sqlite:")
	must(t, os.Rename(db, db+".old"))
	_, err := p.Load(t.Context(), "a")
	for _, err := range []error{err, p.Save(t.Context(), p.lease, p.saved), p.Ping(t.Context())} {
		if !errors.Is(err, flow.ErrReplaced) {
			t.Errorf("error %v, want ErrReplaced", err)
		}
	}
	p.aside(t, next(p.saved))
	must(t, p.Close())
	must(t, os.Rename(db+".old", db))
	p.Store = open(t, p.url, p.keys)
	if g := p.get(t); g.RefreshToken != "canary-successor" {
		t.Errorf("Load = %v, want the spilled grant", g)
	}
}

// TestSpill_DirectoryUnreadable: what cannot be read may be a later grant, so nothing goes
// on without it.
func TestSpill_DirectoryUnreadable(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"a file":                  func(t *testing.T, dir string) { must(t, errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600))) },
		"a directory for a grant": func(t *testing.T, dir string) { must(t, os.MkdirAll(filepath.Join(dir, "x"), 0o700)) },
	} {
		r := newRotating(t)
		r.fill(t)
		spoil(t, filepath.Join(r.dir, "tokend.db.spill"))
		if _, err := r.RotateKeys(t.Context(), r.keyset, false); err == nil || !strings.Contains(err.Error(), "store: spill: ") {
			t.Errorf("%s: RotateKeys = %v", name, err)
		}
		var listErr error
		for _, err := range r.List(t.Context()) {
			listErr = err
		}
		if listErr == nil || !strings.Contains(listErr.Error(), "store: spill: ") {
			t.Errorf("%s: List = %v", name, listErr)
		}
	}
}
