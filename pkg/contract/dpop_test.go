package contract

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// openProof verifies a proof with its own key.
func openProof(t *testing.T, raw string) (claims map[string]any, thumbprint string) {
	t.Helper()
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	h := jws.Signatures[0].Protected
	payload, err := jws.Verify(h.JSONWebKey)
	if err != nil || h.ExtraHeaders[jose.HeaderType] != "dpop+jwt" || !h.JSONWebKey.IsPublic() {
		t.Fatalf("%v, %v", err, h)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	sum, err := h.JSONWebKey.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return claims, base64.RawURLEncoding.EncodeToString(sum)
}

func TestProofs(t *testing.T) {
	s := judged(t, Case{Status: 200}, &answer{status: 200, header: http.Header{}}, true).scene
	s.vars["at"] = "token"
	s.dpop.nonce = "n-1"
	for _, arg := range []string{"", "wrong_htu", "other_key", "userinfo"} {
		if err := stepProof(t.Context(), s, arg); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256([]byte("token"))
	for name, want := range map[string]struct {
		method, url string
		nonce, ath  any
		own         bool
	}{
		"dpop":           {"POST", testIssuer + "oauth/token", nil, nil, true},
		"dpop_wrong_htu": {"POST", testIssuer + "oauth/elsewhere", nil, nil, true},
		"dpop_other_key": {"POST", testIssuer + "oauth/token", "n-1", nil, false},
		"dpop_userinfo":  {"GET", testIssuer + "userinfo", "n-1", base64.RawURLEncoding.EncodeToString(sum[:]), true},
	} {
		claims, thumbprint := openProof(t, s.vars[name])
		if claims["htm"] != want.method || claims["htu"] != want.url || claims["nonce"] != want.nonce || claims["ath"] != want.ath ||
			claims["jti"] == nil || claims["iat"] == nil || (thumbprint == s.vars["jkt"]) != want.own {
			t.Errorf("%s: %v", name, claims)
		}
	}
	if err := stepProof(t.Context(), s, "othr_key"); err == nil {
		t.Error("an unknown variant is accepted")
	}
}

// The steps that exchange a code with a proof repeat it with the nonce.
func TestExchangeWithNonce(t *testing.T) {
	var nonces []any
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := openProof(t, r.Header.Get("DPoP"))
		nonces = append(nonces, claims["nonce"])
		if claims["nonce"] == nil {
			w.Header().Set("DPoP-Nonce", "n-2")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"use_dpop_nonce"}`)
			return
		}
		_, _ = io.WriteString(w, `{"access_token":"at-123456","refresh_token":"rt-123456"}`)
	}))
	defer srv.Close()
	s := judged(t, Case{Status: 200}, &answer{status: 200, header: http.Header{}}, true).scene
	s.target.Issuer, s.vars["code"] = srv.URL+"/", "code-123456"
	for _, step := range []stepFunc{
		stepExchange,
		func(ctx context.Context, s *scene, _ string) error { return stepProof(ctx, s, "nonce") },
		mustExchangeWithNonce,
		mustWorkWithProof,
	} {
		if err := step(t.Context(), s, "dpop"); err != nil {
			t.Error(err)
		}
	}
	if want := []any{nil, "n-2", nil, "n-2", "n-2"}; !slices.Equal(nonces, want) {
		t.Errorf("nonces %v, want %v", nonces, want)
	}
}

func TestInbox(t *testing.T) {
	s := judged(t, Case{Status: 200}, &answer{status: 200, header: http.Header{}}, true).scene
	if err := s.openInbox(); err != nil {
		t.Fatal(err)
	}
	if err := mustGetNoLogoutToken(t.Context(), s, ""); err != nil {
		t.Error(err)
	}
	post := func(form url.Values) {
		t.Helper()
		res, err := http.PostForm(s.vars["backchannel_url"], form)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	post(url.Values{})
	if err := mustGetLogoutToken(t.Context(), s, "logout.backchannel"); err == nil || err.Error() != "the POST has no logout_token" {
		t.Error(err)
	}
	post(url.Values{"logout_token": {"a.b.c"}})
	if err := mustGetLogoutToken(t.Context(), s, "logout.backchannel"); err == nil {
		t.Error("a logout token that is not a JWT is accepted")
	}
	post(url.Values{"logout_token": {"a.b.c"}})
	if err := mustGetNoLogoutToken(t.Context(), s, ""); err == nil {
		t.Error("a logout token is not noticed")
	}
	res, err := http.Get(s.vars["backchannel_url"])
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if err := mustGetLogoutToken(t.Context(), s, "logout.backchannel"); err == nil || err.Error() != "the method is GET, not POST" {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}
