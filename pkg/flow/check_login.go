package flow

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// checkAuthorize asks /authorize for a login without a person and reads only the
// first answer. An error that any login would get comes before login_required, so
// login_required means that the request is accepted.
func (c *Client) checkAuthorize(ctx context.Context, h *http.Client, m *metadata) Finding {
	const check = "authorize"
	if m.Authorization == "" || c.cfg.checkURL(m.Authorization) != "" {
		return skipped(check, "authorization_endpoint")
	}
	if c.pushes(m) { // pushing would be a POST with client authentication
		return skipped(check, "a pushed authorization request (PAR), which is not made here")
	}
	l, err := c.login(ctx, m)
	if err != nil {
		return failedCheck(check, asError(check, err))
	}
	u, err := url.Parse(l.URL)
	if err != nil {
		return skipped(check, "authorization_endpoint")
	}
	q := u.Query()
	q.Set("prompt", "none")
	u.RawQuery = q.Encode()
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return skipped(check, "authorization_endpoint")
	}
	req.Header.Set("Accept", "text/html")
	r, err := h.Do(req)
	if err != nil {
		return networkFinding(check, networkError(check, err))
	}
	body, _ := readBody(r.Body) // only searched for known texts
	return c.classifyAuthorize(l, r, body)
}

// classifyAuthorize returns the finding for the first answer of /authorize.
// Errors about the client or its redirect URI are shown on a page, or on the
// tenant's own error page; all others go to the redirect URI (RFC 6749 section
// 4.1.2.1).
func (c *Client) classifyAuthorize(l Login, r *http.Response, body []byte) Finding {
	f := Finding{Check: "authorize", Result: ResultOK, Text: "the provider accepts the request, with redirect_uri " + l.RedirectURL}
	if r.StatusCode < 300 || r.StatusCode >= 400 {
		return c.classifyPage(f, l, r, body)
	}
	to, err := r.Request.URL.Parse(r.Header.Get("Location"))
	if err != nil || r.Header.Get("Location") == "" {
		f.Result, f.Class, f.Text = ResultProblem, ClassBadResponse, "the authorization endpoint redirects without a valid Location"
		return f
	}
	code, said := l.refusal(to.Query())
	switch {
	case code == "":
		return f
	case !isCallback(to, l.RedirectURL): // the tenant's own error page
		words := l.errorIn(to)
		return failedCheck(f.Check, c.refusedLogin(l, []byte(words), words))
	}
	switch code {
	case "login_required", "consent_required", "interaction_required", "account_selection_required":
		return f
	case "server_error", "temporarily_unavailable":
		f.Result, f.Class, f.Hint = ResultProblem, ClassUnreachable, "try again later"
	default:
		f.Result, f.Class, f.Hint = ResultProblem, ClassConfig, c.hintFor(code)
		if c.wantsPAR(code, said) {
			f.Hint = parHint
		}
	}
	f.Text = fmt.Sprintf("the provider rejects the login with %s: %s", code, said)
	return f
}

// hintFor returns the hint for an error code on the redirect URI.
func (c *Client) hintFor(code string) string {
	switch code {
	case "access_denied":
		if c.cfg.Audience != "" {
			return "audience must be the Identifier of an API of this tenant, exactly; it is " + c.cfg.Audience
		}
	case "invalid_scope":
		return "ask for scopes that the tenant knows; these are " + strings.Join(c.cfg.Scopes, " ")
	}
	return "enable the Authorization Code grant for application " + c.cfg.ClientID +
		" in the tenant's dashboard, authorize it for the API, and check authorize_params"
}

// classifyPage returns the finding for an answer that is not a redirect.
func (c *Client) classifyPage(f Finding, l Login, r *http.Response, body []byte) Finding {
	switch {
	case unavailable(r):
		return failedCheck(f.Check, statusError(f.Check, r, c.cfg.Now()))
	case r.StatusCode >= 400:
		return failedCheck(f.Check, c.refusedLogin(l, body, shownPage(r, body)))
	}
	f.Result, f.Text = ResultWarning, "the provider answers with "+shownPage(r, body)+" instead of a redirect"
	f.Hint = "log in with a browser and read the page"
	return f
}

// CheckSecret checks whether the provider accepts the client's authentication,
// with a token request that cannot succeed because its code is invalid. It uses up
// nothing, but the provider logs a failed exchange and may count it against the
// client.
func (c *Client) CheckSecret(ctx context.Context) Finding {
	f := Finding{Check: "secret", Result: ResultOK, Text: "the provider accepts the client's authentication"}
	if c.cfg.Auth == AuthNone {
		f.Result, f.Text = ResultSkipped, "a public client has none"
		return f
	}
	m, err := c.provider.endpoints(ctx)
	if err != nil {
		return skipped(f.Check, "discovery and the right issuer")
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {"made-up"}, "redirect_uri": {c.cfg.RedirectURL}}
	_, o, e := c.post(ctx, f.Check, m.Token, form, sendOptions{})
	if c.ownTransport {
		c.http.CloseIdleConnections()
	}
	switch {
	case e == nil && o == succeeded:
		f.Result, f.Class, f.Text = ResultProblem, ClassBadResponse, "the provider issued a token for an invalid code"
	case e.Code == "invalid_grant", e.Code == "unauthorized_client": // the client is authenticated, the code is rejected
	case e.Class == ClassClientRejected:
		f.Result, f.Class, f.Text = ResultProblem, ClassClientRejected, fmt.Sprintf("the provider rejects the client's authentication: %s: %s", e.Code, e.Description)
		f.Hint = "compare client_secret with the application's in the tenant's dashboard, and token_auth with its authentication method"
	case o == refused && e.Class == ClassRequest:
		f.Result, f.Text = ResultSkipped, "the tenant's answer "+e.Code+" does not show whether the secret is right"
	default:
		return networkFinding(f.Check, e)
	}
	return f
}
