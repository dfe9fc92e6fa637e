package mock

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const maxBody = 1 << 20 // a larger body is 413

// route is one path of the tenant.
type route struct {
	endpoint string // its name in the journal and in faults
	methods  string // "GET POST"; another method is 404, as in Express
	limit    int    // X-RateLimit-Limit, recorded or reported
	handle   func(*call)
}

// table lists every path; discovery is generated from it.
func (t *Tenant) table() map[string]route {
	return map[string]route{
		"/authorize":                     {"authorize", "GET POST", 300, t.authorize},
		"/u/login":                       {"login", "GET POST", 20, t.loginPage},
		"/u/signup":                      {"login", "GET POST", 20, t.signupPage},
		"/u/organization":                {"login", "GET POST", 20, t.organizationPage},
		"/u/organization/picker":         {"login", "GET POST", 20, t.organizationPage},
		"/u/consent":                     {"consent", "GET POST", 20, t.consentPage},
		"/authorize/resume":              {"authorize", "GET", 300, t.resume},
		"/u/logout-consent":              {"logout", "GET POST", 20, t.logoutConsentPage},
		"/activate":                      {"device", "GET POST", 20, t.activate},
		"/v2/logout":                     {"logout", "GET", 300, t.logoutV2},
		"/oidc/logout":                   {"logout", "GET POST", 300, t.logoutOIDC},
		"/oidc/register":                 {"register", "POST", 10, t.register},
		"/dbconnections/signup":          {"signup", "POST", 50, t.dbSignup},
		"/dbconnections/change_password": {"change_password", "POST", 10, t.changePassword},
		"/u/reset-password":              {"change_password", "GET POST", 20, t.resetPasswordPage},
		"/passwordless/start":            {"passwordless", "POST", 50, t.passwordlessStart},
		"/passwordless/verify_redirect":  {"passwordless", "GET", 20, t.passwordlessLink},
		"/mfa/associate":                 {"mfa", "POST", 100, t.mfaEnrolment},
		"/mfa/authenticators":            {"mfa", "GET", 100, t.mfaEnrolment},
		"/bc-authorize":                  {"ciba", "POST", 100, t.backchannelAuthorize},
		"/mfa/challenge":                 {"mfa", "POST", 100, t.mfaChallenge},
		"/oauth/device/code":             {"device", "POST", 100, t.deviceCode},
		"/oauth/par":                     {"par", "POST", 100, t.par},
		"/oauth/token":                   {"token", "POST", 100, t.token},
		"/oauth/revoke":                  {"revoke", "POST", 100, t.revoke},
		"/userinfo":                      {"userinfo", "GET POST", 1000, t.userinfo},

		"/.well-known/openid-configuration":       {"discovery", "GET", 300, t.discovery},
		"/.well-known/oauth-authorization-server": {"discovery", "GET", 300, t.discovery},
		"/.well-known/jwks.json":                  {"jwks", "GET", 300, t.jwks},
	}
}

// call is one request to the tenant.
type call struct {
	address
	w      http.ResponseWriter
	r      *http.Request
	now    time.Time
	id     string // X-Auth0-RequestId, the tracking id of error pages
	entry  *Entry // its line in the journal
	extra  object // last members of a token response
	damage damage // of the tokens of the answer

	recorded    int         // X-RateLimit-Limit of the route
	limit       *limitState // of a real rate limit, which the headers report
	clientLimit *limitState // of a client's own policy
}

// setReason records in the journal why the call failed.
func (c *call) setReason(reason string) { c.entry.Reason = reason }

// serve handles a request: with the control API, or with common headers, a limited
// body, the endpoint's handler or a fault, and a journal entry.
func (t *Tenant) serve(w http.ResponseWriter, r *http.Request, issuer string) {
	setDate(w.Header(), t.clock.Now())
	at := t.addressOf(r, issuer)
	r = at.below(r)
	if strings.HasPrefix(r.URL.Path, controlPrefix) {
		t.controls(w, r, at)
		return
	}
	if r.URL.Path == "/" && wantsPage(r) {
		t.home(w, at)
		return
	}
	rt, known := t.routes[r.URL.Path]
	if known && r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		t.preflight(w, r)
		return
	}
	if strings.HasPrefix(r.URL.Path, managementPrefix) {
		rt, known = route{"management", "GET POST PATCH PUT DELETE", managementLimit, t.manage}, true
	}
	known = known && containsWord(rt.methods, routedMethod(r))
	c := &call{address: at, w: w, r: r, now: t.clock.Now(), id: t.requestID()}
	c.entry = &Entry{ID: c.id, Time: c.now, Method: clip(r.Method), Path: clip(r.URL.Path), Endpoint: rt.endpoint}
	rec := &recorder{ResponseWriter: w}
	c.w = rec
	defer t.record(c, rec) // also when a fault aborts the handler
	c.recorded = rt.limit
	t.commonHeaders(c)
	if r.Body == nil { // a client's request, by a transport that calls the handler
		r.Body = http.NoBody
	}
	r.Body = http.MaxBytesReader(rec, r.Body, maxBody)
	if known {
		if f := t.faultFor(c); f != nil {
			t.inject(c, f, rt.handle)
		} else {
			rt.handle(c)
		}
	} else {
		c.setReason("no such endpoint or method")
		if rt.methods != "" {
			c.setHint("%s takes %s", clip(r.URL.Path), strings.ReplaceAll(rt.methods, " ", " and "))
		}
		write(rec, http.StatusNotFound, htmlType, []byte("Not found"))
	}
}

