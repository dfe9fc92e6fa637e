package daemon

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// No path leads out of the upstream; BASE is replaced by the proxy's path.
func TestProxy_PathsStayInTheUpstream(t *testing.T) {
	u := newUpstream(t, nil)
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), u.URL+"/v2/")}})
	for path, want := range map[string]string{
		"BASE":                       "/v2/",
		"BASE?q":                     "/v2/?q",
		"BASE?":                      "/v2/?",
		"BASE/":                      "/v2/",
		"BASE/a":                     "/v2/a",
		"BASE/a/":                    "/v2/a/",
		"BASE/a//b":                  "/v2/a//b",
		"BASE/@scope%2fname":         "/v2/@scope%2fname",
		"BASE/@evil.example":         "/v2/@evil.example",
		"BASE/http://evil.example/":  "/v2/http://evil.example/",
		"BASE/a%20b%25":              "/v2/a%20b%25",
		"BASE/...":                   "/v2/...",
		"BASE/a?next=/../&u=%2e%2e/": "/v2/a?next=/../&u=%2e%2e/",
		"BASE/a:b;c=d":               "/v2/a:b;c=d",
	} {
		a := d.raw(t, get(strings.Replace(path, "BASE", proxyPath, 1), "HOST", auth))
		if a.StatusCode != 200 || u.last(t).RequestURI != want {
			t.Errorf("%s: %d, %s", path, a.StatusCode, u.last(t).RequestURI)
		}
	}
	reached := u.count()
	for _, path := range []string{
		"BASE/../x", "BASE/..", "BASE/a/../../x", "BASE/./x", "BASE/%2e%2e/x", "BASE/%2E%2e%2fx", "BASE/.%2e/x", "BASE/%252e%252e/x",
		"BASE/%2e%2e%5cx", `BASE/..\x`, `BASE/\evil.example/`, "BASE/%5cevil", "BASE//evil.example/", "BASE//", "BASE/..;/x", "BASE/%2e%2e;a=b/x",
		"BASE/a%00", "BASE/a%0d%0aX:%20y", "BASE/%c0%ae%c0%ae/x", "/v1/clients/demo%2Fproxy/x", "/v1/clients/demo/proxy%2F..%2Fx", "/v1/clients/%64emo/proxy/x",
	} {
		a := d.raw(t, get(strings.Replace(path, "BASE", proxyPath, 1), "HOST", auth))
		if a.StatusCode != 400 && a.StatusCode != 404 || a.Header.Get(errorHeader) == "" || a.error(t) == "" {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
	for path, status := range map[string]int{"http://HOSTBASE/x": 403, "http://evil.example/BASE/x": 403, "BASE/%zz": 400, "BASE/x y": 400} {
		a := d.raw(t, get(strings.Replace(path, "BASE", proxyPath, 1), "HOST", auth))
		if a.StatusCode != status {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	if n := u.count(); n != reached {
		t.Errorf("%d of them have reached the upstream: %s", n-reached, u.last(t).RequestURI)
	}
}

func TestProxy_ChoosesTheUpstream(t *testing.T) {
	first, second := newUpstream(t, nil), newUpstream(t, nil)
	evil := newUpstream(t, func(http.ResponseWriter, *http.Request) { t.Error("another host was reached") })
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), first.URL+"/v2", second.URL)}})
	for header, want := range map[string]struct {
		api *upstreamAPI
		uri string
	}{
		"":                                                     {first, "/v2/x"},
		"Tokend-Upstream: " + first.URL:                        {nil, "403 upstream_forbidden"},
		"Tokend-Upstream: URL1/v2":                             {first, "/v2/x"},
		"Tokend-Upstream: URL1/v2/deep/":                       {first, "/v2/deep/x"},
		"Tokend-Upstream: URL2":                                {second, "/x"},
		"tokend-upstream: URL2/api":                            {second, "/api/x"},
		"Tokend-Upstream: URL3":                                {nil, "403 upstream_forbidden"},
		"Tokend-Upstream: URL1/v22":                            {nil, "403 upstream_forbidden"},
		"Tokend-Upstream: https://evil/":                       {nil, "403 upstream_forbidden"},
		"Tokend-Upstream: https://HOST2/":                      {nil, "403 upstream_forbidden"},
		"Tokend-Upstream: URL1/v2/../v3":                       {nil, "400 invalid_request"},
		"Tokend-Upstream: http://u@HOST2":                      {nil, "400 invalid_request"},
		"Tokend-Upstream: http://HOST2@evil.example/":          {nil, "400 invalid_request"},
		"Tokend-Upstream: URL2?a=b":                            {nil, "400 invalid_request"},
		"Tokend-Upstream:":                                     {nil, "400 invalid_request"},
		"Tokend-Upstream: URL2\nTokend-Upstream: URL1/v2":      {nil, "400 invalid_request"},
		"Tokend-Upstream: URL2\nTokend-Upstream: http://evil/": {nil, "400 invalid_request"},
	} {
		h := strings.NewReplacer("URL1", first.URL, "URL2", second.URL, "URL3", evil.URL, "HOST2", strings.TrimPrefix(second.URL, "http://")).Replace(header)
		if h != "" {
			h = "\n" + h
		}
		a := d.raw(t, get(proxyPath+"/x", "HOST", auth+h))
		if want.api == nil {
			if a.StatusCode == 403 && !strings.Contains(a.body, `"hint":"add it to clients.demo.upstreams`) {
				t.Errorf("%q: no word of what to do: %s", header, a.body)
			}
			if got := fmt.Sprint(a.StatusCode, " ", a.error(t)); got != want.uri || a.Header.Get(errorHeader) != a.error(t) {
				t.Errorf("%q: %s, want %s", header, got, want.uri)
			}
			continue
		}
		if a.StatusCode != 200 || want.api.last(t).RequestURI != want.uri {
			t.Errorf("%q: %d, %s", header, a.StatusCode, want.api.last(t).RequestURI)
		}
	}
}

