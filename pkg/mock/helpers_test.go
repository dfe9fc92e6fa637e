package mock_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

const (
	issuer   = "http://localhost:8400/"
	callback = "http://localhost:8484/callback"
	api      = "https://api.example.com/"
	agent    = "agent@example.com"
	guest    = "guest@example.com"
	scopes   = "openid profile email offline_access"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
)

var update = flag.Bool("update", false, "write the golden files")

// start is the time at which the clock of each tenant starts.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a tenant with a clock that moves only by Advance, and one browser.
type world struct {
	testing.TB
	*mock.Tenant
	jar map[string]string
}

func newWorld(tb testing.TB, c mock.Config) *world {
	tb.Helper()
	if c.Issuer == "" {
		c.Issuer = issuer
	}
	if c.Now == nil {
		c.Now = func() time.Time { return start }
	}
	if c.Tenant == nil {
		c.Tenant = richTenant()
	}
	tenant, err := mock.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return &world{TB: tb, Tenant: tenant, jar: map[string]string{}}
}

// otherBrowser returns the same tenant with another browser.
func (w *world) otherBrowser() *world {
	return &world{TB: w.TB, Tenant: w.Tenant, jar: map[string]string{}}
}

// seenBy returns the same tenant with another browser that reports to tb.
func (w *world) seenBy(tb testing.TB) *world {
	return &world{TB: tb, Tenant: w.Tenant, jar: map[string]string{}}
}

// reply is a response with its body.
type reply struct {
	testing.TB
	status int
	header http.Header
	body   string
}

// do sends a request with the browser's cookies and keeps new ones.
func (w *world) do(r *http.Request) reply {
	w.Helper()
	return w.doAt(w.Tenant, r)
}

func (w *world) doAt(h http.Handler, r *http.Request) reply {
	w.Helper()
	for k, v := range w.jar {
		r.AddCookie(&http.Cookie{Name: k, Value: v})
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	for _, c := range rec.Result().Cookies() {
		if w.jar[c.Name] = c.Value; c.MaxAge < 0 {
			delete(w.jar, c.Name)
		}
	}
	return reply{w.TB, rec.Code, rec.Header(), rec.Body.String()}
}

func (w *world) get(path string) reply {
	w.Helper()
	return w.do(httptest.NewRequest(http.MethodGet, strings.TrimSuffix(issuer, "/")+"/"+strings.TrimPrefix(strings.TrimPrefix(path, issuer), "/"), nil))
}

// post sends a form. params alternate names and values.
func (w *world) post(path string, params ...string) reply {
	w.Helper()
	return w.do(formRequest(path, pairs(params...)))
}

func formRequest(path string, form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, strings.TrimSuffix(issuer, "/")+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func pairs(params ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		v.Set(params[i], params[i+1])
	}
	return v
}

// control calls the control API under /_mock/.
func (w *world) control(method, path, body string) reply {
	w.Helper()
	return w.do(httptest.NewRequest(method, strings.TrimSuffix(issuer, "/")+path, strings.NewReader(body)))
}

// mustControl makes a control call that must succeed.
func (w *world) mustControl(method, path, body string) reply {
	w.Helper()
	r := w.control(method, path, body)
	if r.status != http.StatusOK {
		w.Fatalf("%s %s: %d %s", method, path, r.status, r.body)
	}
	return r
}

// authorizeURL returns a valid request of demo, changed by the given parameters. The
// value "-" removes one.
func authorizeURL(params ...string) string {
	v := pairs("response_type", "code", "client_id", "demo", "redirect_uri", callback, "scope", scopes, "audience", api, "state", "xyzABC123")
	for k, vals := range pairs(params...) {
		if v[k] = vals; vals[0] == "-" {
			v.Del(k)
		}
	}
	return "/authorize?" + v.Encode()
}

func (w *world) authorize(params ...string) reply {
	w.Helper()
	return w.get(authorizeURL(params...))
}

// location returns the address of a redirect.
func (r reply) location() *url.URL {
	r.Helper()
	if r.status != http.StatusFound {
		r.Fatalf("status %d, not a redirect: %s", r.status, r.body)
	}
	u, err := url.Parse(r.header.Get("Location"))
	if err != nil {
		r.Fatal(err)
	}
	return u
}

// param returns a parameter of a redirect's query or fragment.
func (r reply) param(name string) string {
	r.Helper()
	u := r.location()
	if u.Fragment != "" {
		v, err := url.ParseQuery(u.EscapedFragment())
		if err != nil {
			r.Fatal(err)
		}
		return v.Get(name)
	}
	return u.Query().Get(name)
}

// code logs in and returns a code.
func (w *world) code(params ...string) string {
	w.Helper()
	r := w.authorize(params...)
	code := r.param("code")
	if code == "" {
		w.Fatalf("no code: %s", r.header.Get("Location"))
	}
	return code
}

// exchange exchanges a code of demo.
func (w *world) exchange(code string, params ...string) reply {
	w.Helper()
	form := pairs("grant_type", "authorization_code", "client_id", "demo", "client_secret", "demo-secret", "code", code, "redirect_uri", callback)
	for k, vals := range pairs(params...) {
		if form[k] = vals; vals[0] == "-" {
			form.Del(k)
		}
	}
	return w.do(formRequest("/oauth/token", form))
}

// tokens runs the whole code flow of a client whose secret is its id plus "-secret".
func (w *world) tokens(client string, params ...string) tokens {
	w.Helper()
	code := w.code(append([]string{"client_id", client}, params...)...)
	return w.exchange(code, "client_id", client, "client_secret", client+"-secret").tokens()
}

// refresh uses a refresh token of such a client.
func (w *world) refresh(client, token string, params ...string) reply {
	w.Helper()
	return w.post("/oauth/token", append([]string{
		"grant_type", "refresh_token", "client_id", client, "client_secret", client + "-secret", "refresh_token", token,
	}, params...)...)
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Scope   string `json:"scope"`
	Expires int    `json:"expires_in"`
	Type    string `json:"token_type"`
}

func (r reply) tokens() tokens {
	r.Helper()
	if r.status != http.StatusOK {
		r.Fatalf("status %d: %s", r.status, r.body)
	}
	return decodeJSON[tokens](r, r.body)
}

func decodeJSON[T any](tb testing.TB, s string) T {
	tb.Helper()
	var v T
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		tb.Fatalf("%v in %q", err, s)
	}
	return v
}

