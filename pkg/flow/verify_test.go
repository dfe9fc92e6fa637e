package flow

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The relying-party tests of the OpenID Foundation's conformance suite
// (oidcc-client-test-…) and attacks on ID tokens, at a login: the ID token is
// accepted, or the login fails and no token is served.
//
// Rows B13, B14, X13, X14, X15, X17, X18, X19, X20, X22 of docs/guarantees.md.
func TestIDToken_Conformance_Login(t *testing.T) {
	other, second := newKey(), newKey()
	set := func(k string, v any) func(map[string]any) { return func(c map[string]any) { c[k] = v } }
	for name, tc := range map[string]struct {
		claims func(map[string]any)
		sign   func(map[string]any) string
		jwks   func() any
		answer func(map[string]any)
		reject string // "": accepted
	}{
		"discovery-openid-config":      {}, // the valid case
		"idtoken-sig-rs256":            {},
		"invalid-iss":                  {claims: set("iss", "https://tenant.test"), reject: "its iss"},
		"missing-sub":                  {claims: set("sub", nil), reject: "no sub"},
		"missing-iat":                  {claims: set("iat", nil), reject: "iat is missing"},
		"missing-aud":                  {claims: set("aud", nil), reject: "its aud"},
		"invalid-aud":                  {claims: set("aud", "somebody"), reject: "its aud"},
		"aud-array-of-one":             {claims: set("aud", []string{"client"})},
		"X19 aud array without azp":    {claims: set("aud", []string{"client", "other"}), reject: "azp"},
		"X19 azp other":                {claims: func(c map[string]any) { c["aud"] = []string{"client", "o"}; c["azp"] = "o" }, reject: "azp"},
		"aud array with azp":           {claims: func(c map[string]any) { c["aud"] = []string{"client", "o"}; c["azp"] = "client" }},
		"X18 nonce-invalid":            {claims: set("nonce", "other"), reject: "nonce"},
		"X18 nonce missing":            {claims: func(c map[string]any) { delete(c, "nonce") }, reject: "nonce"},
		"X20 exp in ms":                {claims: set("exp", time.Now().Add(time.Hour).UnixMilli()), reject: "not in seconds"},
		"X20 exp absent":               {claims: func(c map[string]any) { delete(c, "exp") }, reject: "exp is missing"},
		"exp as text":                  {claims: set("exp", "3600"), reject: "exp"},
		"expired":                      {claims: set("exp", time.Now().Add(-time.Minute).Unix()), reject: "expired"},
		"iat of tomorrow":              {claims: set("iat", time.Now().Add(24*time.Hour).Unix()), reject: "future"},
		"nbf of tomorrow":              {claims: set("nbf", time.Now().Add(24*time.Hour).Unix()), reject: "future"},
		"nbf as text":                  {claims: set("nbf", "soon"), reject: "nbf is malformed"},
		"invalid-athash":               {claims: set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), reject: "at_hash"},
		"at_hash":                      {claims: set("at_hash", accessHash(jose.RS256, "at-2"))},
		"missing-athash":               {},
		"idtoken-sig-none, X13":        {sign: unsigned, reject: "not a JWT signed"},
		"invalid-sig-rs256":            {sign: func(c map[string]any) string { return signed(other, "k1", c) }, reject: "signature"},
		"invalid-sig-hs256, X14":       {sign: hs256, reject: "not a JWT signed"},
		"invalid-sig-es256":            {sign: es256, reject: "no key"},
		"X15 embedded jwk":             {sign: func(c map[string]any) string { return embedded(other, c) }, reject: "rejected"},
		"kid-absent-single-jwks":       {sign: func(c map[string]any) string { return signed(testKey(), "", c) }},
		"X17 kid-absent-multiple-jwks": {sign: func(c map[string]any) string { return signed(testKey(), "", c) }, jwks: keysOf(&second.PublicKey, &testKey().PublicKey)},
		"kid-absent, none fits":        {sign: func(c map[string]any) string { return signed(other, "", c) }, reject: "signature"},
		"PS256":                        {sign: func(c map[string]any) string { return signedWith(jose.PS256, testKey(), "0", c) }, jwks: keysOf(&testKey().PublicKey)},
		"RS512 is not on the list":     {sign: func(c map[string]any) string { return signedWith(jose.RS512, testKey(), "k1", c) }, reject: "not a JWT signed"},
		"X22 17 KiB":                   {claims: set("pad", strings.Repeat("x", 17<<10)), reject: "16 KiB"},
		"a claim twice":                {claims: set("ISS", testIssuer), reject: "twice"},
		"nonce-unless-code-flow":       {claims: set("nonce", ""), reject: "nonce"},
		"no id_token though openid":    {answer: func(b map[string]any) { delete(b, "id_token") }, reject: "no id_token"},
		"B13 junk and a good key":      {jwks: junkAndGood},
		"B14 no keys":                  {jwks: func() any { return map[string]any{} }, reject: "no usable signing keys"},
		"B14 null":                     {jwks: func() any { return nil }, reject: "no usable signing keys"},
		"B14 keys null":                {jwks: func() any { return map[string]any{"keys": nil} }, reject: "no usable signing keys"},
		"only a symmetric key": {jwks: func() any {
			return map[string]any{"keys": []any{map[string]string{"kty": "oct", "k": "AAAA", "kid": "k1"}}}
		}, reject: "no usable signing keys"},
		"discovery-jwks-uri-keys, sig":      {jwks: keysOf(&second.PublicKey), reject: "no key"},
		"missing-aud though aud is a map":   {claims: set("aud", map[string]string{}), reject: "its aud"},
		"refresh token need not be present": {answer: func(b map[string]any) { delete(b, "refresh_token") }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTenant()
			s.claims, s.sign, s.jwks, s.answer = tc.claims, tc.sign, tc.jwks, tc.answer
			c := mustNew(t, s.config())
			g, err := c.LoginHeadless(t.Context())
			if tc.reject == "" {
				if err != nil || g.Subject != "user|1" {
					t.Fatalf("%v, %v", g, err)
				}
				return
			}
			wantError(t, err, ClassBadResponse, tc.reject)
			if c.Cached(Request{}) != nil || c.grant() != nil {
				t.Error("a token is served")
			}
			if _, err := c.cfg.Store.Load(t.Context(), demoKey); err == nil {
				t.Error("a grant is stored")
			}
		})
	}
}

