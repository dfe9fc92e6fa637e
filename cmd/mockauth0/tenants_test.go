package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
)

// running is a mockauth0 in this process.
type running struct {
	t       *testing.T
	issuers []string
	log     []string // until then
}

// start runs mockauth0 with variables, and waits until it has logged n issuers.
func start(t *testing.T, n int, env map[string]string, args ...string) *running {
	t.Helper()
	t.Setenv("MOCKAUTH0_LISTEN", "127.0.0.1:0")
	for k, v := range env {
		t.Setenv(k, v)
	}
	ctx, stop := context.WithCancel(t.Context())
	log, w := io.Pipe()
	if args == nil {
		args = []string{"serve"}
	}
	code, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		code = (&program{args: args, stdout: io.Discard, stderr: w}).main(ctx)
		_ = w.Close()
	}()
	t.Cleanup(func() {
		stop()
		if <-done; code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	r := &running{t: t}
	lines := bufio.NewScanner(log)
	for len(r.issuers) < n && lines.Scan() {
		r.log = append(r.log, lines.Text())
		if m := regexp.MustCompile(`(?:issuer|at) (https?://\S+),`).FindStringSubmatch(lines.Text()); m != nil {
			r.issuers = append(r.issuers, m[1])
		}
	}
	if len(r.issuers) < n {
		t.Fatalf("%d issuers: %v", len(r.issuers), r.issuers)
	}
	go func() { _, _ = io.Copy(io.Discard, log) }()
	return r
}

// localhost reaches every *.localhost on this machine, as browsers do.
type localhost struct{ jar http.CookieJar }

func newLocalhost(t *testing.T) *localhost {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &localhost{jar}
}

// do sends a form and returns the status, the headers and the body.
func (l *localhost) do(t *testing.T, method, address string, form url.Values, header ...string) (int, http.Header, string) {
	t.Helper()
	return l.send(t, method, address, form.Encode(), header...)
}

func (l *localhost) send(t *testing.T, method, address, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		if req.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	for _, c := range l.jar.Cookies(u) {
		req.AddCookie(c)
	}
	if req.Host == "" || strings.HasSuffix(u.Hostname(), ".localhost") {
		req.Host = u.Host
		req.URL.Host = "127.0.0.1:" + u.Port()
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	l.jar.SetCookies(u, res.Cookies())
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

const clientOfTenants = `clients:
  - {name: App, client_id: app, client_secret: app-secret, app_type: regular_web, callbacks: ["http://localhost:3000/callback"], grant_types: [authorization_code, refresh_token]}
resourceServers:
  - {name: Calls, identifier: "https://calls.example.com/", allow_offline_access: true}
users:
  - {email: ann@example.com, password: password}
`

const authorize = "authorize?response_type=code&client_id=app&redirect_uri=http://localhost:3000/callback" +
	"&scope=openid%20offline_access&audience=https://calls.example.com/"

// codeAt logs in at a tenant and returns its code.
func (r *running) codeAt(l *localhost, issuer string) string {
	r.t.Helper()
	_, h, body := l.do(r.t, "GET", issuer+authorize, nil)
	u, err := url.Parse(h.Get("Location"))
	if err != nil || u.Query().Get("code") == "" {
		r.t.Fatalf("%s: Location %q %v\n%s", issuer, h.Get("Location"), err, body)
	}
	return u.Query().Get("code")
}

func exchange(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {"http://localhost:3000/callback"},
		"client_id": {"app"}, "client_secret": {"app-secret"},
	}
}

// Two tenants of one process, with the same clients and users, share nothing.
func TestTenantsNeverMeet(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "t.yaml")
	if err := os.WriteFile(file, []byte(clientOfTenants), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, names := range map[string][2]string{
		"by path": {"a", "b"}, "by host": {"a.localhost", "b.localhost"}, "one of each": {"a", "b.localhost"},
	} {
		t.Run(what, func(t *testing.T) {
			r := start(t, 2, map[string]string{"MOCKAUTH0_TENANTS": names[0] + "=" + file + "," + names[1] + "=" + file})
			a, b := r.issuers[0], r.issuers[1]
			person := newLocalhost(t)

			// A code of one is refused by the other, and still works at its own.
			code := r.codeAt(person, a)
			if status, _, body := person.do(t, "POST", b+"oauth/token", exchange(code)); status != http.StatusForbidden {
				t.Errorf("the code at the other tenant: %d %s", status, body)
			}
			status, _, body := person.do(t, "POST", a+"oauth/token", exchange(code))
			var tokens struct {
				Access  string `json:"access_token"`
				Refresh string `json:"refresh_token"`
			}
			if err := json.Unmarshal([]byte(body), &tokens); err != nil || status != http.StatusOK || tokens.Refresh == "" {
				t.Fatalf("%d %s: %v", status, body, err)
			}

			// So are its tokens.
			for issuer, want := range map[string]int{a: http.StatusOK, b: http.StatusUnauthorized} {
				if status, _, body := person.do(t, "GET", issuer+"userinfo", nil, "Authorization", "Bearer "+tokens.Access); status != want {
					t.Errorf("userinfo at %s: %d %s", issuer, status, body)
				}
			}
			refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.Refresh}, "client_id": {"app"}, "client_secret": {"app-secret"}}
			if status, _, body := person.do(t, "POST", b+"oauth/token", refresh); status != http.StatusForbidden {
				t.Errorf("the refresh token at the other tenant: %d %s", status, body)
			}

			// A session of one is none at the other, even if a client sends its cookie there.
			const silent = authorize + "&prompt=none"
			if _, h, _ := person.do(t, "GET", a+silent, nil); !strings.Contains(h.Get("Location"), "code=") {
				t.Errorf("no session at its own tenant: %s", h.Get("Location"))
			}
			u, _ := url.Parse(a)
			var cookies []string
			for _, c := range person.jar.Cookies(u) {
				cookies = append(cookies, c.String())
			}
			if _, h, _ := person.do(t, "GET", b+silent, nil); !strings.Contains(h.Get("Location"), "login_required") {
				t.Errorf("a session at the other tenant: %s", h.Get("Location"))
			}
			if _, h, _ := newLocalhost(t).do(t, "GET", b+silent, nil, "Cookie", strings.Join(cookies, "; ")); !strings.Contains(h.Get("Location"), "login_required") {
				t.Errorf("the cookie is a session at the other tenant: %s", h.Get("Location"))
			}

			// Each has a key, a clock and a journal of its own.
			person.send(t, "POST", a+"_mock/clock", `{"set":"2040-01-02T03:04:05Z"}`)
			for issuer, want := range map[string]bool{a: true, b: false} {
				if _, _, body := person.do(t, "GET", issuer+"_mock/clock", nil); strings.Contains(body, "2040-") != want {
					t.Errorf("clock of %s: %s", issuer, body)
				}
			}
			_, _, keysA := person.do(t, "GET", a+".well-known/jwks.json", nil)
			_, _, keysB := person.do(t, "GET", b+".well-known/jwks.json", nil)
			kid := regexp.MustCompile(`"kid":"([^"]+)"`)
			if ka, kb := kid.FindStringSubmatch(keysA), kid.FindStringSubmatch(keysB); ka == nil || kb == nil || ka[1] == kb[1] {
				t.Errorf("keys %v %v", ka, kb)
			}
			if status, _, body := person.do(t, "POST", a+"_mock/reset", nil); status != http.StatusOK {
				t.Fatalf("%d %s", status, body)
			}
			if _, _, body := person.do(t, "GET", a+"_mock/requests", nil); !strings.Contains(body, `"count":0,`) {
				t.Errorf("the journal after a reset: %s", body)
			}
			if _, _, body := person.do(t, "GET", b+"_mock/requests", nil); strings.Contains(body, `"count":0,`) {
				t.Errorf("the reset of the other tenant emptied the journal: %s", body)
			}
		})
	}
}

