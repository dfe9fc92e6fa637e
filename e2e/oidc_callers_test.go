package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

const tokendAudience = "https://tokend.example.com/"

// TestCallers_OIDC: tokens of mockauth0 are the identity of a caller, where the
// configuration names issuer, audience and subject, and every other token is refused.
func TestCallers_OIDC(t *testing.T) {
	t.Parallel()
	file := tenant.Default()
	for _, id := range []string{"demo-job", "job-1"} {
		file.Clients = append(file.Clients, tenant.Client{Name: id, ClientID: id, ClientSecret: "s", AppType: "non_interactive", TokenEndpointAuthMethod: "client_secret_post", GrantTypes: []string{tenant.GrantClientCredentials}})
	}
	file.ResourceServers = append(file.ResourceServers,
		tenant.ResourceServer{Name: "tokend", Identifier: tokendAudience}, tenant.ResourceServer{Name: "tokend, RFC 9068", Identifier: tokendAudience + "9068", TokenDialect: "rfc9068_profile"})
	for _, id := range []string{"demo", "demo-job", "job-1"} {
		for _, audience := range []string{tokendAudience, tokendAudience + "9068"} {
			file.ClientGrants = append(file.ClientGrants, tenant.ClientGrant{ClientID: id, Audience: audience})
		}
	}
	ten, other := mock.Start(t, mock.Config{Tenant: file}), mock.Start(t, mock.Config{Tenant: file})
	a := newAgent(t, ten, "TOKEND_LOG_LEVEL=debug")
	audit := filepath.Join(a.dir, "audit.jsonl")
	writeFile(t, filepath.Join(a.dir, "config", "tokend", "tokend.yaml"), strings.NewReplacer("ISSUER", ten.Issuer(), "AUDIENCE", tokendAudience, "AUDIT", audit).Replace(`
audit_file: AUDIT
callers:
  ci:
    oidc:
    - {issuer: "ISSUER", audience: "AUDIENCE", subject: "demo@clients"}
    - {issuer: "ISSUER", audience: "AUDIENCE9068", subject: "demo@clients"}
    clients: [demo]
    audiences: ["https://api.example.com/"]
  jobs:
    oidc: [{issuer: "ISSUER", audience: "AUDIENCE", subject: "job-*@clients"}]
    clients: [demo]
    access: manage
  away:
    oidc: [{issuer: "http://127.0.0.1:1/", audience: "AUDIENCE", subject: "demo@clients"}]
    clients: [demo]
`))
	a.env = append(a.env, "TOKEND_CLIENT_DEMO_UPSTREAMS="+ten.Issuer()+"_mock/resource/")
	a.start(t, "")
	a.loggedIn(t)

	// The issuer has another key: it is fetched at once.
	if status, body := askAs(t, clientCredentials(t, ten, "demo", "demo-secret", tokendAudience), "GET", a.url+"/v1/clients/demo/token"); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if err := ten.RotateKey(); err != nil {
		t.Fatal(err)
	}
	if status, body := askAs(t, clientCredentials(t, ten, "demo", "demo-secret", tokendAudience), "GET", a.url+"/v1/clients/demo/token"); status != 200 {
		t.Errorf("after a rotation of the key: %d %s", status, body)
	}

	of := func(from *mock.Tenant, client, secret, audience string) string {
		return clientCredentials(t, from, client, secret, audience)
	}
	good := of(ten, "demo", "demo-secret", tokendAudience)
	ten.Advance(-25 * time.Hour)
	expired := of(ten, "demo", "demo-secret", tokendAudience)
	ten.Advance(50 * time.Hour)
	early := of(ten, "demo", "demo-secret", tokendAudience)
	ten.Advance(-25 * time.Hour)
	parts := strings.Split(good, ".")
	const path = "/v1/clients/demo/"
	for _, c := range []struct {
		name, token, method, path string
		status                    int
		says                      string
	}{
		{"good", good, "GET", path + "token", 200, `"access_token"`},
		{"good, at+jwt", of(ten, "demo", "demo-secret", tokendAudience+"9068"), "GET", path + "token", 200, `"access_token"`},
		{"through the proxy", good, "GET", path + "proxy/calls", 200, `"path":"calls"`},
		{"only to read", good, "POST", path + "refresh", 403, `"manage_forbidden"`},
		{"its audiences", good, "GET", path + "token?audience=https://other.example.com/", 403, `"audience_forbidden"`},
		{"its clients", good, "GET", "/v1/clients/other/token", 403, `"client_forbidden"`},
		{"by a pattern", of(ten, "job-1", "s", tokendAudience), "POST", path + "refresh", 200, `"ready"`},
		{"another subject", of(ten, "demo-job", "s", tokendAudience), "GET", path + "token", 401, `the subject \"demo-job@clients\" of the token is not one of a caller`},
		{"another audience", of(ten, "demo", "demo-secret", "https://api.example.com/"), "GET", path + "token", 401, `the audience \"https://api.example.com/\" of the token is not one of a caller`},
		{"another issuer", of(other, "demo", "demo-secret", tokendAudience), "GET", path + "token", 401, `the issuer \"` + other.Issuer() + `\" of the token is not one of a caller`},
		{"expired", expired, "GET", path + "token", 401, "is rejected: it expired at "},
		{"not yet valid", early, "GET", path + "token", 401, "is rejected: its iat or nbf lies in the future"},
		{"none", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", "GET", path + "token", 401, "not a JWT signed with an asymmetric algorithm"},
		{"HS256 with the public key", hs256(t, ten, parts[1]), "GET", path + "token", 401, "not a JWT signed with an asymmetric algorithm"},
		{"another signature", parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 256)), "GET", path + "token", 401, "its signature is wrong"},
		{"an issuer that is down", unsignedToken("http://127.0.0.1:1/"), "GET", path + "token", 503, `"caller_issuer_unavailable"`},
		{"no token", "a.b.c", "GET", path + "token", 401, "unknown API key"},
		{"the API key", agentKey, "GET", path + "token", 200, `"access_token"`},
	} {
		status, body := askAs(t, c.token, c.method, a.url+c.path)
		if status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s, want %d %s", c.name, status, body, c.status, c.says)
		}
		if signature := strings.Split(c.token+"..", ".")[2]; len(signature) > 10 && strings.Contains(a.Log.String()+body, signature) {
			t.Errorf("%s: the token is in the log or the answer", c.name)
		}
	}

	b, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"action":"token","caller":"ci","subject":"demo@clients","client":"demo"`, `"action":"proxy","caller":"ci","subject":"demo@clients"`, `"action":"refresh","caller":"jobs","subject":"job-1@clients"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the audit log lacks %s:\n%s", want, b)
		}
	}
	for _, c := range []string{good, expired, early} {
		if signature := strings.Split(c, ".")[2]; strings.Contains(a.Log.String()+string(b), signature) {
			t.Error("a log has a token")
		}
	}
}

// clientCredentials returns a token of a tenant for an audience.
func clientCredentials(t *testing.T, from *mock.Tenant, client, secret, audience string) string {
	t.Helper()
	r, err := from.Client().PostForm(from.Issuer()+"oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {secret}, "audience": {audience},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("%s for %s: %d, %v", client, audience, r.StatusCode, err)
	}
	return answer.Token
}

// hs256 signs a payload with the tenant's public key as if that were a shared secret.
func hs256(t *testing.T, ten *mock.Tenant, payload string) string {
	t.Helper()
	r, err := ten.Client().Get(ten.Issuer() + ".well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(r.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(set.Keys[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"`+set.Keys[0].KeyID+`"}`)) + "." + payload
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// unsignedToken has the form of a token of an issuer.
func unsignedToken(issuer string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"RS256","kid":"k"}`)) + "." + enc([]byte(`{"iss":"`+issuer+`"}`)) + "." + enc([]byte("canary-signature"))
}

// askAs sends a request with a bearer token.
func askAs(t *testing.T, bearer, method, at string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := compared(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// writeFile writes a file of tokend's user, and its directories.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
