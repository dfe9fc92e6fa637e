package mock_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func TestStartListensAndEndsWithTheTest(t *testing.T) {
	var issuer string
	t.Run("inner", func(t *testing.T) {
		tenant, client := wire(t)
		issuer = tenant.Issuer()
		res, err := client.Get(issuer + ".well-known/openid-configuration")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close() //nolint:errcheck // not read
		if res.StatusCode != 200 || !strings.HasPrefix(issuer, "http://127.0.0.1:") || !strings.HasSuffix(issuer, "/") {
			t.Errorf("%d at %s", res.StatusCode, issuer)
		}
	})
	if _, err := (&http.Client{Transport: &http.Transport{}}).Get(issuer); err == nil { //nolint:bodyclose // there is none
		t.Error("the tenant still listens")
	}
}

// recordingTB records a failure.
type recordingTB struct{ fatal string }

func (*recordingTB) Helper()        {}
func (*recordingTB) Cleanup(func()) {}
func (r *recordingTB) Fatalf(format string, args ...any) {
	r.fatal = fmt.Sprintf(format, args...)
	panic(r)
}

func TestStartReportsAnInvalidConfig(t *testing.T) {
	tb := &recordingTB{}
	func() {
		defer func() { _ = recover() }()
		mock.Start(tb, mock.Config{Login: "psychic"})
	}()
	if !strings.Contains(tb.fatal, `login: "psychic" is neither auto nor form`) {
		t.Errorf("%q", tb.fatal)
	}
}

func TestStartOverTLS(t *testing.T) {
	ca, err := mock.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	tenant := mock.Start(t, mock.Config{CA: ca})
	client := tenant.Client()
	defer client.CloseIdleConnections()
	res, err := client.Get(tenant.Issuer() + "_mock/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 200 || !strings.HasPrefix(tenant.Issuer(), "https://127.0.0.1:") {
		t.Errorf("%d at %s", res.StatusCode, tenant.Issuer())
	}
	fail(t, tenant, mock.Fault{Endpoint: "jwks", Kind: mock.FaultReset, Times: 1})
	if res, err := client.Get(tenant.Issuer() + ".well-known/jwks.json"); err == nil {
		_ = res.Body.Close()
		t.Error("the connection was not cut")
	}
}

