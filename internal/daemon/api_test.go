package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

func fixedToken() *flow.Token {
	return &flow.Token{
		AccessToken: "access<&>token", TokenType: "Bearer", Scope: "read:calls offline_access", IDToken: "id-token",
		Obtained: noon, Expiry: noon.Add(time.Hour), Generation: 3,
	}
}

// dump returns an answer in the format of the golden file.
func dump(r *http.Response, body string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", r.StatusCode)
	for _, h := range []string{"Allow", "Cache-Control", "Content-Security-Policy", "Content-Type", "Referrer-Policy", "Retry-After", "Www-Authenticate", "X-Content-Type-Options"} {
		for _, v := range r.Header[h] {
			fmt.Fprintf(&b, "%s: %s\n", h, v)
		}
	}
	return b.String() + "\n" + body
}

func TestTokenAnswer(t *testing.T) {
	d, err := New(Config{Now: func() time.Time { return noon.Add(90*time.Second + 400*time.Millisecond) }})
	if err != nil {
		t.Fatal(err)
	}
	cl := &client{Client: kept(t, newTenant(t), "demo")}
	for name, query := range map[string]string{
		"token_json":          "",
		"token_text":          "format=text",
		"token_header":        "format=header",
		"token_id_token":      "id_token=true",
		"token_not_satisfied": "min_validity=2h",
	} {
		q, p := parseTokenQuery(query)
		if p != nil {
			t.Fatal(p)
		}
		for range 2 { // rendered, and from what was rendered
			w := httptest.NewRecorder()
			d.writeToken(w, cl, fixedToken(), q, d.now())
			golden(t, name, dump(w.Result(), w.Body.String()))
			if n := w.Header().Get("Content-Length"); n != strconv.Itoa(w.Body.Len()) {
				t.Errorf("%s: Content-Length %s of %d bytes", name, n, w.Body.Len())
			}
			if q.format == "json" && !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s: no JSON", name)
			}
		}
	}
	other := fixedToken()
	other.Audience, other.AccessToken = "https://other.example.com/", "another"
	w := httptest.NewRecorder()
	d.writeToken(w, cl, other, tokenQuery{}, d.now())
	if !strings.Contains(w.Body.String(), `"access_token":"another"`) || !strings.Contains(w.Body.String(), `"audience":"https://other.example.com/"`) {
		t.Errorf("another token: %s", w.Body)
	}
}

