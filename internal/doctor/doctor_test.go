package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/tokend"
)

const key = "the-key-of-the-service"

// healthy are the Deps of an examination that finds nothing wrong: a machine with
// room, a running service and a provider that accepts what it is asked.
func healthy(t *testing.T, env map[string]string) (Deps, *provider) {
	t.Helper()
	p := newProvider(t)
	dir := t.TempDir()
	s := newService(t, `{"client":"demo","state":"ready"}`)
	at, err := netip.ParseAddrPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port := int(at.Port())
	variables := map[string]string{"HOME": dir, "TOKEND_API_KEY": key, "TOKEND_SOCKET": "off"}
	client := Client{Login: "browser", Config: flow.Config{
		Name: "demo", Issuer: p.URL + "/", ClientID: "the-id", ClientSecret: "the-secret", Auth: flow.AuthPost,
		RedirectURL: "http://localhost:" + strconv.Itoa(port) + "/callback", Audience: "https://api.example.com/",
		Scopes: []string{"openid", "offline_access"}, Source: flow.AuthorizationCode{}, Rotation: flow.RotationOff,
		InsecureAllowHTTP: true,
	}}
	for name, value := range env {
		variables[name] = value
	}
	return Deps{
		Version: "v1", Now: func() time.Time { return time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC) },
		Getenv: func(name string) string { return variables[name] },
		Locate: func(name string) string { return variables[name] },
		Machine: Machine{
			UID:      1000,
			Owner:    func(fs.FileInfo) (int, bool) { return 1000, true },
			Writable: func(string) error { return nil },
			Space:    func(string) (uint64, uint64, bool) { return 1 << 30, math.MaxUint64, true },
			Files:    func() (uint64, bool) { return 1024, true },
		},
		Settings: Settings{
			Listen: Listener{Addr: s.Listener.Addr().String(), Host: "127.0.0.1", Port: port},
			Store:  "sqlite:" + dir + "/tokend.db", StoreDir: dir, StoreFile: dir + "/tokend.db", APIKey: true,
			Clients: []Client{client}, All: []Client{client},
		},
		CheckStore: func(context.Context) (bool, error) { return true, nil },
		LoginHint:  func(c *tokend.Status) string { return "log in " + c.Client },
		FailureHint: func(c *tokend.Status) string {
			if c.Failure == nil {
				return ""
			}
			return c.Failure.Hint
		},
	}, p
}

// provider answers as one does; page is what /authorize shows instead of redirecting.
type provider struct {
	*httptest.Server
	page string
}

func newProvider(t *testing.T) *provider {
	p := &provider{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]string{
				"issuer": p.URL + "/", "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/jwks",
			})
		case "/jwks":
			const x = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"
			const y = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
			fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","use":"sig","x":%q,"y":%q}]}`, x, y)
		case "/authorize":
			if p.page != "" {
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(w, p.page)
				return
			}
			http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?error=login_required", http.StatusFound)
		default:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"access_denied","error_description":"Unauthorized"}`)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// newService is a tokend with these clients.
func newService(t *testing.T, clients string) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/healthz":
			_, _ = io.WriteString(w, `{"status":"ok","version":"v1"}`)
		case r.Header.Get("Authorization") != "Bearer "+key:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"unauthorized","error_description":"no"}`)
		default:
			_, _ = io.WriteString(w, `{"clients":[`+clients+`]}`)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestRun_HealthyPlaceHasNoProblemAndNoWarning(t *testing.T) {
	d, _ := healthy(t, nil)
	found := Run(t.Context(), d)
	for _, f := range found {
		if f.Result == flow.ResultProblem || f.Result == flow.ResultWarning || f.Class != "" {
			t.Errorf("%+v", f)
		}
	}
	if len(found) < 20 {
		t.Errorf("only %d findings", len(found))
	}
}

