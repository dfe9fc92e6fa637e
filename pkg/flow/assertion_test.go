package flow

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func pemOf(kind string, der []byte) Secret {
	return Secret(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t testing.TB, key any) Secret {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("PRIVATE KEY", der)
}

func newEC(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// withPrivateKey makes a client authenticate with a private key.
func withPrivateKey(t testing.TB, pem Secret, id, alg string) func(*Config) {
	t.Helper()
	k, err := ParsePrivateKey(pem, id, alg)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) { c.ClientSecret, c.PrivateKey = "", k }
}

// assertion verifies the assertion of a request and returns header and claims.
func assertion(t testing.TB, form url.Values, key any) (jose.Header, map[string]any) {
	t.Helper()
	if form.Get("client_assertion_type") != assertionType || form.Has("client_secret") || form.Get("client_id") != "client" {
		t.Fatalf("form %v", form)
	}
	raw := form.Get("client_assertion")
	if len(raw) > 2048 {
		t.Errorf("%d bytes, of which Auth0 takes 2048", len(raw))
	}
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.PS256, jose.ES256, jose.ES384})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify(key)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return jws.Signatures[0].Header, claims
}

func TestPrivateKeyJWT(t *testing.T) {
	r, p256, p384 := testKey(), newEC(t, elliptic.P256()), newEC(t, elliptic.P384())
	sec1, err := x509.MarshalECPrivateKey(p256)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		pem     Secret
		alg     string
		public  any
		wantAlg string
	}{
		"PKCS #8":  {pkcs8(t, r), "", r.Public(), "RS256"},
		"PKCS #1":  {pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r)), "RS256", r.Public(), "RS256"},
		"RS384":    {pkcs8(t, r), "RS384", r.Public(), "RS384"},
		"PS256":    {pkcs8(t, r), "PS256", r.Public(), "PS256"},
		"EC":       {pkcs8(t, p256), "", p256.Public(), "ES256"},
		"SEC 1":    {"\n" + pemOf("EC PRIVATE KEY", sec1) + "\n", "ES256", p256.Public(), "ES256"},
		"EC P-384": {pkcs8(t, p384), "", p384.Public(), "ES384"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTenant()
			c := s.loggedIn(t, withPrivateKey(t, tc.pem, "key-1", tc.alg))
			if c.cfg.Auth != AuthPrivateKeyJWT {
				t.Errorf("client authentication %q", c.cfg.Auth)
			}
			h, claims := assertion(t, s.post(0), tc.public)
			if h.Algorithm != tc.wantAlg || h.KeyID != "key-1" || h.ExtraHeaders["typ"] != "JWT" {
				t.Errorf("header %+v", h)
			}
			if claims["iss"] != "client" || claims["sub"] != "client" || claims["aud"] != testIssuer {
				t.Errorf("claims %v", claims)
			}
		})
	}
}

// Every request with client authentication has an assertion of its own.
func TestPrivateKeyJWT_EveryEndpoint(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		var revoked url.Values
		s.paths["/oauth/revoke"] = formTo(&revoked)
		with := withPrivateKey(t, pkcs8(t, testKey()), "", "")
		c := s.loggedIn(t, with)
		if _, err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := c.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, source := range []Source{ClientCredentials{}, credentialSources(t)["password"], credentialSources(t)["token_exchange"]} {
			if _, err := s.newCredentialClient(t, source, with).Get(t.Context(), Request{}); err != nil {
				t.Fatal(err)
			}
		}
		ids := map[any]bool{}
		for i, form := range append(s.posts, revoked) {
			h, claims := assertion(t, form, testKey().Public())
			iat, exp := claims["iat"].(float64), claims["exp"].(float64)
			if ids[claims["jti"]] || len(claims["jti"].(string)) < 22 || len(claims["jti"].(string)) > 64 {
				t.Errorf("request %d: jti %v", i, claims["jti"])
			}
			ids[claims["jti"]] = true
			if h.KeyID != "" || exp-iat <= 0 || exp-iat > 300 || i < len(s.posts) && int64(iat) != s.sentAt[i].Unix() {
				t.Errorf("request %d: %+v, %v", i, h, claims)
			}
		}
		if len(ids) != 6 {
			t.Errorf("%d assertions", len(ids))
		}
	})
}