func TestErrorAnswers(t *testing.T) {
	secret := errors.New("dial with " + canarySecret)
	cases := []struct {
		name string
		err  error
	}{
		{"request", &flow.Error{Op: "get", Class: flow.ClassRequest, Code: "invalid_scope", Description: "no such scope"}},
		{"config", &flow.Error{Op: "discovery", Class: flow.ClassConfig, Description: "issuer differs", Hint: "set issuer"}},
		{"login_required", &flow.Error{Op: "refresh", Class: flow.ClassLoginRequired, Code: "invalid_grant", Description: "Unknown or invalid refresh token."}},
		{"login_required, a page", &flow.Error{Op: "login", Class: flow.ClassLoginRequired, Description: "the tenant wants a person", Hint: "log in with a browser", Remedy: flow.RemedyBrowser}},
		{"client_rejected", &flow.Error{Op: "refresh", Class: flow.ClassClientRejected, Code: "invalid_client", Description: "Unauthorized"}},
		{"bad_response", &flow.Error{Op: "refresh", Class: flow.ClassBadResponse, Description: "the answer is text/html"}},
		{"redirect", &flow.Error{Op: "refresh", Class: flow.ClassRedirect, Status: 307}},
		{"unreachable", &flow.Error{Op: "refresh", Class: flow.ClassUnreachable, Err: errors.New("dial tcp 127.0.0.1:8400: connection refused")}},
		{"timeout", &flow.Error{Op: "refresh", Class: flow.ClassTimeout, RetryAfter: 1500 * time.Millisecond}},
		{"rate_limited", &flow.Error{Op: "refresh", Class: flow.ClassRateLimited, Status: 429, RetryAfter: 7 * time.Second}},
		{"lease_busy", &flow.Error{Op: "refresh", Class: flow.ClassLeaseBusy}},
		{"store_unavailable", &flow.Error{Op: "load", Class: flow.ClassStoreUnavailable}},
		{"store_corrupt", &flow.Error{Op: "load", Class: flow.ClassStoreCorrupt}},
		{"state", flow.ErrState},
		{"no_grant", fmt.Errorf("load: %w", flow.ErrNotFound)},
		{"locked", flow.ErrLocked},
		{"conflict", flow.ErrConflict},
		{"corrupt", flow.ErrCorrupt},
		{"deadline", context.DeadlineExceeded},
		{"unexpected", secret},
	}
	var log syncBuffer
	d, err := New(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	cl := &client{Client: kept(t, newTenant(t), "demo")}
	var all strings.Builder
	for _, c := range cases {
		w := httptest.NewRecorder()
		ctx, _ := gin.CreateTestContext(w)
		ctx.Request = httptest.NewRequest("GET", tokenPath, nil)
		d.active.Load().failWith(ctx, cl, c.err)
		fmt.Fprintf(&all, "== %s\n%s\n", c.name, dump(w.Result(), w.Body.String()))
		if w.Code == http.StatusTooManyRequests {
			t.Errorf("%s: 429", c.name)
		}
		if (w.Code == 503) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("%s: status %d, Retry-After %q", c.name, w.Code, w.Header().Get("Retry-After"))
		}
	}
	noCanary(t, "error bodies", all.String())
	golden(t, "errors", all.String())
	if want := `msg="unexpected error" client=demo reason="dial with `; strings.Count(log.String(), want) != 1 {
		t.Errorf("the log lacks %s: %s", want, &log)
	}
	explained(t, log.String())
}

func TestClientView(t *testing.T) {
	v := clientView{
		Status: flow.Status{
			Client: "demo", Issuer: "https://acme.eu.auth0.com/", State: flow.StateLoginRequired, Subject: "auth0|1",
			Scope: "offline_access", Expiry: noon, Obtained: noon, LastExchange: noon, LoggedIn: noon, NextRefresh: noon, Generation: 2,
			Rotation: flow.RotationOn, GrantEnds: noon, Failure: &flow.Failure{Time: noon, Class: flow.ClassLoginRequired, Code: "invalid_grant", Description: "no", Hint: "do", Remedy: flow.RemedySetting},
		},
		Login: "paste", AuthorizeURL: "https://acme.eu.auth0.com/authorize?a=b&c=d",
		LoginFailure: &flow.Failure{Time: noon, Class: flow.ClassRequest, Description: "no"},
	}
	w := httptest.NewRecorder()
	ctx, _ := gin.CreateTestContext(w)
	writeJSON(ctx, 200, v)
	golden(t, "client", dump(w.Result(), w.Body.String()))
}

func TestRoutes(t *testing.T) {
	f := newTenant(t)
	down := errors.New("disk " + canarySecret)
	var ready error
	d := start(t, Config{Version: "v1.2.3", Clients: []Client{kept(t, f, "demo")}, Ready: func(context.Context) error { return ready }})
	var all strings.Builder
	ask := func(method, path string) {
		a := d.call(t, method, path, "")
		fmt.Fprintf(&all, "== %s %s\n%s\n", method, path, dump(a.Response, a.body))
	}
	ask("GET", "/healthz")
	ask("GET", "/readyz")
	ready = down
	ask("GET", "/readyz")
	ask("GET", "/nothing")
	ask("GET", "/v1/clients/")
	ask("DELETE", "/v1/clients/demo/token")
	ask("GET", "/v1/clients/demo/login")
	ask("GET", "/v1/clients/missing")
	ask("POST", "/v1/clients/demo/login")
	golden(t, "routes", all.String())
}

