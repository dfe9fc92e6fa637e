package recording

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"example.com/tokend/pkg/contract"
)

// recordedPaths are the endpoints whose exchanges are recorded.
var recordedPaths = []string{
	"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json",
	"/authorize", "/oauth/token", "/oauth/revoke", "/userinfo",
}

// keptHeaders are the headers of answers that are kept as they are.
var keptHeaders = []string{"Content-Type", "Cache-Control", "Pragma", "WWW-Authenticate"}

// newCase returns the case of an exchange, or why there is none. Both are empty for a
// step between two pages.
func (r *Recorder) newCase(x *exchange) (*contract.Case, string) {
	if c, done := r.login(x); done {
		return c, ""
	}
	if !slices.Contains(recordedPaths, x.path) {
		return nil, "endpoint that is not recorded"
	}
	req, why := r.request(x)
	if why != "" {
		return nil, why
	}
	c := contract.Case{
		Request: req.contractRequest, Portable: true, Status: x.status, Headers: map[string]*string{},
		Sources: []string{"recorded by mockauth0"}, Confidence: contract.Recorded,
		Grant: x.form.Get("grant_type"),
	}
	if req.grant != nil {
		c.Setup, c.Authorize = req.grant.setup, req.grant.authorize
	}
	for _, name := range keptHeaders {
		if v := r.text(x.answer.Get(name)); v != "" && (name != "WWW-Authenticate" || !looksSecret.MatchString(v)) {
			c.Headers[name] = &v
		}
	}
	if !r.describe(x, &c) {
		return nil, "answer that is neither JSON nor empty"
	}
	if req.unknown && x.status < http.StatusBadRequest && x.path != "/oauth/revoke" { // which accepts any token
		return nil, "token that no recorded login led to"
	}
	r.follow(x, req)
	return &c, ""
}

// describe adds the body of an answer to its case.
func (r *Recorder) describe(x *exchange, c *contract.Case) bool {
	text := string(x.body)
	switch {
	case strings.HasPrefix(x.answer.Get("Content-Type"), "application/json") && json.Valid(x.body) && strings.HasPrefix(text, "{"):
		c.JWT = map[string]string{}
		exact := r.object(x, c, x.body)
		if strings.HasSuffix(x.path, "/jwks.json") {
			exact = oneKey(exact)
		}
		c.Body = &contract.Body{Exact: exact}
		if len(c.JWT) == 0 {
			c.JWT = nil
		}
		return true
	case text == "" || x.status >= http.StatusBadRequest && len(text) < 40 && !looksSecret.MatchString(text):
		c.Body = &contract.Body{Text: &text}
		return true
	}
	return false
}

// follow remembers what an answer of the token endpoint issued.
func (r *Recorder) follow(x *exchange, req redacted) {
	g := req.grant
	if x.path == "/oauth/revoke" && g != nil && x.status == http.StatusOK {
		g.reached("revoke")
	}
	if x.path != "/oauth/token" || g == nil {
		return
	}
	var body struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		ID      string `json:"id_token"`
	}
	if json.Unmarshal(x.body, &body) != nil || x.status != http.StatusOK {
		return
	}
	switch x.form.Get("grant_type") {
	case "authorization_code":
		g.reached("exchange")
	case "refresh_token":
		if body.Refresh != "" && body.Refresh != x.form.Get("refresh_token") {
			g.reached("refresh")
			r.grants.issue(x.form.Get("refresh_token"), "rt_previous", g)
		}
	}
	r.grants.issue(body.Access, "at", g)
	r.grants.issue(body.Refresh, "rt", g)
	r.grants.issue(body.ID, "id_token", g)
}

// login follows an authorization request through the tenant's pages. done reports that
// the exchange is part of one; its case is that of the redirect to the client.
func (r *Recorder) login(x *exchange) (c *contract.Case, done bool) {
	to, err := url.Parse(x.answer.Get("Location"))
	redirects := err == nil && x.status/100 == 3 && x.answer.Get("Location") != ""
	request := r.pages[x.query.Get("state")]
	if x.path == "/authorize" && x.method == http.MethodGet {
		req, why := r.request(x)
		if why != "" || !redirects {
			return nil, false
		}
		params := map[string]*string{}
		for name, value := range req.Query {
			if !slices.Contains([]string{"response_type", "client_id", "redirect_uri", "state"}, name) {
				params[name] = &value
			}
		}
		for _, name := range []string{"scope", "audience"} { // which the steps send otherwise
			if _, sent := req.Query[name]; !sent {
				params[name] = nil
			}
		}
		request = &authorization{params: params, request: req.contractRequest}
	}
	if request == nil {
		return nil, false
	}
	if !redirects {
		return nil, true // a page
	}
	if to.Host == "" || to.Host == r.upstream.Host {
		if state := to.Query().Get("state"); state != "" {
			r.pages[state] = request
		}
		return nil, true
	}
	return r.callback(request, to), true
}

