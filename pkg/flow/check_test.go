package flow

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

// finding returns the finding of a check, with result "" if there is none.
func finding(found []Finding, check string) Finding {
	for _, f := range found {
		if f.Check == check {
			return f
		}
	}
	return Finding{}
}

func TestCheck_WorkingProvider(t *testing.T) {
	s := newTenant()
	s.authorize = answerTo("error=login_required&error_description=Login+required")
	c := mustNew(t, s.config())
	var names []string
	for _, f := range c.Check(t.Context()) {
		names = append(names, f.Check+" "+string(f.Result))
		if f.Hint != "" || f.Class != "" {
			t.Errorf("%+v", f)
		}
	}
	want := "discovery ok, issuer ok, endpoints ok, clock skipped, keys ok, authorize ok"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if st := c.Status(); st.State != StateStarting || st.Failure != nil || s.count("") != 0 {
		t.Errorf("the check has left %+v and %d token requests", st, s.count(""))
	}
}

func TestCheck_NoLogin_SkipsAuthorize(t *testing.T) {
	s := newTenant()
	cfg := s.config()
	cfg.Source = ClientCredentials{}
	found := mustNew(t, cfg).Check(t.Context())
	if f := finding(found, "authorize"); f.Result != "" || s.called("/authorize") != 0 {
		t.Errorf("%+v", f)
	}
	s.paths["/.well-known/openid-configuration"] = func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }
	found = mustNew(t, cfg).Check(t.Context())
	if f := finding(found, "keys"); f.Result != ResultSkipped || finding(found, "authorize").Result != "" {
		t.Errorf("%+v", found)
	}
}

// answerTo redirects to the redirect_uri with a query.
func answerTo(query string) handler {
	return func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?"+query+"&state="+r.URL.Query().Get("state"), http.StatusFound)
	}
}

func TestCheck_Authorize(t *testing.T) {
	page := func(status int, text string) handler {
		return raw(status, "text/html", "<title>Oops</title>CANARY "+text)
	}
	for name, tc := range map[string]struct {
		authorize  handler
		result     Result
		class      Class
		text, hint string
	}{
		"no session":       {answerTo("error=login_required"), ResultOK, "", "redirect_uri http://localhost/callback", ""},
		"consent":          {answerTo("error=consent_required"), ResultOK, "", "accepts the request", ""},
		"a code":           {answerTo("code=CANARY"), ResultOK, "", "accepts the request", ""},
		"a login page":     {to302("/u/login?state=CANARY"), ResultOK, "", "accepts the request", ""},
		"callback":         {page(403, "Callback URL mismatch. x"), ResultProblem, ClassConfig, "redirect_uri http://localhost/callback is not among the application's Allowed Callback URLs", "add http://localhost/callback to Allowed Callback URLs of application client"},
		"client":           {page(400, "<b>invalid_request</b>: Unknown client: client"), ResultProblem, ClassConfig, `no application with client_id "client"`, "set client_id"},
		"another page":     {page(400, "x"), ResultProblem, ClassConfig, `the page "Oops" with status 400`, "check client_id, and that http://localhost/callback is among"},
		"own error page":   {to302("https://errors.test/?error=unauthorized_client&error_description=Callback+URL+mismatch.+x"), ResultProblem, ClassConfig, "is not among", "add http://localhost/callback"},
		"audience":         {answerTo("error=access_denied&error_description=Service+not+found:+api"), ResultProblem, ClassConfig, "access_denied: Service not found: api", "audience must be the Identifier of an API of this tenant, exactly; it is https://api.test/"},
		"grant":            {answerTo("error=unauthorized_client&error_description=x"), ResultProblem, ClassConfig, "unauthorized_client: x", "enable the Authorization Code grant"},
		"scope":            {answerTo("error=invalid_scope"), ResultProblem, ClassConfig, "invalid_scope", "openid profile offline_access"},
		"down for now":     {answerTo("error=temporarily_unavailable"), ResultProblem, ClassUnreachable, "temporarily_unavailable", "try again"},
		"down":             {page(503, "x"), ResultProblem, ClassUnreachable, "503", "try again"},
		"too many":         {page(429, "x"), ResultProblem, ClassRateLimited, "429", "try again"},
		"501":              {page(501, "x"), ResultProblem, ClassConfig, "501", "check client_id"},
		"a page":           {page(200, "x"), ResultWarning, "", `the page "Oops" with status 200`, "log in with a browser"},
		"no location":      {raw(302, "text/html", ""), ResultProblem, ClassBadResponse, "without a valid Location", ""},
		"connection reset": {drop, ResultProblem, ClassUnreachable, "EOF", "try again"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTenant()
			var asked url.Values
			s.authorize = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
				asked = r.URL.Query()
				tc.authorize(w, r, next)
			}
			cfg := s.config()
			cfg.Audience = "https://api.test/"
			cfg.Source = AuthorizationCode{Params: url.Values{"prompt": {"consent"}, "connection": {"staff"}}}
			f := finding(mustNew(t, cfg).Check(t.Context()), "authorize")
			if f.Result != tc.result || f.Class != tc.class || !strings.Contains(f.Text, tc.text) || !strings.Contains(f.Hint, tc.hint) || (tc.hint == "") != (f.Hint == "") {
				t.Errorf("%+v", f)
			}
			if strings.Contains(f.Text+f.Hint, "CANARY") || strings.Contains(f.Text+f.Hint, asked.Get("state")) {
				t.Errorf("a code, a state or a body is in %+v", f)
			}
			if asked.Get("prompt") != "none" || asked.Get("connection") != "staff" || s.called("/authorize") != 1 || s.called("/u/login") != 0 {
				t.Errorf("asked %v, %v", asked, s.calls)
			}
		})
	}
}

