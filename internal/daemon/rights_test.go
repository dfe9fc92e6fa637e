package daemon

import (
	"crypto/sha256"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
)

const readerKey = "canary-reader-key-0123456789"

// readers has the keys of callers that may not do everything.
func readers() []Key {
	return []Key{
		{Name: "main", Secret: mainKey},
		{Name: "reader", Hash: sha256.Sum256([]byte(readerKey)), Clients: []string{"demo", "web"}, Audiences: []string{"https://api.example.com/"}, ReadOnly: true},
		{Name: "slow", Hash: sha256.Sum256([]byte("slow" + readerKey)), Rate: 1},
	}
}

func (r *running) as(t testing.TB, key, method, path, body string) answered {
	t.Helper()
	return r.raw(t, strings.Join([]string{
		method + " " + path + " HTTP/1.1", "Host: HOST", "Authorization: Bearer " + key,
		"Content-Length: " + strconv.Itoa(len(body)), "", body,
	}, "\n"))
}

// The files of the service are shown to callers that may do everything.
func TestService_ItsFiles(t *testing.T) {
	l, path := auditLog(t)
	for _, c := range []struct {
		config    Config
		key, want string
	}{
		{Config{Audit: l}, mainKey, `{"version":"v1","audit_file":"` + path + `","audit_keep":1}`},
		{Config{Audit: l}, readerKey, `{"version":"v1"}`},
		{Config{}, mainKey, `{"version":"v1"}`},
	} {
		c.config.Keys, c.config.Version = readers(), "v1"
		d := start(t, c.config)
		if a := d.as(t, c.key, "GET", "/v1/service", ""); a.StatusCode != 200 || a.body != c.want {
			t.Errorf("%d: %s, not %s", a.StatusCode, a.body, c.want)
		}
		if a := d.as(t, "wrong", "GET", "/v1/service", ""); a.StatusCode != 401 {
			t.Errorf("without a key: %d", a.StatusCode)
		}
	}
}

func TestRights_OfAReader(t *testing.T) {
	f := newTenant(t)
	u := newUpstream(t, nil)
	demo := proxied(t, f, u.URL)
	demo.ActionsIDToken = true
	web := person(t, f, "web")
	d := start(t, Config{Clients: []Client{demo, web, kept(t, f, "ci")}, Keys: readers()})
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "/v1/clients/demo", "", 200, ""},
		{"GET", tokenPath, "", 200, ""},
		{"GET", tokenPath, "", 200, ""}, // from memory
		{"GET", tokenPath + "?audience=https://api.example.com/", "", 200, ""},
		{"GET", tokenPath + "?audience=https://other.example.com/", "", 403, "audience_forbidden"},
		{"GET", tokenPath + "?audience=https://api.example.com", "", 403, "audience_forbidden"},
		{"GET", tokenPath + "?id_token=true", "", 403, "audience_forbidden"},
		{"GET", "/v1/clients/demo/actions-id-token", "", 200, ""},
		{"GET", "/v1/clients/demo/actions-id-token?audience=x", "", 403, "audience_forbidden"},
		{"GET", "/v1/clients/web/token", "", 403, "audience_forbidden"}, // its tokens are for none
		{"GET", proxyPath + "/x", "", 200, ""},
		{"GET", "/v1/clients/web/proxy/x", "", 403, "audience_forbidden"},
		{"POST", "/v1/clients/demo/refresh", "", 403, "manage_forbidden"},
		{"POST", "/v1/clients/demo/login", "", 403, "manage_forbidden"},
		{"POST", "/v1/clients/demo/code", "", 403, "manage_forbidden"},
		{"POST", "/v1/clients/demo/resume", "", 403, "manage_forbidden"},
		{"DELETE", "/v1/clients/demo/grant", "", 403, "manage_forbidden"},
		{"GET", "/v1/clients/ci/token", "", 403, "client_forbidden"},
	} {
		a := d.as(t, readerKey, c.method, c.path, c.body)
		code := ""
		if a.StatusCode >= 400 {
			code = a.error(t)
		}
		if a.StatusCode != c.status || code != c.code {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.StatusCode, a.body)
		}
	}
	// A caller that may manage has an audience list as well.
	if a := d.call(t, "POST", "/v1/clients/demo/refresh", `{"audience":"https://other.example.com/"}`); a.StatusCode != 200 {
		t.Errorf("main: %d %s", a.StatusCode, a.body)
	}
}