// What belongs to no tenant lists the tenants, and says whether the process runs.
func TestTenantsOfADirectory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"north.yaml", "south.localhost.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(clientOfTenants), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := start(t, 2, map[string]string{"MOCKAUTH0_TENANTS": dir})
	root := strings.TrimSuffix(r.issuers[0], "north/")
	port := strings.TrimSuffix(strings.TrimPrefix(root, "http://localhost:"), "/")
	if r.issuers[0] == root || r.issuers[1] != "http://south.localhost:"+port+"/" {
		t.Fatalf("issuers %v", r.issuers)
	}
	l := newLocalhost(t)
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"": {200, "north " + r.issuers[0] + "\nsouth.localhost " + r.issuers[1]}, "_mock/health": {200, "ok"}, "_mock/clients": {404, "lists the tenants"},
		"north/_mock/health": {200, "ok"}, "north": {404, "lists the tenants"}, "authorize": {404, "lists the tenants"}, "west/authorize": {404, "lists the tenants"},
		".well-known/oauth-authorization-server/north":  {200, `"issuer":"` + r.issuers[0] + `"`},
		".well-known/oauth-authorization-server/north/": {200, `"issuer":"` + r.issuers[0] + `"`},
		".well-known/oauth-authorization-server/west":   {404, "lists the tenants"},
	} {
		if status, _, body := l.do(t, "GET", root+path, nil); status != want.status || !strings.Contains(body, want.text) {
			t.Errorf("%q: %d %s", path, status, body)
		}
	}
}