// References into the upstream stay on the proxy. No other reference leads to this machine,
// in any spelling: software would follow it with the caller's key.
func TestProxy_RewritesReferences(t *testing.T) {
	var location string
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.Header().Set("Content-Location", location)
		w.WriteHeader(307)
	})
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), u.URL+"/v2")}})
	r := startRelay(t, d, u.URL+"/v2")
	for in, want := range map[string]string{
		"next":                         proxyPath + "/a/next",
		"/v2/b?c=d#e":                  proxyPath + "/b?c=d#e",
		"/v2":                          proxyPath,
		"URL/v2/b%2Fc?":                proxyPath + "/b%2Fc?",
		"../../v2/x":                   proxyPath + "/x",
		"//evil.example/v2/":           "http://evil.example/v2/",
		"https://other.example/?a":     "https://other.example/?a",
		"https://localhost.example/":   "https://localhost.example/",
		"https://192.0.2.7:8484/x":     "https://192.0.2.7:8484/x",
		"https://[2001:db8::1]/x":      "https://[2001:db8::1]/x",
		"https://xn--nxasmq6b.example": "https://xn--nxasmq6b.example",

		"/login": "", "/v22": "", "../../x": "", "/v2/%2e%2e/x": "", `/\localhost/x`: "", // of an upstream on this machine, but not in it
		":%zz": "", "\t/v2/x": proxyPath + "/x", "/v2/\tx": "", "http://loc\talhost/": "", "http:": "", "http:///localhost/x": "", "http:/localhost/x": "",
		`http:\\localhost\x`: "", "http:localhost/x": "", "javascript:alert(1)": "", "file:///etc/passwd": "", "ftp://other.example/": "", "mailto:a@b.example": "",
		"http://DAEMON" + tokenPath: "", "//DAEMON" + tokenPath: "", "http://localhost:PORT" + tokenPath: "", "http://LOCALHOST.:PORT/": "", "http://any.localhost/": "",
		"http://u:p@localhost/": "", "http://[::1]:PORT/": "", "http://[::]/": "", "http://[::ffff:127.0.0.1]/": "", "http://[fe80::1%25lo]/": "",
		"http://127.1:PORT/": "", "http://0/": "", "http://2130706433/": "", "http://0x7f.1/": "", "http://0177.0.0.1/": "", "http://127.0.0.2/": "",
		"http://127.0.0.1./": "", "http://\uff4cocalhost/": "", "http://localhost\u3002/": "", "http://%6cocalhost/": "", "https://127.0.0.1:RELAY/": "", "https://x.localdomain/": "",
	} {
		_, port, _ := net.SplitHostPort(d.addr)
		_, relay, _ := net.SplitHostPort(r.addr)
		location = strings.NewReplacer("URL", u.URL, "DAEMON", d.addr, "PORT", port, "RELAY", relay).Replace(in)
		a := d.raw(t, get(proxyPath+"/a/b", "HOST", auth))
		if a.StatusCode != 307 || a.Header.Get("Location") != want || a.Header.Get("Content-Location") != want {
			t.Errorf("%s: %s, want %s", in, a.Header.Get("Location"), want)
		}
		if here, ok := strings.CutPrefix(want, proxyPath); ok {
			want = cmp.Or(here, "/")
		}
		if a = r.raw(t, get("/a/b", "HOST", relayAuth)); a.Header.Get("Location") != want || a.Header.Get("Content-Location") != want {
			t.Errorf("%s by the relay: %s, want %s", in, a.Header.Get("Location"), want)
		}
	}
	if log := d.log.String(); !strings.Contains(log, "header=Content-Location") {
		t.Errorf("the log does not tell: %s", log)
	}
}

