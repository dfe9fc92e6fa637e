package daemon

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const tokenPath = "/v1/clients/demo/token"

// guardCases are requests, where HOST and PORT stand for the listener's; without
// an error code the answer is a token.
var guardCases = []struct {
	name, request string
	status        int
	code          string
}{
	{"good", get(tokenPath, "HOST", auth), 200, ""},
	{"good_localhost", get(tokenPath, "localhost:PORT", auth), 200, ""},
	{"good_v6", get(tokenPath, "[::1]:PORT", auth), 200, ""},
	{"good_typed", get(tokenPath, "HOST", auth+"\nSec-Fetch-Site: none"), 200, ""},
	{"TestX01_evil_host", get(tokenPath, "evil.example", auth), 403, "forbidden_host"},
	{"TestX01_evil_host_with_port", get(tokenPath, "evil.example:PORT", auth), 403, "forbidden_host"},
	{"TestX02_suffix", get(tokenPath, "127.0.0.1.evil.example:PORT", auth), 403, "forbidden_host"},
	{"TestX02_dot", get(tokenPath, "localhost.:PORT", auth), 403, "forbidden_host"},
	{"TestX02_short", get(tokenPath, "127.1:PORT", auth), 403, "forbidden_host"},
	{"TestX02_mapped", get(tokenPath, "[::ffff:127.0.0.1]:PORT", auth), 403, "forbidden_host"},
	{"TestX02_any", get(tokenPath, "0.0.0.0:PORT", auth), 403, "forbidden_host"},
	{"TestX02_no_port", get(tokenPath, "localhost", auth), 403, "forbidden_host"},
	{"TestX02_other_port", get(tokenPath, "localhost:1", auth), 403, "forbidden_host"},
	{"TestX02_port_prefix", get(tokenPath, "localhost:PORT0", auth), 403, "forbidden_host"},
	{"TestX02_upper", get(tokenPath, "LOCALHOST:PORT", auth), 403, "forbidden_host"},
	{"TestX02_empty", get(tokenPath, "", auth), 403, "forbidden_host"},
	{"TestX02_health", get("/healthz", "evil.example", ""), 403, "forbidden_host"},
	{"TestX02_callback", get("/callback?state=x&code=y", "evil.example", ""), 403, "forbidden_host"},
	{"TestX03_origin", get(tokenPath, "HOST", auth+"\nOrigin: https://evil.example"), 403, "forbidden_origin"},
	{"TestX03_origin_null", get(tokenPath, "HOST", auth+"\nOrigin: null"), 403, "forbidden_origin"},
	{"TestX03_origin_own", get(tokenPath, "HOST", auth+"\nOrigin: http://HOST"), 403, "forbidden_origin"},
	{"TestX03_origin_empty", get(tokenPath, "HOST", auth+"\nOrigin:"), 403, "forbidden_origin"},
	{"TestX03_referer", get(tokenPath, "HOST", auth+"\nReferer: http://HOST/"), 403, "forbidden_referer"},
	{"TestX03_ready", get("/readyz", "HOST", "\nOrigin: null"), 403, "forbidden_origin"},
	{"TestX04_cross_site", get(tokenPath, "HOST", auth+"\nSec-Fetch-Site: cross-site"), 403, "forbidden_sec_fetch_site"},
	{"TestX04_same_site", get(tokenPath, "HOST", auth+"\nSec-Fetch-Site: same-site"), 403, "forbidden_sec_fetch_site"},
	{"TestX04_second", get(tokenPath, "HOST", auth+"\nSec-Fetch-Site: none\nSec-Fetch-Site: cross-site"), 403, "forbidden_sec_fetch_site"},
	{"TestX05_preflight", "OPTIONS " + tokenPath + " HTTP/1.1\nHost: HOST\nOrigin: https://evil.example\nAccess-Control-Request-Method: GET\n\n", 403, "forbidden_preflight"},
	{"TestX05_options", "OPTIONS " + tokenPath + " HTTP/1.1\nHost: HOST" + auth + "\n\n", 403, "forbidden_preflight"},
	{"TestX05_options_all", "OPTIONS * HTTP/1.1\nHost: HOST\n\n", 403, "forbidden_absolute_target"},
	{"TestX06_no_key", get(tokenPath, "HOST", ""), 401, "unauthorized"},
	{"TestX06_wrong_key", get(tokenPath, "HOST", "\nAuthorization: Bearer wrong"), 401, "unauthorized"},
	{"TestX06_longer_key", get(tokenPath, "HOST", auth+"x"), 401, "unauthorized"},
	{"TestX06_huge_key", get(tokenPath, "HOST", "\nAuthorization: Bearer "+strings.Repeat("x", 600)), 401, "unauthorized"},
	{"TestX06_empty_bearer", get(tokenPath, "HOST", "\nAuthorization: Bearer "), 401, "unauthorized"},
	{"TestX06_basic", get(tokenPath, "HOST", "\nAuthorization: Basic "+mainKey), 401, "unauthorized"},
	{"TestX06_two_keys", get(tokenPath, "HOST", auth+"\nAuthorization: Bearer other"), 401, "unauthorized"},
	{"TestX06_unknown_path", get("/nothing", "HOST", ""), 401, "unauthorized"},
	{"TestX06_wrong_method", "PUT " + tokenPath + " HTTP/1.1\nHost: HOST\n\n", 401, "unauthorized"},
	{"TestX07_other_client", get(tokenPath, "HOST", "\nAuthorization: Bearer "+ciKey), 403, "client_forbidden"},
	{"TestX07_no_such_client", get("/v1/clients/nobody/token", "HOST", "\nAuthorization: Bearer "+ciKey), 403, "client_forbidden"},
	{"TestX07_own_client", get("/v1/clients/ci/token", "HOST", "\nAuthorization: Bearer "+ciKey), 200, ""},
	{"TestX08_for", get(tokenPath, "HOST", auth+"\nX-Forwarded-For: 127.0.0.1"), 403, "forbidden_forwarded"},
	{"TestX08_host", get(tokenPath, "HOST", auth+"\nx-forwarded-host: localhost"), 403, "forbidden_forwarded"},
	{"TestX08_via", get(tokenPath, "HOST", auth+"\nVia: 1.1 proxy"), 403, "forbidden_forwarded"},
	{"TestX08_forwarded", get(tokenPath, "HOST", auth+"\nForwarded: for=127.0.0.1"), 403, "forbidden_forwarded"},
	{"TestX08_absolute", "GET http://HOST" + tokenPath + " HTTP/1.1\nHost: HOST" + auth + "\n\n", 403, "forbidden_absolute_target"},
	{"TestX08_absolute_other", "GET http://evil.example/ HTTP/1.1\nHost: HOST" + auth + "\n\n", 403, "forbidden_absolute_target"},
	{"TestX08_connect", "CONNECT evil.example:443 HTTP/1.1\nHost: HOST" + auth + "\n\n", 403, "forbidden_absolute_target"},
}

