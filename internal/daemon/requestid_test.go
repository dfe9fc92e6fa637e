package daemon

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"example.com/tokend/internal/requestid"
	"example.com/tokend/pkg/flow"
)

// ask sends a request with the main key and an id, "" for none.
func (r *running) ask(t *testing.T, method, path, id string) answered {
	t.Helper()
	if id != "" {
		id = "X-Request-Id: " + id + "\n"
	}
	return r.raw(t, method+" "+path+" HTTP/1.1\nHost: HOST\nAuthorization: Bearer "+mainKey+"\n"+id+"\n")
}

// lines returns the lines of the log with a word.
func (r *running) lines(word string) (found []string) {
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, word) {
			found = append(found, line)
		}
	}
	return found
}

func TestRequestID_InEveryAnswer(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo")}, IDs: requestid.New("start")})
	for _, path := range []string{tokenPath, tokenPath, "/v1/clients", "/v1/clients/missing", "/missing", "/healthz", "/metrics", "/callback"} {
		if a := d.ask(t, "GET", path, "req-1"); strings.Join(a.Header["X-Request-Id"], ",") != "req-1" {
			t.Errorf("%s with an id: %q", path, a.Header["X-Request-Id"])
		}
		if a := d.ask(t, "GET", path, "two words"); !strings.HasPrefix(strings.Join(a.Header["X-Request-Id"], ","), "start-") {
			t.Errorf("%s with a bad id: %q", path, a.Header["X-Request-Id"])
		}
	}
	if a := d.raw(t, "GET "+tokenPath+" HTTP/1.1\nHost: HOST\nX-Request-Id: refused-1\n\n"); a.StatusCode != 401 || a.Header.Get("X-Request-Id") != "refused-1" {
		t.Errorf("without a key: %s %q", a.Status, a.Header["X-Request-Id"])
	}
	if l := d.lines("msg=refused"); len(l) != 1 || !strings.Contains(l[0], "request_id=refused-1") {
		t.Errorf("the log has %q", l)
	}
	for _, l := range d.lines("msg=request ") {
		if !strings.Contains(l, " request_id=") {
			t.Errorf("without an id: %s", l)
		}
	}
}

// The provider and the log get the id of the request that caused a refresh.
func TestRequestID_ReachesProviderAndLog(t *testing.T) {
	f := newTenant(t)
	var ids []string
	f.answer(func(w http.ResponseWriter, r *http.Request) {
		ids = append(ids, r.URL.Path+" "+strings.Join(r.Header["X-Request-Id"], ","))
		refuseWith(401, "invalid_client")(w, r)
	})
	was := f.Server.Config.Handler
	f.Server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/.well-known") {
			ids = append(ids, r.URL.Path+" "+strings.Join(r.Header["X-Request-Id"], ","))
		}
		was.ServeHTTP(w, r)
	})
	d := start(t, Config{})
	if err := d.Replace([]Client{person(t, f, "web")}, []Key{{Name: "main", Secret: mainKey}}); err != nil {
		t.Fatal(err)
	}
	a := d.ask(t, "POST", "/v1/clients/web/login", "begin-1")
	state := a.body[strings.Index(a.body, `"state":"`)+9:]
	state, _, _ = strings.Cut(state, `"`)
	d.raw(t, fmt.Sprintf("GET /callback?code=%s&state=%s HTTP/1.1\nHost: HOST\nX-Request-Id: finish-1\n\n", canaryCode, state))
	if got := strings.Join(ids, "; "); got != "/.well-known/openid-configuration begin-1; /oauth/token finish-1" {
		t.Errorf("the provider got %q", got)
	}
	if l := d.lines("login failed"); len(l) == 0 || !strings.Contains(l[0], "request_id=finish-1") {
		t.Errorf("the log has %q in\n%s", l, d.log)
	}
}

// An upstream gets the id, and its answer has that, or the upstream's own.
func TestRequestID_ThroughProxy(t *testing.T) {
	f := newTenant(t)
	var got []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header["X-Request-Id"]
		if r.URL.Path == "/own" {
			w.Header().Set("X-Request-Id", "upstream-1")
		}
	}))
	t.Cleanup(api.Close)
	up, err := flow.ParseUpstream(api.URL+"/", true)
	if err != nil {
		t.Fatal(err)
	}
	cl := kept(t, f, "demo")
	cl.Upstreams = []*url.URL{up}
	d := start(t, Config{Clients: []Client{cl}, IDs: requestid.New("start")})
	for _, tt := range []struct{ path, id, sent, answered string }{
		{"/a", "req-1", "req-1", "req-1"},
		{"/own", "req-2", "req-2", "upstream-1"},
		{"/a", "two words", "start-0000001", "start-0000001"},
	} {
		a := d.ask(t, "GET", "/v1/clients/demo/proxy"+tt.path, tt.id)
		if strings.Join(got, ",") != tt.sent || strings.Join(a.Header["X-Request-Id"], ",") != tt.answered {
			t.Errorf("%s with %q: the upstream got %q, the caller %q", tt.path, tt.id, got, a.Header["X-Request-Id"])
		}
	}
	api.Close()
	if a := d.ask(t, "GET", "/v1/clients/demo/proxy/down", "req-4"); a.StatusCode != 502 || strings.Join(a.Header["X-Request-Id"], ",") != "req-4" {
		t.Errorf("without an upstream: %s %q", a.Status, a.Header["X-Request-Id"])
	}
}

// An answer from memory has the caller's id. It has no new one: no log line and no
// request to a provider refers to it.
func TestRequestID_OfTokenInMemory(t *testing.T) {
	cl := kept(t, newTenant(t), "demo")
	if _, err := cl.Get(t.Context(), flow.Request{}); err != nil {
		t.Fatal(err)
	}
	d, err := New(Config{Clients: []Client{cl}, Keys: []Key{{Name: "main", Secret: mainKey}}, IDs: requestid.New("start")})
	if err != nil {
		t.Fatal(err)
	}
	for sent, want := range map[string]string{"": "", "req-1": "req-1", "two words": "start-0000001"} {
		r, w := benchRequest(), httptest.NewRecorder()
		if sent != "" {
			r.Header.Set("X-Request-Id", sent)
		}
		d.handler.ServeHTTP(w, r)
		if got := strings.Join(w.Header()["X-Request-Id"], ","); w.Code != 200 || got != want {
			t.Errorf("%q: %d with id %q, want %q", sent, w.Code, got, want)
		}
	}
}
