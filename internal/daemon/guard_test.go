package daemon

import (
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/guard"
)

const tokenPath = "/v1/clients/demo/token"

const auth = "\nAuthorization: Bearer " + mainKey

func get(path, host, headers string) string {
	return "GET " + path + " HTTP/1.1\nHost: " + host + headers + "\n\n"
}

// The guard protects every route of the service, and the answers for unknown routes.
// internal/guard has the cases of each check.
func TestGuards_EveryRoute(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo"), kept(t, f, "ci")}})
	access := map[string]guard.Access{}
	for _, r := range d.active.Load().table() {
		access[r.path] = r.access
	}
	paths := []string{"GET /nothing", "PUT " + tokenPath}
	for _, r := range d.active.Load().engine.(*gin.Engine).Routes() {
		paths = append(paths, r.Method+" "+r.Path)
	}
	if len(paths) < 40 {
		t.Fatalf("only %d routes", len(paths))
	}
	for _, route := range paths {
		method, path, _ := strings.Cut(route, " ")
		need, listed := access[path]
		if !listed && strings.Contains(path, "/proxy") {
			need = guard.Proxied
		}
		path = strings.Replace(path, ":client", "demo", 1)
		for code, request := range map[string]string{
			"forbidden_host":            method + " " + path + " HTTP/1.1\nHost: evil.example" + auth + "\n\n",
			"forbidden_absolute_target": method + " http://HOST" + path + " HTTP/1.1\nHost: HOST" + auth + "\n\n",
			"forbidden_origin":          method + " " + path + " HTTP/1.1\nHost: HOST" + auth + "\nOrigin: null\n\n",
			"forbidden_referer":         method + " " + path + " HTTP/1.1\nHost: HOST" + auth + "\nReferer: http://evil.example/\n\n",
			"forbidden_forwarded":       method + " " + path + " HTTP/1.1\nHost: HOST" + auth + "\nVia: 1.1 x\n\n",
			"unauthorized":              method + " " + path + " HTTP/1.1\nHost: HOST\n\n",
			"client_forbidden":          method + " " + path + " HTTP/1.1\nHost: HOST\nAuthorization: Bearer " + ciKey + "\n\n",
		} {
			var skip bool // not checked on this route
			switch code {
			case "forbidden_host", "forbidden_absolute_target":
			case "unauthorized":
				skip = need == guard.Open || need == guard.CallbackOnly || path == "/dashboard/script.js"
			case "client_forbidden":
				skip = !strings.Contains(path, "demo") || need >= guard.OwnPage // which have sessions, not keys
			default:
				skip = need == guard.CallbackOnly
			}
			if skip {
				continue
			}
			a := d.raw(t, request)
			if got := a.Header.Get(errorHeader); got != code {
				t.Errorf("%s %s: %d %q, want %s", method, path, a.StatusCode, got, code)
			}
			if (a.StatusCode == 401) != (a.Header.Get("WWW-Authenticate") != "") {
				t.Errorf("%s %s: %d, WWW-Authenticate %q", method, path, a.StatusCode, a.Header.Get("WWW-Authenticate"))
			}
			for name := range a.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s %s: %s", method, path, name)
				}
			}
			noCanary(t, "body", a.body)
		}
	}
	if n := f.posts.Load(); n > 2 { // of the clients themselves
		t.Errorf("%d token requests", n)
	}
	noCanary(t, "log", d.log.String())
}

func TestGuards_AdmittedRequestGetsItsToken(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo"), kept(t, f, "ci")}})
	_, port, _ := net.SplitHostPort(d.addr)
	for _, request := range []string{
		get(tokenPath, "HOST", auth), get(tokenPath, "localhost:"+port, auth), get("/v1/clients/ci/token", "HOST", "\nAuthorization: Bearer "+ciKey),
	} {
		if a := d.raw(t, request); a.StatusCode != 200 || !strings.Contains(a.body, canaryToken) {
			t.Errorf("%s: %d %s", request, a.StatusCode, a.body)
		}
	}
	noCanary(t, "log", d.log.String())
}

func TestGuards_EmptyBearerSaysSo(t *testing.T) {
	d := start(t, Config{})
	a := d.raw(t, "GET /v1/clients HTTP/1.1\nHost: HOST\nAuthorization: Bearer\n\n")
	if a.StatusCode != 401 || !strings.Contains(a.body, "the bearer token is empty") || !strings.Contains(a.body, `"hint":"check that the variable`) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// X07
func TestListClients_ShowsThoseOfTheKey(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo"), kept(t, f, "ci")}})
	for key, want := range map[string]int{mainKey: 2, ciKey: 1} {
		a := d.raw(t, "GET /v1/clients HTTP/1.1\nHost: HOST\nAuthorization: Bearer "+key+"\n\n")
		if got := strings.Count(a.body, `"client":`); got != want {
			t.Errorf("%d clients, want %d: %s", got, want, a.body)
		}
	}
}

// The log names the caller of a request and of a refusal.
func TestLog_NamesTheCaller(t *testing.T) {
	f := newTenant(t)
	l := socket(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo"), kept(t, f, "ci")}}, l)
	d.raw(t, get("/v1/clients/ci/token", "HOST", "\nAuthorization: Bearer "+ciKey))
	d.raw(t, get(tokenPath, "HOST", "\nAuthorization: Bearer "+ciKey))
	d.raw(t, get(tokenPath, "HOST", ""))
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, c, get("/v1/clients", "localhost", ""))
	for _, want := range []string{
		"msg=request method=GET route=/v1/clients/:client/token client=ci caller=ci status=200",
		"msg=request method=GET route=/v1/clients client=\"\" caller=socket status=200",
		"msg=refused error=client_forbidden reason=\"this API key may not use this client\" hint=\"use another key, or give this one the client: in the configuration if it is there, or else by tokend key revoke and tokend key add\" caller=ci",
		"msg=refused error=unauthorized reason=\"no API key\" hint=\"set TOKEND_API_KEY or TOKEND_API_KEY_FILE to the key of the service, by default in ~/.local/state/tokend/api.key (XDG_STATE_HOME); over HTTP: Authorization: Bearer KEY; or use the unix socket\" caller=\"\"",
	} {
		if !strings.Contains(d.log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, d.log)
		}
	}
}

// Without the address of a connection every Host is refused.
func TestGuards_NoLocalAddress_Refuses(t *testing.T) {
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

// X09
func TestSocket_NeedsNoKey(t *testing.T) {
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
