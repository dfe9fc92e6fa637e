package flow

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"
)

// ID tokens may have every asymmetric algorithm that the provider announces.
//
// Row B27 of docs/guarantees.md.
func TestIDToken_Algorithms(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	keys := map[jose.SignatureAlgorithm]crypto.Signer{
		jose.RS256: testKey(), jose.RS384: testKey(), jose.RS512: testKey(), jose.PS256: testKey(), jose.PS384: testKey(), jose.PS512: testKey(),
		jose.ES256: p256, jose.ES384: p384, jose.ES512: p521, jose.EdDSA: ed,
	}
	all := []string{"none", "HS256", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	verify := func(t *testing.T, announced []string, key crypto.PublicKey, make func(*tenant, map[string]any) string) error {
		t.Helper()
		s := newTenant()
		if announced != nil {
			s.discovery = func(m map[string]any) { m["id_token_signing_alg_values_supported"] = announced }
		}
		s.jwks = func() any { return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: "k1", Use: "sig"}}} }
		raw := make(s, map[string]any{"iss": s.issuer, "aud": "client", "sub": "u", "iat": s.now().Unix(), "exp": s.now().Add(time.Hour).Unix()})
		_, err := mustNew(t, s.config()).provider.verify(t.Context(), "test", raw, expected{})
		return err
	}
	for alg, key := range keys {
		sign := func(_ *tenant, claims map[string]any) string {
			claims["at_hash"] = accessHash(alg, "")
			return signedWith(alg, key, "k1", claims)
		}
		t.Run("B27 "+string(alg), func(t *testing.T) {
			if err := verify(t, all, key.Public(), sign); err != nil {
				t.Error(err)
			}
			usual := alg == jose.RS256 || alg == jose.PS256 || alg == jose.ES256
			if err := verify(t, nil, key.Public(), sign); (err == nil) != usual {
				t.Errorf("not announced: %v", err)
			}
			if err := verify(t, []string{"HS256", "none"}, key.Public(), sign); err == nil {
				t.Error("accepted although others are announced")
			}
		})
		for other, wrong := range keys { // a key of another type or curve does not fit
			if same := fmt.Sprintf("%T", wrong) == fmt.Sprintf("%T", key); !same || alg[0] == 'E' && alg != other {
				if keyFits(wrong.Public(), alg) {
					t.Errorf("a key of %s fits %s", other, alg)
				}
			}
		}
	}
	for name, make := range map[string]func(*tenant, map[string]any) string{
		"B27 HS256 announced": func(_ *tenant, claims map[string]any) string { return hs256(claims) },
		"B27 none announced":  func(_ *tenant, claims map[string]any) string { return unsigned(claims) },
		"B27 typ at+jwt":      func(_ *tenant, claims map[string]any) string { return typed("at+jwt", claims) },
		"B27 typ as a media type": func(_ *tenant, claims map[string]any) string {
			return typed("application/AT+jwt", claims)
		},
		"B27 a logout token": func(_ *tenant, claims map[string]any) string { return typed("logout+jwt", claims) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := verify(t, all, testKey().Public(), make); err == nil || !strings.Contains(err.Error(), "rejected") {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := verify(t, all, testKey().Public(), func(_ *tenant, claims map[string]any) string { return typed("jwt", claims) }); err != nil {
		t.Error(err)
	}
}

func typed(typ string, claims map[string]any) string {
	signer, _ := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: testKey()}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", "k1"))
	payload, _ := json.Marshal(claims)
	jws, _ := signer.Sign(payload)
	raw, _ := jws.CompactSerialize()
	return raw
}

// Metadata at the places of RFC 8414, no keys, or no metadata.
//
// Row B28 of docs/guarantees.md.
func TestDiscovery_IncompleteMetadata(t *testing.T) {
	oauthDoc := func(issuer string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 200, map[string]string{"issuer": issuer, "token_endpoint": testIssuer + "oauth/token"})
		}
	}
	const tenantPath = "https://tenant.test/t/one"
	token := func(c *Config) { c.Source, c.Scopes = ClientCredentials{}, []string{"a"} }
	for name, tc := range map[string]struct {
		issuer  string
		paths   map[string]http.HandlerFunc
		config  func(*Config)
		refused string
		calls   int // of OpenID's place
	}{
		"B28 RFC 8414":           {issuer: testIssuer, paths: map[string]http.HandlerFunc{"/.well-known/oauth-authorization-server": oauthDoc(testIssuer)}, calls: 1},
		"B28 path after it":      {issuer: tenantPath, paths: map[string]http.HandlerFunc{"/.well-known/oauth-authorization-server/t/one": oauthDoc(tenantPath)}},
		"B28 path before it":     {issuer: tenantPath, paths: map[string]http.HandlerFunc{"/t/one/.well-known/oauth-authorization-server": oauthDoc(tenantPath)}},
		"B28 RFC 8414, other":    {issuer: testIssuer, paths: map[string]http.HandlerFunc{"/.well-known/oauth-authorization-server": oauthDoc("https://evil.test/")}, refused: "https://evil.test/", calls: 1},
		"B28 nothing anywhere":   {issuer: testIssuer, refused: "404 Not Found at tenant.test/.well-known/openid-configuration", calls: 1},
		"B28 OpenID down":        {issuer: testIssuer, paths: map[string]http.HandlerFunc{discoveryPath: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "/.well-known/oauth-authorization-server": oauthDoc(testIssuer)}, refused: "503", calls: 1},
		"B28 token_url":          {issuer: testIssuer, config: func(c *Config) { c.Endpoint.TokenURL = testIssuer + "oauth/token" }},
		"B28 another's endpoint": {issuer: testIssuer, config: func(c *Config) { c.Endpoint.DeviceAuthURL = testIssuer + "device" }, refused: "404", calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTenant()
			s.paths[discoveryPath] = http.NotFound
			maps.Copy(s.paths, tc.paths)
			cfg := s.config()
			cfg.Issuer = tc.issuer
			token(&cfg)
			if tc.config != nil {
				tc.config(&cfg)
			}
			_, err := mustNew(t, cfg).Get(t.Context(), Request{})
			if tc.refused == "" && err != nil || tc.refused != "" && (err == nil || !strings.Contains(err.Error(), tc.refused)) {
				t.Errorf("got %v", err)
			}
			if s.called(discoveryPath) != tc.calls || s.called(keysPath) != 0 {
				t.Errorf("requests %v", s.calls)
			}
		})
	}
}