func TestIssuerOfTheRequestAndAt(t *testing.T) {
	tenant, err := mock.New(mock.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if tenant.Issuer() != "" {
		t.Errorf("issuer %q", tenant.Issuer())
	}
	discovered := func(h http.Handler, target string) string {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", target+".well-known/openid-configuration", nil))
		return decodeJSON[map[string]any](t, rec.Body.String())["issuer"].(string)
	}
	for _, host := range []string{"http://mock:8400/", "http://localhost:1/", "https://mock.example/"} {
		if got := discovered(tenant, host); got != host {
			t.Errorf("%s answers as %s", host, got)
		}
	}
	if got := discovered(tenant.At("https://fixed.example/"), "http://localhost:1/"); got != "https://fixed.example/" {
		t.Errorf("At answers as %s", got)
	}
}

func TestAtSharesTheState(t *testing.T) {
	w := newWorld(t, mock.Config{})
	secure := w.At("https://localhost:8443/")
	tk := w.doAt(secure, formRequest("/oauth/token", pairs("grant_type", "authorization_code", "client_id", "demo", "client_secret", "demo-secret",
		"code", w.code(), "redirect_uri", callback))).tokens()
	if iss := claims(t, tk.ID)["iss"]; iss != "https://localhost:8443/" {
		t.Errorf("iss %v", iss)
	}
	if w.userinfo(tk.Access).status != 200 || w.bearer("/_mock/resource/x", tk.Access).status != 200 {
		t.Error("the other listener's token is not good here")
	}
	w.refresh("demo", tk.Refresh).tokens()
}

func TestTwoTenantsShareNothing(t *testing.T) {
	e := richTenant()
	a, b := newWorld(t, mock.Config{Tenant: e}), newWorld(t, mock.Config{Tenant: e, Issuer: "http://localhost:8401/"})
	code := a.code()
	b.exchange(code).refused(403, "invalid_grant", badCode)
	tk := a.exchange(code).tokens()
	b.refresh("demo", tk.Refresh).refused(403, "invalid_grant", badRefresh)
	if b.userinfo(tk.Access).status != 401 {
		t.Error("a token of one opens the other's /userinfo")
	}
	b.jar = a.jar
	if b.authorize("prompt", "none").param("error") != "login_required" {
		t.Error("a session of one is good at the other")
	}
	a.Advance(time.Hour)
	a.mustControl("PATCH", "/_mock/clients/rotating", `{"refresh_token":{"leeway":1}}`)
	a.mustControl("PATCH", "/_mock/users/"+agent, `{"roles":[]}`)
	a.mustControl("POST", "/_mock/organizations", `{"name":"acme","members":[]}`)
	if !b.Now().Equal(start) || b.Journal().Count(mock.Query{}) == 0 {
		t.Error("clock or journal is shared")
	}
	if got := b.mustControl("PATCH", "/_mock/clients/rotating", `{}`).body; !strings.Contains(got, `"leeway":30`) {
		t.Errorf("%s", got)
	}
	if got := b.mustControl("PATCH", "/_mock/users/"+agent, `{}`).body; !strings.Contains(got, `"roles":["agent","reader"]`) {
		t.Errorf("%s", got)
	}
	if e.Organizations[0].Members[0] != agent {
		t.Error("the description was changed")
	}
}

func TestReload(t *testing.T) {
	w := newWorld(t, mock.Config{})
	tk := w.tokens("demo")
	bad := richTenant()
	bad.Clients[0].TokenEndpointAuthMethod = "magic"
	if err := w.Reload(bad); err == nil || !strings.Contains(err.Error(), "magic") {
		t.Errorf("%v", err)
	}
	w.refresh("demo", tk.Refresh).tokens()
	next := tenant.Default()
	next.Clients[0].Callbacks = []string{callback + "2"}
	if err := w.Reload(next); err != nil {
		t.Fatal(err)
	}
	w.authorize().page(403, "unauthorized_client", "Callback URL mismatch.")
	w.refresh("demo", tk.Refresh).tokens() // grants stay
	w.authorize("client_id", "rotating").page(400, "invalid_request", "Unknown client: rotating")
	w.Reset()
	w.authorize().page(403, "unauthorized_client", "Callback URL mismatch.")
}

func TestApproveInBothLoginModes(t *testing.T) {
	for _, mode := range []mock.LoginMode{mock.LoginAuto, mock.LoginForm} {
		w := newWorld(t, mock.Config{Login: mode})
		at := strings.TrimSuffix(issuer, "/")
		approve := func(params []string, options ...mock.ApproveOption) (url.Values, error) {
			return w.Approve(t.Context(), at+authorizeURL(params...), options...)
		}
		back, err := approve(nil)
		if err != nil || back.Get("code") == "" || back.Get("state") != "xyzABC123" {
			t.Fatalf("%s: %v, %v", mode, back, err)
		}
		w.exchange(back.Get("code")).tokens()
		back, err = approve([]string{"state", "a+b;c", "response_mode", "fragment"}, mock.AsUser(guest))
		if err != nil || back.Get("state") != "a+b;c" {
			t.Fatalf("%s: %v, %v", mode, back, err)
		}
		if id := claims(t, w.exchange(back.Get("code")).tokens().ID); id["email"] != guest {
			t.Errorf("%s: logged in as %v", mode, id["email"])
		}
		if _, err := approve(nil, mock.AsUser("absent@example.com")); err == nil || !strings.Contains(err.Error(), "absent@example.com") {
			t.Errorf("%s: %v", mode, err)
		}
		if _, err := approve([]string{"redirect_uri", "https://evil.example/"}); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("%s: %v", mode, err)
		}
		if back, err := approve([]string{"prompt", "none"}); err != nil || back.Get("error") != "login_required" {
			t.Errorf("%s: %v, %v", mode, back, err)
		}
		if back, err := approve(nil, mock.AsUser("blocked@example.com")); mode == mock.LoginAuto && (err != nil || back.Get("error") != "unauthorized") {
			t.Errorf("%s: %v, %v", mode, back, err)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.Approve(cancelled, at+authorizeURL()); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", mode, err)
		}
	}
	w := newWorld(t, mock.Config{Login: mock.LoginForm})
	back, err := w.Approve(t.Context(), strings.TrimSuffix(issuer, "/")+authorizeURL("client_id", "abrupt"), mock.Declining())
	if err != nil || back.Get("error") != "access_denied" {
		t.Errorf("declined: %v, %v", back, err)
	}
}

func TestApproveChoosesTheUserOfAPushedRequest(t *testing.T) {
	w := newWorld(t, mock.Config{})
	r := w.post("/oauth/par", "client_id", "pushing", "client_secret", "pushing-secret", "response_type", "code", "redirect_uri", callback, "scope", "openid email")
	uri := decodeJSON[map[string]any](t, r.body)["request_uri"].(string)
	back, err := w.Approve(t.Context(), issuer+"authorize?"+pairs("client_id", "pushing", "request_uri", uri).Encode(), mock.AsUser(guest))
	if err != nil {
		t.Fatal(err)
	}
	tk := w.exchange(back.Get("code"), "client_id", "pushing", "client_secret", "pushing-secret").tokens()
	if email := claims(t, tk.ID)["email"]; email != guest {
		t.Errorf("logged in as %v", email)
	}
}