func TestRun_FindsWhatIsWrong(t *testing.T) {
	file := func(t *testing.T, mode os.FileMode) string {
		path := filepath.Join(t.TempDir(), "file")
		if err := errors.Join(os.WriteFile(path, nil, mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	wrong := func(name string) string { return "client demo: " + name + " is wrong" }
	for name, tc := range map[string]struct {
		env   map[string]string
		spoil func(*testing.T, *Deps, *provider)
		check string
		class flow.Class // "" is a warning
		text  string
		hint  string
	}{
		"settings":        {nil, func(_ *testing.T, d *Deps, _ *provider) { d.Settings.Problems = []Problem{{wrong("x"), "set\nit"}} }, "settings", flow.ClassConfig, "client demo: x is wrong", "set it"},
		"api key's place": {nil, func(_ *testing.T, d *Deps, _ *provider) { d.Settings.APIKey = false }, "api key", "", "no default place", "set TOKEND_API_KEY"},
		"long socket":     {nil, func(_ *testing.T, d *Deps, _ *provider) { d.Settings.Socket = "/" + strings.Repeat("x", 103) }, "socket path", flow.ClassConfig, "has 104 bytes", "shorter"},
		"no socket":       {nil, func(t *testing.T, d *Deps, _ *provider) { d.Settings.Socket = file(t, 0o600) }, "socket path", flow.ClassConfig, "open to others", "chmod 700"},
		"keyset":          {nil, func(_ *testing.T, d *Deps, _ *provider) { d.Settings.KeysetErr = errors.New("no keyset") }, "keyset", flow.ClassConfig, "no keyset", "put back"},
		"store":           {nil, func(_ *testing.T, d *Deps, _ *provider) { d.CheckStore = stored(hint.Errorf("move it", "no store")) }, "store", flow.ClassConfig, "no store", "move it"},
		"password in URL": {nil, func(_ *testing.T, d *Deps, _ *provider) { d.Settings.PasswordInURL = true }, "store", "", "the store's URL has a password", "TOKEND_STORE_PASSWORD_FILE"},
		"damaged store":   {nil, func(_ *testing.T, d *Deps, _ *provider) { d.CheckStore = stored(flow.ErrCorrupt) }, "store", flow.ClassStoreCorrupt, "cannot be read", ""},
		"read-only": {nil, func(_ *testing.T, d *Deps, _ *provider) {
			d.Machine.Writable = func(string) error { return fs.ErrPermission }
		}, "directory", flow.ClassConfig, "not writable", "make it writable"},
		"another user": {nil, func(_ *testing.T, d *Deps, _ *provider) { d.Machine.UID = 7 }, "owner", flow.ClassConfig, "belongs to user 1000, and this runs as user 7", "run tokend as user 1000"},
		"root":         {nil, func(_ *testing.T, d *Deps, _ *provider) { d.Machine.UID = 0 }, "owner", flow.ClassConfig, "this runs as user 0", "run tokend as user"},
		"root, a file": {nil, func(t *testing.T, d *Deps, _ *provider) {
			d.Machine.UID, d.Settings.StoreFile = 0, file(t, 0o600)
			d.Machine.Owner = func(fi fs.FileInfo) (int, bool) { return map[bool]int{false: 1000}[fi.IsDir()], true }
		}, "owner", "", "belongs to user 1000, and this runs as user 0", "root will own"},
		"no home":          {map[string]string{"HOME": ""}, nil, "directories", "", "HOME is not set", "set HOME"},
		"relative":         {map[string]string{"XDG_STATE_HOME": "x"}, nil, "directories", "", "no absolute path", "absolute"},
		"full disk":        {nil, space(1<<20, 100), "disk", flow.ClassConfig, "1 MiB left", "free some space"},
		"nearly full disk": {nil, space(100<<20, 100), "disk", "", "100 MiB left", "free some space"},
		"no inodes":        {nil, space(1<<30, 1), "disk", flow.ClassConfig, "room for 1 more files", "free some space"},
		"few files":        {nil, func(_ *testing.T, d *Deps, _ *provider) { d.Machine.Files = func() (uint64, bool) { return 64, true } }, "open files", "", "at most 64", "ulimit"},
		"no proxy":         {map[string]string{"HTTP_PROXY": "http://[::1"}, nil, "proxy", "", "HTTP_PROXY is not a URL", "http://host:port"},
		"loopback proxy":   {map[string]string{"http_proxy": "http://proxy.example:1"}, nil, "loopback proxy", "", "localhost and 127.0.0.1 to the proxy proxy.example:1", "NO_PROXY"},
		"wrong key":        {map[string]string{"TOKEND_API_KEY": "another"}, nil, "api key", ClassKey, "rejects this key: ", "set TOKEND_API_KEY"},
		"no key":           {map[string]string{"TOKEND_API_KEY": ""}, nil, "api key", "", "no API key is set for callers", "set TOKEND_API_KEY"},
		"no key file":      {map[string]string{"TOKEND_API_KEY": "", "TOKEND_API_KEY_FILE": "/nonexistent/api.key"}, nil, "api key", flow.ClassConfig, "cannot read key file /nonexistent/api.key", ""},
		"no list":          {nil, listing(http.StatusOK, "<html>"), "api key", ClassService, "its answer is not a list of clients", "the service's version"},
		"failing service":  {nil, listing(http.StatusInternalServerError, `{"error":"store_unavailable","error_description":"disk full","hint":"free some space"}`), "api key", ClassService, "store_unavailable: disk full", "free some space"},
		"two keys":         {map[string]string{"TOKEND_API_KEY_FILE": "/x"}, nil, "address", flow.ClassConfig, "both TOKEND_API_KEY and TOKEND_API_KEY_FILE", "set one"},
		"wrong address":    {map[string]string{"TOKEND_ADDR": "ftp://x"}, nil, "address", flow.ClassConfig, "TOKEND_ADDR: ", "http://127.0.0.1:8484"},
		"nothing there":    {map[string]string{"TOKEND_ADDR": "http://127.0.0.1:1"}, nil, "service", ClassService, "nothing answers at http://127.0.0.1:1", "TOKEND_ADDR"},
		"not running": {nil, func(_ *testing.T, d *Deps, _ *provider) {
			d.Settings.Listen = Listener{Addr: "127.0.0.1:1", Host: "127.0.0.1", Port: 1}
		}, "service", "", "tokend does not run", "tokend serve"},
		"another program": {nil, func(_ *testing.T, d *Deps, p *provider) { d.Settings.Listen.Addr = p.Listener.Addr().String() }, "listener", ClassService, "is not tokend", "stop that program"},
		"another version": {nil, func(_ *testing.T, d *Deps, _ *provider) { d.Version = "v2" }, "version", "", "this is v2, and the service is v1", "restart"},
		"not served":      {nil, func(_ *testing.T, d *Deps, _ *provider) { d.Settings.Clients[0].Name = "new" }, "clients", "", "does not serve this caller: new", "restart"},
		"remote, unknown": {nil, func(_ *testing.T, d *Deps, _ *provider) { remote(d); d.Names = []string{"unknown"} }, "clients", ClassUnknownClient, `client "unknown" is not one of the service's`, "the clients are demo"},
		"remote":          {nil, func(_ *testing.T, d *Deps, _ *provider) { remote(d) }, "settings", "", "no client is configured here; the service at 127.0.0.1:", "with the service's variables"},
		"listener off":    {nil, func(_ *testing.T, d *Deps, _ *provider) { d.Settings.Listen = Listener{Off: true} }, "redirect_uri", flow.ClassConfig, "TOKEND_LISTEN is off", "login: paste"},
		"redirect's port": {nil, change(func(c *Client) { c.RedirectURL = "http://localhost/callback" }), "redirect_uri", flow.ClassConfig, "leads to port 80", "set redirect_uri to http://localhost:"},
		"redirect's host": {nil, change(func(c *Client) { c.RedirectURL = "http://ci.example/callback" }), "redirect_uri", flow.ClassConfig, "is not tokend's listener", "set redirect_uri to http://localhost:"},
		"scopes":          {nil, change(func(c *Client) { c.Scopes = []string{"openid"} }), "scopes", "", "no offline_access among openid", "add offline_access"},
		"audience":        {nil, change(func(c *Client) { c.Audience = "" }), "audience", "", "opaque token", "set audience"},
		"rotation":        {nil, change(func(c *Client) { c.Rotation = flow.RotationOn }), "rotation", "", "leeway is 0", "Rotation Overlap Period"},
		"short overlap":   {nil, change(func(c *Client) { c.Rotation, c.Leeway = flow.RotationOn, time.Second }), "rotation", "", "too short", "30 seconds"},
		"callback":        {nil, func(_ *testing.T, _ *Deps, p *provider) { p.page = "Callback URL mismatch" }, "authorize", flow.ClassConfig, "Allowed Callback URLs", "the-id"},
		"secret":          {nil, func(_ *testing.T, d *Deps, _ *provider) { d.ProbeSecret = true }, "secret", flow.ClassClientRejected, "access_denied", "client_secret"},
		"provider down":   {nil, func(_ *testing.T, _ *Deps, p *provider) { p.Close() }, "discovery", flow.ClassUnreachable, "connection refused", "host and port"},
		"login required":  {nil, state(`"state":"login_required"`), "state", flow.ClassLoginRequired, "login_required", "log in demo"},
		"rejected":        {nil, state(`"state":"client_rejected"`), "state", flow.ClassClientRejected, "client_rejected", "client_secret"},
		"restored":        {nil, state(`"state":"restored"`), "state", flow.ClassRestored, "older copy", "tokend resume demo"},
		"unavailable":     {nil, state(`"state":"unavailable"`), "state", flow.ClassUnreachable, "unavailable", "recovers by itself"},
		"a setting":       {nil, state(`"state":"unavailable","failure":{"class":"invalid_request","description":"no","hint":"set it"}`), "state", flow.ClassRequest, "unavailable: invalid_request: no", "set it"},
		"degraded":        {nil, state(`"state":"degraded","failure":{"class":"idp_timeout"}`), "state", "", "degraded: idp_timeout", "until it expires"},
		"unknown state":   {nil, state(`"state":"new"`), "state", "", "state new is unknown here", "version"},
		"a file":          {nil, state(`"state":"ready","files":[{"path":"/f","failure":"cannot write","hint":"make it"}]`), "files", ClassService, "/f: cannot write", "make it"},
		"the grant's end": {nil, state(`"state":"ready","grant_ends":"2026-08-03T13:30:00Z"`), "grant", "", "it ends at 2026-08-03T13:30:00Z, in 49h30m", "before that: log in demo"},
		"windows":         {nil, state(`"state":"ready","obtained":"2026-08-01T12:00:00Z","expiry":"2026-08-01T12:10:00Z"`), "windows", "", "refresh.advisory is 15m0s, and access tokens live 10m0s", "below 10m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			d, p := healthy(t, tc.env)
			if tc.check == "windows" {
				d.Settings.Clients[0].Advisory = 15 * time.Minute
			}
			if tc.spoil != nil {
				tc.spoil(t, &d, p)
			}
			result := flow.ResultProblem
			if tc.class == "" {
				result = flow.ResultWarning
			}
			var of []Finding
			for _, f := range Run(t.Context(), d) {
				if f.Check == tc.check {
					of = append(of, f)
				}
				if f.Result == result && f.Check == tc.check && f.Class == tc.class && strings.Contains(f.Text, tc.text) && strings.Contains(f.Hint, tc.hint) {
					return
				}
			}
			t.Errorf("want %s %q, hint %q: %+v", tc.class, tc.text, tc.hint, of)
		})
	}
}

func stored(err error) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) { return false, err }
}