// TestReadyz_Notifications: notifications that are lost are reported, and do not make
// the daemon unready.
func TestReadyz_Notifications(t *testing.T) {
	var lost error
	d := start(t, Config{WatchError: func() error { return lost }})
	if a := d.call(t, "GET", "/readyz", ""); a.StatusCode != 200 || a.body != `{"status":"ready","notifications":"ok"}` {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	lost = hint.Errorf("set listen=HOST:PORT", "no notification arrives from %s", canarySecret)
	if a := d.call(t, "GET", "/readyz", ""); a.StatusCode != 200 || a.body != `{"status":"ready","notifications":"lost"}` {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	if want := `msg="notifications are lost" reason="no notification arrives`; !strings.Contains(d.log.String(), want) || !strings.Contains(d.log.String(), `hint="set listen=HOST:PORT"`) {
		t.Errorf("the log has no %q:\n%s", want, d.log)
	}
}

func TestUnknownClient_Is404OnEveryRoute(t *testing.T) {
	d := start(t, Config{})
	for _, r := range []string{"GET ", "GET /token", "POST /login", "POST /code", "POST /refresh", "DELETE /grant"} {
		method, rest, _ := strings.Cut(r, " ")
		a := d.call(t, method, "/v1/clients/missing"+rest, "")
		if a.StatusCode != 404 || a.error(t) != "unknown_client" || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", r, a.StatusCode, a.body)
		}
	}
}

func TestTokenQuery(t *testing.T) {
	for query, want := range map[string]time.Duration{
		"min_validity=10m": 10 * time.Minute, "min_validity=600": 10 * time.Minute, "min_validity=0": 0, "min_validity=1h30m": 90 * time.Minute,
	} {
		if q, p := parseTokenQuery(query); p != nil || q.MinValidity != want {
			t.Errorf("%s: %v %v", query, q.MinValidity, p)
		}
	}
	for _, query := range []string{
		"min_validity=", "min_validity=-1s", "min_validity=-1", "min_validity=soon", "min_validity=1e3", "min_validity=99999999999h",
		"min_validty=10m", "format=xml", "format=", "id_token=1", "audience=a&audience=b", "a=%zz", "scope=a;b",
	} {
		_, p := parseTokenQuery(query)
		if p == nil || p.Status != 400 {
			t.Errorf("%s: %+v", query, p)
		}
	}
	q, p := parseTokenQuery("scope=a++b&audience=x&id_token=true&format=text")
	if p != nil || len(q.Scopes) != 2 || q.Audience != "x" || !q.idToken || q.format != "text" {
		t.Errorf("%+v %v", q, p)
	}
}

func FuzzTokenQuery(f *testing.F) {
	f.Add("min_validity=10m&audience=a&scope=b+c&format=json&id_token=true")
	f.Fuzz(func(t *testing.T, raw string) {
		q, p := parseTokenQuery(raw)
		if p == nil && (q.MinValidity < 0 || q.format != "json" && q.format != "text" && q.format != "header") {
			t.Errorf("%q: %+v", raw, q)
		}
	})
}

func TestToken_IsRequestedOnce(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo")}})
	for range 20 {
		if a := d.call(t, "GET", tokenPath, ""); a.StatusCode != 200 {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
	}
	if n := f.posts.Load(); n != 1 {
		t.Errorf("%d token requests", n)
	}
	a := d.call(t, "POST", "/v1/clients/demo/refresh", "")
	if a.StatusCode != 200 || f.posts.Load() != 2 {
		t.Errorf("refresh: %d %s, %d token requests", a.StatusCode, a.body, f.posts.Load())
	}
	noCanary(t, "refresh's answer", a.body)
	noCanary(t, "log", d.log.String())
}

// Every route that changes something reports its error.
func TestRoutes_ReportFailures(t *testing.T) {
	f, gone := newTenant(t), newTenant(t)
	demo := kept(t, gone, "demo")
	gone.Close() // before the start: the client's first token could be the answer
	d := start(t, Config{Clients: []Client{demo, person(t, f, "demo2")}})
	if a := d.call(t, "POST", "/v1/clients/demo2/code", `{"code":"x","state":"`+d.begun(t, "demo2")+`"}`); a.StatusCode != 200 {
		t.Fatal(a.body)
	}
	f.Close()
	for request, want := range map[string]string{
		"GET /v1/clients/demo/token?min_validity=soon": `400 invalid_request`,
		"POST /v1/clients/demo/refresh":                `503 idp_unreachable`,
		"DELETE /v1/clients/demo2/grant":               `503 idp_unreachable`,
	} {
		method, path, _ := strings.Cut(request, " ")
		a := d.call(t, method, path, "")
		if got := strconv.Itoa(a.StatusCode) + " " + a.error(t); got != want {
			t.Errorf("%s: %s, want %s", request, got, want)
		}
	}
}

func TestToken_MinValidityBeyondTheLifetime(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo")}})
	a := d.call(t, "GET", tokenPath+"?min_validity=48h", "")
	if a.StatusCode != 200 || !strings.Contains(a.body, `"min_validity_satisfied":false`) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestLogin_ByCallback(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{person(t, f, "demo"), person(t, f, "ci")}})
	a := d.call(t, "GET", tokenPath, "")
	if a.StatusCode != 409 || a.error(t) != "login_required" || !strings.Contains(a.body, `"authorize_url":"`+f.URL+`/authorize?`) {
		t.Fatalf("before: %d %s", a.StatusCode, a.body)
	}
	if b := d.call(t, "GET", tokenPath, ""); b.body != a.body {
		t.Errorf("asking again began another login:\n%s\n%s", a.body, b.body)
	}
	state := d.begun(t, "demo")
	cb := d.raw(t, "GET /callback?code="+canaryCode+"&state="+url.QueryEscape(state)+" HTTP/1.1\nHost: HOST\nReferer: https://tenant.example/\nSec-Fetch-Site: cross-site\n\n")
	golden(t, "callback_good", dump(cb.Response, cb.body))
	if a := d.call(t, "GET", tokenPath+"?format=text", ""); a.body != canaryToken {
		t.Errorf("after: %d %s", a.StatusCode, a.body)
	}
	a = d.call(t, "DELETE", "/v1/clients/demo/grant", "")
	if a.StatusCode != 200 || !strings.Contains(a.body, `"state":"login_required"`) {
		t.Errorf("logout: %d %s", a.StatusCode, a.body)
	}
	noCanary(t, "log", d.log.String())
}

func TestCallback_RefusesStatesAndCodes(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{person(t, f, "demo"), person(t, f, "ci")}})
	used := d.begun(t, "demo")
	if a := d.raw(t, "GET /callback?code="+canaryCode+"&state="+used+" HTTP/1.1\nHost: HOST\n\n"); a.StatusCode != 200 {
		t.Fatalf("first use: %d %s", a.StatusCode, a.body)
	}
	posts := f.posts.Load()
	for name, query := range map[string]string{
		"no state":    "code=" + canaryCode,
		"empty state": "state=&code=" + canaryCode,
		"unknown":     "state=unknown&code=" + canaryCode,
		"used":        "state=" + used + "&code=" + canaryCode,
		"two states":  "state=" + d.begun(t, "demo") + "&state=x&code=" + canaryCode,
		"no code":     "state=" + d.begun(t, "demo"),
		"TestB16":     "state=" + d.begun(t, "demo") + "&code=" + canaryCode + "&error=access_denied",
		"malformed":   "state=%zz",
		"denied":      "state=" + d.begun(t, "demo") + "&error=access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3E",
	} {
		a := d.raw(t, "GET /callback?"+query+" HTTP/1.1\nHost: HOST\n\n")
		if a.StatusCode != 400 {
			t.Errorf("%s: status %d\n%s", name, a.StatusCode, a.body)
		}
		if strings.Contains(a.body, "<script") {
			t.Errorf("%s: unescaped: %s", name, a.body)
		}
		noCanary(t, name, a.body)
		if name == "used" {
			golden(t, "callback_used", dump(a.Response, a.body))
		}
	}
	if n := f.posts.Load(); n != posts {
		t.Errorf("%d exchanges after refused callbacks", n-posts)
	}
	noCanary(t, "log", d.log.String())
}

