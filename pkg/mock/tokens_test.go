package mock_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"example.com/tokend/pkg/mock"
)

func TestClaimsInTheRecordedOrder(t *testing.T) {
	w := newWorld(t, mock.Config{})
	tk := w.tokens("demo", "nonce", "n", "max_age", "1000")
	golden(t, "header_access", part(t, tk.Access, 0)+"\n")
	golden(t, "claims_access", part(t, tk.Access, 1)+"\n")
	golden(t, "header_id", part(t, tk.ID, 0)+"\n")
	golden(t, "claims_id", part(t, tk.ID, 1)+"\n")
	golden(t, "claims_access_no_openid", part(t, w.tokens("demo", "scope", "read:calls").Access, 1)+"\n")
	golden(t, "claims_authz", part(t, w.tokens("demo", "audience", "https://rbac.example/", "scope", "openid read:x write:x").Access, 1)+"\n")
	rfc := w.tokens("demo", "audience", "https://rfc9068.example/", "scope", "read:x").Access
	golden(t, "header_rfc9068", part(t, rfc, 0)+"\n")
	golden(t, "claims_rfc9068", part(t, rfc, 1)+"\n")
	hs := w.tokens("demo", "audience", "https://hs.example/").Access
	golden(t, "header_hs256", part(t, hs, 0)+"\n")
	golden(t, "claims_hs256", part(t, hs, 1)+"\n")
	b2b := w.tokens("b2b", "organization", "org_acme")
	if claims(t, b2b.Access)["org_id"] != "org_acme" || claims(t, b2b.ID)["org_id"] != "org_acme" {
		t.Error("org_id is missing")
	}
	hybrid := w.authorize("client_id", "hybrid", "response_type", "code id_token token", "nonce", "n")
	golden(t, "claims_id_hybrid", part(t, hybrid.param("id_token"), 1)+"\n")
}

func TestExpiresInMatchesTheToken(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for aud, want := range map[string]int{
		api: 86400, "https://second.example/": 600, "https://rbac.example/": 86400, "https://rfc9068.example/": 86400, "https://hs.example/": 86400,
	} {
		tk := w.tokens("demo", "audience", aud)
		cl := claims(t, tk.Access)
		if life := int(cl["exp"].(float64) - cl["iat"].(float64)); life != tk.Expires || life != want {
			t.Errorf("%s: exp-iat %d, expires_in %d, want %d", aud, life, tk.Expires, want)
		}
		id := claims(t, tk.ID)
		if id["exp"].(float64)-id["iat"].(float64) != 36000 {
			t.Errorf("%s: ID token %v", aud, id)
		}
		r := w.authorize("client_id", "hybrid", "response_type", "token", "audience", aud)
		cl = claims(t, r.param("access_token"))
		if life := fmt.Sprint(cl["exp"].(float64) - cl["iat"].(float64)); life != r.param("expires_in") {
			t.Errorf("%s, implicit: exp-iat %s, expires_in %s", aud, life, r.param("expires_in"))
		}
	}
}

func TestOpaqueTokenIsNotAJWT(t *testing.T) {
	w := newWorld(t, mock.Config{})
	tk := w.tokens("demo", "audience", "-")
	parts := strings.Split(tk.Access, ".")
	if len(parts) != 5 || parts[1] != "" {
		t.Fatalf("%d parts, the second %q", len(parts), parts[1])
	}
	if got, want := part(t, tk.Access, 0), `{"alg":"dir","enc":"A256GCM","iss":"`+issuer+`"}`; got != want {
		t.Errorf("header %s, want %s", got, want)
	}
	if strings.Contains(tk.Access, "gent") {
		t.Error("not encrypted")
	}
}

func TestSignatures(t *testing.T) {
	w := newWorld(t, mock.Config{})
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(w.get("/.well-known/jwks.json").body), &set); err != nil {
		t.Fatal(err)
	}
	verify := func(token string, alg jose.SignatureAlgorithm, key any) {
		t.Helper()
		jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{alg})
		if err == nil {
			_, err = jws.Verify(key)
		}
		if err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	verify(w.tokens("demo").ID, jose.RS256, set.Keys[0])
	verify(w.tokens("demo").Access, jose.RS256, set.Keys[0])
	key := set.Keys[0] // the JWKS has alg RS256 only; the same key signs PS256
	verify(w.tokens("demo", "audience", "https://rfc9068.example/").Access, jose.PS256, key.Key)
	hmacOf(t, w.tokens("demo", "audience", "https://hs.example/").Access, "a secret of the API")
	w.mustControl("PATCH", "/_mock/clients/demo", `{"jwt_configuration":{"alg":"HS256","lifetime_in_seconds":60}}`)
	id := w.tokens("demo").ID
	hmacOf(t, id, "demo-secret")
	if cl := claims(t, id); cl["exp"].(float64)-cl["iat"].(float64) != 60 {
		t.Errorf("%v", cl)
	}
}

