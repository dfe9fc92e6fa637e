package flow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"
)

func TestNew_ReportsAllErrors(t *testing.T) {
	_, err := New(Config{Auth: "guess", Source: AuthorizationCode{Headless: true, Params: url.Values{"state": {"x"}}}, Leeway: -1, Rotation: "maybe"})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{"issuer is missing", "client id is missing", `"guess"`, "needs a redirect_uri", `"state"`, "leeway", `"maybe"`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	wantError(t, err, ClassConfig, "hint:")
}

// A source may be given by its address. One that this package does not have is an error, and
// not a panic in a goroutine of the client.
func TestNew_TakesSourcesByValueAndAddress(t *testing.T) {
	type embedded struct{ Seed }
	exchange := Exchange{SubjectTokenType: "urn:example:t", SubjectTokenFile: "f"}
	for _, source := range []Source{
		&AuthorizationCode{Headless: true}, &Device{}, &Seed{RefreshToken: "rt"}, &ClientCredentials{}, &exchange, &Password{Username: "u", Password: "p"},
	} {
		c, err := New(Config{Issuer: testIssuer, ClientID: "c", ClientSecret: "s", RedirectURL: "http://localhost/callback", Source: source})
		if err != nil {
			t.Errorf("%T: %v", source, err)
			continue
		}
		if got := "*" + fmt.Sprintf("%T", c.cfg.Source); got != fmt.Sprintf("%T", source) {
			t.Errorf("%T is kept as %s", source, got)
		}
	}
	for _, source := range []Source{(*Seed)(nil), (*Device)(nil), embedded{Seed{RefreshToken: "rt"}}, &embedded{}} {
		_, err := New(Config{Issuer: testIssuer, ClientID: "c", Source: source})
		wantError(t, err, ClassConfig, "the source is a ")
	}
	_, err := New(Config{Issuer: testIssuer, ClientID: "c", Source: &Password{}})
	wantError(t, err, ClassConfig, "the username is missing")
}

// TestNew_PlainHTTPIssuers tests row B12 of docs/guarantees.md.
func TestNew_PlainHTTPIssuers(t *testing.T) {
	for issuer, ok := range map[string]bool{
		"https://a.test/": true, "https://a.test": true, "http://localhost:8400/": true, "http://127.0.0.1/": true, "http://127.9.9.9:1/": true,
		"http://[::1]:8400/": true, "http://a.test/": false, "http://localhost.a.test/": false, "http://10.0.0.1/": false,
		"http://[::ffff:127.0.0.1]/": false, "http://0.0.0.0/": false, "ftp://a.test/": false, "a.test": false, "https://u:p@a.test/": false,
		"https://a.test/?x": false, "https://a.test/#x": false, "://": false,
	} {
		if _, err := New(Config{Issuer: issuer, ClientID: "c"}); (err == nil) != ok {
			t.Errorf("%s: %v", issuer, err)
		}
	}
	if _, err := New(Config{Issuer: "http://a.test/", ClientID: "c", InsecureAllowHTTP: true}); err != nil {
		t.Error(err)
	}
}

// An error of a URL has nothing of it that may be secret.
func TestNew_ErrorsOfURLs(t *testing.T) {
	for raw, want := range map[string]string{
		"https://u:CANARY@a.test/": `"https://xxxxx@a.test/" has a user`, "https://u:CANA/RY@a.test/": `"https://xxxxx@a.test/" is not`,
		"u:CANARY@a.test": `"xxxxx@a.test" is not`, "https://a.test/?k=CANARY": `"https://a.test/?…" has a query`, "https://a.test/#CANARY": `"https://a.test/#…" has a query`,
		"http://a.test/@x": `"http://a.test/@x"`,
	} {
		_, issuer := New(Config{Issuer: raw, ClientID: "c"})
		_, endpoint := New(Config{Issuer: testIssuer, ClientID: "c", Endpoint: oauth2.Endpoint{TokenURL: raw}})
		_, verifier := NewVerifier(ProviderConfig{Issuer: raw})
		if issuer == nil || !strings.Contains(issuer.Error(), want) {
			t.Errorf("%s: %v, want %s", raw, issuer, want)
		}
		for _, err := range []error{issuer, endpoint, verifier} {
			if err != nil && (strings.Contains(err.Error(), "CANARY") || strings.Contains(err.Error(), "CANA/RY")) {
				t.Errorf("%s: %v", raw, err)
			}
		}
	}
}

// What is not text would not be found again in the stored grant.
func TestNotText(t *testing.T) {
	for _, id := range []string{"a\xffb", "a\nb", "a\x7f"} {
		if _, err := New(Config{Issuer: testIssuer, ClientID: id}); err == nil || !strings.Contains(err.Error(), "client id") {
			t.Errorf("client id %q: %v", id, err)
		}
	}
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		for _, r := range []Request{{Audience: "https://a\xff/"}, {Scopes: []string{"openid", "\xff"}}} {
			_, err := c.Get(t.Context(), r)
			wantError(t, err, ClassRequest, "is not UTF-8")
		}
		if n := s.count("refresh_token"); n != 0 {
			t.Errorf("%d refreshes", n)
		}
	})
}