func TestLogin_ByAPI(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{person(t, f, "demo"), person(t, f, "ci")}})
	code := "/v1/clients/demo/code"
	ofOther := d.begun(t, "ci")
	for name, c := range map[string]struct {
		body   string
		status int
		says   string
	}{
		"empty":        {"", 400, `"hint":"send`},
		"not JSON":     {"{", 400, "not the JSON object"},
		"twice":        {"{}{}", 400, "not the JSON object"},
		"unknown":      {`{"kode":"x"}`, 400, "not the JSON object"},
		"both":         {`{"code":"x","state":"y","callback_url":"http://localhost/"}`, 400, "both callback_url and"},
		"no state":     {`{"code":"x"}`, 400, `"hint":"send`},
		"no code":      {`{"state":"` + ofOther + `"}`, 400, `"hint":"send`},
		"other client": {`{"code":"x","state":"` + ofOther + `"}`, 400, "unknown, used or expired"},
		"bad URL":      {`{"callback_url":"http://localhost/%zz"}`, 400, "is not a URL"},
		"bad query":    {`{"callback_url":"http://localhost/?code=%zz"}`, 400, "query of callback_url"},
		"large":        {`{"code":"` + strings.Repeat("x", maxBody) + `"}`, 413, "64 KiB"},
	} {
		if a := d.call(t, "POST", code, c.body); a.StatusCode != c.status || !strings.Contains(a.body, c.says) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	if n := f.posts.Load(); n != 0 {
		t.Errorf("%d exchanges", n)
	}
	if a := d.call(t, "POST", "/v1/clients/ci/code", `{"code":"x","state":"`+ofOther+`"}`); a.StatusCode != 200 {
		t.Errorf("the other client's own: %d %s", a.StatusCode, a.body)
	}
	u := "http://localhost:8484/callback?code=" + canaryCode + "&state=" + d.begun(t, "demo")
	if a := d.call(t, "POST", code, `{"callback_url":"`+u+`"}`); a.StatusCode != 200 || !strings.Contains(a.body, `"state":"ready"`) {
		t.Errorf("callback_url: %d %s", a.StatusCode, a.body)
	}
}