// callback returns the case of an authorization request whose answer is a redirect to
// the client.
func (r *Recorder) callback(a *authorization, to *url.URL) *contract.Case {
	raw, in := to.RawQuery, ""
	if to.Fragment != "" {
		raw, in = to.EscapedFragment(), "fragment"
	}
	c := &contract.Case{
		Request: a.request, Portable: true, Status: http.StatusFound, Setup: []string{"session"}, Authorize: maps.Clone(a.params),
		Location: &contract.Location{To: "{{redirect_uri}}", In: in},
		Sources:  []string{"recorded by mockauth0"}, Confidence: contract.Recorded,
	}
	if a.request.Query["prompt"] != "" {
		delete(c.Authorize, "prompt") // of the request, not of the login before
	}
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		value, err := url.QueryUnescape(value)
		switch {
		case err != nil:
			return nil
		case name == "code":
			r.grants.issue(value, "code", &grant{authorize: a.params, setup: []string{"code"}})
			value = "<code>"
		case name == "state":
			value = recordedState
		case name == "iss":
			value = r.text(value)
		case name != "error" && name != "error_description" || looksSecret.MatchString(value):
			return nil // tokens of the front channel
		}
		c.Location.Params = append(c.Location.Params, [2]string{name, value})
	}
	if value := "error"; slices.ContainsFunc(c.Location.Params, func(p [2]string) bool { return p[0] == value }) {
		c.Setup = nil
	}
	return c
}

var (
	looksSecret = regexp.MustCompile(`[A-Za-z0-9_-]{24,}|eyJ[A-Za-z0-9_-]*\.`)
	isJWT       = regexp.MustCompile(`\A[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\z`)
	isTime      = regexp.MustCompile(`\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\z`)
)

// text returns a text in which the issuer has its variable.
func (r *Recorder) text(s string) string {
	for _, base := range []string{r.upstream.String(), r.own.String()} {
		s = strings.ReplaceAll(s, base, "{{issuer}}")
	}
	return s
}

// openMembers are the members of answers whose texts are kept.
var openMembers = []string{"error", "error_description", "token_type", "scope", "alg", "typ", "kty", "use", "gty", "amr"}

// object returns a JSON object with placeholders, its members in their order.
func (r *Recorder) object(x *exchange, c *contract.Case, raw []byte) json.RawMessage {
	public := strings.Contains(x.path, "/.well-known/") && !strings.HasSuffix(x.path, "jwks.json")
	return mapStrings(raw, func(key, value string) any {
		switch {
		case public:
			return r.text(value)
		case isJWT.MatchString(value) && c != nil && strings.HasSuffix(key, "_token"):
			if p, ok := r.profile(x, value); ok {
				name := "profile of " + key
				r.out.JWT[name], c.JWT[key] = p, name
				return "$jwt"
			}
			return "$opaque"
		case strings.HasSuffix(key, "_token"), key == "device_code":
			return "$opaque"
		case slices.Contains(openMembers, key) && !looksSecret.MatchString(value):
			return r.text(value)
		}
		return r.kind(x, key, value)
	}, func(key string, number json.Number) any {
		if slices.Contains([]string{"iat", "exp", "auth_time", "nbf", "updated_at"}, key) {
			return "$int"
		}
		return number
	})
}

// oneKey returns a JWKS with one key instead of several, of what all of them have in
// common. A contract takes a list of one object for one or more of it, and a tenant that
// rotates its keys has two of them or three.
func oneKey(jwks json.RawMessage) json.RawMessage {
	var set struct {
		Keys json.RawMessage `json:"keys"`
	}
	var keys []map[string]json.RawMessage
	if json.Unmarshal(jwks, &set) != nil || json.Unmarshal(set.Keys, &keys) != nil || len(keys) < 2 {
		return jwks
	}
	common := keys[0]
	for _, key := range keys[1:] {
		for name, value := range common {
			if other, has := key[name]; !has {
				delete(common, name)
			} else if !bytes.Equal(other, value) {
				common[name] = json.RawMessage(`"$any"`)
			}
		}
	}
	return bytes.Replace(jwks, set.Keys, mustJSON([]map[string]json.RawMessage{common}), 1)
}

// kind returns the placeholder of a text that may be personal or secret.
func (r *Recorder) kind(x *exchange, key, value string) string {
	client := x.form.Get("client_id")
	switch {
	case strings.HasPrefix(value, r.upstream.String()), strings.HasPrefix(value, r.own.String()):
		return r.text(value)
	case key == "nonce":
		return "{{nonce}}"
	case client != "" && value == client:
		return "{{client_id}}"
	case client != "" && value == client+"@clients":
		return "{{client_id}}@clients"
	case key == "aud":
		return "{{audience}}"
	case key == "azp", key == "client_id":
		return "{{client_id}}"
	case key == "sub":
		return "$sub"
	case isTime.MatchString(value):
		return "$iso_ms"
	case value == "":
		return ""
	}
	return "$string"
}

// profile describes a JWT without its values.
func (r *Recorder) profile(x *exchange, token string) (contract.Profile, bool) {
	parts := strings.Split(token, ".")
	header, errHeader := base64.RawURLEncoding.DecodeString(parts[0])
	claims, errClaims := base64.RawURLEncoding.DecodeString(parts[1])
	var life struct{ Iat, Exp int64 }
	if errHeader != nil || errClaims != nil || !json.Valid(header) || json.Unmarshal(claims, &life) != nil {
		return contract.Profile{}, false
	}
	if basic, _, ok := (&http.Request{Header: x.header}).BasicAuth(); ok && x.form.Get("client_id") == "" {
		x = &exchange{path: x.path, form: url.Values{"client_id": {basic}}}
	}
	p := contract.Profile{Header: r.object(x, nil, header), Claims: r.object(x, nil, claims)}
	var answer struct {
		ExpiresIn int64 `json:"expires_in"`
	}
	if p.Lifetime = ""; json.Unmarshal(x.body, &answer) == nil && answer.ExpiresIn == life.Exp-life.Iat {
		p.Lifetime = "expires_in"
	} else {
		p.Lifetime = json.Number(mustJSON(life.Exp - life.Iat)).String()
	}
	return p, true
}