func to302(where string) handler {
	return func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		http.Redirect(w, r, where, http.StatusFound)
	}
}

func TestCheck_Issuer(t *testing.T) {
	for name, tc := range map[string]struct {
		configured, says string
		result           Result
		text, hint       string
		keys             Result
	}{
		"the same":         {testIssuer, testIssuer, ResultOK, testIssuer, "", ResultOK},
		"without slash":    {"https://tenant.test", testIssuer, ResultProblem, `"https://tenant.test"`, "set issuer to https://tenant.test/ exactly", ResultOK},
		"with slash":       {testIssuer, "https://tenant.test", ResultProblem, `says "https://tenant.test"`, "set issuer to https://tenant.test exactly", ResultOK},
		"another":          {testIssuer, "https://other.test/", ResultProblem, `says "https://other.test/"`, "set issuer to https://other.test/ exactly, if that is the provider you mean", ResultSkipped},
		"plain, elsewhere": {"http://tenant.test/", "http://tenant.test/", ResultWarning, "plain HTTP to another machine", "https://", ResultOK},
		"plain, here":      {"http://localhost:8400/", "http://localhost:8400/", ResultOK, "http://localhost:8400/", "", ResultOK},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTenant()
			s.issuer = tc.says
			cfg := s.config()
			cfg.Issuer, cfg.InsecureAllowHTTP = tc.configured, true
			found := mustNew(t, cfg).Check(t.Context())
			f := finding(found, "issuer")
			if f.Result != tc.result || !strings.Contains(f.Text, tc.text) || !strings.Contains(f.Hint, tc.hint) || (tc.hint == "") != (f.Hint == "") {
				t.Errorf("%+v", f)
			}
			if (f.Class == ClassConfig) != (f.Result == ResultProblem) || finding(found, "keys").Result != tc.keys {
				t.Errorf("%+v", found)
			}
		})
	}
}

