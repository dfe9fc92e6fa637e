package guard

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type secret string

func (s secret) Reveal() string { return string(s) }

const (
	mainKey   = "main-key-0123456789"
	ciKey     = "ci-key-0123456789"
	auth      = "\nAuthorization: Bearer " + mainKey
	tokenPath = "/v1/clients/demo/token"
)

// get is a GET request; HOST stands for the listener, PORT for its port.
func get(path, host, headers string) string {
	return "GET " + path + " HTTP/1.1\nHost: " + host + headers + "\n\n"
}

// admitCases are requests for a token of client demo. Those without a code are
// admitted.
var admitCases = []struct {
	name, request, code string
}{
	{"good", get(tokenPath, "HOST", auth), ""},
	{"good_localhost", get(tokenPath, "localhost:PORT", auth), ""},
	{"good_v6", get(tokenPath, "[::1]:PORT", auth), ""},
	{"good_typed", get(tokenPath, "HOST", auth+"\nSec-Fetch-Site: none"), ""},
	{"good_lower_case", get(tokenPath, "HOST", "\nAuthorization: bearer "+mainKey), ""},
	{"X01_evil_host", get(tokenPath, "evil.example", auth), "forbidden_host"},
	{"X01_evil_host_with_port", get(tokenPath, "evil.example:PORT", auth), "forbidden_host"},
	{"X02_suffix", get(tokenPath, "127.0.0.1.evil.example:PORT", auth), "forbidden_host"},
	{"X02_dot", get(tokenPath, "localhost.:PORT", auth), "forbidden_host"},
	{"X02_short", get(tokenPath, "127.1:PORT", auth), "forbidden_host"},
	{"X02_mapped", get(tokenPath, "[::ffff:127.0.0.1]:PORT", auth), "forbidden_host"},
	{"X02_any", get(tokenPath, "0.0.0.0:PORT", auth), "forbidden_host"},
	{"X02_no_port", get(tokenPath, "localhost", auth), "forbidden_host"},
	{"X02_other_port", get(tokenPath, "localhost:1", auth), "forbidden_host"},
	{"X02_port_prefix", get(tokenPath, "localhost:PORT0", auth), "forbidden_host"},
	{"X02_upper", get(tokenPath, "LOCALHOST:PORT", auth), "forbidden_host"},
	{"X02_empty", get(tokenPath, "", auth), "forbidden_host"},
	{"X03_origin", get(tokenPath, "HOST", auth+"\nOrigin: https://evil.example"), "forbidden_origin"},
	{"X03_origin_null", get(tokenPath, "HOST", auth+"\nOrigin: null"), "forbidden_origin"},
	{"X03_origin_own", get(tokenPath, "HOST", auth+"\nOrigin: http://HOST"), "forbidden_origin"},
	{"X03_origin_empty", get(tokenPath, "HOST", auth+"\nOrigin:"), "forbidden_origin"},
	{"X03_referer", get(tokenPath, "HOST", auth+"\nReferer: http://HOST/"), "forbidden_referer"},
	{"X04_cross_site", get(tokenPath, "HOST", auth+"\nSec-Fetch-Site: cross-site"), "forbidden_sec_fetch_site"},
	{"X04_same_site", get(tokenPath, "HOST", auth+"\nSec-Fetch-Site: same-site"), "forbidden_sec_fetch_site"},
	{"X04_second", get(tokenPath, "HOST", auth+"\nSec-Fetch-Site: none\nSec-Fetch-Site: cross-site"), "forbidden_sec_fetch_site"},
	{"X05_preflight", "OPTIONS " + tokenPath + " HTTP/1.1\nHost: HOST\nOrigin: https://evil.example\nAccess-Control-Request-Method: GET\n\n", "forbidden_preflight"},
	{"X05_options", "OPTIONS " + tokenPath + " HTTP/1.1\nHost: HOST" + auth + "\n\n", "forbidden_preflight"},
	{"X05_options_all", "OPTIONS * HTTP/1.1\nHost: HOST\n\n", "forbidden_absolute_target"},
	{"X06_no_key", get(tokenPath, "HOST", ""), "unauthorized"},
	{"X06_wrong_key", get(tokenPath, "HOST", "\nAuthorization: Bearer wrong"), "unauthorized"},
	{"X06_longer_key", get(tokenPath, "HOST", auth+"x"), "unauthorized"},
	{"X06_huge_key", get(tokenPath, "HOST", "\nAuthorization: Bearer "+strings.Repeat("x", 600)), "unauthorized"},
	{"X06_empty_bearer", get(tokenPath, "HOST", "\nAuthorization: Bearer "), "unauthorized"},
	{"X06_basic", get(tokenPath, "HOST", "\nAuthorization: Basic "+mainKey), "unauthorized"},
	{"X06_two_keys", get(tokenPath, "HOST", auth+"\nAuthorization: Bearer other"), "unauthorized"},
	{"X07_other_client", get(tokenPath, "HOST", "\nAuthorization: Bearer "+ciKey), "client_forbidden"},
	{"X08_for", get(tokenPath, "HOST", auth+"\nX-Forwarded-For: 127.0.0.1"), "forbidden_forwarded"},
	{"X08_host", get(tokenPath, "HOST", auth+"\nx-forwarded-host: localhost"), "forbidden_forwarded"},
	{"X08_via", get(tokenPath, "HOST", auth+"\nVia: 1.1 proxy"), "forbidden_forwarded"},
	{"X08_forwarded", get(tokenPath, "HOST", auth+"\nForwarded: for=127.0.0.1"), "forbidden_forwarded"},
	{"X08_real_ip", get(tokenPath, "HOST", auth+"\nX-Real-IP: 127.0.0.1"), "forbidden_forwarded"},
	{"X08_absolute", "GET http://HOST" + tokenPath + " HTTP/1.1\nHost: HOST" + auth + "\n\n", "forbidden_absolute_target"},
	{"X08_absolute_other", "GET http://evil.example/ HTTP/1.1\nHost: HOST" + auth + "\n\n", "forbidden_absolute_target"},
	{"X08_connect", "CONNECT evil.example:443 HTTP/1.1\nHost: HOST" + auth + "\n\n", "forbidden_absolute_target"},

	{"order_host_first", get(tokenPath, "evil.example", "\nOrigin: null\nVia: 1.1 x"), "forbidden_host"},
	{"order_browser_second", get(tokenPath, "HOST", "\nOrigin: null\nVia: 1.1 x"), "forbidden_origin"},
	{"order_forwarded_third", get(tokenPath, "HOST", "\nVia: 1.1 x"), "forbidden_forwarded"},
}