func TestLogin_Headless(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo"), person(t, f, "ci")}})
	if a := d.call(t, "POST", "/v1/clients/demo/login", `{"headless":true}`); a.StatusCode != 200 || !strings.Contains(a.body, `"state":"ready"`) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := d.call(t, "POST", "/v1/clients/ci/login", `{"headles":true}`); a.StatusCode != 400 {
		t.Errorf("a misspelt member: %d %s", a.StatusCode, a.body)
	}
	a := d.call(t, "POST", "/v1/clients/ci/login", `{"headless":true}`)
	if a.StatusCode != 409 || a.error(t) != "login_required" || !strings.Contains(a.body, `"authorize_url"`) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if v := d.call(t, "GET", "/v1/clients/ci", ""); !strings.Contains(v.body, `"login_failure"`) {
		t.Errorf("%s", v.body)
	}
}

func TestToken_ClientRejected(t *testing.T) {
	f := newTenant(t)
	f.answer(refuseWith(401, "invalid_client"))
	d := start(t, Config{Clients: []Client{kept(t, f, "demo")}})
	a := d.call(t, "GET", tokenPath, "")
	if a.StatusCode != 409 || a.error(t) != "client_rejected" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	noCanary(t, "body", a.body)
	noCanary(t, "log", d.log.String())
}