// refused asserts the exact body of a JSON error.
func (r reply) refused(status int, code, description string) {
	r.Helper()
	b, err := json.Marshal(code)
	if err != nil {
		r.Fatal(err)
	}
	var d bytes.Buffer
	e := json.NewEncoder(&d)
	e.SetEscapeHTML(false)
	if err := e.Encode(description); err != nil {
		r.Fatal(err)
	}
	want := `{"error":` + string(b) + `,"error_description":` + strings.TrimSpace(d.String()) + `}`
	if r.status != status || r.body != want {
		r.Errorf("got %d %s\nwant %d %s", r.status, r.body, status, want)
	}
	if ct := r.header.Get("Content-Type"); ct != "application/json" {
		r.Errorf("Content-Type %q", ct)
	}
	if p := r.header.Get("Pragma"); p != "" {
		r.Errorf("a refusal has Pragma %q", p)
	}
}

// page asserts an error page: no redirect, the code and text on it.
func (r reply) page(status int, code, text string) {
	r.Helper()
	body := html.UnescapeString(r.body)
	if r.status != status || r.header.Get("Location") != "" || !strings.Contains(body, "<strong>"+code+"</strong>: "+text) {
		r.Errorf("got %d Location=%q\n%s\nwant %d with %s: %s", r.status, r.header.Get("Location"), body, status, code, text)
	}
	if id := r.header.Get("X-Auth0-RequestId"); !strings.Contains(body, "TRACKING ID: "+id) || len(id) != 20 {
		r.Errorf("the page lacks the tracking id %q", id)
	}
}

// redirectsError asserts an error that redirects to the client.
func (r reply) redirectsError(code, description string) {
	r.Helper()
	if r.param("error") != code || r.param("error_description") != description || r.param("code") != "" {
		r.Errorf("got %s\nwant %s: %s", r.header.Get("Location"), code, description)
	}
	if r.param("state") != "xyzABC123" {
		r.Errorf("state %q", r.param("state"))
	}
}

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// claims reads a JWT without verifying it.
func claims(tb testing.TB, token string) map[string]any {
	tb.Helper()
	return decodeJSON[map[string]any](tb, part(tb, token, 1))
}

func part(tb testing.TB, token string, i int) string {
	tb.Helper()
	parts := strings.Split(token, ".")
	if len(parts) <= i {
		tb.Fatalf("%q has no part %d", token, i)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[i])
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

var variable = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`"sid":"[^"]+"`), `"sid":"SID"`},
	{regexp.MustCompile(`"jti":"[^"]+"`), `"jti":"JTI"`},
	{regexp.MustCompile(`"(access_token|refresh_token|id_token|device_code|user_code|at_hash|c_hash)":"[^"]+"`), `"$1":"…"`},
	{regexp.MustCompile(`user_code=[A-Z-]+`), `user_code=…`},
	{regexp.MustCompile(`request_uri:[A-Za-z0-9_-]{64}`), `request_uri:…`},
}

// golden masks random values and compares with testdata/NAME.golden.
func golden(tb testing.TB, name, got string) {
	tb.Helper()
	for _, v := range variable {
		got = v.pattern.ReplaceAllString(got, v.with)
	}
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil { //nolint:gosec // test data
			tb.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	if got != string(want) {
		tb.Errorf("%s:\ngot  %s\nwant %s", file, got, want)
	}
}