// Some software joins two lines to one reference. Over a socket every host leads to
// tokend.
func TestProxy_RemovesReferences_TwiceOrOverASocket(t *testing.T) {
	var refs []string
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Location"] = refs
		w.WriteHeader(307)
	})
	l := socket(t)
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), u.URL)}}, l)
	at := socket(t)
	r := startRelay(t, d, u.URL, at)
	over := func(l net.Listener, path string) answered {
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return exchange(t, c, get(path, "localhost", ""))
	}
	const elsewhere = "https://other.example.com/x"
	for _, c := range []struct {
		refs        []string
		tcp, socket string
	}{
		{[]string{"/a"}, "/a", "/a"},
		{[]string{elsewhere}, elsewhere, ""},
		{[]string{"/a", "https://evil.example/%2e%2e/%2e%2e/token"}, "", ""},
		{[]string{"/a", "/a"}, "", ""},
	} {
		refs = c.refs
		for by, got := range map[string]struct {
			answered
			want string
		}{
			"service": {d.raw(t, get(proxyPath+"/", "HOST", auth)), strings.Replace(c.tcp, "/a", proxyPath+"/a", 1)},
			"relay":   {r.raw(t, get("/", "HOST", relayAuth)), c.tcp},
			"socket":  {over(l, proxyPath+"/"), strings.Replace(c.socket, "/a", proxyPath+"/a", 1)},
			"relay's": {over(at, "/"), c.socket},
		} {
			if has := strings.Join(got.Header["Location"], " "); has != got.want || got.Header.Get("Vary") != upstreamHeader {
				t.Errorf("%q by %s: %q, want %q; Vary %q", c.refs, by, has, got.want, got.Header["Vary"])
			}
		}
	}
	if h := u.last(t).Header; h[networkHeader] != nil {
		t.Errorf("the upstream got %v", h)
	}
}

// A Go program that follows a redirect sends Referer; the request stays on the proxy.
func TestProxy_AcceptsItsOwnReferer(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/there" {
			http.Redirect(w, r, "/v2/there", http.StatusSeeOther)
		}
	})
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), u.URL+"/v2")}})
	r := startRelay(t, d, u.URL+"/v2")
	for base, key := range map[string]string{"http://" + d.addr + proxyPath: mainKey, "http://" + r.addr: ciKey} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", base+"/here", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := u.last(t); resp.StatusCode != 200 || got.URL.Path != "/v2/there" || got.Header["Referer"] != nil {
			t.Errorf("%s: %d; the upstream got %s, Referer %q", base, resp.StatusCode, got.URL.Path, got.Header["Referer"])
		}
	}
	http.DefaultClient.CloseIdleConnections()
	for path, referer := range map[string]string{
		tokenPath:                    "http://" + d.addr + proxyPath + "/x", // an upstream has sent it there
		"/v1/clients/demo":           "http://" + d.addr + proxyPath + "/x",
		proxyPath + "/a":             "http://evil.example" + proxyPath + "/x",
		proxyPath + "/b":             "https://" + d.addr + proxyPath + "/x",
		proxyPath + "/c":             "http://" + d.addr + "/v1/clients/other/proxy/x",
		proxyPath + "/d":             "http://" + d.addr + proxyPath + "x",
		proxyPath + "/e":             "http://u@" + d.addr + proxyPath + "/x",
		proxyPath + "/f":             "http://" + d.addr + proxyPath + "/x\nReferer: http://" + d.addr + proxyPath + "/x",
		proxyPath + "/g":             ":%zz",
		"/v1/clients/demo/%70roxy/h": "http://" + d.addr + proxyPath + "/x",
	} {
		if a := d.raw(t, get(path, "HOST", auth+"\nReferer: "+referer)); a.StatusCode != 403 || a.error(t) != "forbidden_referer" {
			t.Errorf("%s from %s: %d %s", path, referer, a.StatusCode, a.body)
		}
	}
}
