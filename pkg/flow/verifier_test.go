package flow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// verifier returns a verifier of the tenant's tokens.
func (s *tenant) verifier(t testing.TB) *Verifier {
	t.Helper()
	v, err := NewVerifier(ProviderConfig{Issuer: s.issuer, HTTPClient: &http.Client{Transport: s}, Now: s.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// job are the claims of a pipeline's token.
func job(now time.Time) map[string]any {
	return map[string]any{
		"iss": testIssuer, "sub": "repo:acme/app:ref:refs/heads/main", "aud": "tokend",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
}

// Rows X13, X14, X15, X20, X22 of docs/guarantees.md, for tokens of callers.
func TestVerifier_Tokens(t *testing.T) {
	other := newKey()
	set := func(k string, v any) func(map[string]any) { return func(c map[string]any) { c[k] = v } }
	for name, c := range map[string]struct {
		claims func(map[string]any)
		sign   func(map[string]any) string
		reject string // "": accepted
	}{
		"a job's":             {},
		"many audiences":      {claims: set("aud", []string{"a", "tokend"})},
		"an access token":     {sign: func(c map[string]any) string { return typedAs("at+jwt", c) }},
		"no nbf":              {claims: func(c map[string]any) { delete(c, "nbf") }},
		"a logout token":      {sign: func(c map[string]any) string { return typedAs("logout+jwt", c) }, reject: "another kind"},
		"another issuer":      {claims: set("iss", "https://other.test/"), reject: `its iss is "https://other.test/"`},
		"no subject":          {claims: set("sub", ""), reject: "it has no sub"},
		"no audience":         {claims: set("aud", nil), reject: "its aud"},
		"an empty audience":   {claims: set("aud", []string{}), reject: "its aud"},
		"expired":             {claims: set("exp", time.Now().Add(-time.Minute).Unix()), reject: "it expired at"},
		"X20 no exp":          {claims: set("exp", nil), reject: "exp is missing"},
		"X20 exp in ms":       {claims: set("exp", time.Now().UnixMilli()), reject: "not in seconds"},
		"nbf of tomorrow":     {claims: set("nbf", time.Now().Add(24*time.Hour).Unix()), reject: "future"},
		"bound to a key":      {claims: set("cnf", map[string]string{"jkt": "x"}), reject: "bound to a key"},
		"X13 none":            {sign: unsigned, reject: "not a JWT signed"},
		"X14 HS256":           {sign: hs256, reject: "not a JWT signed"},
		"X15 its own key":     {sign: func(c map[string]any) string { return embedded(other, c) }, reject: "signature is wrong"},
		"another key":         {sign: func(c map[string]any) string { return signed(other, "k1", c) }, reject: "signature is wrong"},
		"an unknown key":      {sign: func(c map[string]any) string { return signed(other, "k2", c) }, reject: "no key"},
		"not announced":       {sign: func(c map[string]any) string { return signedWith(jose.RS512, testKey(), "k1", c) }, reject: "not a JWT signed"},
		"X22 17 KiB":          {claims: set("pad", strings.Repeat("x", 17<<10)), reject: "larger than 16 KiB"},
		"no JWT":              {sign: func(map[string]any) string { return "a.b.c" }, reject: "not a JWT"},
		"a claim twice":       {claims: set("SUB", "other"), reject: "twice"},
		"a subject of a list": {claims: set("sub", []string{"a"}), reject: "it has no sub"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTenant()
			claims := job(time.Now())
			if c.claims != nil {
				c.claims(claims)
			}
			sign := func(c map[string]any) string { return signed(testKey(), "k1", c) }
			if c.sign != nil {
				sign = c.sign
			}
			token := sign(claims)
			got, err := s.verifier(t).Verify(t.Context(), token)
			if c.reject == "" {
				if err != nil || got.Subject != "repo:acme/app:ref:refs/heads/main" || got.Audience[len(got.Audience)-1] != "tokend" || got.Expiry.Unix() != claims["exp"] {
					t.Fatalf("%+v, %v", got, err)
				}
				return
			}
			var e *Error
			if err == nil || errors.As(err, &e) || !strings.Contains(err.Error(), c.reject) || strings.Contains(err.Error(), token) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// typedAs is a token with a type of its own.
func typedAs(typ string, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: testKey()}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", "k1"))
	if err != nil {
		panic(err)
	}
	return compact(signer, claims)
}

// Keys are fetched once, and an unknown key id fetches them again at most twice in thirty
// seconds (row X16 of docs/guarantees.md).
func TestVerifier_FetchesKeysSeldom(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		v := s.verifier(t)
		token := func(kid string) string {
			c := job(time.Now())
			c["exp"] = time.Now().Add(48 * time.Hour).Unix()
			return signed(testKey(), kid, c)
		}
		for range 100 {
			if _, err := v.Verify(t.Context(), token("k1")); err != nil {
				t.Fatal(err)
			}
		}
		if d, k := s.called(discoveryPath), s.called(keysPath); d != 1 || k != 1 {
			t.Fatalf("%d and %d fetches", d, k)
		}
		for i := range 1000 {
			if _, err := v.Verify(t.Context(), token(fmt.Sprint("unknown", i))); err == nil {
				t.Fatal("accepted")
			}
		}
		if k := s.called(keysPath); k != 2 {
			t.Errorf("%d fetches for unknown keys", k)
		}
		time.Sleep(keyWindow)
		s.mu.Lock()
		s.kid = "k2" // the provider has rotated its key
		s.mu.Unlock()
		if _, err := v.Verify(t.Context(), token("k2")); err != nil {
			t.Error(err)
		}
	})
}

// A provider that is down is an error of another kind, which costs one request in a while;
// with keys in memory tokens are verified.
func TestVerifier_ProviderIsDown(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		v := s.verifier(t)
		good := signed(testKey(), "k1", job(time.Now()))
		down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
		s.paths[discoveryPath] = down
		var e *Error
		for range 100 {
			if _, err := v.Verify(t.Context(), good); !errors.As(err, &e) {
				t.Fatalf("%v", err)
			}
		}
		if n := s.called(discoveryPath); n != 1 {
			t.Errorf("%d requests while it is down", n)
		}
		s.mu.Lock()
		s.paths = map[string]http.HandlerFunc{}
		s.mu.Unlock()
		time.Sleep(verifierRetry)
		left, leave := context.WithCancel(t.Context())
		leave()
		if _, err := v.Verify(left, good); !errors.As(err, &e) {
			t.Errorf("a caller that has left: %v", err)
		}
		if _, err := v.Verify(t.Context(), good); err != nil {
			t.Fatalf("after it: %v", err)
		}
		s.mu.Lock()
		s.paths = map[string]http.HandlerFunc{discoveryPath: down, keysPath: down}
		s.mu.Unlock()
		time.Sleep(time.Minute)
		if _, err := v.Verify(t.Context(), good); err != nil {
			t.Errorf("with keys in memory: %v", err)
		}
		if _, err := v.Verify(t.Context(), signed(testKey(), "k2", job(time.Now()))); !errors.As(err, &e) {
			t.Errorf("an unknown key while it is down: %v", err)
		}
	})
}

func TestNewVerifier_Issuers(t *testing.T) {
	for issuer, want := range map[string]string{
		"":                        "the issuer is missing",
		"http://tenant.test/":     "is plain HTTP to another machine",
		"https://tenant.test/?x":  "query",
		"tenant.test":             "is not an absolute URL",
		"https://u:p@tenant.test": "has a user",
	} {
		_, err := NewVerifier(ProviderConfig{Issuer: issuer})
		wantError(t, err, ClassConfig, want)
	}
	v, err := NewVerifier(ProviderConfig{Issuer: "http://localhost:8400/"})
	if err != nil {
		t.Fatal(err)
	}
	v.Close()
}