// A browser gets links to the tenants, which work at each listener.
func TestTenantsPageLinksToEachTenant(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.yaml")
	if err := os.WriteFile(file, []byte(clientOfTenants), 0o600); err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`<li><a href="([^"]*)">([^<]*)</a>`)
	for what, env := range map[string]map[string]string{
		"the issuer of the settings": {}, "the issuer of each request": {"MOCKAUTH0_ISSUER": "request"},
	} {
		t.Run(what, func(t *testing.T) {
			env["MOCKAUTH0_TENANTS"] = "a=" + file + ",b=" + file + ",c.localhost=" + file
			r := start(t, 3, env)
			root, err := url.Parse(strings.TrimSuffix(r.issuers[0], "a/"))
			if err != nil {
				t.Fatal(err)
			}
			status, header, body := newLocalhost(t).do(t, "GET", root.String(), nil, "Accept", "text/html")
			if status != http.StatusOK || header.Get("Vary") != "Accept" || !strings.HasPrefix(header.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("%d %v", status, header)
			}
			found := links.FindAllStringSubmatch(body, -1)
			if len(found) != 3 {
				t.Fatalf("%d links: %s", len(found), body)
			}
			for i, name := range []string{"a", "b", "c.localhost"} {
				to, err := root.Parse(found[i][1])
				if err != nil || found[i][2] != name {
					t.Fatalf("%v: %v", found[i], err)
				}
				status, _, body := newLocalhost(t).do(t, "GET", to.String(), nil, "Accept", "text/html")
				if status != http.StatusOK || !strings.Contains(body, `id="issuer">`+r.issuers[i]+"<") {
					t.Errorf("%s: %d %s", to, status, body)
				}
			}
		})
	}
}

// The issuer is the address of the request, such as a mapped port; other names than
// loopback ones need --public.
func TestIssuerOfTheRequest(t *testing.T) {
	for what, c := range map[string]struct {
		args []string
		host string
		want string
	}{
		"a mapped port":             {nil, "localhost:9000", `"issuer":"http://localhost:9000/","authorization_endpoint":"http://localhost:9000/authorize"`},
		"another loopback name":     {nil, "a.localhost:9000", `"issuer":"http://a.localhost:9000/"`},
		"a name of another machine": {nil, "evil.example:9000", "not a loopback name"},
		"with --public":             {[]string{"serve", "--public"}, "mockauth0:8400", `"issuer":"http://mockauth0:8400/"`},
	} {
		t.Run(what, func(t *testing.T) {
			r := start(t, 1, map[string]string{"MOCKAUTH0_ISSUER": "request"}, c.args...)
			if _, _, body := newLocalhost(t).do(t, "GET", r.issuers[0]+".well-known/openid-configuration", nil, "Host", c.host); !strings.Contains(body, c.want) {
				t.Errorf("%s", body)
			}
		})
	}
}

// With a listener of its own, the control API of no tenant is at the others.
func TestTenantsControlListener(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.yaml")
	if err := os.WriteFile(file, []byte(clientOfTenants), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, 2, map[string]string{"MOCKAUTH0_TENANTS": "a=" + file + ",b.localhost=" + file, "MOCKAUTH0_CONTROL_LISTEN": "127.0.0.1:0"})
	for _, issuer := range r.issuers {
		for path, want := range map[string]int{"_mock/clients": 404, "_mock/": 404, "_mock/health": 200, "userinfo": 401} {
			if status, _, body := newLocalhost(t).do(t, "GET", issuer+path, nil); status != want {
				t.Errorf("%s%s: %d %s", issuer, path, status, body)
			}
		}
	}
}

