package flow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestLogin_Request(t *testing.T) {
	s := newTenant()
	cfg := s.config()
	cfg.Source = AuthorizationCode{Params: url.Values{"connection": {"staff"}}}
	cfg.Audience, cfg.Scopes = "https://api.test/", []string{"openid", "offline_access"}
	c := mustNew(t, cfg)
	a, err := c.Login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, _ := c.Login(t.Context())
	u, _ := url.Parse(a.URL)
	q := u.Query()
	for k, want := range map[string]string{
		"response_type": "code", "client_id": "client", "redirect_uri": "http://localhost/callback", "scope": "openid offline_access",
		"audience": "https://api.test/", "connection": "staff", "code_challenge_method": "S256", "state": a.State, "nonce": a.Nonce,
	} {
		if q.Get(k) != want {
			t.Errorf("%s is %q, want %q", k, q.Get(k), want)
		}
	}
	if !pkce(q.Get("code_challenge"), a.Verifier.Reveal()) {
		t.Error("the challenge is not that of the verifier")
	}
	if a.State == b.State || a.Nonce == b.Nonce || a.Verifier == b.Verifier || len(a.State) < 22 || len(a.Verifier) < 43 {
		t.Errorf("not fresh or too short: %q, %q", a.State, b.State)
	}
	j, _ := json.Marshal(a)
	var back Login
	if err := json.Unmarshal(j, &back); err != nil || back.Verifier != a.Verifier || back.URL != a.URL || !back.Expires.Equal(a.Expires) {
		t.Errorf("JSON round trip: %v, %s", err, j)
	}
	var log strings.Builder
	logTo(&log).Info("x", "login", a)
	if out := log.String() + fmt.Sprintf("%v %+v", a, a); strings.Contains(out, a.Verifier.Reveal()) {
		t.Errorf("the verifier is printed: %s", out)
	}
}

func TestLogin_NoRandomness(t *testing.T) {
	s := newTenant()
	cfg := s.config()
	cfg.Rand = iotest.ErrReader(io.ErrNoProgress)
	if _, err := mustNew(t, cfg).Login(t.Context()); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
}

// TestFinish_Callbacks tests rows B15, B16 of docs/guarantees.md.
func TestFinish_Callbacks(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(l *Login, q url.Values)
		late   time.Duration
		iss    bool // the tenant announces RFC 9207
		class  Class
		part   string
		state  bool
	}{
		"good":               {},
		"good with iss":      {iss: true, change: func(_ *Login, q url.Values) { q.Set("iss", testIssuer) }},
		"iss not announced":  {change: func(_ *Login, q url.Values) { q.Set("iss", testIssuer) }},
		"B15 no state":       {change: func(_ *Login, q url.Values) { q.Del("state") }, class: ClassRequest, part: "does not belong to a login", state: true},
		"B15 other state":    {change: func(_ *Login, q url.Values) { q.Set("state", "x") }, class: ClassRequest, part: "does not belong to a login", state: true},
		"B15 state twice":    {change: func(_ *Login, q url.Values) { q.Add("state", q.Get("state")) }, class: ClassRequest, part: "does not belong to a login", state: true},
		"B15 an empty login": {change: func(l *Login, q url.Values) { *l = Login{Client: "demo"}; q.Set("state", "") }, class: ClassRequest, part: "does not belong to a login", state: true},
		"other client":       {change: func(l *Login, _ url.Values) { l.Client = "other" }, class: ClassRequest, part: "does not belong to a login", state: true},
		"expired":            {late: 10 * time.Minute, class: ClassRequest, part: "expired", state: true},
		"just in time":       {late: 10*time.Minute - time.Second},
		"B16 code and error": {change: func(_ *Login, q url.Values) { q.Set("error", "access_denied") }, class: ClassRequest, part: "both"},
		"two codes":          {change: func(_ *Login, q url.Values) { q.Add("code", "x") }, class: ClassRequest, part: "no code"},
		"no code":            {change: func(_ *Login, q url.Values) { q.Del("code") }, class: ClassRequest, part: "no code"},
		"other iss":          {change: func(_ *Login, q url.Values) { q.Set("iss", "https://evil.test/") }, class: ClassRequest, part: "issuer"},
		"iss missing":        {iss: true, class: ClassRequest, part: "no iss parameter"},
		"denied":             {change: func(_ *Login, q url.Values) { q.Del("code"); q.Set("error", "access_denied") }, class: ClassRequest, part: "access_denied"},
		"login required":     {change: func(_ *Login, q url.Values) { q.Del("code"); q.Set("error", "login_required") }, class: ClassLoginRequired, part: "login_required"},
		"unauthorized":       {change: func(_ *Login, q url.Values) { q.Del("code"); q.Set("error", "unauthorized_client") }, class: ClassClientRejected, part: "unauthorized_client"},
		"an unknown code":    {change: func(_ *Login, q url.Values) { q.Set("code", "x") }, class: ClassLoginRequired, part: "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				if tc.iss {
					s.discovery = func(m map[string]any) { m["authorization_response_iss_parameter_supported"] = true }
				}
				cfg := s.config()
				cfg.Source = nil
				c := mustNew(t, cfg)
				l, err := c.Login(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				callback, e := c.followRedirects(t.Context(), l)
				if e != nil {
					t.Fatal(e)
				}
				if tc.change != nil {
					tc.change(&l, callback)
				}
				time.Sleep(tc.late)
				g, err := c.Finish(t.Context(), l, callback)
				if tc.class == "" {
					if err != nil || g.Generation != 1 || c.Status().State != StateReady {
						t.Fatalf("%v, %v", g, err)
					}
					return
				}
				wantError(t, err, tc.class, tc.part)
				if errors.Is(err, ErrState) != tc.state {
					t.Errorf("ErrState: %v", err)
				}
				if n := s.count(""); n != 0 && !strings.Contains(name, "unknown code") {
					t.Errorf("%d codes were exchanged", n)
				}
			})
		})
	}
}