func space(bytes, inodes uint64) func(*testing.T, *Deps, *provider) {
	return func(_ *testing.T, d *Deps, _ *provider) {
		d.Machine.Space = func(string) (uint64, uint64, bool) { return bytes, inodes, true }
	}
}

func change(by func(*Client)) func(*testing.T, *Deps, *provider) {
	return func(_ *testing.T, d *Deps, _ *provider) { by(&d.Settings.Clients[0]) }
}

// listing makes the service answer like this when it is asked for its clients.
func listing(status int, body string) func(*testing.T, *Deps, *provider) {
	return func(t *testing.T, d *Deps, _ *provider) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/healthz" {
				_, _ = io.WriteString(w, `{"status":"ok","version":"v1"}`)
				return
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
		t.Cleanup(s.Close)
		d.Settings.Listen.Addr = s.Listener.Addr().String()
	}
}

// state makes the service report this of client demo.
func state(members string) func(*testing.T, *Deps, *provider) {
	return func(t *testing.T, d *Deps, _ *provider) {
		s := newService(t, `{"client":"demo",`+members+`}`)
		getenv := d.Getenv
		d.Locate = func(name string) string {
			if name == addrVariable {
				return s.URL
			}
			return getenv(name)
		}
		d.Getenv = d.Locate
	}
}

