package daemon

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// perAudience answers with a token for the requested audience.
func perAudience(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"access_token": canaryToken + "-for-" + r.FormValue("audience"), "token_type": "Bearer", "expires_in": 86400,
	})
}

// azure builds the URL like Azure's Terraform provider: it adds the audience to the query's
// other parameters, unless it has one.
func azure(t *testing.T, requestURL, bearer, audience string) (int, string) {
	t.Helper()
	u, err := url.Parse(requestURL)
	if err != nil {
		t.Fatal(err)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	if q.Get("audience") == "" && audience != "" {
		q.Set("audience", audience)
		u.RawQuery = q.Encode()
	}
	return askActions(t, u.String(), "Bearer "+bearer, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
}

// toolkit builds the URL like GitHub's library: it appends &audience=.
func toolkit(t *testing.T, requestURL, bearer, audience string) (int, string) {
	t.Helper()
	if audience != "" {
		requestURL += "&audience=" + url.QueryEscape(audience)
	}
	return askActions(t, requestURL, "bearer "+bearer, http.Header{"User-Agent": {"actions/oidc-client"}})
}

func askActions(t *testing.T, target, authorization string, h http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = h
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", authorization)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Value, Error string }
	if err := json.Unmarshal(b, &answer); err != nil {
		t.Fatalf("%d %s", resp.StatusCode, b)
	}
	return resp.StatusCode, answer.Value + answer.Error
}

func TestActionsIDToken(t *testing.T) {
	f := newTenant(t)
	f.answer(perAudience)
	open, off := kept(t, f, "demo"), person(t, f, "ci")
	open.ActionsIDToken = true
	unattended := person(t, f, "person")
	unattended.ActionsIDToken = true
	gone := newTenant(t)
	gone.Close()
	down := kept(t, gone, "down")
	down.ActionsIDToken = true
	r := start(t, Config{Clients: []Client{open, off, unattended, down}})
	at := func(client string) string {
		return "http://" + r.addr + "/v1/clients/" + client + "/actions-id-token?api-version=2.0"
	}
	for _, ask := range []func(*testing.T, string, string, string) (int, string){azure, toolkit} {
		for _, c := range []struct {
			url, key, audience string
			status             int
			want               string
		}{
			{at("demo"), mainKey, "", 200, canaryToken + "-for-https://api.example.com/"},
			{at("demo"), mainKey, "api://AzureADTokenExchange", 200, canaryToken + "-for-api://AzureADTokenExchange"},
			{at("demo"), "wrong-wrong-wrong-wrong", "", 401, "unauthorized"},
			{at("demo"), ciKey, "", 403, "client_forbidden"},
			{at("ci"), mainKey, "", 404, "not_found"}, // off unless it was switched on
			{at("ci"), ciKey, "", 404, "not_found"},
			{at("missing"), mainKey, "", 404, "unknown_client"},
			{at("person"), mainKey, "", 409, "login_required"},
			{at("down"), mainKey, "", 503, "idp_unreachable"},
			{at("demo") + "&audience=a&audience=b", mainKey, "", 400, "invalid_request"},
			{at("demo") + "&min_validity=1h", mainKey, "", 400, "invalid_request"},
		} {
			if status, got := ask(t, c.url, c.key, c.audience); status != c.status || got != c.want {
				t.Errorf("%s audience %q: %d %s, want %d %s", strings.TrimPrefix(c.url, "http://"+r.addr), c.audience, status, got, c.status, c.want)
			}
		}
	}
	for _, audience := range []string{"api:%zz", "a;b"} { // a malformed pair is not the same as a missing one
		if a := r.raw(t, get("/v1/clients/demo/actions-id-token?audience="+audience, "HOST", auth)); a.StatusCode != 400 || a.error(t) != "invalid_request" {
			t.Errorf("%s: %d %s", audience, a.StatusCode, a.body)
		}
	}
	if n := f.posts.Load(); n != 2 {
		t.Errorf("%d token requests for two audiences", n)
	}
	noCanary(t, "log", r.log.String())
}

// A client's state has the settings of exec and files if they are configured.
func TestClient_ShowsEnvAndFiles(t *testing.T) {
	f := newTenant(t)
	with, without := kept(t, f, "demo"), kept(t, f, "ci")
	with.Env = []string{"AUTH0_API_TOKEN"}
	with.Files = func() []FileStatus { return []FileStatus{{Path: "/run/token", Written: noon, Failure: "no space"}} }
	r := start(t, Config{Clients: []Client{with, without}})
	a := r.call(t, "GET", "/v1/clients/demo", "")
	if !strings.HasSuffix(a.body, `,"env":["AUTH0_API_TOKEN"],"files":[{"path":"/run/token","written":"2030-01-02T12:00:00Z","failure":"no space"}]}`) {
		t.Error(a.body)
	}
	if a := r.call(t, "GET", "/v1/clients/ci", ""); strings.Contains(a.body, "env") || strings.Contains(a.body, "files") {
		t.Error(a.body)
	}
}