func TestHeadless_Page(t *testing.T) {
	page := func(status int, title string) handler {
		return raw(status, "text/html", "<html><head><TITLE>\n"+title+" </TITLE></head>CANARY</html>")
	}
	to := func(where string) handler {
		return func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) { http.Redirect(w, r, where, 302) }
	}
	for name, tc := range map[string]struct {
		authorize handler
		class     Class
		part      string
	}{
		"login page":      {to("/u/login?state=CANARY"), ClassLoginRequired, `the page "Log in & more" at /u/login`},
		"page at once":    {page(200, "Consent"), ClassLoginRequired, `the page "Consent" at /authorize`},
		"no title":        {raw(200, "text/html", "x"), ClassLoginRequired, `the page "untitled"`},
		"error page":      {page(403, "Callback URL mismatch"), ClassConfig, "redirect_uri http://localhost/callback is not among the application's Allowed Callback URLs"},
		"unknown client":  {page(403, "Unknown client: client"), ClassConfig, `no application with client_id "client"`},
		"another error":   {page(400, "Oops"), ClassConfig, `the page "Oops" with status 400`},
		"error elsewhere": {to("https://errors.test/?error=invalid_request&error_description=Callback+URL+mismatch"), ClassConfig, "Allowed Callback URLs"},
		"too many":        {page(429, "x"), ClassRateLimited, ""},
		"down":            {page(503, "x"), ClassUnreachable, "503"},
		"elsewhere":       {to("https://idp.elsewhere.test/saml?x=CANARY"), ClassLoginRequired, "another origin, https://idp.elsewhere.test"},
		"same host, http": {to("http://tenant.test/authorize"), ClassLoginRequired, "another origin"},
		"forever":         {to("/authorize?again"), ClassRedirect, "more than 10 times"},
		"nowhere":         {raw(302, "text/html", ""), ClassBadResponse, "without a valid Location"},
		"refused":         {to("http://localhost/callback?error=login_required"), ClassRequest, "does not belong to a login"},
		"other callback":  {to("http://localhost/other?code=1"), ClassLoginRequired, "another origin"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTenant()
			s.authorize = tc.authorize
			s.paths["/u/login"] = func(w http.ResponseWriter, r *http.Request) {
				page(200, "Log in &amp; more")(w, r, nil)
			}
			c := mustNew(t, s.config())
			_, err := c.LoginHeadless(t.Context())
			e := wantError(t, err, tc.class, tc.part)
			if strings.Contains(e.Error(), "CANARY") {
				t.Errorf("query or body in %v", e)
			}
			f := c.Status().Failure
			if person := tc.class == ClassLoginRequired; (e.Remedy == RemedyBrowser) != person || f.Remedy != e.Remedy || f.Hint != e.Hint {
				t.Errorf("remedy %q, in the status %+v", e.Remedy, f)
			}
			if s.count("") != 0 {
				t.Error("a token was asked for")
			}
		})
	}
}

func TestHeadless_KeepsCookies_DoesNotRequestCallback(t *testing.T) {
	s := newTenant()
	s.authorize = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		if _, err := r.Cookie("session"); err != nil {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "x", Path: "/"})
			http.Redirect(w, r, "/authorize?"+r.URL.RawQuery, http.StatusFound)
			return
		}
		next(w, r)
	}
	s.loggedIn(t, nil)
	if s.called("/authorize") != 2 || s.called("/callback") != 0 {
		t.Errorf("%v", s.calls)
	}
}

func TestLogin_WrongKindOfLogin(t *testing.T) {
	s := newTenant()
	cfg := s.config()
	cfg.Source = nil
	_, err := mustNew(t, cfg).LoginHeadless(t.Context())
	wantError(t, err, ClassLoginRequired, "needs a person")
	cfg.RedirectURL = ""
	_, err = mustNew(t, cfg).Login(t.Context())
	wantError(t, err, ClassConfig, "redirect_uri")
	cfg.Source = ClientCredentials{}
	_, err = mustNew(t, cfg).Login(t.Context())
	wantError(t, err, ClassRequest, "client_credentials")
}

func TestClientAuthentication(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		id     string
		secret string
		basic  string
	}{
		"post":                {func(c *Config) { c.ClientSecret = "s/+ ü" }, "client", "s/+ ü", ""},
		"client-secret-basic": {func(c *Config) { c.Auth, c.ClientID, c.ClientSecret = AuthBasic, "client", "s:%/+ ü" }, "", "", "Basic Y2xpZW50OnMlM0ElMjUlMkYlMkIrJUMzJUJD"},
		"none":                {func(c *Config) { c.ClientSecret = "" }, "client", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTenant()
			s.loggedIn(t, tc.change)
			p := s.posts[0]
			if p.Get("client_id") != tc.id || p.Get("client_secret") != tc.secret || s.basic[0] != tc.basic {
				t.Errorf("id %q, secret %q, header %q", p.Get("client_id"), p.Get("client_secret"), s.basic[0])
			}
		})
	}
}