// hmacOf computes HS256 because go-jose rejects secrets below 32 bytes.
func hmacOf(t *testing.T, token, secret string) {
	t.Helper()
	i := strings.LastIndex(token, ".")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(token[:i]))
	if got := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)); got != token[i+1:] {
		t.Errorf("signature %s, want %s", token[i+1:], got)
	}
}

func TestJWKS(t *testing.T) {
	w := newWorld(t, mock.Config{})
	r := w.get("/.well-known/jwks.json")
	type jwks struct{ Keys []map[string]any }
	first := decodeJSON[jwks](t, r.body).Keys
	names := func(k map[string]any) []string {
		out := []string{}
		for n := range k {
			out = append(out, n)
		}
		slices.Sort(out)
		return out
	}
	if len(first) != 2 || fmt.Sprint(names(first[0])) != "[alg e kid kty n use x5c x5t]" || first[0]["e"] != "AQAB" || first[0]["kid"] != "mockauth0-test-key-02" {
		t.Fatalf("%s", r.body)
	}
	old := w.tokens("demo")
	if err := w.RotateKey(); err != nil {
		t.Fatal(err)
	}
	second := decodeJSON[jwks](t, w.get("/.well-known/jwks.json").body).Keys
	if len(second) != 3 || second[2]["kid"] != first[0]["kid"] || second[0]["kid"] != first[1]["kid"] || len(second[1]["kid"].(string)) != 21 {
		t.Errorf("after a rotation: %v", second)
	}
	header := decodeJSON[map[string]any](t, part(t, w.tokens("demo").ID, 0))
	if header["kid"] != second[0]["kid"] {
		t.Errorf("signed with %v", header["kid"])
	}
	if r := w.userinfo(old.Access); r.status != http.StatusOK {
		t.Errorf("a token of the previous key: %d", r.status)
	}
	if err := w.RotateKey(); err != nil {
		t.Fatal(err)
	}
	if r := w.userinfo(old.Access); r.status != http.StatusUnauthorized {
		t.Errorf("a token of a dropped key: %d", r.status)
	}
	if third := decodeJSON[jwks](t, w.get("/.well-known/jwks.json").body).Keys; len(third) != 3 || third[0]["kid"] != second[1]["kid"] {
		t.Errorf("%d keys", len(third))
	}
}

func TestKidInEveryJWT(t *testing.T) {
	w := newWorld(t, mock.Config{})
	tk := w.tokens("demo")
	again := w.refresh("demo", tk.Refresh).tokens()
	for _, token := range []string{tk.Access, tk.ID, again.Access, again.ID, w.tokens("demo", "audience", "https://rfc9068.example/").Access} {
		if h := decodeJSON[map[string]any](t, part(t, token, 0)); h["kid"] != "mockauth0-test-key-02" {
			t.Errorf("header %v", h)
		}
	}
}

func TestDiscoveryListsWhatIsServed(t *testing.T) {
	for _, profile := range []mock.Profile{mock.ProfileAuth0, mock.ProfileStrictOIDC} {
		w := newWorld(t, mock.Config{Profile: profile})
		r := w.get("/.well-known/openid-configuration")
		golden(t, "discovery_"+string(profile), r.body+"\n")
		if alias := w.get("/.well-known/oauth-authorization-server"); alias.body != r.body {
			t.Error("the alias differs")
		}
		served := 0
		for name, v := range decodeJSON[map[string]any](t, r.body) {
			if !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
				continue
			}
			get, post := w.get(v.(string)).status, w.post("/"+strings.TrimPrefix(v.(string), issuer)).status
			if get == http.StatusNotFound && post == http.StatusNotFound {
				t.Errorf("%s: %v is not served", name, v)
			}
			served++
		}
		if served < 9 {
			t.Errorf("%d endpoints", served)
		}
	}
	w := newWorld(t, mock.Config{})
	w.post("/oidc/register").refused(403, "access_denied", "Dynamic client registration is not enabled")
}

// go-oidc verifies discovery, JWKS and ID token over HTTP.
func TestThirdPartyVerifierAgrees(t *testing.T) {
	tenant := mock.Start(t, mock.Config{})
	client := tenant.Client()
	defer client.CloseIdleConnections()
	ctx := oidc.ClientContext(context.Background(), client)
	provider, err := oidc.NewProvider(ctx, tenant.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	cfg := tenant.OAuth2()
	cfg.Endpoint = provider.Endpoint()
	back, err := tenant.Approve(ctx, cfg.AuthCodeURL("s", oidc.Nonce("n")))
	if err != nil {
		t.Fatal(err)
	}
	tk, err := cfg.Exchange(ctx, back.Get("code"))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := tk.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: cfg.ClientID}).Verify(ctx, raw)
	if err != nil || id.Nonce != "n" {
		t.Fatalf("%+v, %v", id, err)
	}
	if left := time.Until(tk.Expiry); left < 23*time.Hour || left > 25*time.Hour {
		t.Errorf("expires in %s", left)
	}
	if info, err := provider.UserInfo(ctx, cfg.TokenSource(ctx, tk)); err != nil || info.Subject != id.Subject {
		t.Errorf("%+v, %v", info, err)
	}
}