func unsigned(claims map[string]any) string {
	p, _ := json.Marshal(claims)
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + e(p) + "."
}

func hs256(claims map[string]any) string {
	der, _ := x509.MarshalPKIXPublicKey(testKey().Public())
	return signedWith(jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "k1", claims)
}

func es256(claims map[string]any) string {
	k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return signedWith(jose.ES256, k, "k1", claims)
}

func embedded(key *rsa.PrivateKey, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		panic(err)
	}
	return compact(signer, claims)
}

func compact(signer jose.Signer, claims map[string]any) string {
	p, _ := json.Marshal(claims)
	jws, _ := signer.Sign(p)
	t, _ := jws.CompactSerialize()
	return t
}

func keysOf(keys ...*rsa.PublicKey) func() any {
	return func() any {
		var set jose.JSONWebKeySet
		for i, k := range keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: k, KeyID: fmt.Sprint(i), Use: "sig"})
		}
		return set
	}
}

func junkAndGood() any {
	good := jose.JSONWebKey{Key: testKey().Public(), KeyID: "k1", Use: "sig"}
	return map[string]any{"keys": []any{map[string]string{"kty": "XYZ", "kid": "k1"}, "text", 7, map[string]any{"kty": "RSA", "n": 1}, good}}
}

// oidcc-client-test-refresh-token, -invalid-issuer and -invalid-sub.
//
// Row X21 of docs/guarantees.md.
func TestIDToken_Conformance_Refresh(t *testing.T) {
	for name, tc := range map[string]struct {
		claims func(map[string]any)
		reject string
	}{
		"refresh-token":                {},
		"refresh-token-invalid-issuer": {func(c map[string]any) { c["iss"] = "https://evil.test/" }, "its iss"},
		"refresh-token-invalid-sub":    {func(c map[string]any) { c["sub"] = "user|2" }, "another user"},
		"no id token":                  {},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c := s.loggedIn(t, nil)
				s.claims = tc.claims
				if name == "no id token" {
					s.answer = func(b map[string]any) { delete(b, "id_token") }
				}
				g, err := c.Refresh(t.Context())
				stored, _ := c.cfg.Store.Load(t.Context(), demoKey)
				if stored.RefreshToken != "rt-3" || stored.State != GrantActive {
					t.Errorf("the successor is not stored: %+v", stored)
				}
				tok, gerr := c.Get(t.Context(), Request{})
				if tc.reject == "" {
					if err != nil || gerr != nil || g.Subject != "user|1" || tok.AccessToken != "at-3" {
						t.Fatalf("%v, %v, %v", g, err, tok)
					}
					return
				}
				wantError(t, err, ClassBadResponse, tc.reject)
				if gerr != nil || tok.AccessToken != "at-2" {
					t.Errorf("the old token is kept: %v, %v", tok, gerr)
				}
				for _, kept := range stored.Tokens {
					if kept.AccessToken == "at-3" {
						t.Error("the refused access token is stored")
					}
				}
			})
		})
	}
}

