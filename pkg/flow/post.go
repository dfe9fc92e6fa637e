package flow

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// outcome is what a token request did to the refresh token it carried.
type outcome int

const (
	succeeded outcome = iota // the tenant answered with tokens
	notSent                  // no byte of the request left: unspent
	refused                  // a definite no: unspent
	unknown                  // sent, and no word of what became of it
)

// post sends one token request: exactly one POST, to where the endpoint is and
// nowhere else, with the pinned client authentication and one deadline for all
// of it.
func (c *Client) post(ctx context.Context, op, endpoint string, form url.Values, how tries) (answer, outcome, *Error) {
	ctx, release, e := c.idp.admit(ctx, op)
	if e != nil {
		return answer{}, notSent, e
	}
	defer release()
	r, body, o, err := c.send(ctx, op, endpoint, form, how)
	if r == nil {
		return answer{}, o, asError(op, err)
	}
	return c.judge(op, r, body, err, form)
}

// judge sorts the answer to a request with that form. The body is read before
// status and content type are looked at: an answer that holds tokens is good in
// any envelope of the 2xx kind, and one that ends the refresh token does so
// under any status.
func (c *Client) judge(op string, r *http.Response, body []byte, readErr error, form url.Values) (answer, outcome, *Error) {
	bad := func(o outcome, what string) (answer, outcome, *Error) {
		return answer{}, o, &Error{Op: op, Class: ClassBadResponse, Status: r.StatusCode, Description: what}
	}
	secrets, refresh := c.secretsOf(r, form), form.Get("grant_type") == "refresh_token"
	date, _ := http.ParseTime(r.Header.Get("Date"))
	a, err := parseAnswer(r.Header.Get("Content-Type"), body)
	a.date = date
	a.code, a.description = clean(redact(a.code, secrets), 64), clean(redact(a.description, secrets), 256)
	e := &Error{Op: op, Code: a.code, Description: a.description, Status: r.StatusCode}
	e.RetryAfter = retryAfter(r.Header, c.cfg.Now())
	if a.complete && r.StatusCode/100 == 2 {
		readErr = nil // nothing of the answer is missing, whatever broke after it
	}
	switch {
	case r.StatusCode >= 300 && r.StatusCode < 400:
		e.Class, e.Description = ClassRedirect, "the token endpoint redirects, which is not followed"
		e.Hint = "configure the issuer under which the provider really answers"
		return a, refused, e
	case refresh && a.plain && a.code == "invalid_grant": // also of a rate limit's status: the body decides
		return a, refused, c.deadAnswer(e)
	case limited(r, a.code):
		e.Class = ClassRateLimited
		c.holdAll(e, form)
		return a, refused, e
	case refresh && deadWord(a.code):
		return a, refused, c.deadAnswer(e)
	case r.StatusCode >= 500 && a.code != "unsupported_grant_type" || r.StatusCode == http.StatusRequestTimeout:
		e.Class = ClassUnreachable
		if e.Description == "" {
			e.Description = "the tenant answers " + statusLine(r)
		}
		return a, unknown, e
	case isTimeout(readErr):
		return a, unknown, networkError(op, readErr)
	case readErr != nil:
		return bad(unknown, "the answer breaks off: "+readErr.Error())
	case outageWord(a.code):
		e.Class = ClassUnreachable
		onlyCode(e)
		return a, unknown, e
	case a.code != "":
		sortCode(e)
		if e.Code == "unauthorized_client" && refresh { // Atlassian's word for a dead token, too
			e.Hint += ", or " + c.loginHint()
		}
		c.nameSetting(e)
		onlyCode(e)
		return a, refused, e
	case r.StatusCode >= 400:
		return bad(refused, "the tenant answers "+statusLine(r)+" without an error code")
	case err != nil:
		return bad(unknown, redact(err.Error(), secrets))
	case a.fault != "" && a.refresh == "" && !a.lifeless:
		return bad(unknown, a.fault)
	}
	return a, succeeded, nil
}

// deadAnswer makes e the refusal of the refresh token that was sent.
func (c *Client) deadAnswer(e *Error) *Error {
	e.Class, e.dead = ClassLoginRequired, true
	c.nameSetting(e)
	onlyCode(e)
	return e
}

// onlyCode describes a refusal by its code where the provider says no more.
func onlyCode(e *Error) {
	if e.Description == "" && e.Code != "" {
		e.Description = "the provider answers " + e.Code + ", without a description"
	}
}

// sortCode gives an error code of RFC 6749 section 5.2, OpenID Connect or Auth0
// its class. The status decides only where one code has two meanings.
func sortCode(e *Error) {
	switch e.Code {
	case "invalid_grant", "login_required", "consent_required", "interaction_required", "account_selection_required":
		e.Class = ClassLoginRequired
	case "invalid_client", "unauthorized_client", "unsupported_grant_type", "OAuthException/101": // Facebook's is an unknown application
		e.Class, e.Hint = ClassClientRejected, "check client id, client secret, client authentication and the grants that the application may use"
	case "access_denied": // Auth0 says 401 access_denied to a wrong client secret
		e.Class = ClassRequest
		if e.Status == http.StatusUnauthorized {
			e.Class, e.Hint = ClassClientRejected, "check client id, client secret and client authentication"
		}
	default: // invalid_scope, invalid_target, mfa_required, invalid_request and what else there may be
		e.Class = ClassRequest
	}
}