// remote leaves no configuration here: the service has one of its own.
func remote(d *Deps) {
	d.Settings.NoClient, d.Settings.Problems = true, []Problem{{"no client is configured", "set TOKEND_CLIENTS"}}
	d.Settings.Clients, d.Settings.All = nil, nil
}

// TestRun_StoreOfAnotherService: the service that TOKEND_ADDR names may have another
// store than the settings here.
func TestRun_StoreOfAnotherService(t *testing.T) {
	const own, another = "opens with its keyset", "it is that of the settings here; the service at ADDR may have another"
	for name, tt := range map[string]struct {
		named, remote bool
		storeErr      error
		result        flow.Result
		text          string
	}{
		"at its usual address":                 {false, false, nil, flow.ResultOK, own},
		"named, clients here":                  {true, false, nil, flow.ResultOK, another},
		"named, no client here":                {true, true, nil, flow.ResultSkipped, "it is the service's, which has a configuration of its own"},
		"named, no client here, a damaged one": {true, true, flow.ErrCorrupt, flow.ResultSkipped, "it is the service's"},
		"usual, no client here":                {false, true, nil, flow.ResultOK, own},
		"usual, no client here, a damaged one": {false, true, flow.ErrCorrupt, flow.ResultProblem, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := healthy(t, nil)
			addr := "http://" + d.Settings.Listen.Addr
			if tt.named {
				getenv := d.Getenv
				d.Getenv = func(name string) string {
					if name == addrVariable {
						return addr
					}
					return getenv(name)
				}
				d.Locate = d.Getenv
			}
			if tt.remote {
				remote(&d)
			}
			d.CheckStore = func(context.Context) (bool, error) { return tt.storeErr == nil, tt.storeErr }
			want := strings.ReplaceAll(tt.text, "ADDR", addr)
			for _, f := range Run(t.Context(), d) {
				if f.Check == "store" && (f.Result != tt.result || !strings.Contains(f.Text, want) || tt.text == own && strings.Contains(f.Text, "another")) {
					t.Errorf("%+v, want %s: %s", f, tt.result, want)
				}
			}
		})
	}
}