// signing-key-rotation and -just-before-signing: one fetch of the new keys.
func TestIDToken_Conformance_KeyRotation(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		fresh := newKey()
		s.mu.Lock()
		s.key, s.kid = fresh, "k2"
		s.mu.Unlock()
		if _, err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Refresh(t.Context()); err != nil || s.called("/.well-known/jwks.json") != 2 {
			t.Errorf("%v, %d fetches of the keys", err, s.called("/.well-known/jwks.json"))
		}
	})
}

// TestIDToken_UnknownKeyIDs_FetchLimit tests row X16 of docs/guarantees.md.
func TestIDToken_UnknownKeyIDs_FetchLimit(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		claims := map[string]any{"iss": s.issuer, "aud": "client", "sub": "u", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
		for window := range 3 {
			for i := range 400 {
				raw := signed(testKey(), fmt.Sprintf("unknown-%d-%d", window, i), maps.Clone(claims))
				if _, err := c.provider.verify(t.Context(), "test", raw, expected{}); err == nil {
					t.Fatal("accepted")
				}
			}
			if n := s.called("/.well-known/jwks.json"); n != 2*(window+1) {
				t.Fatalf("%d fetches after window %d", n, window)
			}
			time.Sleep(30 * time.Second)
		}
	})
}

// While the keys are not available, an answer is stored but not served, and
// verified later without another refresh.
func TestIDToken_KeysUnreachable_VerifiedLater(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := NewMemoryStore()
		c := s.loggedIn(t, func(c *Config) { c.Store = store })
		cfg := s.config()
		cfg.Store = store
		again := mustNew(t, cfg) // another process, without keys in memory
		s.jwks = func() any { return nil }
		_, err := again.Refresh(t.Context())
		wantError(t, err, ClassBadResponse, "no usable signing keys")
		if tok, _ := again.Get(t.Context(), Request{}); tok == nil || tok.AccessToken != "at-2" {
			t.Errorf("served %v before it was verified", tok)
		}
		s.jwks = nil
		time.Sleep(time.Minute)
		g, err := again.Refresh(t.Context())
		if err != nil || g.Generation != 2 || s.count("refresh_token") != 1 {
			t.Errorf("%v, %v, %d refreshes", g, err, s.count("refresh_token"))
		}
		if tok, err := again.Get(t.Context(), Request{}); err != nil || tok.AccessToken != "at-3" {
			t.Errorf("%v, %v", tok, err)
		}
		_ = c
	})
}

func FuzzVerify(f *testing.F) {
	s := newTenant()
	cl, err := New(s.config())
	if err != nil {
		f.Fatal(err)
	}
	claims := map[string]any{"iss": s.issuer, "aud": "client", "sub": "u", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	good := signed(testKey(), "k1", claims)
	f.Add(good)
	f.Add(unsigned(claims))
	f.Add(strings.Repeat(".", 9))
	f.Fuzz(func(t *testing.T, raw string) {
		id, err := cl.provider.verify(t.Context(), "test", raw, expected{})
		if err == nil && (id.subject != "u" || strings.TrimRight(raw, "\n\r\t ") != good && strings.Join(strings.Fields(raw), "") != good) {
			t.Errorf("accepted %q", raw)
		}
		_, _ = peekExpiry(raw)
	})
}
