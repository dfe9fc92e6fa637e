package mock_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

const badCode = "Invalid authorization code"

func TestCodeExchange(t *testing.T) {
	w := newWorld(t, mock.Config{})
	r := w.exchange(w.code())
	golden(t, "token_code", r.body+"\n")
	for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s %q, want %q", name, got, want)
		}
	}
	golden(t, "token_code_no_offline", w.exchange(w.code("scope", "openid profile")).body+"\n")
	golden(t, "token_code_no_openid", w.exchange(w.code("scope", "read:calls")).body+"\n")
	golden(t, "token_code_opaque", w.exchange(w.code("audience", "-")).body+"\n")
	documented := newWorld(t, mock.Config{TokenBody: mock.TokenBodyDocumented})
	golden(t, "token_code_documented", documented.exchange(documented.code()).body+"\n")
}

func TestExchangeByJSON(t *testing.T) {
	w := newWorld(t, mock.Config{})
	r := httptest.NewRequest(http.MethodPost, issuer+"oauth/token", strings.NewReader(fmt.Sprintf(
		`{"grant_type":"authorization_code","client_id":"demo","client_secret":"demo-secret","code":%q,"redirect_uri":%q,"n":1,"b":true,"z":null}`,
		w.code(), callback)))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	w.do(r).tokens()
}

func TestOfflineAccess(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for _, c := range []struct {
		name   string
		params []string
		want   bool
	}{
		{"asked", nil, true},
		{"not asked", []string{"scope", "openid"}, false},
		{"the API does not allow it", []string{"audience", "https://rbac.example/"}, false},
		{"no API", []string{"audience", "-"}, true},
	} {
		if got := w.exchange(w.code(c.params...)).tokens(); (got.Refresh != "") != c.want || strings.Contains(got.Scope, "offline_access") != c.want {
			t.Errorf("%s: %q with scope %q", c.name, got.Refresh, got.Scope)
		}
	}
}

func TestInvalidCodesAndRedirectURIsAreRefused(t *testing.T) {
	w := newWorld(t, mock.Config{})
	w.exchange("garbage").refused(403, "invalid_grant", badCode)
	w.exchange("x", "code", "-").refused(400, "invalid_request", "Missing required parameter: code")

	code := w.code()
	w.exchange(code, "redirect_uri", "http://localhost:3000/callback").refused(403, "unauthorized_client",
		"The redirect URI is wrong. You sent http://localhost:3000/callback, and we expected "+callback)
	w.exchange(code, "redirect_uri", callback+"/").refused(403, "unauthorized_client",
		"The redirect URI is wrong. You sent "+callback+"/, and we expected "+callback)
	w.exchange(code, "redirect_uri", "-").refused(403, "invalid_grant",
		"redirect_uri is required if it was included in the authorization request.")
	w.exchange(code, "client_id", "rotating", "client_secret", "rotating-secret").refused(403, "invalid_grant", badCode)
	w.exchange(code).tokens() // no error consumed it
	w.exchange(code).refused(403, "invalid_grant", badCode)

	late := w.code()
	w.Advance(10*time.Minute - time.Second)
	w.exchange(w.code("state", "-")).tokens()
	w.Advance(time.Second)
	w.exchange(late).refused(403, "invalid_grant", badCode)
	orphan := w.code("login_hint", guest, "prompt", "login")
	w.mustControl("DELETE", "/_mock/users/"+guest, "")
	w.exchange(orphan).refused(403, "invalid_grant", badCode)
}

