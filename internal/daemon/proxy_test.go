package daemon

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/tokend/pkg/flow"
)

const proxyPath = "/v1/clients/demo/proxy"

// proxied returns a client with these upstreams, as in a configuration.
func proxied(t testing.TB, f *fakeTenant, upstreams ...string) Client {
	t.Helper()
	c := kept(t, f, "demo")
	for _, raw := range upstreams {
		u, err := flow.ParseUpstream(raw, false)
		if err != nil {
			t.Fatal(err)
		}
		c.Upstreams = append(c.Upstreams, u)
	}
	return c
}

// upstream is an API that remembers what it was sent.
type upstreamAPI struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

func newUpstream(t testing.TB, h http.HandlerFunc) *upstreamAPI {
	u := &upstreamAPI{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.requests = append(u.requests, r)
		u.mu.Unlock()
		if h != nil {
			h(w, r)
			return
		}
		b, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.bodies = append(u.bodies, string(b))
		u.mu.Unlock()
		w.Header().Set("X-Upstream", "1")
		_, _ = io.WriteString(w, "answer")
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstreamAPI) last(t testing.TB) *http.Request {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.requests) == 0 {
		t.Fatal("nothing has reached the upstream")
	}
	return u.requests[len(u.requests)-1]
}

func (u *upstreamAPI) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.requests)
}

func TestProxy_ForwardsRequestAndAnswer(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/x")
		h["Set-Cookie"] = []string{"a=1; Path=/", "b=2"}
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Tokend-Error", "forged")
		h.Set("Connection", "X-Hop")
		h.Set("X-Hop", "1")
		h.Set("Keep-Alive", "timeout=9")
		h.Set("Proxy-Authenticate", "Basic")
		w.WriteHeader(418)
		_, _ = io.Copy(w, r.Body)
	})
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{proxied(t, f, u.URL+"/v2")}})
	a := d.raw(t, "PATCH "+proxyPath+"/a%2Fb/c?x=1;y&z=%zz HTTP/1.1\nHost: HOST\nAuthorization: Bearer "+mainKey+
		"\nContent-Length: 4\nX-Kept: 1\nX-Kept: 2\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\nCookie: a=1; tokend_session="+canaryCode+"; b=2\nCookie: __Host-tokend=x\nTokend-Other: 1\nAccept-Encoding: br\n\nbody")
	if a.StatusCode != 418 || a.body != "body" || a.Header.Get("Content-Type") != "text/x" || len(a.Header["Set-Cookie"]) != 2 {
		t.Errorf("%d %v %q", a.StatusCode, a.Header, a.body)
	}
	for _, name := range []string{"Access-Control-Allow-Origin", "Tokend-Error", "X-Hop", "Keep-Alive", "Proxy-Authenticate", "Via"} {
		if v := a.Header.Values(name); len(v) > 0 {
			t.Errorf("the answer has %s: %q", name, v)
		}
	}
	r := u.last(t)
	if r.Method != "PATCH" || r.RequestURI != "/v2/a%2Fb/c?x=1;y&z=%zz" || "http://"+r.Host != u.URL {
		t.Errorf("%s %s at %s", r.Method, r.RequestURI, r.Host)
	}
	want := http.Header{
		"Authorization": {"Bearer " + canaryToken}, "Content-Length": {"4"}, "X-Kept": {"1", "2"}, "Cookie": {"a=1; b=2"}, "Accept-Encoding": {"br"},
		"X-Request-Id": {"tokend-0000001"}, "Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	}
	if fmt.Sprint(r.Header) != fmt.Sprint(want) {
		t.Errorf("the upstream got %v", r.Header)
	}
	noCanary(t, "log", d.log.String())
}