// A repeated request has another assertion, because one works only once.
func TestPrivateKeyJWT_Retry_HasNewAssertion(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.script(refuse(500, "server_error"), refuse(502, "server_error"))
		c := s.newCredentialClient(t, ClientCredentials{}, withPrivateKey(t, pkcs8(t, testKey()), "", ""))
		if _, err := c.Get(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
		a, b := s.post(0).Get("client_assertion"), s.post(2).Get("client_assertion")
		if s.count("") != 3 || a == b {
			t.Errorf("%d requests, the same assertion: %t", s.count(""), a == b)
		}
	})
}

// With a fixed clock, randomness and key, the body is always the same.
func TestPrivateKeyJWT_Form(t *testing.T) {
	key, err := os.ReadFile("testdata/private_key_jwt.pem")
	if err != nil {
		t.Fatal(err)
	}
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.newCredentialClient(t, ClientCredentials{}, func(c *Config) {
			withPrivateKey(t, Secret(key), "key-1", "")(c)
			c.Rand = bytes.NewReader(make([]byte, 1000))
		})
		if _, err := c.Get(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
		golden(t, "form-private_key_jwt.golden", []byte(s.post(0).Encode()+"\n"))
	})
}

func TestParsePrivateKey_Errors(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // too small on purpose
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(testKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	legacy := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"DEK-Info": "AES-128-CBC,00"}, Bytes: []byte("CANARY")})
	good := pkcs8(t, testKey())
	for name, tc := range map[string]struct {
		pem       Secret
		alg, part string
	}{
		"no PEM":             {"CANARY", "", "is not PEM-encoded"},
		"empty":              {"", "", "is not PEM-encoded"},
		"damaged":            {pemOf("PRIVATE KEY", []byte("CANARY")), "", "is damaged"},
		"damaged PKCS #1":    {pemOf("RSA PRIVATE KEY", []byte("CANARY")), "", "is damaged"},
		"damaged SEC 1":      {pemOf("EC PRIVATE KEY", []byte("CANARY")), "", "is damaged"},
		"two":                {good + good, "", "followed by other data"},
		"encrypted":          {pemOf("ENCRYPTED PRIVATE KEY", []byte("CANARY")), "", "is encrypted"},
		"encrypted, of old":  {Secret(legacy), "", "is encrypted"},
		"public":             {pemOf("PUBLIC KEY", public), "", `is not a private key but "PUBLIC KEY"`},
		"1024 bits":          {pkcs8(t, small), "", "has 1024 bits"},
		"Ed25519":            {pkcs8(t, ed), "", "unsupported type"},
		"P-224":              {pkcs8(t, newEC(t, elliptic.P224())), "", "unsupported type"},
		"HS256":              {good, "HS256", `does not sign with "HS256"`},
		"none":               {good, "none", `does not sign with "none"`},
		"RSA with ES256":     {good, "ES256", `does not sign with "ES256"`},
		"P-256 with ES384":   {pkcs8(t, newEC(t, elliptic.P256())), "ES384", `does not sign with "ES384"`},
		"lower case is none": {good, "rs256", `does not sign with "rs256"`},
	} {
		k, err := ParsePrivateKey(tc.pem, "", tc.alg)
		if e := wantError(t, err, ClassConfig, tc.part); k != nil || strings.Contains(e.Error(), "CANARY") || e.Hint == "" {
			t.Errorf("%s: %v", name, e)
		}
	}
}

func TestPrivateKey_IsMasked(t *testing.T) {
	k, err := ParsePrivateKey(pkcs8(t, testKey()), "key-1", "")
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	logTo(&log).Info("x", "k", k, "c", Config{PrivateKey: k})
	text := log.String() + sprint(k) + sprint(*k) + sprint(Config{PrivateKey: k})
	for _, secret := range []string{testKey().D.String(), testKey().D.Text(16), testKey().Primes[0].String()} {
		if strings.Contains(text, secret) {
			t.Fatal("the key is printed")
		}
	}
	if !strings.Contains(text, `private key "key-1", RS256`) {
		t.Error(text)
	}
}

func TestPrivateKeyJWT_NoRandomness(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.newCredentialClient(t, ClientCredentials{}, func(c *Config) {
			withPrivateKey(t, pkcs8(t, testKey()), "", "")(c)
			c.Rand = iotest.ErrReader(os.ErrClosed)
		})
		_, err := c.Get(t.Context(), Request{})
		if wantError(t, err, ClassConfig, "no randomness"); s.count("") != 0 {
			t.Errorf("%d requests", s.count(""))
		}
	})
}
