package flow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// The client secret is read for each request, so that a rotated one is used at
// once. It is masked if the provider repeats it.
func TestClientSecretIsReadAtEachUse(t *testing.T) {
	for _, auth := range []AuthMethod{AuthPost, AuthBasic} {
		t.Run(string(auth), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				secret, fail := Secret("CANARY-one"), error(nil)
				c := s.loggedIn(t, func(c *Config) {
					c.Auth, c.ClientSecret = auth, ""
					c.ClientSecretFrom = func(context.Context) (Secret, error) { return secret, fail }
				})
				first := c.clientCredentialHash(t.Context())
				secret = "CANARY-two"
				if second := c.clientCredentialHash(t.Context()); first == "" || second == "" || first == second || strings.Contains(second, "CANARY") {
					t.Errorf("hashes %q and %q", first, second)
				}
				s.script(refuse(400, "bad CANARY-two"))
				_, err := c.Refresh(t.Context())
				if err == nil || strings.Contains(err.Error(), "CANARY") || !strings.Contains(err.Error(), masked) {
					t.Errorf("got %v", err)
				}
				last := len(s.posts) - 1
				if sent := s.posts[last].Get("client_secret"); auth == AuthPost && sent != "CANARY-two" || auth == AuthBasic && s.basic[last] != basicOf("client", "CANARY-two") {
					t.Errorf("sent %q, %q", sent, s.basic[last])
				}
			})
		})
	}
}

func basicOf(user, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

// An unreadable credential is a config error; nothing is sent, and the grant does
// not change.
func TestClientCredential_Unreadable(t *testing.T) {
	for name, tc := range map[string]struct {
		secret Secret
		err    error
		part   string
	}{
		"no file": {"", errors.New("secret file /run/x cannot be read"), "/run/x"},
		"empty":   {"", nil, "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				secret, fail := Secret("CANARY-one"), error(nil)
				c := s.loggedIn(t, func(c *Config) {
					c.ClientSecret = ""
					c.ClientSecretFrom = func(context.Context) (Secret, error) { return secret, fail }
				})
				secret, fail = tc.secret, tc.err
				_, err := c.Refresh(t.Context())
				wantError(t, err, ClassConfig, tc.part)
				if h := c.clientCredentialHash(t.Context()); h != "" || s.count("refresh_token") != 0 {
					t.Errorf("hash %q, %d requests", h, s.count("refresh_token"))
				}
				if g, err := c.cfg.Store.Load(t.Context(), demoKey); err != nil || g.Intent != nil || g.State != GrantActive {
					t.Errorf("stored %+v, %v", g, err)
				}
			})
		})
	}
}

// The current assertion of another issuer is sent unchanged.
func TestClientAssertion_OfAnotherIssuer_IsSentUnchanged(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		assertion := Secret("CANARY.assertion.one")
		c := s.loggedIn(t, func(c *Config) {
			c.ClientSecret = ""
			c.AssertionFrom = func(context.Context) (Secret, error) { return assertion, nil }
		})
		if c.cfg.Auth != AuthPrivateKeyJWT || c.clientCredentialHash(t.Context()) == "" {
			t.Errorf("authentication %s", c.cfg.Auth)
		}
		assertion = "CANARY.assertion.two"
		if _, err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"CANARY.assertion.one", "CANARY.assertion.two"} {
			if p := s.post(i); p.Get("client_assertion") != want || p.Get("client_assertion_type") != assertionType || p.Get("client_id") != "client" {
				t.Errorf("request %d sent %v", i, p)
			}
		}
		s.script(refuse(400, "CANARY.assertion.two"))
		if _, err := c.Refresh(t.Context()); err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("got %v", err)
		}
		assertion = "two lines\nCANARY"
		_, err := c.Refresh(t.Context())
		if err == nil || strings.Contains(err.Error(), "CANARY") || s.count("refresh_token") != 2 {
			t.Errorf("got %v", err)
		}
	})
}

