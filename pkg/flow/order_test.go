package flow

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// madeGrant is a grant that could not be saved, and the login of the row that it
// was made from.
type madeGrant struct {
	grant    *Grant
	replaces *time.Time
}

func TestGrant_Supersedes(t *testing.T) {
	at := func(h int) time.Time { return time.Date(2000, 1, 1, h, 0, 0, 0, time.UTC) }
	ptr := func(t time.Time) *time.Time { return &t }
	unsaved := madeGrant{&Grant{State: GrantActive, LoggedIn: at(5), Generation: 3, Revision: 7}, ptr(at(2))}
	unleased := madeGrant{&Grant{State: GrantActive, LoggedIn: at(5), Generation: 3}, nil}
	first := madeGrant{&Grant{LoggedIn: at(5), Generation: 1, Revision: 1}, ptr(time.Time{})}
	for name, tc := range map[string]struct {
		stored  Grant
		unsaved madeGrant
		want    bool
	}{
		"the row before":               {Grant{LoggedIn: at(2), Generation: 9, Revision: 7}, unsaved, false},
		"the row before, refreshed":    {Grant{LoggedIn: at(2), Generation: 10, Revision: 9}, unsaved, false},
		"a later login":                {Grant{LoggedIn: at(6), Generation: 1, Revision: 8}, unsaved, true},
		"a later login, clock back":    {Grant{LoggedIn: at(4), Generation: 1, Revision: 8}, unsaved, true},
		"that login was spilled":       {Grant{LoggedIn: at(4), Generation: 1, Revision: 7}, unsaved, true},
		"the same login, exchanged":    {Grant{LoggedIn: at(5), Generation: 4, Revision: 8}, unsaved, true},
		"the same, from the spill":     {Grant{LoggedIn: at(5), Generation: 3, Revision: 7}, unsaved, true},
		"the same login before":        {Grant{LoggedIn: at(5), Generation: 2, Revision: 8}, unsaved, false},
		"a logout before":              {Grant{State: GrantLoggedOut, LoggedIn: at(2), Exchanged: at(9), Revision: 7}, unsaved, false},
		"a logout since, clock back":   {Grant{State: GrantLoggedOut, LoggedIn: at(2), Exchanged: at(3), Revision: 8}, unsaved, true},
		"no lease, an earlier login":   {Grant{LoggedIn: at(4), Revision: 8}, unleased, false},
		"no lease, a later login":      {Grant{LoggedIn: at(6), Revision: 8}, unleased, true},
		"no lease, an earlier logout":  {Grant{State: GrantLoggedOut, Exchanged: at(4), Revision: 8}, unleased, false},
		"no lease, a later logout":     {Grant{State: GrantLoggedOut, Exchanged: at(6), Revision: 8}, unleased, true},
		"no grant before, still none":  {Grant{State: GrantNone, Revision: 1}, first, false},
		"no grant before, then one":    {Grant{LoggedIn: at(4), Revision: 1}, first, true},
		"a first login before a login": {Grant{LoggedIn: at(6), Generation: 1, Revision: 8}, first, true},
	} {
		if got := tc.stored.supersedes(tc.unsaved.grant, tc.unsaved.replaces); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A login that could not be saved does not replace what another process has
// stored since, even if that process's clock is behind.
func TestUnsavedLogin_LaterChangeByAnotherProcessStays(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(c *Client) error
		state  GrantState
	}{
		"login":  {func(c *Client) error { _, err := c.LoginHeadless(context.Background()); return err }, GrantActive},
		"logout": {func(c *Client) error { return c.Forget(context.Background()) }, GrantLoggedOut},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				inner := NewMemoryStore()
				store := &brokenStore{Store: inner}
				c := s.loggedIn(t, func(c *Config) { c.Store = store })
				time.Sleep(time.Minute)
				store.set(onSave)
				l, err := c.Login(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				callback, e := c.followRedirects(t.Context(), l) // as a browser does
				if e != nil {
					t.Fatal(e)
				}
				_, err = c.Finish(t.Context(), l, callback)
				wantError(t, err, ClassStoreUnavailable, "no space left")
				if !c.hasUnsaved() {
					t.Fatal("nothing is unsaved")
				}
				cfg := s.config()
				cfg.Store, cfg.Now = inner, func() time.Time { return time.Now().Add(-50 * time.Second) }
				if err := tc.change(mustNew(t, cfg)); err != nil {
					t.Fatal(err)
				}
				want, err := inner.Load(t.Context(), demoKey)
				if err != nil {
					t.Fatal(err)
				}
				store.set(nil)
				stop := running(t, c)
				time.Sleep(5 * time.Minute)
				stop()
				g, err := inner.Load(t.Context(), demoKey)
				if err != nil || g.State != tc.state || g.RefreshToken != want.RefreshToken || !g.LoggedIn.Equal(want.LoggedIn) {
					t.Errorf("stored %+v, want %+v; %v", g, want, err)
				}
			})
		})
	}
}

// A login after a logout is kept if its answer arrives after the lease was lost:
// the stored logout was before it.
func TestLogin_AfterLogout_LateAnswerIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := &stoppedStore{MemoryStore: NewMemoryStore()}
		c := s.loggedIn(t, func(c *Config) { c.Store = store })
		if err := c.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.script(func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			next(w, r)
			time.Sleep(leaseMax)
			if _, err := store.Lock(context.Background(), demoKey, time.Second); err != nil {
				t.Error(err)
			}
		})
		if g, err := c.LoginHeadless(t.Context()); err != nil || g.State != GrantActive || s.refresh[g.RefreshToken.Reveal()].dead {
			t.Errorf("%+v, %v", g, err)
		}
	})
}