// seedHint is what helps against a seed that the tenant has refused.
const seedHint = "give a new refresh token (refresh_token_file or refresh_token of the client)"

// nameSetting says in a refusal which setting asks for what was refused. The
// words are Auth0's; the code alone tells little.
func (c *Client) nameSetting(e *Error) {
	if _, seed := c.cfg.Source.(Seed); seed && e.Class == ClassLoginRequired {
		e.Hint, e.Remedy = seedHint, RemedySetting
	}
	if e.Class != ClassRequest || e.Hint != "" {
		return
	}
	words := strings.ToLower(e.Code + " " + e.Description)
	has := func(s string) bool { return strings.Contains(words, s) }
	p, _ := c.cfg.Source.(Password)
	switch {
	case e.Code == "mfa_required":
	case c.wantsPAR(e.Code, e.Description):
		e.Hint = parHint
	case p.Realm != "" && (has("connection") || has("realm")):
		e.Hint = "set realm to the name of a connection of the tenant that is enabled for the application"
	case has("invalid_target"), has("service not found"), has("audience"), has("resource server"):
		e.Hint = "audience (--audience) must be the Identifier of an API of this tenant, exactly, that the application may use"
	case has("scope"):
		e.Hint = "ask with scopes (--scope) for what the API has and the application may have"
	case e.Code == "access_denied":
		e.Hint = "the tenant's log says what denied it; audience and scopes say what was asked for"
	default:
		e.Hint = "check the client's audience, scopes and grant, or --audience and --scope"
	}
}

// limited reports whether an answer is a rate limit. Auth0 sends its
// tenant-wide one as 500 access_denied with X-RateLimit headers.
func limited(r *http.Response, code string) bool {
	switch {
	case r.StatusCode == http.StatusTooManyRequests || limitWord(code):
		return true
	case r.StatusCode < 500 || code != "access_denied":
		return false
	}
	return r.Header.Get("X-RateLimit-Limit") != "" || r.Header.Get("X-RateLimit-Reset") != "" || r.Header.Get("Retry-After") != ""
}

// holdAll holds all clients of the provider back after a limit that names its
// end. What counts the attempts of one account or one device concerns no others.
func (c *Client) holdAll(e *Error, form url.Values) {
	if e.RetryAfter > 0 && form.Has("grant_type") && e.Code != "too_many_attempts" && e.Code != "slow_down" {
		c.idp.hold(e.RetryAfter)
	}
}

// secretsOf returns the values of a request that its answer must not bring into a log.
func (c *Client) secretsOf(r *http.Response, form url.Values) []string {
	s := []string{c.cfg.ClientSecret.Reveal()}
	for _, k := range []string{
		"refresh_token", "code", "code_verifier", "token", "password", "subject_token", "device_code", "client_assertion", "client_secret",
	} {
		s = append(s, form.Get(k))
	}
	if r.Request != nil {
		if _, escaped, ok := r.Request.BasicAuth(); ok {
			secret, _ := url.QueryUnescape(escaped)
			s = append(s, escaped, secret)
		}
	}
	return s
}

// keywords are words of OAuth that a tenant's own text has, and that somebody may
// have taken for a password: masking them hides the text and no secret.
var keywords = []string{
	"password", "code", "token", "secret", "client_secret", "refresh_token", "access_token", "id_token", "grant_type",
	"client_id", "audience", "scope", "realm", "username",
}

func redact(text string, secrets []string) string {
	for _, s := range secrets {
		if s != "" && !slices.Contains(keywords, s) {
			text = strings.ReplaceAll(text, s, masked)
		}
	}
	return text
}

// statusError is the failure of an answer other than 200 outside the token endpoint.
func statusError(op string, r *http.Response, now time.Time) *Error {
	e := &Error{Op: op, Class: ClassBadResponse, Status: r.StatusCode, Description: "the tenant answers " + statusLine(r)}
	if r.Request != nil {
		e.Description += " at " + r.Request.URL.Host + r.Request.URL.Path
	}
	e.RetryAfter = retryAfter(r.Header, now)
	switch {
	case r.StatusCode == http.StatusTooManyRequests:
		e.Class = ClassRateLimited
	case r.StatusCode >= 500:
		e.Class = ClassUnreachable
	}
	return e
}

// networkError is the failure of a request that had no answer. The URL of the
// request, whose query may hold a code, is left out.
func networkError(op string, err error) *Error {
	var u *url.Error
	host := ""
	if errors.As(err, &u) {
		err = u.Err
		if at, perr := url.Parse(u.URL); perr == nil {
			host = at.Host
		}
	}
	e := &Error{Op: op, Class: ClassUnreachable, Err: err}
	if isTimeout(err) {
		e.Class, e.Description = ClassTimeout, "no answer in time"
	}
	if host != "" {
		describeNetwork(e, host)
	}
	return e
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// statusLine is a status in the words of RFC 9110. Those of the answer could be
// anything, such as a secret of the request.
func statusLine(r *http.Response) string {
	return strings.TrimSpace(strconv.Itoa(r.StatusCode) + " " + http.StatusText(r.StatusCode))
}