func TestCheck_Documents(t *testing.T) {
	without := func(key string) func(s *tenant) {
		return func(s *tenant) { s.discovery = func(m map[string]any) { delete(m, key) } }
	}
	path := func(p string, status int, body string) func(s *tenant) {
		return func(s *tenant) {
			s.paths[p] = func(w http.ResponseWriter, r *http.Request) { raw(status, "text/html", body)(w, r, nil) }
		}
	}
	for name, tc := range map[string]struct {
		change func(*tenant)
		check  string
		result Result
		text   string
	}{
		"not found":                 {path("/.well-known/openid-configuration", 404, "CANARY"), "discovery", ResultProblem, "404 Not Found at tenant.test"},
		"no JSON":                   {path("/.well-known/openid-configuration", 200, "CANARY"), "discovery", ResultProblem, "is not JSON metadata"},
		"no token endpoint":         {without("token_endpoint"), "endpoints", ResultProblem, `has no "token_endpoint"`},
		"no authorization endpoint": {without("authorization_endpoint"), "authorize", ResultSkipped, "needs authorization_endpoint"},
		"no jwks_uri":               {without("jwks_uri"), "keys", ResultSkipped, "needs jwks_uri"},
		"keys not found":            {path("/.well-known/jwks.json", 404, "CANARY"), "keys", ResultProblem, "404"},
		"no keys":                   {path("/.well-known/jwks.json", 200, `{"keys":[]}`), "keys", ResultProblem, "no usable signing keys at https://tenant.test/"},
		"good":                      {func(*tenant) {}, "keys", ResultOK, "1 usable at"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTenant()
			tc.change(s)
			f := finding(mustNew(t, s.config()).Check(t.Context()), tc.check)
			if f.Result != tc.result || !strings.Contains(f.Text, tc.text) || strings.Contains(f.Text+f.Hint, "CANARY") {
				t.Errorf("%+v", f)
			}
			if f.Result == ResultProblem && (f.Hint == "" || f.Class == "") {
				t.Errorf("a problem without hint or class: %+v", f)
			}
		})
	}
}

func TestCheck_Clock(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 900e6, time.UTC)
	for name, tc := range map[string]struct {
		ahead  time.Duration // of the tenant's clock
		age    string
		result Result
		text   string
	}{
		"the same":       {0, "", ResultOK, "agrees"},
		"5 s":            {5 * time.Second, "", ResultOK, "agrees"},
		"7 s behind":     {7 * time.Second, "", ResultWarning, "6s behind the provider's"},
		"7 s ahead":      {-7 * time.Second, "", ResultWarning, "7s ahead of the provider's"},
		"an hour behind": {time.Hour, "", ResultProblem, "59m59s behind"},
		"an hour ahead":  {-time.Hour, "", ResultProblem, "1h0m0s ahead of"},
		"cached an hour": {-time.Hour, "3600", ResultOK, "agrees"},
		"an invalid age": {0, "x", ResultOK, "agrees"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTenant()
			cfg := s.config()
			cfg.Now = func() time.Time { return now }
			cfg.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				resp, err := s.RoundTrip(r)
				if err == nil {
					resp.Header.Set("Date", now.Add(tc.ahead).Format(http.TimeFormat))
					resp.Header.Set("Age", tc.age)
				}
				return resp, err
			})}
			f := finding(mustNew(t, cfg).Check(t.Context()), "clock")
			if f.Result != tc.result || !strings.Contains(f.Text, tc.text) || (f.Hint == "") != (f.Result == ResultOK) || (f.Class == ClassConfig) != (f.Result == ResultProblem) {
				t.Errorf("%+v", f)
			}
		})
	}
}

// Each network error has its own text.
func TestCheck_NetworkErrors(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for name, tc := range map[string]struct {
		err   error
		class Class
		text  string
		hint  string
	}{
		"name":      {dial(&net.DNSError{Err: "no such host", Name: "tenant.test", IsNotFound: true}), ClassUnreachable, `the name "tenant.test" cannot be resolved: no such host`, "DNS"},
		"slow name": {dial(&net.DNSError{Err: "i/o timeout", Name: "tenant.test", IsTimeout: true}), ClassTimeout, "tenant.test does not answer in time", "firewall"},
		"refused":   {dial(syscall.ECONNREFUSED), ClassUnreachable, "nothing listens at tenant.test", "host and port"},
		"timeout":   {context.DeadlineExceeded, ClassTimeout, "does not answer in time", "firewall"},
		"proxy":     {&net.OpError{Op: "proxyconnect", Net: "tcp", Err: dial(syscall.ECONNREFUSED)}, ClassUnreachable, "the proxy to tenant.test does not answer", "https_proxy"},
		"expired":   {&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired, Detail: "current time is after"}}, ClassConfig, "has expired or is not valid yet: current time is after", "clock"},
		"unusable":  {x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, ClassConfig, "is not valid", "replace its certificate"},
		"other":     {syscall.ECONNRESET, ClassUnreachable, "connection reset", "try again"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := newTenant().config()
			cfg.HTTPClient = &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, tc.err })}
			found := mustNew(t, cfg).Check(t.Context())
			f := finding(found, "discovery")
			if f.Result != ResultProblem || f.Class != tc.class || !strings.Contains(f.Text, tc.text) || !strings.Contains(f.Hint, tc.hint) {
				t.Errorf("%+v", f)
			}
			for _, check := range []string{"keys", "authorize", "clock"} {
				if f := finding(found, check); f.Result != ResultSkipped || f.Text == "" {
					t.Errorf("%s: %+v", check, f)
				}
			}
		})
	}
}