func TestRun_OfflineAsksNoProvider(t *testing.T) {
	d, p := healthy(t, nil)
	asked := 0
	p.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ })
	d.Offline = true
	for _, f := range Run(t.Context(), d) {
		if f.Check == "provider" && f.Result != flow.ResultSkipped || f.Check == "discovery" {
			t.Errorf("%+v", f)
		}
	}
	if asked != 0 {
		t.Errorf("asked %d times", asked)
	}
}

// What needs the service's settings is not checked where they are missing, and no hint
// refers to it.
func TestRun_Remote_HintsNeedNoSettings(t *testing.T) {
	const failure = `,"failure":{"class":"idp_unreachable","description":"connection refused","hint":"is the provider running?"}`
	for name, tt := range map[string]struct {
		client, check string
		result        flow.Result
		text, hint    string
	}{
		"degraded":     {`"state":"degraded"` + failure, "state", flow.ResultWarning, "degraded: idp_unreachable: connection refused", "the token is served until it expires; is the provider running?"},
		"unavailable":  {`"state":"unavailable"` + failure, "state", flow.ResultProblem, "unavailable: idp_unreachable: connection refused", "it recovers by itself when the provider and the store work again; is the provider running?"},
		"rejected":     {`"state":"client_rejected"`, "state", flow.ResultProblem, "client_rejected", "at once after tokend refresh demo; tokend doctor demo --probe-secret with the service's variables tries the secret"},
		"probe secret": {`"state":"ready"`, "secret", flow.ResultWarning, "not tried: the secret is in the service's settings", "run tokend doctor demo --probe-secret with the service's variables, as its user"},
		"no store":     {`"state":"ready"`, "store", flow.ResultSkipped, "it is the service's", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := healthy(t, nil)
			remote(&d)
			d.ProbeSecret = true
			d.CheckStore = func(context.Context) (bool, error) { return false, nil }
			s := newService(t, `{"client":"demo",`+tt.client+`}`)
			d.Settings.Listen.Addr = s.Listener.Addr().String()
			found := Run(t.Context(), d)
			for _, f := range found {
				if f.Check == tt.check && f.Result == tt.result && strings.HasPrefix(f.Text, tt.text) && strings.HasSuffix(f.Hint, tt.hint) && (f.Hint == "") == (tt.hint == "") {
					return
				}
			}
			t.Errorf("want %s %s: %s; hint %s; got %+v", tt.result, tt.check, tt.text, tt.hint, found)
		})
	}
}

func TestRun_RemoteServiceReportsItsClients(t *testing.T) {
	d, _ := healthy(t, nil)
	remote(&d)
	clients := map[string]bool{}
	for _, f := range Run(t.Context(), d) {
		if f.Result == flow.ResultProblem {
			t.Errorf("%+v", f)
		}
		clients[f.Client] = true
	}
	if !clients["demo"] {
		t.Error("client demo was not checked")
	}
}
