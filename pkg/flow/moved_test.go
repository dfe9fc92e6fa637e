package flow

import (
	"net/http"
	"testing"
	"time"
)

// moved returns a client whose stored grant was exported, and its store.
func (s *tenant) moved(t *testing.T) (*Client, *MemoryStore) {
	t.Helper()
	store := NewMemoryStore()
	c := s.loggedIn(t, func(c *Config) { c.Store = store })
	store.mu.Lock()
	store.grants[demoKey].Moved = true
	store.mu.Unlock()
	return c, store
}

// The grant was exported to another store: this one sends nothing, also a process that
// has the grant in memory, until somebody resumes or logs in.
func TestRefresh_MovedGrant_NothingIsSent(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, c *Client) error{
		"resume": func(t *testing.T, c *Client) error { return c.Resume(t.Context()) },
		"login":  func(t *testing.T, c *Client) error { _, err := c.LoginHeadless(t.Context()); return err },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c, store := s.moved(t)
				stop := running(t, c)
				time.Sleep(2 * time.Hour)
				_, err := c.Refresh(t.Context())
				wantError(t, err, ClassRestored, "exported")
				if st := c.Status(); st.State != StateRestored || s.count("refresh_token") != 0 {
					t.Errorf("%s, %d requests", st.State, s.count("refresh_token"))
				}
				stop()
				if err := end(t, c); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Refresh(t.Context()); err != nil || c.Status().State != StateReady || store.grants[demoKey].Moved {
					t.Errorf("%v, %s", err, c.Status().State)
				}
			})
		})
	}
}

// A logout of a grant that was exported does not revoke it for the other store.
func TestForget_MovedGrant_IsNotRevoked(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c, store := s.moved(t)
		s.paths["/oauth/revoke"] = func(http.ResponseWriter, *http.Request) { t.Error("revoked") }
		if err := c.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		if g := store.grants[demoKey]; g.State != GrantLoggedOut {
			t.Errorf("%v", g)
		}
	})
}

// A login that brings no refresh token does not keep the one that was exported.
func TestLogin_MovedGrant_RefreshTokenIsNotKept(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c, store := s.moved(t)
		s.answer = func(b map[string]any) { delete(b, "refresh_token") }
		if _, err := c.LoginHeadless(t.Context()); err != nil {
			t.Fatal(err)
		}
		if g := store.grants[demoKey]; g.RefreshToken != "" || g.Moved {
			t.Errorf("%v with a refresh token: %v", g, g.RefreshToken != "")
		}
	})
}
