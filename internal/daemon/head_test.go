package daemon

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// answerTo sends a request with the API key and returns what must be equal for GET and HEAD.
func (r *running) answerTo(t *testing.T, method, path string) (status int, h http.Header, body string) {
	t.Helper()
	a := r.call(t, method, path, "")
	a.Header.Del("Date")
	a.Header.Del("X-Request-Id") // another each time
	return a.StatusCode, a.Header, a.body
}

func TestHead_AnswersAsGetDoes(t *testing.T) {
	f := newTenant(t)
	actions := kept(t, f, "demo")
	actions.ActionsIDToken = true
	clients := []Client{actions, person(t, f, "person")}
	for i := range 30 { // net/http gives a list of this length no Content-Length of its own
		clients = append(clients, person(t, f, fmt.Sprint("client", i)))
	}
	d := start(t, Config{Version: "v1.2.3", Clients: clients})
	d.call(t, "GET", tokenPath, "")
	d.call(t, "GET", "/v1/clients/person/token", "") // begins the login that later answers offer
	paths := []string{tokenPath + "?min_validity=soon", tokenPath + "?format=text", "/v1/clients/person/token", "/v1/clients/missing/token"}
	for _, r := range d.active.Load().table() {
		if r.method == "GET" && r.path != "/v1/events" && r.path != "/metrics" { // which have no end, and another length each time
			paths = append(paths, strings.Replace(r.path, ":client", "demo", 1))
		}
	}
	if len(paths) < 10 {
		t.Fatalf("only %d paths", len(paths))
	}
	for _, path := range paths {
		// expires_in and so Content-Length may change between two answers; not twice
		var differ string
		for range 3 {
			status, h, body := d.answerTo(t, "GET", path)
			hstatus, hh, none := d.answerTo(t, "HEAD", path)
			if status == 405 || body == "" || none != "" {
				t.Errorf("%s: GET %d with %d bytes, HEAD %d with %q", path, status, len(body), hstatus, none)
			}
			if differ = ""; hstatus == status && maps.EqualFunc(h, hh, slices.Equal[[]string]) && h.Get("Content-Length") == fmt.Sprint(len(body)) {
				break
			}
			differ = fmt.Sprintf("GET %d %v, HEAD %d %v", status, h, hstatus, hh)
		}
		if differ != "" {
			t.Errorf("%s: %s", path, differ)
		}
	}
	if a := d.raw(t, "HEAD "+tokenPath+" HTTP/1.1\nHost: HOST\n\n"); a.StatusCode != 401 || a.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("without a key: %d %v", a.StatusCode, a.Header)
	}
}

// HEAD refreshes when GET would, and then the token is there for GET.
func TestHead_OfATokenRefreshesOnce(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo")}})
	for _, method := range []string{"HEAD", "HEAD", "GET", "HEAD"} {
		if a := d.call(t, method, tokenPath, ""); a.StatusCode != 200 {
			t.Errorf("%s: %d", method, a.StatusCode)
		}
	}
	if n := f.posts.Load(); n != 1 {
		t.Errorf("%d token requests", n)
	}
}

// Allow has exactly the methods of a path.
func TestMethodNotAllowed_AllowHasTheMethodsOfThePath(t *testing.T) {
	d := start(t, Config{})
	want := map[string][]string{}
	for _, r := range d.active.Load().table() {
		path := strings.Replace(r.path, ":client", "demo", 1)
		want[path] = append(want[path], r.method)
		if r.method == "GET" {
			want[path] = append(want[path], "HEAD")
		}
	}
	for path, methods := range want {
		a := d.call(t, "PATCH", path, "")
		got := strings.Split(a.Header.Get("Allow"), ", ")
		slices.Sort(got)
		slices.Sort(methods)
		if a.StatusCode != 405 || !slices.Equal(got, methods) || !strings.Contains(a.body, "answers "+a.Header.Get("Allow")+" only") {
			t.Errorf("%s: %d, Allow %q, want %q; %s", path, a.StatusCode, got, methods, a.body)
		}
	}
}