func TestNew_Combinations(t *testing.T) {
	base := Config{Issuer: testIssuer, ClientID: "c"}
	for name, tc := range map[string]struct {
		change func(*Config)
		part   string
	}{
		"least":                   {func(*Config) {}, ""},
		"basic without a secret":  {func(c *Config) { c.Auth = AuthBasic }, "needs a client secret"},
		"none with a secret":      {func(c *Config) { c.Auth, c.ClientSecret = AuthNone, "CANARY" }, "a client secret is set"},
		"a key and a secret":      {func(c *Config) { c.PrivateKey, c.ClientSecret, c.Auth = &PrivateKey{}, "CANARY", AuthPrivateKeyJWT }, "a client secret is set"},
		"a key without effect":    {func(c *Config) { c.PrivateKey, c.ClientSecret = &PrivateKey{}, "CANARY" }, "a private key is set: true"},
		"jwt without a key":       {func(c *Config) { c.Auth = AuthPrivateKeyJWT }, "a private key is set: false"},
		"a key alone":             {func(c *Config) { c.PrivateKey, c.Source = &PrivateKey{}, ClientCredentials{} }, ""},
		"seed without a token":    {func(c *Config) { c.Source = Seed{} }, "no refresh token"},
		"credentials without any": {func(c *Config) { c.Source = ClientCredentials{} }, "need client authentication"},
		"redirect with fragment":  {func(c *Config) { c.RedirectURL = "http://localhost/#x" }, "redirect_uri"},
		"redirect relative":       {func(c *Config) { c.RedirectURL = "/callback" }, "redirect_uri"},
		"exchange without a type": {func(c *Config) { c.Source = Exchange{SubjectTokenFile: "f"} }, "type is missing"},
		"exchange, type no URI":   {func(c *Config) { c.Source = Exchange{SubjectTokenFile: "f", SubjectTokenType: "jwt"} }, `"jwt" is not a URI`},
		"exchange of nothing":     {func(c *Config) { c.Source = Exchange{SubjectTokenType: "urn:x"} }, "one source of subject tokens"},
		"exchange of two": {func(c *Config) {
			c.Source = Exchange{SubjectTokenType: "urn:x", SubjectTokenFile: "f", SubjectToken: func(context.Context) (Secret, error) { return "", nil }}
		}, "one source of subject tokens"},
		"password without a user": {func(c *Config) { c.Source = Password{Password: "CANARY"} }, "the username is missing"},
		"no password":             {func(c *Config) { c.Source = Password{Username: "u"} }, "the password is missing"},
		"token endpoint plain":    {func(c *Config) { c.Endpoint = oauth2.Endpoint{TokenURL: "http://a.test/t"} }, "token endpoint"},
	} {
		c := base
		tc.change(&c)
		_, err := New(c)
		if tc.part == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if e := wantError(t, err, ClassConfig, tc.part); strings.Contains(e.Error(), "CANARY") {
			t.Errorf("%s: the secret is in %v", name, e)
		}
	}
}