func unlimited(Key) *limit { return nil }

func testGuard(t *testing.T) *Guard {
	t.Helper()
	g, err := New(Config{Keys: []Key{{Name: "main", Secret: secret(mainKey)}, {Name: "ci", Secret: secret(ciKey), Clients: []string{"ci"}}}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// request is a request as net/http has read it from a connection.
func request(t *testing.T, raw string, local net.Addr) *http.Request {
	t.Helper()
	raw = strings.NewReplacer("HOST", "127.0.0.1:8484", "PORT", "8484", "\n", "\r\n").Replace(raw)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if local == nil {
		return r
	}
	return r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, local))
}

var tcp = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8484}

func TestAdmit_OverTCP(t *testing.T) {
	g := testGuard(t)
	for _, c := range admitCases {
		t.Run(c.name, func(t *testing.T) {
			caller, f := g.Admit(request(t, c.request, tcp), NeedsKey, "demo")
			if c.code == "" {
				if f != nil || caller.Name != "main" {
					t.Errorf("caller %q, refusal %+v", caller.Name, f)
				}
				return
			}
			if f == nil || f.Code != c.code {
				t.Fatalf("refusal %+v, want %s", f, c.code)
			}
			if f.Description == "" || f.Hint == "" || strings.Contains(f.Description, "hint") {
				t.Errorf("description %q, hint %q", f.Description, f.Hint)
			}
			want := http.StatusForbidden
			if c.code == "unauthorized" {
				want = http.StatusUnauthorized
			}
			if f.Status != want || (f.Challenge != "") != (want == 401) {
				t.Errorf("status %d, challenge %q", f.Status, f.Challenge)
			}
			if name := map[bool]string{true: "ci"}[c.code == "client_forbidden"]; caller.Name != name {
				t.Errorf("caller %q, want %q", caller.Name, name)
			}
		})
	}
}