// setDate sets the header Date, which would otherwise be the machine's time.
func setDate(h http.Header, now time.Time) { h.Set("Date", now.UTC().Format(http.TimeFormat)) }

// routedMethod returns the request's method, GET for HEAD: net/http leaves out the body.
func routedMethod(r *http.Request) string {
	if r.Method == http.MethodHead {
		return http.MethodGet
	}
	return r.Method
}

// record adds a finished call to the journal.
func (t *Tenant) record(c *call, rec *recorder) {
	c.entry.Status = rec.status
	t.journal.add(c.entry)
	t.signalChanges()
}

// commonHeaders sets the headers of every response, errors included.
func (t *Tenant) commonHeaders(c *call) {
	h := c.w.Header()
	h.Set("Cache-Control", noStore)
	h.Set("Strict-Transport-Security", "max-age=31536000")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Auth0-RequestId", c.id)
	h.Set("X-Mockauth0", "a mock tenant, for tests only")
	h.Set("Vary", "Accept-Encoding, Origin")
	c.setLimit(c.recorded)
	if _, err := c.r.Cookie("did"); err != nil && c.entry.Endpoint != "management" {
		t.deviceCookies(c)
	}
	t.allowOrigin(c)
}

// deviceCookies sets the cookies of every response, /oauth/token included.
func (t *Tenant) deviceCookies(c *call) {
	value := "s%3Av0%3A" + t.randomString(36)
	compat := "did_compat=" + value + "; Max-Age=31557600; Path=" + c.path("/") + "; HttpOnly"
	did := "did=" + value + "; Max-Age=31557600; Path=" + c.path("/") + "; HttpOnly"
	if c.secure() {
		did += "; Secure; SameSite=None"
		compat += "; Secure"
	}
	c.w.Header().Add("Set-Cookie", did)
	c.w.Header().Add("Set-Cookie", compat)
}

func (t *Tenant) requestID() string {
	const hexdigits = "0123456789abcdef"
	b := make([]byte, 20)
	if _, err := t.random.Read(b); err != nil {
		panic("mock: no randomness: " + err.Error())
	}
	for i := range b {
		b[i] = hexdigits[b[i]&15]
	}
	return string(b)
}

// form reads a form-encoded body of limited size.
func (c *call) form() (url.Values, *oauthError) {
	body, bad := c.body()
	if bad != nil {
		return nil, bad
	}
	v, err := parseForm(string(body))
	if err != nil {
		return nil, refuse("invalid_request", "The body is not form-urlencoded")
	}
	return v, nil
}

// parseForm is url.ParseQuery, but a semicolon is data, as browsers send and Node
// reads it.
func parseForm(raw string) (url.Values, error) {
	return url.ParseQuery(strings.ReplaceAll(raw, ";", "%3B"))
}

// query returns the parameters of the URL; it ignores those that are malformed.
func (c *call) query() url.Values {
	v, _ := parseForm(c.r.URL.RawQuery)
	return v
}

func (c *call) body() ([]byte, *oauthError) {
	b, err := io.ReadAll(c.r.Body)
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return nil, refuse("invalid_request", "request entity too large").withStatus(http.StatusRequestEntityTooLarge)
	case err != nil:
		return nil, refuse("invalid_request", "request aborted").withReason("the body ended early")
	}
	return b, nil
}

// mediaType returns the request's content type without parameters.
func (c *call) mediaType() string {
	mt, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return mt
}

// recorder keeps the status for the journal.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func containsWord(list, word string) bool {
	for w := range strings.FieldsSeq(list) {
		if w == word {
			return true
		}
	}
	return false
}