// Hop-by-hop headers are not forwarded, and a caller cannot make the proxy remove the
// token.
func TestProxy_DropsHopByHopHeaders(t *testing.T) {
	u := newUpstream(t, nil)
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), u.URL)}})
	for _, headers := range []string{
		"Connection: X-Hop\nX-Hop: " + mainKey,
		"Connection: close, x-hop\nX-Hop: " + mainKey,
		"Connection: keep-alive\nConnection: Authorization\nKeep-Alive: " + mainKey,
		"Connection: Authorization, Tokend-Upstream\nTokend-Upstream: " + u.URL,
		"Proxy-Authorization: Bearer " + mainKey,
		"Proxy-Connection: keep-alive",
		"TE: gzip, deflate",
		"Upgrade: h2c", // without Connection: Upgrade it is nothing
		"Expect: 100-continue",
	} {
		a := d.raw(t, get(proxyPath+"/x", "HOST", auth+"\n"+headers))
		if a.StatusCode != 200 || a.body != "answer" {
			t.Errorf("%s: %d %s", headers, a.StatusCode, a.body)
		}
		h := u.last(t).Header
		if h.Get("Authorization") != "Bearer "+canaryToken {
			t.Errorf("%s: Authorization %q", headers, h["Authorization"])
		}
		for name, values := range h {
			if name != "Authorization" && name != "Expect" && name != "X-Request-Id" || strings.Contains(strings.Join(values, ""), mainKey) {
				t.Errorf("%s: the upstream got %s: %q", headers, name, values)
			}
		}
	}
}

// Callers can distinguish tokend's own answers from the upstream's.
func TestProxy_Errors(t *testing.T) {
	f := newTenant(t)
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) })
	down := newUpstream(t, nil)
	down.Close()
	chatter, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = chatter.Close() }()
	go func() {
		for {
			c, err := chatter.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 4096)
			n, _ := c.Read(b)
			_, _ = c.Write(append([]byte("HTTP/1.1 200 OK\r\n"), b[:n]...)) // its headers are what it was sent
			_ = c.Close()
		}
	}()
	login := person(t, f, "login")
	login.Upstreams = proxied(t, f, u.URL).Upstreams
	none := kept(t, f, "ci")
	gone := newTenant(t)
	gone.Close()
	cut := kept(t, gone, "cut")
	cut.Upstreams = login.Upstreams
	d := start(t, Config{Clients: []Client{proxied(t, f, u.URL, down.URL, "http://"+chatter.Addr().String()), login, none, cut}})
	for name, c := range map[string]struct {
		request string
		status  int
		code    string
		text    string
	}{
		"the upstream's 401": {get(proxyPath+"/", "HOST", auth), 401, "", ""},
		"no key":             {get(proxyPath+"/", "HOST", ""), 401, "unauthorized", ""},
		"another's key":      {get(proxyPath+"/", "HOST", "\nAuthorization: Bearer "+ciKey), 403, "client_forbidden", ""},
		"a page":             {get(proxyPath+"/", "HOST", auth+"\nOrigin: https://evil.example"), 403, "forbidden_origin", ""},
		"a rebound name":     {get(proxyPath+"/", "evil.example", auth), 403, "forbidden_host", ""},
		"another proxy":      {get(proxyPath+"/", "HOST", auth+"\nVia: 1.1 x"), 403, "forbidden_forwarded", ""},
		"preflight":          {"OPTIONS " + proxyPath + "/ HTTP/1.1\nHost: HOST" + auth + "\n\n", 403, "forbidden_preflight", ""},
		"trace":              {"TRACE " + proxyPath + "/ HTTP/1.1\nHost: HOST" + auth + "\n\n", 405, "method_not_allowed", ""},
		"unknown client":     {get("/v1/clients/missing/proxy/", "HOST", auth), 404, "unknown_client", ""},
		"login required":     {get("/v1/clients/login/proxy/", "HOST", auth), 409, "login_required", "authorize_url"},
		"provider down":      {get("/v1/clients/cut/proxy/", "HOST", auth), 503, "idp_unreachable", "connection refused"},
		"no upstreams":       {get("/v1/clients/ci/proxy/", "HOST", auth), 403, "upstream_forbidden", `"hint":"list the APIs`},
		"down":               {get(proxyPath+"/", "HOST", auth+"\nTokend-Upstream: "+down.URL), 502, "upstream_unreachable", "connection refused"},
		"malformed chunk":    {"POST " + proxyPath + "/ HTTP/1.1\nHost: HOST" + auth + "\nTransfer-Encoding: chunked\n\nxyz\nGET / HTTP/1.1\n\n", 400, "invalid_request", "body of the request"},
		"no HTTP":            {get(proxyPath+"/", "HOST", auth+"\nTokend-Upstream: http://"+chatter.Addr().String()), 502, "upstream_unreachable", "the answer was not HTTP"},
	} {
		a := d.raw(t, c.request)
		if a.StatusCode != c.status || a.Header.Get(errorHeader) != c.code || !strings.Contains(a.body, c.text) {
			t.Errorf("%s: %d, %q: %s", name, a.StatusCode, a.Header.Get(errorHeader), a.body)
		}
		if c.code != "" && a.error(t) != c.code {
			t.Errorf("%s: %s", name, a.body)
		}
		if name == "malformed chunk" && !a.Close {
			t.Error("what follows a malformed body is read as a request")
		}
		noCanary(t, name, a.body)
	}
	noCanary(t, "log", d.log.String())
}