// Each access level skips some checks and keeps the others.
func TestAdmit_ByAccess(t *testing.T) {
	g := testGuard(t)
	own := "\nReferer: http://HOST/v1/clients/demo/proxy/x"
	for _, c := range []struct {
		name    string
		need    Access
		client  string
		request string
		code    string
	}{
		{"open needs no key", Open, "", get("/healthz", "HOST", ""), ""},
		{"open checks Host", Open, "", get("/healthz", "evil.example", ""), "forbidden_host"},
		{"open checks Origin", Open, "", get("/readyz", "HOST", "\nOrigin: null"), "forbidden_origin"},
		{"open checks forwarding", Open, "", get("/readyz", "HOST", "\nVia: 1.1 x"), "forbidden_forwarded"},
		{"callback is a cross-site navigation", CallbackOnly, "", get("/callback?code=x", "HOST", "\nReferer: https://tenant.example/\nSec-Fetch-Site: cross-site"), ""},
		{"callback checks Host", CallbackOnly, "", get("/callback?code=x", "evil.example", ""), "forbidden_host"},
		{"callback checks its target", CallbackOnly, "", "GET http://HOST/callback HTTP/1.1\nHost: HOST\n\n", "forbidden_absolute_target"},
		{"no client, any key", NeedsKey, "", get("/v1/clients", "HOST", "\nAuthorization: Bearer "+ciKey), ""},
		{"own client", NeedsKey, "ci", get("/v1/clients/ci/token", "HOST", "\nAuthorization: Bearer "+ciKey), ""},
		{"client that is not there", NeedsKey, "none", get("/v1/clients/none/token", "HOST", "\nAuthorization: Bearer "+ciKey), "client_forbidden"},
		{"proxy needs a key", Proxied, "demo", get("/v1/clients/demo/proxy/", "HOST", ""), "unauthorized"},
		{"proxy's own referer", Proxied, "demo", get("/v1/clients/demo/proxy/", "HOST", auth+own), ""},
		{"another client's referer", Proxied, "ci", get("/v1/clients/ci/proxy/", "HOST", auth+own), "forbidden_referer"},
		{"proxy's referer elsewhere", NeedsKey, "demo", get(tokenPath, "HOST", auth+own), "forbidden_referer"},
		{"relay's own referer", Proxied, "", get("/y", "HOST", auth+"\nReferer: http://HOST/x"), ""},
		{"another host's referer", Proxied, "", get("/y", "HOST", auth+"\nReferer: http://evil.example/x"), "forbidden_referer"},
		{"referer twice", Proxied, "", get("/y", "HOST", auth+"\nReferer: http://HOST/x\nReferer: http://HOST/x"), "forbidden_referer"},
		{"referer that is not a URL", Proxied, "", get("/y", "HOST", auth+"\nReferer: :%zz"), "forbidden_referer"},
	} {
		_, f := g.Admit(request(t, c.request, tcp), c.need, c.client)
		if f == nil && c.code != "" || f != nil && f.Code != c.code {
			t.Errorf("%s: %+v, want %q", c.name, f, c.code)
		}
	}
}

// A variable that is not set is the usual reason for an empty bearer.
func TestAdmit_EmptyBearer_SaysSo(t *testing.T) {
	_, f := testGuard(t).Admit(request(t, get(tokenPath, "HOST", "\nAuthorization: Bearer"), tcp), NeedsKey, "demo")
	if f == nil || f.Description != "the bearer token is empty" || !strings.Contains(f.Hint, "variable") {
		t.Errorf("%+v", f)
	}
}

// Without the address of a connection every Host is refused.
func TestAdmit_NoLocalAddress_Refuses(t *testing.T) {
	if _, f := testGuard(t).Admit(request(t, get(tokenPath, "HOST", auth), nil), NeedsKey, "demo"); f == nil || f.Code != "forbidden_host" {
		t.Errorf("%+v", f)
	}
}

func TestAdmit_OverSocket_NeedsNoKey(t *testing.T) {
	g, err := New(Config{Keys: nil})
	if err != nil {
		t.Fatal(err)
	}
	local := &net.UnixAddr{Name: "/run/s", Net: "unix"}
	caller, f := g.Admit(request(t, get(tokenPath, "whatever", ""), local), NeedsKey, "demo")
	if f != nil || caller.Name != "socket" || !caller.May("demo") {
		t.Errorf("%+v, %+v", caller, f)
	}
	if _, f := g.Admit(request(t, get(tokenPath, "localhost", "\nOrigin: null"), local), NeedsKey, "demo"); f == nil || f.Code != "forbidden_origin" {
		t.Errorf("with an Origin: %+v", f)
	}
}

func TestCaller_InTheContextOfARequest(t *testing.T) {
	g := testGuard(t)
	caller, _ := g.Admit(request(t, get("/v1/clients", "HOST", "\nAuthorization: Bearer "+ciKey), tcp), NeedsKey, "")
	got := CallerOf(WithCaller(t.Context(), caller))
	if got.Name != "ci" || !got.May("ci") || got.May("demo") {
		t.Errorf("%+v", got)
	}
	if none := CallerOf(t.Context()); none.Name != "" || none.May("ci") {
		t.Errorf("without a caller: %+v", none)
	}
}