// The answer from memory does not go through the handler; a debug log turns it off.
func TestRights_AudienceOfATokenInMemory(t *testing.T) {
	cl := kept(t, newTenant(t), "demo")
	if _, err := cl.Get(t.Context(), flow.Request{}); err != nil {
		t.Fatal(err)
	}
	for audience, want := range map[string]int{"https://api.example.com/": 200, "https://other.example.com/": 403} {
		d, err := New(Config{Clients: []Client{cl}, Keys: []Key{{Name: "main", Secret: mainKey, Audiences: []string{audience}}}})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		d.handler.ServeHTTP(w, benchRequest())
		if w.Code != want || strings.Contains(w.Body.String(), canaryToken) != (want == 200) {
			t.Errorf("a key for %s: %d %s", audience, w.Code, w.Body)
		}
	}
}

func TestRights_AudienceOfARefresh(t *testing.T) {
	keys := readers()
	keys[1].ReadOnly = false
	d := start(t, Config{Clients: []Client{kept(t, newTenant(t), "demo")}, Keys: keys})
	if a := d.as(t, readerKey, "POST", "/v1/clients/demo/refresh", `{"audience":"https://other.example.com/"}`); a.StatusCode != 403 || a.error(t) != "audience_forbidden" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// A login page lets who opens it choose the account, so it is for callers that manage.
func TestRights_ReaderSeesNoLoginPage(t *testing.T) {
	f := newTenant(t)
	keys := readers()
	keys[1].Audiences = nil
	d := start(t, Config{Clients: []Client{person(t, f, "web"), newTenant(t).withDevice(t)}, Keys: append(keys, Key{Name: "all", Secret: "all" + readerKey, ReadOnly: true})})
	d.begun(t, "web")
	d.call(t, "POST", "/v1/clients/tv/login", "")
	for _, path := range []string{"/v1/clients/web", "/v1/clients", "/v1/clients/web/token", "/v1/clients/tv/token", "/v1/clients/tv"} {
		if a := d.as(t, "all"+readerKey, "GET", path, ""); strings.Contains(a.body, "authorize_url") || strings.Contains(a.body, "user_code") || !strings.Contains(a.body, "login_required") {
			t.Errorf("%s: %s", path, a.body)
		}
		if a := d.call(t, "GET", path, ""); !strings.Contains(a.body, "authorize_url") && !strings.Contains(a.body, "user_code") {
			t.Errorf("main, %s: %s", path, a.body)
		}
	}
}

func TestRights_RateLimit(t *testing.T) {
	now := time.Now()
	d := start(t, Config{Clients: []Client{kept(t, newTenant(t), "demo")}, Keys: readers(), Now: func() time.Time { return now }})
	if a := d.as(t, "slow"+readerKey, "GET", tokenPath, ""); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	a := d.as(t, "slow"+readerKey, "GET", tokenPath, "")
	if a.StatusCode != 503 || a.error(t) != "caller_rate_limited" || a.Header.Get("Retry-After") != "1" || !strings.Contains(a.body, `"retry_after":1`) {
		t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
	}
	if err := d.Replace([]Client{kept(t, newTenant(t), "demo")}, readers()); err != nil {
		t.Fatal(err)
	}
	if a := d.as(t, "slow"+readerKey, "GET", tokenPath, ""); a.StatusCode != 503 {
		t.Errorf("after a reload: %d", a.StatusCode)
	}
	if a := d.call(t, "GET", tokenPath, ""); a.StatusCode != 200 {
		t.Errorf("another caller: %d %s", a.StatusCode, a.body)
	}
}