func TestPKCE(t *testing.T) {
	w := newWorld(t, mock.Config{})
	const failed = "Failed to verify code verifier"
	s256 := []string{"code_challenge", challenge(), "code_challenge_method", "S256"}
	code := w.code(s256...)
	w.exchange(code).refused(400, "invalid_request", "Parameter 'code_verifier' is required")
	w.exchange(code, "code_verifier", "wrong").refused(403, "invalid_grant", failed)
	w.exchange(code, "code_verifier", challenge()).refused(403, "invalid_grant", failed) // a downgrade to plain
	w.exchange(code, "code_verifier", verifier+"=").refused(403, "invalid_grant", failed)
	w.exchange(code, "code_verifier", verifier).tokens()

	for _, plain := range [][]string{{"code_challenge_method", "plain"}, nil} {
		params := append([]string{"code_challenge", verifier}, plain...)
		w.exchange(w.code(params...), "code_verifier", verifier+"x").refused(403, "invalid_grant", failed)
		w.exchange(w.code(params...), "code_verifier", verifier).tokens()
	}
	w.exchange(w.code(), "code_verifier", verifier).refused(403, "invalid_grant", failed) // /authorize had no challenge

	strict := newWorld(t, mock.Config{Profile: mock.ProfileStrictOIDC})
	strict.exchange(strict.code("client_id", "demo-spa"), "client_id", "demo-spa", "client_secret", "-").refused(401, "invalid_client", "Unauthorized")
	spa := func(code string, params ...string) reply {
		return w.exchange(code, append([]string{"client_id", "demo-spa", "client_secret", "-"}, params...)...)
	}
	spa(w.code("client_id", "demo-spa")).tokens() // public without PKCE
	spa(w.code(append(s256, "client_id", "demo-spa")...), "code_verifier", "wrong").refused(403, "invalid_grant", failed)
	spa(w.code(append(s256, "client_id", "demo-spa")...), "code_verifier", verifier).tokens()
	w.mustControl("PATCH", "/_mock/clients/demo-spa", `{"is_first_party":false}`)
	spa(w.code("client_id", "demo-spa")).refused(401, "access_denied", "Unauthorized")
}