func TestNew_RefusesKeys(t *testing.T) {
	for name, keys := range map[string][]Key{
		"none":     {{Name: "a"}},
		"empty":    {{Name: "a", Secret: secret("")}},
		"too long": {{Name: "a", Secret: secret("x")}, {Name: "b", Secret: secret(strings.Repeat("x", maxKey+1))}},
		"the same": {{Name: "a", Secret: secret("same")}, {Name: "b", Secret: secret("same")}},
	} {
		if _, err := New(Config{Keys: keys}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestKeyring_ComparesWholeKeys(t *testing.T) {
	longest := strings.Repeat("x", maxKey)
	long, err := newKeyring([]Key{{Name: "a", Secret: secret(longest)}}, unlimited)
	if err != nil {
		t.Fatal(err)
	}
	if long.caller(longest) == nil {
		t.Error("the longest key is refused")
	}
	if long.caller(longest+"x") != nil {
		t.Error("a key with one byte more is accepted")
	}
	ring, err := newKeyring([]Key{{Name: "a", Secret: secret("aa"), Clients: []string{}}}, unlimited)
	if err != nil {
		t.Fatal(err)
	}
	if caller := ring.caller("aa"); caller == nil || caller.May("x") {
		t.Errorf("a key without clients may use one: %+v", caller)
	}
}

func TestOwnPeers_UnknownUser_IsLogged(t *testing.T) {
	var log bytes.Buffer
	OwnPeers(socket(t), slog.New(slog.NewTextHandler(&log, nil))).(*peerListener).refuse(-1, errors.New("not supported"))
	if want := `reason="cannot determine the peer's user: not supported" hint=`; !strings.Contains(log.String(), want) {
		t.Errorf("the log lacks %s: %s", want, &log)
	}
}

// socket is a listener with a short path, of which a unix socket has 108 bytes.
func socket(t *testing.T) *net.UnixListener {
	t.Helper()
	dir, err := os.MkdirTemp("", "tokend")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// Over TLS the Host must be the name that the caller verified. A page that was
// rebound to this machine has another one.
func TestAdmit_OverTLS(t *testing.T) {
	auth := "\nAuthorization: Bearer " + mainKey
	for name, c := range map[string]struct{ server, host, headers, want string }{
		"the same name":        {"tokend.example.com", "tokend.example.com", auth, ""},
		"with a port":          {"tokend.example.com", "tokend.example.com:8443", auth, ""},
		"in capitals":          {"tokend.example.com", "Tokend.Example.com", auth, ""},
		"an address":           {"", "10.1.2.3:8443", auth, ""},
		"an IPv6 address":      {"", "[fd00::1]:8443", auth, ""},
		"no key":               {"tokend.example.com", "tokend.example.com", "", "unauthorized"},
		"another name":         {"tokend.example.com", "evil.example", auth, "forbidden_host"},
		"localhost":            {"tokend.example.com", "localhost", auth, "forbidden_host"},
		"an address for names": {"tokend.example.com", "127.0.0.1", auth, "forbidden_host"},
		"a name for addresses": {"", "evil.example", auth, "forbidden_host"},
		"from a page":          {"tokend.example.com", "tokend.example.com", auth + "\nOrigin: https://tokend.example.com", "forbidden_origin"},
		"through a proxy":      {"tokend.example.com", "tokend.example.com", auth + "\nX-Forwarded-For: 10.1.2.3", "forbidden_forwarded"},
	} {
		r := request(t, get(tokenPath, c.host, c.headers), &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 8443})
		r.TLS = &tls.ConnectionState{ServerName: c.server}
		_, refusal := testGuard(t).Admit(r, NeedsKey, "demo")
		if got := codeOf(refusal); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestAdmit_Certificates(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	g, err := New(Config{Now: func() time.Time { return now }, Keys: []Key{{Name: "runner", Certificates: []string{"dns:runner.example.com"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		leaf         x509.Certificate
		caller, want string
	}{
		"of a caller":     {x509.Certificate{DNSNames: []string{"Runner.example.com"}, NotAfter: now.Add(time.Second)}, "runner", ""},
		"of another name": {x509.Certificate{DNSNames: []string{"other.example.com"}, NotAfter: now.Add(time.Second)}, "", "not one of a caller"},
		"expired":         {x509.Certificate{DNSNames: []string{"runner.example.com"}, NotAfter: now}, "", "expired at 2026-01-01T00:00:00Z"},
		"without a name":  {x509.Certificate{NotAfter: now.Add(time.Second)}, "", "no subject alternative name"},
		"a subject alone": {x509.Certificate{Subject: pkix.Name{CommonName: "runner.example.com"}, NotAfter: now.Add(time.Second)}, "", "no subject alternative name"},
	} {
		r := request(t, get(tokenPath, "tokend.example.com", ""), &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 8443})
		r.TLS = &tls.ConnectionState{ServerName: "tokend.example.com", VerifiedChains: [][]*x509.Certificate{{&c.leaf}}}
		caller, refusal := g.Admit(r, NeedsKey, "demo")
		switch {
		case caller.Name != c.caller:
			t.Errorf("%s: caller %q, %+v", name, caller.Name, refusal)
		case c.want == "" && refusal != nil, c.want != "" && (codeOf(refusal) != "unauthorized" || !strings.Contains(refusal.Description, c.want)):
			t.Errorf("%s: %+v, want %q", name, refusal, c.want)
		}
	}
}

func codeOf(f *Refusal) string {
	if f == nil {
		return ""
	}
	return f.Code
}
