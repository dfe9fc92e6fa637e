package flow

import (
	"bytes"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestGet_OtherAudience_DefaultTokenIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		r := Request{Audience: "https://other.test/", Scopes: []string{"write", "read", "read"}}
		child, err := c.Get(t.Context(), r)
		if err != nil || child.AccessToken != "at-3" {
			t.Fatalf("%v, %v", child, err)
		}
		if p := s.posts[1]; p.Get("audience") != r.Audience || p.Get("scope") != "read write" {
			t.Errorf("sent %v", p)
		}
		r.Scopes = []string{"read", "write"}
		if again, _ := c.Get(t.Context(), r); again != child {
			t.Errorf("another token for the same scopes: %v", again)
		}
		if own, _ := c.Get(t.Context(), Request{Scopes: []string{"offline_access", "openid", "profile"}}); own.AccessToken != "at-2" {
			t.Errorf("the default token is now %v", own.AccessToken.Reveal())
		}
		s.keep(refuse(403, "access_denied"))
		bad := Request{Audience: "https://bad.test/"}
		for range 5 {
			_, err = c.Get(t.Context(), bad)
			wantError(t, err, ClassRequest, "access_denied")
		}
		if n := s.count("refresh_token"); n != 2 {
			t.Errorf("%d requests: a refusal is not repeated at once", n)
		}
		if st := c.Status(); st.State != StateReady {
			t.Errorf("the client is %s for one audience", st.State)
		}
		s.keep(nil)
		if _, err := c.Refresh(t.Context()); err != nil {
			t.Errorf("others are not held back: %v", err)
		}
		if g := c.grant(); len(g.Tokens) != 2 || g.Generation != 3 {
			t.Errorf("grant %+v", g)
		}
	})
}

func TestGet_MinValidity(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		time.Sleep(20 * time.Minute)
		if tok, _ := c.Get(t.Context(), Request{MinValidity: 40 * time.Minute}); tok.AccessToken != "at-2" {
			t.Error("refreshed although it fits")
		}
		if tok, _ := c.Get(t.Context(), Request{MinValidity: 41 * time.Minute}); tok.AccessToken != "at-3" {
			t.Error("not refreshed")
		}
		for range 1000 { // longer than any token lives
			if tok, err := c.Get(t.Context(), Request{MinValidity: 24 * time.Hour}); err != nil || tok.AccessToken != "at-3" {
				t.Fatalf("%v, %v", tok, err)
			}
		}
		time.Sleep(7 * time.Minute)
		if tok, _ := c.Get(t.Context(), Request{MinValidity: 24 * time.Hour}); tok.AccessToken != "at-4" {
			t.Error("not as fresh as can be")
		}
	})
}

func TestSeed(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := NewMemoryStore()
		s.refresh["seed-1"] = &family{current: "seed-1"}
		seeded := func(rt Secret) *Client {
			cfg := s.config()
			cfg.Source, cfg.Store = Seed{RefreshToken: rt}, store
			return mustNew(t, cfg)
		}
		c := seeded("seed-1")
		if _, err := c.Get(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
		if _, err := seeded("seed-1").LoginHeadless(t.Context()); err != nil || s.revoked != 0 {
			t.Errorf("after a restart the spent seed was sent: %v", err)
		}
		if g, err := c.Refresh(t.Context()); err != nil || g.Generation != 2 || s.count("") != 2 {
			t.Errorf("the other process has refreshed: %v, %v", g, err)
		}
		s.script(refuse(403, "invalid_grant"))
		_, err := c.Refresh(t.Context())
		wantError(t, err, ClassLoginRequired, "")
		_, err = seeded("seed-1").LoginHeadless(t.Context())
		wantError(t, err, ClassLoginRequired, "give a new refresh token")
		s.refresh["seed-2"] = &family{current: "seed-2"}
		if _, err := seeded("seed-2").Refresh(t.Context()); err != nil {
			t.Errorf("a new seed: %v", err)
		}
	})
}

func TestClientCredentials(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := mustNew(t, func() Config {
			c := s.config()
			c.Source, c.Audience = ClientCredentials{}, "https://api.test/"
			return c
		}())
		for i := range 3 {
			if _, err := c.Get(t.Context(), Request{}); err != nil || s.count("client_credentials") != i+1 {
				t.Fatalf("%v, %d requests", err, s.count(""))
			}
			time.Sleep(time.Hour)
		}
		if p := s.posts[0]; p.Get("audience") != "https://api.test/" || p.Get("client_secret") != "CANARY-secret" {
			t.Errorf("sent %v", p)
		}
		s.script(drop, refuse(503, ""))
		if _, err := c.Get(t.Context(), Request{}); err != nil || s.count("") != 6 {
			t.Errorf("nothing is spent, so it is repeated: %v, %d", err, s.count(""))
		}
	})
}