func TestMalformedTokenRequests(t *testing.T) {
	w := newWorld(t, mock.Config{})
	secret := []string{"client_id", "demo", "client_secret", "demo-secret"}
	w.post("/oauth/token", append(secret, "grant_type", "foo")...).refused(501, "unsupported_grant_type", "Unsupported grant type: foo")
	w.post("/oauth/token", secret...).refused(400, "invalid_request", "Missing required parameter: grant_type")
	w.post("/oauth/token", "grant_type", "authorization_code", "code", "x").refused(401, "access_denied", "Unauthorized")
	w.post("/oauth/token", append(secret, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")...).
		refused(403, "unauthorized_client", "Grant type 'urn:ietf:params:oauth:grant-type:token-exchange' not allowed for the client.")
	raw := func(contentType, body string) reply {
		r := httptest.NewRequest(http.MethodPost, issuer+"oauth/token", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		return w.do(r)
	}
	form, jsonType := "application/x-www-form-urlencoded", "application/json"
	for _, c := range []struct {
		name, contentType, body string
		status                  int
	}{
		{"half JSON", jsonType, `{`, 400},
		{"JSON array", jsonType, `[]`, 400},
		{"JSON null", jsonType, `null`, 401},
		{"two JSON values", jsonType, `{}{}`, 400},
		{"object as parameter", jsonType, `{"client_id":{}}`, 400},
		{"array as parameter", jsonType, `{"client_id":["demo"]}`, 400},
		{"no JSON", jsonType, ``, 400},
		{"text", "text/plain", "grant_type=client_credentials", 401},
		{"no type", "", pairs(secret...).Encode(), 401},
		{"broken type", ";;;", "x", 401},
		{"multipart", "multipart/form-data; boundary=x", "--x--", 401},
		{"bad escape", form, "client_id=%zz", 400},
		{"parameter twice", form, "client_id=demo&client_id=demo", 400},
		{"empty", form, "", 401},
		{"too large", form, "a=" + strings.Repeat("x", 1<<20), 413},
		{"too large JSON", jsonType, `{"a":"` + strings.Repeat("x", 1<<20) + `"}`, 413},
	} {
		r := raw(c.contentType, c.body)
		got := decodeJSON[map[string]string](t, r.body)
		if r.status != c.status || got["error"] == "" || got["error_description"] == "" {
			t.Errorf("%s: %d %s, want %d", c.name, r.status, r.body, c.status)
		}
	}
	if r := raw(form, "a="+strings.Repeat("x", 1<<20-2)); r.status != 401 {
		t.Errorf("a body of exactly 1 MiB: %d", r.status)
	}
}

func TestClientAuthentication(t *testing.T) {
	w := newWorld(t, mock.Config{})
	cc := func(user, password string, params ...string) reply {
		r := formRequest("/oauth/token", pairs(append([]string{"grant_type", "client_credentials", "audience", api}, params...)...))
		if user != "" {
			r.SetBasicAuth(user, password)
		}
		return w.do(r)
	}
	ok := map[string]reply{
		"post":                     cc("", "", "client_id", "demo", "client_secret", "demo-secret"),
		"basic":                    cc("demo", "demo-secret"),
		"basic with client_id too": cc("demo", "demo-secret", "client_id", "demo"),
		"both the same":            cc("demo", "demo-secret", "client_id", "demo", "client_secret", "demo-secret"),
		"basic, percent-encoded":   cc("demo", "demo%2Dsecret"),
	}
	for name, r := range ok {
		if r.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	id, secret := "plus+ %&", "a+b c%20d:e"
	r := formRequest("/oauth/token", pairs("grant_type", "authorization_code", "code", w.code("client_id", id), "redirect_uri", callback))
	r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	w.do(r).tokens()
	r = formRequest("/oauth/token", pairs("grant_type", "authorization_code", "code", w.code("client_id", id), "redirect_uri", callback))
	r.SetBasicAuth(id, secret) // not form-encoded: "+" and "%20" are both spaces
	w.do(r).refused(401, "access_denied", "Unauthorized")

	bad := map[string]reply{
		"no secret":            cc("", "", "client_id", "demo"),
		"empty secret":         cc("", "", "client_id", "demo", "client_secret", ""),
		"wrong secret":         cc("", "", "client_id", "demo", "client_secret", "demo-secreT"),
		"longer":               cc("", "", "client_id", "demo", "client_secret", "demo-secret "),
		"wrong basic":          cc("demo", "wrong"),
		"empty basic":          cc("demo", ""),
		"unknown":              cc("", "", "client_id", "nope", "client_secret", "x"),
		"unknown basic":        cc("nope", "x"),
		"two ids":              cc("demo", "demo-secret", "client_id", "machine"),
		"two secrets":          cc("demo", "demo-secret", "client_secret", "other"),
		"public with a secret": cc("", "", "client_id", "demo-spa", "client_secret", "x"),
		"public with basic":    cc("demo-spa", "x"),
		"assertion and secret": cc("", "", "client_id", "demo", "client_secret", "demo-secret", "client_assertion", "x"),
	}
	for name, r := range bad {
		if r.refused(401, "access_denied", "Unauthorized"); t.Failed() {
			t.Fatal(name)
		}
		if r.header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: WWW-Authenticate was never seen on /oauth/token", name)
		}
	}
}

func TestClientIsAuthenticatedBeforeAnythingIsConsumed(t *testing.T) {
	w := newWorld(t, mock.Config{Profile: mock.ProfileStrictOIDC})
	code := w.code()
	w.exchange(code, "client_secret", "wrong").refused(401, "invalid_client", "Unauthorized")
	w.exchange(code, "client_secret", "-").refused(401, "invalid_client", "Unauthorized")
	first := w.exchange(code).tokens()
	w.exchange(code, "client_secret", "wrong").refused(401, "invalid_client", "Unauthorized") // not a reuse
	if r := w.refresh("demo", first.Refresh); r.status != http.StatusOK {
		t.Errorf("a request with a wrong secret revoked the tokens: %s", r.body)
	}

	w = newWorld(t, mock.Config{})
	tk := w.tokens("abrupt")
	w.post("/oauth/token", "grant_type", "refresh_token", "client_id", "abrupt", "client_secret", "wrong", "refresh_token", tk.Refresh).
		refused(401, "access_denied", "Unauthorized")
	w.refresh("abrupt", tk.Refresh).tokens()
}

// signer makes assertions of the client "keyed".
type signer struct {
	testing.TB
	key *rsa.PrivateKey
}

func (s signer) assert(alg jose.SignatureAlgorithm, kid string, change map[string]any) string {
	s.Helper()
	payload := map[string]any{"iss": "keyed", "sub": "keyed", "aud": issuer, "exp": start.Add(time.Minute).Unix(), "jti": rand.Text()}
	for k, v := range change {
		if payload[k] = v; v == nil {
			delete(payload, k)
		}
	}
	b, err := json.Marshal(payload)
	if err != nil {
		s.Fatal(err)
	}
	sig, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: s.key, KeyID: kid}}, nil)
	if err != nil {
		s.Fatal(err)
	}
	jws, err := sig.Sign(b)
	if err != nil {
		s.Fatal(err)
	}
	out, err := jws.CompactSerialize()
	if err != nil {
		s.Fatal(err)
	}
	return out
}

