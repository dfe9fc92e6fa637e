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

// classify classifies the answer to a request with that form. It reads the body
// before status and content type: tokens are used under any 2xx status, and a
// dead refresh token is dead under any status.
func (c *Client) classify(op string, r *http.Response, body []byte, readErr error, form url.Values) (answer, outcome, *Error) {
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
		readErr = nil // the answer is complete
	}
	switch {
	case r.StatusCode >= 300 && r.StatusCode < 400:
		e.Class, e.Description = ClassRedirect, "the token endpoint redirects; redirects are not followed"
		e.Hint = "set issuer to the address that the provider redirects to"
		return a, refused, e
	case refresh && a.standardError && a.code == "invalid_grant": // the body decides, even under status 429
		return a, refused, c.deadTokenError(e)
	case isRateLimit(r, a.code):
		e.Class = ClassRateLimited
		c.limitProvider(e, form)
		return a, refused, e
	case refresh && isDeadTokenCode(a.code):
		return a, refused, c.deadTokenError(e)
	case r.StatusCode >= 500 && a.code != "unsupported_grant_type" || r.StatusCode == http.StatusRequestTimeout:
		e.Class = ClassUnreachable
		if e.Description == "" {
			e.Description = "the provider answers " + statusLine(r)
		}
		return a, unknown, e
	case isTimeout(readErr):
		return a, unknown, networkError(op, readErr)
	case readErr != nil:
		return bad(unknown, "the answer is incomplete: "+readErr.Error())
	case isOutageCode(a.code):
		e.Class = ClassUnreachable
		describeByCode(e)
		return a, unknown, e
	case a.code != "":
		classifyCode(e)
		if e.Code == "unauthorized_client" && refresh { // Atlassian reports a dead token like this, too
			e.Hint += ", or " + c.loginHint()
		}
		c.addSettingHint(e)
		describeByCode(e)
		return a, refused, e
	case r.StatusCode >= 400:
		return bad(refused, "the provider answers "+statusLine(r)+" without an error code")
	case err != nil:
		return bad(unknown, redact(err.Error(), secrets))
	case a.unusable != "" && a.refresh == "" && !a.noLifetime:
		return bad(unknown, a.unusable)
	}
	return a, succeeded, nil
}

// deadTokenError makes e the error for a dead refresh token.
func (c *Client) deadTokenError(e *Error) *Error {
	e.Class, e.dead = ClassLoginRequired, true
	c.addSettingHint(e)
	describeByCode(e)
	return e
}

// describeByCode sets the description from the code if the provider sent none.
func describeByCode(e *Error) {
	if e.Description == "" && e.Code != "" {
		e.Description = "the provider answers " + e.Code + ", without a description"
	}
}

// classifyCode sets the class for an error code of RFC 6749 section 5.2, OpenID
// Connect or Auth0. It uses the status only if one code has two meanings.
func classifyCode(e *Error) {
	switch e.Code {
	case "invalid_grant", "login_required", "consent_required", "interaction_required", "account_selection_required":
		e.Class = ClassLoginRequired
	case "invalid_client", "unauthorized_client", "unsupported_grant_type", "OAuthException/101": // Facebook's code for an unknown application
		e.Class, e.Hint = ClassClientRejected, "check client id, client secret, client authentication and the grants that the application may use"
	case "access_denied": // Auth0 answers 401 access_denied for a wrong client secret
		e.Class = ClassRequest
		if e.Status == http.StatusUnauthorized {
			e.Class, e.Hint = ClassClientRejected, "check client id, client secret and client authentication"
		}
	default: // invalid_scope, invalid_target, mfa_required, invalid_request and others
		e.Class = ClassRequest
	}
}

// seedHint is the hint for a rejected seed.
const seedHint = "give a new refresh token (refresh_token_file or refresh_token of the client)"

// addSettingHint adds the setting that causes the refusal to its hint. It looks
// at Auth0's descriptions, because the code alone is not specific.
func (c *Client) addSettingHint(e *Error) {
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
		e.Hint = "set realm to the name of a connection that is enabled for the application"
	case has("user is blocked"):
		e.Hint = "unblock the user at the tenant, then " + LoginAgain
	case has("invalid_target"), has("service not found"), has("audience"), has("resource server"):
		e.Hint = "audience (--audience) must be exactly the Identifier of an API of this tenant that the application may use"
	case has("scope"):
		e.Hint = "request only scopes (--scope) that the API has and the application may use"
	case e.Code == "access_denied":
		e.Hint = "see the tenant's log for the reason; check audience and scopes"
	default:
		e.Hint = "check the client's audience, scopes and grant, or --audience and --scope"
	}
}

// isRateLimit reports whether an answer is a rate limit. Auth0 reports its
// tenant-wide limit as 500 access_denied with X-RateLimit headers.
func isRateLimit(r *http.Response, code string) bool {
	switch {
	case r.StatusCode == http.StatusTooManyRequests || isRateLimitCode(code):
		return true
	case r.StatusCode < 500 || code != "access_denied":
		return false
	}
	return r.Header.Get("X-RateLimit-Limit") != "" || r.Header.Get("X-RateLimit-Reset") != "" || r.Header.Get("Retry-After") != ""
}

// limitProvider delays all clients of the provider after a rate limit with an
// end. Limits on the attempts of one account or one device do not affect other
// clients.
func (c *Client) limitProvider(e *Error, form url.Values) {
	if e.RetryAfter > 0 && form.Has("grant_type") && e.Code != "too_many_attempts" && e.Code != "slow_down" {
		c.provider.setRateLimit(e.RetryAfter)
	}
}

// secretsOf returns the secrets of a request, which are masked in its answer.
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

// notSecrets are OAuth keywords that appear in error descriptions and may also be
// used as a password. Masking them would hide the description.
var notSecrets = []string{
	"password", "code", "token", "secret", "client_secret", "refresh_token", "access_token", "id_token", "grant_type",
	"client_id", "audience", "scope", "realm", "username",
}

func redact(text string, secrets []string) string {
	for _, s := range secrets {
		if s != "" && !slices.Contains(notSecrets, s) {
			text = strings.ReplaceAll(text, s, masked)
		}
	}
	return text
}

// statusError returns the error for an unexpected status outside of the token
// endpoint.
func statusError(op string, r *http.Response, now time.Time) *Error {
	e := &Error{Op: op, Class: ClassBadResponse, Status: r.StatusCode, Description: "the provider answers " + statusLine(r)}
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

// networkError returns the error for a request without an answer. It leaves out
// the URL, whose query may contain a code.
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

// statusLine returns a status with the text of RFC 9110. The reason phrase of the
// answer is not used, because it could repeat a secret of the request.
func statusLine(r *http.Response) string {
	return strings.TrimSpace(strconv.Itoa(r.StatusCode) + " " + http.StatusText(r.StatusCode))
}