// TestDiscovery_Documents tests rows B10, B11, F12 of docs/guarantees.md.
func TestDiscovery_Documents(t *testing.T) {
	drop := func(k string) func(map[string]any) { return func(m map[string]any) { delete(m, k) } }
	set := func(k, v string) func(map[string]any) { return func(m map[string]any) { m[k] = v } }
	const path = "/.well-known/openid-configuration"
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, 302) }
	}
	for name, tc := range map[string]struct {
		doc   func(map[string]any)
		path  http.HandlerFunc
		class Class
		parts []string
		calls int
	}{
		"B10 slash":                 {doc: set("issuer", "https://tenant.test"), class: ClassConfig, parts: []string{`"https://tenant.test"`, `"https://tenant.test/"`}},
		"discovery-issuer-mismatch": {doc: set("issuer", "https://evil.test/"), class: ClassConfig, parts: []string{`"https://evil.test/"`, `"https://tenant.test/"`, "set issuer to https://evil.test/ exactly"}},
		"no issuer":                 {doc: drop("issuer"), class: ClassBadResponse, parts: []string{`says ""`}},
		"moved":                     {path: redirect("https://id.test" + path), class: ClassConfig, parts: []string{"another origin", "set issuer to https://id.test/ exactly, if that is the provider you mean"}},
		"moved to plain HTTP":       {path: redirect("http://tenant.test" + path), class: ClassConfig, parts: []string{"set issuer to http://tenant.test/ exactly: http, not https"}},
		"B11 token_endpoint":        {doc: drop("token_endpoint"), class: ClassBadResponse, parts: []string{`"token_endpoint"`}},
		"B11 authorization":         {doc: drop("authorization_endpoint"), class: ClassBadResponse, parts: []string{`"authorization_endpoint"`}},
		"plain token endpoint":      {doc: set("token_endpoint", "http://tenant.test/t"), class: ClassBadResponse, parts: []string{"token_endpoint", "plain HTTP"}},
		"F12 loop":                  {path: redirect(path), class: ClassRedirect, parts: []string{"more than three times"}, calls: 4},
		"redirect nowhere":          {path: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(302) }, class: ClassRedirect, parts: []string{"without a valid Location"}, calls: 1},
		"F12 other origin":          {path: redirect("https://evil.test/"), class: ClassRedirect, parts: []string{"another origin"}},
		"no JSON":                   {path: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, class: ClassBadResponse, parts: []string{"not JSON"}},
		"too large":                 {path: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }, class: ClassBadResponse, parts: []string{"256 KiB"}},
		"not there":                 {path: http.NotFound, class: ClassConfig, parts: []string{"404", path, "set issuer to the provider's address"}},
		"down":                      {path: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, class: ClassUnreachable, parts: []string{"503"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTenant()
			s.discovery = tc.doc
			if tc.path != nil {
				s.paths[path] = tc.path
			}
			c := mustNew(t, s.config())
			_, err := c.Login(t.Context())
			for _, part := range tc.parts {
				wantError(t, err, tc.class, part)
			}
			if n := s.called(path); n != max(1, tc.calls) {
				t.Errorf("%d requests", n)
			}
			s.discovery = nil // the provider recovers
			delete(s.paths, path)
			if _, err := c.Login(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDiscovery_RedirectWithinOrigin(t *testing.T) {
	s := newTenant()
	hops := 0
	const path = "/.well-known/openid-configuration"
	s.paths[path] = func(w http.ResponseWriter, r *http.Request) {
		if hops++; hops == 3 {
			s.mu.Lock()
			delete(s.paths, path)
			s.mu.Unlock()
		}
		http.Redirect(w, r, path, http.StatusFound)
	}
	if _, err := mustNew(t, s.config()).Login(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDiscovery_SharedByAllWaiters(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		const path = "/.well-known/openid-configuration"
		open := make(chan struct{})
		first := true
		s.paths[path] = func(w http.ResponseWriter, r *http.Request) {
			if first {
				first = false
				<-open
				s.mu.Lock()
				delete(s.paths, path)
				s.mu.Unlock()
				http.Redirect(w, r, path, http.StatusFound)
			}
		}
		c := mustNew(t, s.config())
		leaving, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { // the caller that starts it gives up
			if _, err := c.Login(leaving); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		for range 50 {
			wg.Go(func() {
				if _, err := c.Login(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		leave()
		synctest.Wait()
		close(open)
		wg.Wait()
		if n := s.called(path); n != 2 { // including its redirect
			t.Errorf("%d requests", n)
		}
	})
}

func TestDiscovery_ConfiguredEndpoints_NotNeeded(t *testing.T) {
	s := newTenant()
	cfg := s.config()
	cfg.Source, cfg.Scopes = ClientCredentials{}, []string{"read"}
	cfg.Endpoint = oauth2.Endpoint{AuthURL: testIssuer + "authorize", TokenURL: testIssuer + "oauth/token"}
	c := mustNew(t, cfg)
	if _, err := c.Get(t.Context(), Request{}); err != nil || s.called("/.well-known/openid-configuration") != 0 {
		t.Errorf("%v, %v", err, s.calls)
	}
	if p := s.posts[0]; p.Get("grant_type") != "client_credentials" || p.Get("scope") != "read" {
		t.Errorf("sent %v", p)
	}
}

func TestRun_ProviderDownAtStart(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		const path = "/.well-known/openid-configuration"
		s.paths[path] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
		c := mustNew(t, s.config())
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		if st := c.Status(); st.State != StateUnavailable || st.Failure.Class != ClassUnreachable {
			t.Errorf("status %+v", st)
		}
		if n := s.called(path); n < 10 || n > 40 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		s.mu.Lock()
		delete(s.paths, path)
		s.mu.Unlock()
		time.Sleep(time.Minute)
		if st := c.Status(); st.State != StateReady || st.Failure != nil {
			t.Errorf("status %+v", st)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
