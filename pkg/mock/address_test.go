package mock_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

const inside, outside = "http://mockauth0:8400/", "http://localhost:9000/"

// at sends a request to a URL with the browser's cookies.
func (w *world) at(method, address string, params ...string) reply {
	w.Helper()
	r := httptest.NewRequest(method, address, strings.NewReader(pairs(params...).Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.do(r)
}

// metadata returns the discovery document as it is served at a base URL.
func (w *world) metadata(base string) map[string]any {
	w.Helper()
	r := w.at("GET", base+".well-known/openid-configuration")
	var doc map[string]any
	if err := json.Unmarshal([]byte(r.body), &doc); err != nil {
		w.Fatalf("%s: %d %s: %v", base, r.status, r.body, err)
	}
	return doc
}

func TestBrowserURL_PagesAreAtTheBrowsersAddressAndTheIssuerIsOne(t *testing.T) {
	w := newWorld(t, mock.Config{Issuer: inside, BrowserURL: outside})
	pages := []string{"authorization_endpoint", "end_session_endpoint"}
	for _, c := range []struct{ asked, programs string }{
		{inside, inside},   // a program in the network of the containers
		{outside, outside}, // a program in the browser
		{"http://elsewhere.example/", inside},
	} {
		doc := w.metadata(c.asked)
		if doc["issuer"] != inside {
			t.Errorf("asked at %s, the issuer is %v", c.asked, doc["issuer"])
		}
		for _, name := range slices.Sorted(maps.Keys(doc)) {
			value, _ := doc[name].(string)
			want := c.programs
			if slices.Contains(pages, name) {
				want = outside
			}
			if strings.HasPrefix(value, "http") && name != "issuer" && !strings.HasPrefix(value, want) {
				t.Errorf("asked at %s, %s is %s, not below %s", c.asked, name, value, want)
			}
		}
	}
}

func TestBrowserURL_OneLoginWithBothAddresses(t *testing.T) {
	w := newWorld(t, mock.Config{Issuer: inside, BrowserURL: outside, Login: mock.LoginForm})
	config := w.OAuth2()
	if !strings.HasPrefix(config.Endpoint.AuthURL, outside) || !strings.HasPrefix(config.Endpoint.TokenURL, inside) {
		t.Errorf("endpoints %+v", config.Endpoint)
	}
	got, err := w.Approve(t.Context(), config.AuthCodeURL("s"))
	if err != nil {
		t.Fatal(err)
	}
	tokens := w.at("POST", inside+"oauth/token", "grant_type", "authorization_code", "client_id", config.ClientID,
		"client_secret", config.ClientSecret, "code", got.Get("code"), "redirect_uri", config.RedirectURL)
	var body struct {
		ID string `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(tokens.body), &body); err != nil || body.ID == "" {
		t.Fatalf("%d %s: %v", tokens.status, tokens.body, err)
	}
	if claims := part(t, body.ID, 1); !strings.Contains(claims, `"iss":"`+inside+`"`) {
		t.Errorf("claims %s", claims)
	}
	device := w.at("POST", inside+"oauth/device/code", "client_id", "demo", "scope", "openid")
	if !strings.Contains(device.body, `"verification_uri":"`+outside+`activate"`) {
		t.Errorf("device: %s", device.body)
	}
	w.at("POST", inside+"dbconnections/change_password", "client_id", "demo", "email", agent, "connection", tenant.DefaultConnection)
	mails := w.Mails()
	if len(mails) == 0 || !strings.HasPrefix(mails[0].Link, outside) {
		t.Errorf("mails: %+v", mails)
	}
}

// A browser at an https address gets Secure cookies although the issuer is http.
func TestBrowserURL_CookiesFollowItsScheme(t *testing.T) {
	w := newWorld(t, mock.Config{Issuer: inside, BrowserURL: "https://localhost:8443/"})
	for base, want := range map[string]bool{inside: false, "https://localhost:8443/": true} {
		cookies := strings.Join(w.otherBrowser().at("GET", base+"userinfo").header.Values("Set-Cookie"), "\n")
		if got := strings.Contains(cookies, "Secure"); got != want {
			t.Errorf("%s: Secure is %t:\n%s", base, got, cookies)
		}
	}
}

func TestConfigRefusesABrowserURL(t *testing.T) {
	for _, c := range []mock.Config{{BrowserURL: outside}, {Issuer: inside, BrowserURL: "http://localhost:9000"}, {Issuer: inside, BrowserURL: "localhost"}} {
		_, err := mock.New(c)
		if errs := tenant.FieldErrors(err); len(errs) != 1 || errs[0].Field != "browser url" {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// An issuer with a path is served below that path: pages, forms, redirects and cookies
// stay there. A proxy may remove the prefix.
func TestIssuerWithAPath(t *testing.T) {
	const base = "http://localhost:8400/a/"
	w := newWorld(t, mock.Config{Issuer: base, Login: mock.LoginForm})
	if doc := w.metadata(base); doc["issuer"] != base || doc["token_endpoint"] != base+"oauth/token" {
		t.Errorf("metadata: %v", doc)
	}
	r := w.at("GET", w.OAuth2().AuthCodeURL("s"))
	page := r.header.Get("Location")
	if !strings.HasPrefix(page, "/a/u/login?state=") {
		t.Fatalf("Location %q", page)
	}
	for _, c := range r.header.Values("Set-Cookie") {
		if !strings.Contains(c, "Path=/a/;") {
			t.Errorf("cookie %s", c)
		}
	}
	form := w.at("GET", "http://localhost:8400"+page)
	if !strings.Contains(form.body, `action="/a/u/login?state=`) {
		t.Errorf("form: %s", form.body)
	}
	if got, err := w.Approve(t.Context(), w.OAuth2().AuthCodeURL("s")); err != nil || got.Get("code") == "" {
		t.Errorf("Approve: %v %v", got, err)
	}
	if r := w.at("GET", base+"_mock/health"); r.status != http.StatusOK {
		t.Errorf("control API: %d", r.status)
	}
	if doc := w.metadata("http://localhost:8400/"); doc["issuer"] != base {
		t.Errorf("without the prefix: %v", doc["issuer"])
	}
	u, _ := url.Parse(base)
	if r := w.at("GET", u.Scheme+"://"+u.Host+"/b/userinfo"); r.status != http.StatusNotFound {
		t.Errorf("another path: %d", r.status)
	}
}