func TestCheck_TLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"other.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		trust, plain bool
		text, hint   string
	}{
		"unknown authority": {false, false, "signed by an authority that this machine does not trust", "SSL_CERT_FILE"},
		"another name":      {true, false, "is for other names: other.test", "one of these names"},
		"no TLS":            {false, true, "does not speak TLS", "is issuer really https://?"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.NotFoundHandler())
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			if tc.trust {
				s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
			}
			if tc.plain {
				s.Start()
			} else {
				s.StartTLS()
			}
			defer s.Close()
			cfg := newTenant().config()
			cfg.Issuer = "https://" + s.Listener.Addr().String() + "/"
			pool := x509.NewCertPool()
			if tc.trust {
				pool.AddCert(leaf)
			}
			cfg.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
			f := finding(mustNew(t, cfg).Check(t.Context()), "discovery")
			if f.Class != ClassConfig || !strings.Contains(f.Text, tc.text) || !strings.Contains(f.Hint, tc.hint) {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestCheckSecret(t *testing.T) {
	for name, tc := range map[string]struct {
		answer handler
		auth   AuthMethod
		result Result
		class  Class
		text   string
	}{
		"good":              {refuse(403, "invalid_grant"), AuthBasic, ResultOK, "", "accepts the client's authentication"},
		"grant not allowed": {refuse(403, "unauthorized_client"), AuthPost, ResultOK, "", "accepts"},
		"wrong":             {refuse(401, "invalid_client"), AuthPost, ResultProblem, ClassClientRejected, "invalid_client: no"},
		"wrong, as Auth0":   {refuse(401, "access_denied"), AuthPost, ResultProblem, ClassClientRejected, "access_denied: no"},
		"another refusal":   {refuse(400, "invalid_request"), AuthPost, ResultSkipped, "", "invalid_request does not show"},
		"too many":          {refuse(429, "too_many_requests"), AuthPost, ResultProblem, ClassRateLimited, "no"},
		"down":              {refuse(503, "x"), AuthPost, ResultProblem, ClassUnreachable, "no"},
		"gives tokens":      {raw(200, "application/json", `{"access_token":"CANARY","token_type":"Bearer","expires_in":1}`), AuthPost, ResultProblem, ClassBadResponse, "invalid code"},
		"public client":     {refuse(401, "invalid_client"), AuthNone, ResultSkipped, "", "public client"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTenant()
			s.keep(tc.answer)
			cfg := s.config()
			if cfg.Auth = tc.auth; tc.auth == AuthNone {
				cfg.ClientSecret = ""
			}
			c := mustNew(t, cfg)
			f := c.CheckSecret(t.Context())
			if f.Result != tc.result || f.Class != tc.class || !strings.Contains(f.Text, tc.text) || strings.Contains(f.Text+f.Hint, "CANARY") {
				t.Errorf("%+v", f)
			}
			if want := 1; tc.auth != AuthNone && s.count("authorization_code") != want || c.Status().State != StateStarting {
				t.Errorf("%d token requests, %+v", s.count(""), c.Status())
			}
		})
	}
	s := newTenant()
	s.discovery = func(m map[string]any) { delete(m, "token_endpoint") }
	if f := mustNew(t, s.config()).CheckSecret(t.Context()); f.Result != ResultSkipped {
		t.Errorf("%+v", f)
	}
}