const auth = "\nAuthorization: Bearer " + mainKey

func get(path, host, headers string) string {
	return "GET " + path + " HTTP/1.1\nHost: " + host + headers + "\n\n"
}

func TestGuards(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo"), kept(t, f, "ci")}})
	_, port, _ := net.SplitHostPort(d.addr)
	for _, c := range guardCases {
		t.Run(c.name, func(t *testing.T) {
			a := d.raw(t, strings.ReplaceAll(c.request, "PORT", port))
			if a.StatusCode != c.status {
				t.Fatalf("status %d, want %d: %s", a.StatusCode, c.status, a.body)
			}
			for name := range a.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("has %s", name)
				}
			}
			if c.code == "" {
				if !strings.Contains(a.body, canaryToken) {
					t.Errorf("no token: %s", a.body)
				}
				return
			}
			noCanary(t, "body", a.body)
			if got := a.error(t); got != c.code {
				t.Errorf("error %q, want %q", got, c.code)
			}
			if has := a.Header.Get("WWW-Authenticate") != ""; has != (c.status == 401) {
				t.Errorf("WWW-Authenticate: %q", a.Header.Get("WWW-Authenticate"))
			}
		})
	}
	noCanary(t, "log", d.log.String())
}

func TestX06_EmptyBearerSaysSo(t *testing.T) {
	d := start(t, Config{})
	a := d.raw(t, "GET /v1/clients HTTP/1.1\nHost: HOST\nAuthorization: Bearer\n\n")
	if a.StatusCode != 401 || !strings.Contains(a.body, "the bearer is empty") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestX07_ListShowsOwnClientsOnly(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo"), kept(t, f, "ci")}})
	for key, want := range map[string]int{mainKey: 2, ciKey: 1} {
		a := d.raw(t, "GET /v1/clients HTTP/1.1\nHost: HOST\nAuthorization: Bearer "+key+"\n\n")
		if got := strings.Count(a.body, `"client":`); got != want {
			t.Errorf("%d clients, want %d: %s", got, want, a.body)
		}
	}
}

// Without a connection's address nothing can be said of the Host.
func TestGuardsFailClosed(t *testing.T) {
	d, err := New(Config{Keys: []Key{{Name: "main", Secret: mainKey}}})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/v1/clients", nil)
	r.Host = "localhost:8484"
	r.Header.Set("Authorization", "Bearer "+mainKey)
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	if w.Code != 403 {
		t.Errorf("status %d", w.Code)
	}
}

func TestX09_SocketOfThisUserNeedsNoKey(t *testing.T) {
	f := newTenant(t)
	l := socket(t)
	start(t, Config{Clients: []Client{kept(t, f, "demo")}}, l)
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a := exchange(t, c, "GET "+tokenPath+"?format=text HTTP/1.1\nHost: whatever\n\n")
	if a.StatusCode != 200 || a.body != canaryToken {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	c, err = net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a = exchange(t, c, "GET "+tokenPath+" HTTP/1.1\nHost: localhost\nOrigin: null\n\n")
	if a.StatusCode != 403 {
		t.Errorf("with an Origin: %d %s", a.StatusCode, a.body)
	}
}

func socket(t *testing.T) net.Listener {
	t.Helper()
	dir, err := os.MkdirTemp("", "tokend") // shorter than t.TempDir's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestKeyring(t *testing.T) {
	for name, keys := range map[string][]Key{
		"empty":    {{Name: "a"}},
		"too long": {{Name: "a", Secret: "x"}, {Name: "b", Secret: secretOf(maxKey + 1)}},
		"the same": {{Name: "a", Secret: "same"}, {Name: "b", Secret: "same"}},
	} {
		if _, err := New(Config{Keys: keys}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	longest := secretOf(maxKey)
	long, err := newKeyring([]Key{{Name: "a", Secret: longest}})
	if err != nil {
		t.Fatal(err)
	}
	if _, p := long.caller(http.Header{"Authorization": {"Bearer " + longest.Reveal() + "x"}}); p == nil {
		t.Error("a key with something behind it opens")
	}
	ring, err := newKeyring([]Key{{Name: "a", Secret: "aa", Clients: []string{}}})
	if err != nil {
		t.Fatal(err)
	}
	k, p := ring.caller(http.Header{"Authorization": {"bearer aa"}})
	if p != nil || k.opens("x") {
		t.Errorf("a key without clients opens one: %v", p)
	}
}
