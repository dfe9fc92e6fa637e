package daemon

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"example.com/tokend/internal/guard"
	"example.com/tokend/internal/proxy"
	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/tokend"
)

// startRelay runs a relay to d until the test ends.
func startRelay(t testing.TB, d *running, upstream string, more ...net.Listener) *running {
	t.Helper()
	client, err := tokend.New(tokend.Service{Addrs: []string{"http://" + d.addr}})
	if err != nil {
		t.Fatal(err)
	}
	service, err := url.Parse(client.BaseURL())
	if err != nil {
		t.Fatal(err)
	}
	r := &running{log: &syncBuffer{}}
	relay, err := proxy.NewRelay(proxy.RelayConfig{
		Client: "demo", Upstream: upstream, Service: service, Base: client.HTTPClient().Transport, Key: mainKey,
		Keys: []guard.Key{{Name: "main", Secret: flow.Secret(ciKey)}}, Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- relay.Run(ctx, append([]net.Listener{l}, more...)...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

const relayAuth = "\nAuthorization: Bearer " + ciKey

func TestRelay_Forwards(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/v2/next?a=b")
		w.Header().Set("Content-Location", "https://other.example.com/elsewhere")
		_, _ = io.Copy(w, r.Body)
	})
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), "https://api.example.com/", u.URL)}})
	r := startRelay(t, d, u.URL+"/v2")
	for path, want := range map[string]string{
		"/": "/v2", "/?a=%zz;b": "/v2?a=%zz;b", "/a%2Fb/": "/v2/a%2Fb/", "/v1/clients/demo/token": "/v2/v1/clients/demo/token", "/callback": "/v2/callback",
	} {
		a := r.raw(t, "PUT "+path+" HTTP/1.1\nHost: HOST"+relayAuth+"\nContent-Length: 4\nTokend-Upstream: https://api.example.com/\nX-Kept: 1\n\nbody")
		got := u.last(t)
		if a.StatusCode != 200 || a.body != "body" || got.RequestURI != want || "http://"+got.Host != u.URL {
			t.Errorf("%s: %d %s; the upstream got %s at %s", path, a.StatusCode, a.body, got.RequestURI, got.Host)
		}
		got.Header.Del("X-Request-Id") // another each time
		wantHeader := http.Header{"Authorization": {"Bearer " + canaryToken}, "Content-Length": {"4"}, "X-Kept": {"1"}}
		if fmt.Sprint(got.Header) != fmt.Sprint(wantHeader) {
			t.Errorf("%s: the upstream got %v", path, got.Header)
		}
		if a.Header.Get("Location") != "/next?a=b" || a.Header.Get("Content-Location") != "https://other.example.com/elsewhere" {
			t.Errorf("%s: Location %s, %s", path, a.Header.Get("Location"), a.Header.Get("Content-Location"))
		}
	}
	noCanary(t, "log", r.log.String())
}

func TestRelay_Guards(t *testing.T) {
	u := newUpstream(t, nil)
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), u.URL)}})
	r := startRelay(t, d, u.URL)
	basic := func(s string) string { return "\nAuthorization: basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, c := range map[string]struct {
		request string
		status  int
		code    string
	}{
		"bearer":           {get("/x", "HOST", relayAuth), 200, ""},
		"basic":            {get("/x", "HOST", basic("any:"+ciKey)), 200, ""},
		"basic, no user":   {get("/x", "HOST", basic(":"+ciKey)), 200, ""},
		"basic, wrong":     {get("/x", "HOST", basic(ciKey+":x")), 401, "unauthorized"},
		"basic, no colon":  {get("/x", "HOST", basic(ciKey)), 401, "unauthorized"},
		"basic, no base64": {get("/x", "HOST", "\nAuthorization: Basic "+ciKey), 401, "unauthorized"},
		"two keys":         {get("/x", "HOST", basic("any:"+ciKey)+relayAuth), 401, "unauthorized"},
		"no key":           {get("/x", "HOST", ""), 401, "unauthorized"},
		"the service's":    {get("/x", "HOST", auth), 401, "unauthorized"},
		"host":             {get("/x", "evil.example", relayAuth), 403, "forbidden_host"},
		"origin":           {get("/x", "HOST", relayAuth+"\nOrigin: null"), 403, "forbidden_origin"},
		"site":             {get("/x", "HOST", relayAuth+"\nSec-Fetch-Site: same-site"), 403, "forbidden_sec_fetch_site"},
		"forwarded":        {get("/x", "HOST", relayAuth+"\nX-Forwarded-For: ::1"), 403, "forbidden_forwarded"},
		"absolute":         {get("http://evil.example/", "HOST", relayAuth), 403, "forbidden_absolute_target"},
		"connect":          {"CONNECT evil.example:443 HTTP/1.1\nHost: HOST" + relayAuth + "\n\n", 403, "forbidden_absolute_target"},
		"trace":            {"TRACE / HTTP/1.1\nHost: HOST" + relayAuth + "\n\n", 405, "method_not_allowed"},
		"dots":             {get("/%2e%2e/x", "HOST", relayAuth), 400, "invalid_request"},
		"slashes":          {get("//evil.example/", "HOST", relayAuth), 400, "invalid_request"},
	} {
		a := r.raw(t, c.request)
		if a.StatusCode != c.status || a.Header.Get(errorHeader) != c.code {
			t.Errorf("%s: %d %q %s", name, a.StatusCode, a.Header.Get(errorHeader), a.body)
		}
		noCanary(t, name, a.body)
	}
	if n := u.count(); n != 3 {
		t.Errorf("%d requests have reached the upstream", n)
	}
	l := socket(t)
	startRelay(t, d, u.URL, l)
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if a := exchange(t, c, get("/x", "whatever", "")); a.StatusCode != 200 {
		t.Errorf("over a socket: %d %s", a.StatusCode, a.body)
	}
}