// Keys are needed only for ID tokens.
//
// Row B28 of docs/guarantees.md.
func TestDiscovery_KeysNeededOnlyForIDTokens(t *testing.T) {
	s := newTenant()
	s.discovery = func(m map[string]any) { delete(m, "jwks_uri") }
	c := mustNew(t, s.config())
	if _, err := c.Login(t.Context()); err != nil {
		t.Error(err)
	}
	_, err := c.LoginHeadless(t.Context())
	wantError(t, err, ClassBadResponse, `no "jwks_uri"`)
	wantError(t, err, ClassBadResponse, "jwks_url")
	s = newTenant()
	s.discovery = func(m map[string]any) { m["jwks_uri"] = "http://tenant.test/keys" }
	_, err = mustNew(t, s.config()).LoginHeadless(t.Context())
	wantError(t, err, ClassBadResponse, "plain HTTP")
}

// With all endpoints configured, a client sends no discovery request, from login
// to logout.
//
// Row B28 of docs/guarantees.md.
func TestDiscovery_EverythingConfigured(t *testing.T) {
	s := newTenant()
	c := s.loggedIn(t, func(c *Config) {
		c.Endpoint = oauth2.Endpoint{AuthURL: testIssuer + "authorize", TokenURL: testIssuer + "oauth/token"}
		c.JWKSURL, c.RevocationURL = testIssuer+".well-known/jwks.json", testIssuer+"oauth/revoke"
	})
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	if f := finding(c.Check(t.Context()), opDiscovery); f.Result != ResultSkipped || !strings.Contains(f.Text, "configured") {
		t.Errorf("%+v", f)
	}
	if err := c.Forget(t.Context()); err != nil {
		t.Error(err)
	}
	if s.called(discoveryPath) != 0 || s.called("/oauth/revoke") != 1 || s.called(keysPath) != 2 { // once for the check
		t.Errorf("requests %v", s.calls)
	}
	_, err := New(Config{Issuer: testIssuer, ClientID: "c", JWKSURL: "http://a.test/", RevocationURL: "x"})
	wantError(t, err, ClassConfig, "key URL")
	if !strings.Contains(err.Error(), "revocation endpoint") {
		t.Error(err)
	}
}

// at_hash is the left half of a hash of the algorithm's size (OpenID Connect
// Core 1.0 section 3.1.3.6).
//
// Row B27 of docs/guarantees.md.
func TestIDToken_AccessTokenHash(t *testing.T) {
	for alg, hash := range map[jose.SignatureAlgorithm]crypto.Hash{
		jose.RS256: crypto.SHA256, jose.PS256: crypto.SHA256, jose.ES256: crypto.SHA256,
		jose.RS384: crypto.SHA384, jose.PS384: crypto.SHA384, jose.ES384: crypto.SHA384,
		jose.RS512: crypto.SHA512, jose.PS512: crypto.SHA512, jose.ES512: crypto.SHA512, jose.EdDSA: crypto.SHA512,
	} {
		h := hash.New()
		h.Write([]byte("token"))
		if want := base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:hash.Size()/2]); accessHash(alg, "token") != want {
			t.Errorf("%s: %s, want %s", alg, accessHash(alg, "token"), want)
		}
	}
}