func keyedWorld(t testing.TB) (*world, signer) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	e := richTenant()
	auth := &tenant.ClientAuth{}
	auth.PrivateKeyJWT.Credentials = []tenant.Credential{
		{PEM: "garbage"}, {KID: "k1", Alg: "RS256", PEM: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))},
	}
	e.Clients = append(e.Clients, tenant.Client{
		Name: "Keyed", ClientID: "keyed", GrantTypes: []string{"client_credentials"}, Authentication: auth,
	})
	e.ClientGrants = append(e.ClientGrants, tenant.ClientGrant{ClientID: "keyed", Audience: api})
	return newWorld(t, mock.Config{Tenant: e}), signer{t, key}
}

// variant returns another text of the bytes of a token: it differs in bits that carry nothing.
func variant(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	return token[:last] + string(alphabet[strings.IndexByte(alphabet, token[last])^1])
}

func TestPrivateKeyJWT(t *testing.T) {
	w, s := keyedWorld(t)
	const kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	call := func(assertion string, params ...string) reply {
		return w.post("/oauth/token", append([]string{
			"grant_type", "client_credentials", "audience", api, "client_assertion_type", kind, "client_assertion", assertion,
		}, params...)...)
	}
	good := s.assert(jose.RS256, "k1", nil)
	call(good).tokens()
	call(s.assert(jose.RS256, "", nil), "client_id", "keyed").tokens()
	call(s.assert(jose.RS256, "k1", map[string]any{"exp": start.Add(5 * time.Minute).Unix()})).tokens()
	strangerKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	foreign := signer{t, strangerKey}
	for name, r := range map[string]reply{
		"replayed":            call(good),
		"another key":         call(foreign.assert(jose.RS256, "k1", nil)),
		"another kid":         call(s.assert(jose.RS256, "k2", nil)),
		"another alg":         call(s.assert(jose.PS256, "k1", nil)),
		"aud without slash":   call(s.assert(jose.RS256, "k1", map[string]any{"aud": strings.TrimSuffix(issuer, "/")})),
		"aud is the endpoint": call(s.assert(jose.RS256, "k1", map[string]any{"aud": issuer + "oauth/token"})),
		"aud an array":        call(s.assert(jose.RS256, "k1", map[string]any{"aud": []string{issuer}})),
		"iss another":         call(s.assert(jose.RS256, "k1", map[string]any{"iss": "demo"})),
		"sub another":         call(s.assert(jose.RS256, "k1", map[string]any{"sub": "demo"}), "client_id", "keyed"),
		"jti in capitals":     call(s.assert(jose.RS256, "k1", map[string]any{"jti": nil, "JTI": "a"})),
		"no jti":              call(s.assert(jose.RS256, "k1", map[string]any{"jti": nil})),
		"no exp":              call(s.assert(jose.RS256, "k1", map[string]any{"exp": nil})),
		"expired":             call(s.assert(jose.RS256, "k1", map[string]any{"exp": start.Unix()})),
		"lives too long":      call(s.assert(jose.RS256, "k1", map[string]any{"exp": start.Add(301 * time.Second).Unix()})),
		"exp is huge":         call(s.assert(jose.RS256, "k1", map[string]any{"exp": 1e300})),
		"too long":            call(s.assert(jose.RS256, "k1", map[string]any{"pad": strings.Repeat("x", 2000)})),
		"garbage":             call("garbage"),
		"not canonical":       call(variant(s.assert(jose.RS256, "k1", nil))),
		"kind":                call(s.assert(jose.RS256, "k1", nil), "client_assertion_type", "x"),
		"none":                call("eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + "."),
		"for another client":  call(s.assert(jose.RS256, "k1", nil), "client_id", "demo"),
		"with a secret":       call(s.assert(jose.RS256, "k1", nil), "client_id", "keyed", "client_secret", "x"),
		"a secret instead":    w.post("/oauth/token", "grant_type", "client_credentials", "client_id", "keyed", "client_secret", "x"),
	} {
		if r.refused(401, "access_denied", "Unauthorized"); t.Failed() {
			t.Fatal(name)
		}
	}
	w.Advance(2 * time.Minute)
	call(good).refused(401, "access_denied", "Unauthorized") // expired and used
}