func TestNewReportsEveryInvalidValue(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // refused for that
	if err != nil {
		t.Skip("no 1024-bit keys here")
	}
	for want, c := range map[string]mock.Config{
		`issuer: "acme"`:                {Issuer: "acme"},
		`issuer: "https://acme"`:        {Issuer: "https://acme"},
		`issuer: "https://acme/?a=b/"`:  {Issuer: "https://acme/?a=b/"},
		`issuer: "ftp://acme/"`:         {Issuer: "ftp://acme/"},
		`login: "x"`:                    {Login: "x"},
		`profile: "x"`:                  {Profile: "x"},
		`token body: "x"`:               {TokenBody: "x"},
		`device interval: 1ms`:          {DeviceInterval: time.Millisecond},
		`keys: at least one key`:        {Keys: []mock.Key{}},
		`keys: key "k" is not an RSA`:   {Keys: []mock.Key{{ID: "k", Private: small}}},
		`keys: key "" is not an RSA`:    {Keys: []mock.Key{{Private: &rsa.PrivateKey{}}}},
		`clients: a tenant needs`:       {Tenant: &tenant.File{}},
		`keys: the id "k" is used twic`: twoKeys(t),
	} {
		if _, err := mock.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	e := richTenant()
	e.Clients = append(e.Clients, tenant.Client{ClientID: "demo"}, tenant.Client{}, tenant.Client{ClientID: "x", JWT: tenant.JWTSettings{Alg: "none"}},
		tenant.Client{ClientID: "y", JWT: tenant.JWTSettings{LifetimeInSeconds: -1}})
	e.ResourceServers = append(e.ResourceServers, tenant.ResourceServer{Identifier: api}, tenant.ResourceServer{Name: "nameless"})
	e.ClientGrants = append(e.ClientGrants, tenant.ClientGrant{ClientID: "ghost"})
	e.Roles = append(e.Roles, tenant.Role{})
	e.Users = append(e.Users, tenant.User{}, tenant.User{Email: agent}, tenant.User{Email: "z", Roles: []string{"ghost"}}, tenant.User{Email: "t", UpdatedAt: "x"})
	e.Organizations = append(e.Organizations, tenant.Organization{}, tenant.Organization{Name: "o", Members: []string{"ghost"}})
	e.Actions = []tenant.Action{{Trigger: "x"}, {Trigger: "post-login", SetIDToken: map[string]any{"f": func() {}}}}
	e.Tenant.SessionLifetime = -1
	_, err = mock.New(mock.Config{Tenant: e})
	if err == nil {
		t.Fatal("no error")
	}
	if _, all := mock.New(mock.Config{Issuer: "x", Login: "y", Keys: []mock.Key{}, Tenant: &tenant.File{}}); strings.Count(fmt.Sprint(all), "\n") != 3 {
		t.Errorf("not every error is reported: %v", all)
	}
	n, m, u := len(e.Clients), len(e.ResourceServers), len(e.Users)
	for _, want := range []string{
		fmt.Sprintf("clients[%d]", n-4), fmt.Sprintf("clients[%d]", n-3), fmt.Sprintf("clients[%d]", n-2), fmt.Sprintf("clients[%d]", n-1),
		fmt.Sprintf("resourceServers[%d]", m-2), fmt.Sprintf("resourceServers[%d]", m-1), fmt.Sprintf("clientGrants[%d]", len(e.ClientGrants)-1),
		fmt.Sprintf("roles[%d]", len(e.Roles)-1), fmt.Sprintf("users[%d]", u-4), fmt.Sprintf("users[%d]", u-3), fmt.Sprintf("users[%d]", u-2),
		fmt.Sprintf("users[%d]", u-1), "organizations[1]", "organizations[2]", "x-actions[0]", "x-actions[1]", "tenant: session_lifetime",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in:\n%v", want, err)
		}
	}
}

func twoKeys(t *testing.T) mock.Config {
	k, err := mock.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	k.ID = "k"
	return mock.Config{Keys: []mock.Key{k, k}}
}

func TestTenantWithoutClientsDoesNotPanic(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: tenant.Default()})
	w.mustControl("DELETE", "/_mock/clients/demo", "")
	w.mustControl("DELETE", "/_mock/clients/demo-spa", "")
	w.mustControl("DELETE", "/_mock/clients/management", "")
	if got := w.OAuth2().ClientID; got != "" {
		t.Errorf("client %q", got)
	}
}