func TestRelay_Errors(t *testing.T) {
	f := newTenant(t)
	login := person(t, f, "demo")
	login.Upstreams = proxied(t, f, "https://api.example.com/").Upstreams
	d := start(t, Config{Clients: []Client{login}})
	r := startRelay(t, d, "https://api.example.com/")
	if a := r.raw(t, get("/", "HOST", relayAuth)); a.StatusCode != 409 || a.Header.Get(errorHeader) != "login_required" {
		t.Errorf("login required: %d %s", a.StatusCode, a.body)
	}
	r = startRelay(t, d, "https://other.example.com/")
	if a := r.raw(t, get("/", "HOST", relayAuth)); a.StatusCode != 403 || a.error(t) != "upstream_forbidden" {
		t.Errorf("not an upstream: %d %s", a.StatusCode, a.body)
	}
	r = startRelay(t, &running{addr: "127.0.0.1:1"}, "https://api.example.com/")
	a := r.raw(t, get("/", "HOST", relayAuth))
	if a.StatusCode != 503 || a.error(t) != "tokend_unreachable" || a.Header.Get("Retry-After") != "1" {
		t.Errorf("no service: %d %s", a.StatusCode, a.body)
	}
}

func TestRelay_Streams(t *testing.T) {
	seen := make(chan http.Header, 1)
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			webSocket(seen)(w, r)
			return
		}
		echo(w, r)
	})
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), u.URL)}})
	r := startRelay(t, d, u.URL)
	for name, head := range map[string]string{
		"stream":  "POST / HTTP/1.1\nHost: HOST" + relayAuth + "\nTransfer-Encoding: chunked\n\n",
		"upgrade": get("/", "HOST", relayAuth+handshake),
	} {
		c, in := r.pipe(t, head)
		resp := response(t, in)
		body, send := resp.Body, "1\r\nx\r\n"
		if resp.StatusCode == 101 {
			body, send = io.NopCloser(bufio.NewReader(in)), "x"
		}
		for range 3 {
			_, _ = io.WriteString(c, send)
			if _, err := io.ReadFull(body, make([]byte, 1)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		_ = c.Close()
	}
	if h := <-seen; strings.Contains(fmt.Sprint(h), mainKey) || strings.Contains(fmt.Sprint(h), ciKey) {
		t.Errorf("the upstream got %v", h)
	}
}

// A reference into the upstream whose path begins with two slashes stays on the relay:
// software that follows it to another host would send its key there.
func TestRelay_LocationNamesNoOtherHost(t *testing.T) {
	var u *upstreamAPI
	u = newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", u.URL+"//evil.example/x")
		w.WriteHeader(302)
	})
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), u.URL)}})
	a := startRelay(t, d, u.URL).raw(t, get("/", "HOST", relayAuth))
	here, err := url.Parse("http://relay.example/a/b")
	if err != nil {
		t.Fatal(err)
	}
	to, err := here.Parse(a.Header.Get("Location"))
	if err != nil || to.String() != "http://relay.example//evil.example/x" {
		t.Errorf("%d, Location %q leads to %v, %v", a.StatusCode, a.Header.Get("Location"), to, err)
	}
}