// A hundred requests with a revoked token cause one refresh, and none fails.
func TestProxy_CoalescesRefreshes(t *testing.T) {
	const callers = 100
	f := newTenant(t)
	f.answer(numbered())
	var refused sync.WaitGroup
	refused.Add(callers)
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer token-1" {
			refused.Done()
			refused.Wait()
			w.WriteHeader(401)
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	d := start(t, Config{Clients: []Client{proxied(t, f, u.URL)}})
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			if a := d.call(t, "POST", proxyPath+"/", "body"); a.StatusCode != 200 || a.body != "body" {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
	all.Wait()
	if n := f.posts.Load(); n != 2 {
		t.Errorf("%d token requests", n)
	}
	if n := u.count(); n != 2*callers {
		t.Errorf("%d requests to the upstream", n)
	}
}

func TestProxy_RetriesBodiesUpTo64KiB(t *testing.T) {
	f := newTenant(t)
	f.answer(numbered())
	var takes atomic.Pointer[string]
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if r.Header.Get("Authorization") != "Bearer "+*takes.Load() {
			w.WriteHeader(401)
			_, _ = io.WriteString(w, "no")
			return
		}
		_, _ = fmt.Fprint(w, n)
	})
	d := start(t, Config{Clients: []Client{proxied(t, f, u.URL)}})
	for _, c := range []struct {
		size   int
		takes  string
		status int
		body   string
	}{
		{64 << 10, "token-2", 200, "65536"},
		{64<<10 + 1, "token-3", 401, "no"},
		{8 << 20, "token-2", 200, "8388608"},
		{10, "nothing", 401, "no"},
	} {
		takes.Store(&c.takes)
		if a := d.call(t, "PUT", proxyPath+"/", strings.Repeat("x", c.size)); a.StatusCode != c.status || a.body != c.body {
			t.Errorf("%d bytes: %d %s", c.size, a.StatusCode, a.body)
		}
	}
	if n := f.posts.Load(); n != 2 { // the last 401 comes within a minute of the refresh
		t.Errorf("%d token requests", n)
	}
}

func TestClient_ShowsUpstreams(t *testing.T) {
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), "https://api.example.com/v2", "https://other.example.com/")}})
	if a := d.call(t, "GET", "/v1/clients/demo", ""); !strings.Contains(a.body, `"upstreams":["https://api.example.com/v2","https://other.example.com/"]`) {
		t.Error(a.body)
	}
}