// The page at / links to the console where it is, if that is known.
func TestHomeLinksToTheControlListener(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.yaml")
	if err := os.WriteFile(file, []byte(clientOfTenants), 0o600); err != nil {
		t.Fatal(err)
	}
	console := regexp.MustCompile(`id="console" href="([^"]*)"`)
	for what, c := range map[string]struct {
		env  map[string]string
		args []string
		want string // a pattern
	}{
		"without a listener of its own": {nil, nil, `^/_mock/$`},
		"on loopback":                   {map[string]string{"MOCKAUTH0_CONTROL_LISTEN": "127.0.0.1:0"}, nil, `^http://localhost:\d+/_mock/$`},
		"of a tenant by path":           {map[string]string{"MOCKAUTH0_CONTROL_LISTEN": "127.0.0.1:0", "MOCKAUTH0_TENANTS": "a=" + file}, nil, `^http://localhost:\d+/a/_mock/$`},
		"on all addresses":              {map[string]string{"MOCKAUTH0_CONTROL_LISTEN": "0.0.0.0:0"}, []string{"serve", "--public"}, ""},
	} {
		t.Run(what, func(t *testing.T) {
			r := start(t, 1, c.env, c.args...)
			_, _, body := newLocalhost(t).do(t, "GET", r.issuers[0], nil, "Accept", "text/html")
			m := console.FindStringSubmatch(body)
			if (m != nil) != (c.want != "") || !strings.Contains(body, "A mock Auth0 tenant") {
				t.Fatalf("%v in %s", m, body)
			}
			if m == nil {
				return
			}
			if !regexp.MustCompile(c.want).MatchString(m[1]) {
				t.Errorf("links to %s", m[1])
			}
			at := m[1]
			if strings.HasPrefix(at, "/") {
				at = strings.TrimSuffix(r.issuers[0], "/") + at
			}
			if status, _, body := newLocalhost(t).do(t, "GET", at, nil, "Accept", "text/html"); status != http.StatusOK || !strings.Contains(body, "<h1>Journal</h1>") {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}

func TestTenantsSettings(t *testing.T) {
	for value, want := range map[string]string{
		"a=x.yaml,A=y.yaml": `"A" is used twice`,
		"_mock=x.yaml":      `"_mock" is not a name of a tenant`,
		"a/b=x.yaml":        `"a/b" is not a name of a tenant`,
		"nowhere":           "hint: give NAME=FILE, or a directory",
		"a=absent.yaml":     "absent.yaml: no such file or directory\nhint: correct the files of MOCKAUTH0_TENANTS",
	} {
		t.Setenv("MOCKAUTH0_LISTEN", "127.0.0.1:0")
		t.Setenv("MOCKAUTH0_TENANTS", value)
		if code, _, errs := execute(t, "serve"); code != exitConfig || !strings.Contains(errs, want) {
			t.Errorf("%s: %d %s", value, code, errs)
		}
	}
	t.Setenv("MOCKAUTH0_TENANTS", "a=x.yaml")
	t.Setenv("MOCKAUTH0_TENANT", "x.yaml")
	if code, _, errs := execute(t, "serve"); code != exitConfig || !strings.Contains(errs, "both set") {
		t.Errorf("%d %s", code, errs)
	}
}

// With a path in MOCKAUTH0_ISSUER the tenants are below it.
func TestTenantsBelowAPath(t *testing.T) {
	const root = base("https://mock.example.com/base/")
	list := []hosted{{name: "a"}, {name: "b.localhost"}}
	p := &program{stderr: io.Discard}
	if err := p.openTenants(settings{}, list, root, nil, mock.Config{}); err != nil {
		t.Fatal(err)
	}
	defer closeTenants(list)
	handler := p.tenantsAt(root, list)
	for path, want := range map[string]string{
		"/base/a/.well-known/openid-configuration":       `"issuer":"https://mock.example.com/base/a/"`,
		"/.well-known/oauth-authorization-server/base/a": `"issuer":"https://mock.example.com/base/a/"`,
		"/base/":                              `href="a/"`,
		"/":                                   `href="base/a/"`,
		"/a/.well-known/openid-configuration": "no tenant has this host or path",
		"/.well-known/oauth-authorization-server/a":          "no tenant has this host or path",
		"/base/b.localhost/.well-known/openid-configuration": "no tenant has this host or path",
		"/_mock/health": "",
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
		r.Header.Set("Accept", "text/html, application/json;q=0.9")
		handler.ServeHTTP(w, r)
		if found := !strings.HasPrefix(want, "no tenant"); found != (w.Code == http.StatusOK) || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