func TestForget(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		c.plan(t.Context()) // as Run does
		if c.Status().NextRefresh.IsZero() {
			t.Fatal("no refresh is announced")
		}
		if err := c.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		if next := c.Status().NextRefresh; !next.IsZero() {
			t.Errorf("a refresh is announced for %s", next)
		}
		if !s.refresh["rt-2"].dead || c.Status().State != StateLoginRequired {
			t.Errorf("not revoked, or %s", c.Status().State)
		}
		_, err := c.Get(t.Context(), Request{})
		wantError(t, err, ClassLoginRequired, "")
		if g, err := c.cfg.Store.Load(t.Context(), demoKey); err != nil || g.State != GrantLoggedOut || g.RefreshToken != "" || len(g.Tokens) != 0 {
			t.Errorf("stored: %v, %v", g, err)
		}
		if _, err := c.LoginHeadless(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// A refresh token that is still valid at the provider is kept as long as a retry
// may revoke it.
func TestForget_ProviderUnavailable_GrantIsKept(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"503":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"429":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) },
		"no answer":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"untrusted":  nil, // a certificate
		"no in time": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				var log bytes.Buffer
				c := s.loggedIn(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
				s.paths["/oauth/revoke"] = h
				if h == nil {
					working := c.http.Transport
					c.http.Transport = roundTripper(func(*http.Request) (*http.Response, error) {
						c.http.Transport = working
						return nil, x509.UnknownAuthorityError{}
					})
				}
				var e *Error
				if err := c.Forget(t.Context()); !errors.As(err, &e) || !isTransient(e) || !strings.Contains(e.Hint, "kept") {
					t.Fatalf("got %v", err)
				}
				if _, err := c.Get(t.Context(), Request{Force: true}); err != nil || strings.Contains(log.String(), "revoked=") {
					t.Errorf("%v, logged %s", err, log.String())
				}
				delete(s.paths, "/oauth/revoke")
				family := s.refresh[c.grant().RefreshToken.Reveal()]
				if err := c.Forget(t.Context()); err != nil || !family.dead {
					t.Fatalf("again: %v", err)
				}
				if !strings.Contains(log.String(), "revoked=true") {
					t.Errorf("logged %s", log.String())
				}
			})
		})
	}
}

// If the provider cannot revoke the token, the grant is deleted and the error
// says so.
func TestForget_RevocationRefused_GrantIsDeleted(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		var log bytes.Buffer
		c := s.loggedIn(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		s.paths["/oauth/revoke"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }
		wantError(t, c.Forget(t.Context()), ClassBadResponse, "403 Forbidden at tenant.test/oauth/revoke: the grant is deleted here but still valid there")
		if g, err := c.cfg.Store.Load(t.Context(), demoKey); err != nil || g.State != GrantLoggedOut || g.RefreshToken != "" || len(g.Tokens) != 0 {
			t.Errorf("stored: %v, %v", g, err)
		}
		if err := c.Forget(t.Context()); err != nil || strings.Count(log.String(), "revoked=false") != 2 {
			t.Errorf("nothing was left to revoke: %v, logged %s", err, log.String())
		}
	})
}

func TestForget_NoRevocationEndpoint(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.discovery = func(doc map[string]any) { delete(doc, "revocation_endpoint") }
		c := s.loggedIn(t, nil)
		wantError(t, c.Forget(t.Context()), ClassBadResponse, "announces no revocation_endpoint: the grant is deleted here but still valid there")
	})
}

func TestLoad_GrantOfAnotherClient_IsIgnored(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := NewMemoryStore()
		s.loggedIn(t, func(c *Config) { c.Store = store })
		cfg := s.config()
		cfg.Store, cfg.ClientID, cfg.Source = store, "another", nil
		c := mustNew(t, cfg)
		_, err := c.Get(t.Context(), Request{})
		wantError(t, err, ClassLoginRequired, "no grant")
		if s.count("refresh_token") != 0 {
			t.Error("the other client's token was sent")
		}
	})
}

func TestLoad_CorruptStore(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := &brokenStore{Store: NewMemoryStore()}
		c := mustNew(t, func() Config { c := s.config(); c.Store = store; return c }())
		store.set(func(op string, _ *Grant) error {
			if op == "load" {
				return ErrCorrupt
			}
			return nil
		})
		_, err := c.Get(t.Context(), Request{})
		wantError(t, err, ClassStoreCorrupt, "cannot be read")
		if s.count("") != 0 {
			t.Error("a login over a grant that cannot be read")
		}
	})
}

// No secret is in a log, an error or a printed value (X27).
func TestNoSecretIsPrinted(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.answer = func(b map[string]any) { b["access_token"] = "CANARY-access" }
		var out strings.Builder
		c := s.loggedIn(t, func(c *Config) { c.Log = logTo(&out) })
		print := func(v any) {
			logTo(&out).Info("x", "v", v)
			_, _ = out.WriteString(sprint(v))
		}
		for _, h := range []handler{nil, dropAfter, refuse(500, "x"), refuse(403, "invalid_grant"), hang, raw(200, "application/json", `{"refresh_token":"CANARY-rt"}`)} {
			s.script(h)
			g, err := c.Refresh(t.Context())
			print(g)
			print(err)
			print(c.Status())
			tok, _ := c.Get(t.Context(), Request{})
			print(tok)
			time.Sleep(time.Hour)
			_, err = c.LoginHeadless(t.Context())
			print(err)
		}
		print(*c.grant())
		print(c.cfg.ClientSecret)
		print(c)
		synctest.Wait() // fmt reads the fields of the client here, whatever guards them
		print(struct{ c *Client }{c})
		print(&MemoryStore{logins: []PendingLogin{{Login: Login{Verifier: "CANARY-verifier"}}}})
		print(&Verifier{})
		print(NewProvider(ProviderConfig{Issuer: testIssuer}))
		print(&Transport{Source: c, renewed: "CANARY-renewed"})
		for _, secret := range []string{"PANIC", "CANARY", `"rt-`, " rt-", "code-", string(c.grant().IDToken)} {
			if strings.Contains(out.String(), secret) {
				at := strings.Index(out.String(), secret)
				t.Errorf("%q is in the output: …%s", secret, out.String()[max(0, at-300):at])
			}
		}
		if !strings.Contains(out.String(), "refreshed") {
			t.Error("nothing was logged")
		}
	})
}