func TestNew_ClientCredentialSources(t *testing.T) {
	from := func(context.Context) (Secret, error) { return "s", nil }
	base := Config{Issuer: testIssuer, ClientID: "c"}
	for name, tc := range map[string]struct {
		change func(*Config)
		part   string
	}{
		"two secrets":                  {func(c *Config) { c.ClientSecret, c.ClientSecretFrom = "s", from }, "both a client secret and a function"},
		"a key and an assertion":       {func(c *Config) { c.PrivateKey, c.AssertionFrom = &PrivateKey{}, from }, "both a private key and a function"},
		"an assertion, auth post":      {func(c *Config) { c.AssertionFrom, c.ClientSecret = from, "s" }, "a private key is set: true"},
		"a secret read, auth none":     {func(c *Config) { c.ClientSecretFrom, c.Auth = from, AuthNone }, "a client secret is set"},
		"a secret read":                {func(c *Config) { c.ClientSecretFrom = from }, ""},
		"an assertion":                 {func(c *Config) { c.AssertionFrom = from }, ""},
		"client credentials by either": {func(c *Config) { c.AssertionFrom, c.Source = from, ClientCredentials{} }, ""},
	} {
		c := base
		tc.change(&c)
		if _, err := New(c); tc.part == "" && err != nil || tc.part != "" && (err == nil || !strings.Contains(err.Error(), tc.part)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c := mustNew(t, base); c.clientCredentialHash(t.Context()) != "" {
		t.Error("a public client has a credential")
	}
}

// token_params go with the requests that get a grant, and not with a refresh.
func TestTokenParams(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.refuses = nil
		params := url.Values{"organization": {"org_1"}}
		for name, source := range map[string]Source{
			"client_credentials": ClientCredentials{},
			"password":           Password{Username: "u", Password: "CANARY-password"},
			grantExchange: Exchange{SubjectTokenType: "urn:x", SubjectToken: func(context.Context) (Secret, error) {
				return "CANARY-subject", nil
			}},
		} {
			c := mustNew(t, func() Config {
				cfg := s.config()
				cfg.Name, cfg.Source, cfg.TokenParams, cfg.Scopes = name, source, params, []string{"openid", "offline_access"}
				return cfg
			}())
			if _, err := c.Get(t.Context(), Request{}); err != nil {
				t.Fatal(name, err)
			}
			if _, err := c.Refresh(t.Context()); err != nil {
				t.Fatal(name, err)
			}
		}
		for _, p := range s.posts {
			if want := p.Get("grant_type") != "refresh_token"; p.Has("organization") != want {
				t.Errorf("sent %v", p)
			}
		}
		if s.count("refresh_token") == 0 {
			t.Error("no refresh was seen")
		}
	})
	for _, name := range ownTokenParams {
		_, err := New(Config{Issuer: testIssuer, ClientID: "c", ClientSecret: "s", Source: ClientCredentials{}, TokenParams: url.Values{name: {"x"}}})
		wantError(t, err, ClassConfig, `"`+name+`"`)
	}
	_, err := New(Config{Issuer: testIssuer, ClientID: "c", TokenParams: url.Values{"organization": {"x"}}})
	wantError(t, err, ClassConfig, "token parameters have no effect with grant authorization_code")
}

// A function of the caller that fails with net/http's error does not put the query of its
// URL into the client's.
func TestCredentialFunction_URLOfItsError(t *testing.T) {
	fails := func(context.Context) (Secret, error) {
		return "", fmt.Errorf("vault: %w", &url.Error{Op: "Get", URL: "https://vault.test/v1/kv?token=CANARY-\"query", Err: errors.New("connection refused")})
	}
	for name, change := range map[string]func(*Config){
		"client secret": func(c *Config) { c.ClientSecret, c.ClientSecretFrom = "", fails },
		"assertion": func(c *Config) {
			c.ClientSecret, c.AssertionFrom, c.Auth = "", fails, AuthPrivateKeyJWT
		},
		"subject token": func(c *Config) {
			c.Source, c.RedirectURL, c.Scopes = Exchange{SubjectTokenType: "urn:x", SubjectToken: fails}, "", []string{"openid"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				cfg := s.config()
				cfg.Store = NewMemoryStore()
				change(&cfg)
				_, err := mustNew(t, cfg).LoginHeadless(t.Context())
				if err == nil || strings.Contains(err.Error(), "CANARY") || !strings.Contains(err.Error(), `vault: Get "https://vault.test/v1/kv": connection refused`) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}
