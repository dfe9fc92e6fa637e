package flow

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// checkAuthorize asks /authorize for a login without a person, reads the first
// answer and goes no further: an error that any login would meet comes before
// login_required, which is the good answer here.
func (c *Client) checkAuthorize(ctx context.Context, h *http.Client, m *metadata) Finding {
	const check = "authorize"
	if m.Authorization == "" || c.cfg.plain(m.Authorization) != "" {
		return skipped(check, "authorization_endpoint")
	}
	if c.pushes(m) { // which is a token request of its own
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
		return unreached(check, networkError(check, err))
	}
	body, _ := readBody(r.Body) // a page is only looked at for known words
	return c.judgeAuthorize(l, r, body)
}

// judgeAuthorize sorts the first answer of /authorize. Errors about the client
// or its redirect URI come on a page, or on the tenant's own error page; all
// others on the redirect URI (RFC 6749 section 4.1.2.1).
func (c *Client) judgeAuthorize(l Login, r *http.Response, body []byte) Finding {
	f := Finding{Check: "authorize", Result: ResultOK, Text: "the tenant takes the request, with redirect_uri " + l.RedirectURL}
	if r.StatusCode < 300 || r.StatusCode >= 400 {
		return c.judgePage(f, l, r, body)
	}
	to, err := r.Request.URL.Parse(r.Header.Get("Location"))
	if err != nil || r.Header.Get("Location") == "" {
		f.Result, f.Class, f.Text = ResultProblem, ClassBadResponse, "the authorization endpoint redirects without a usable Location"
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
	f.Text = fmt.Sprintf("the tenant refuses the login with %s: %s", code, said)
	return f
}

// hintFor is what to look at after an error on the redirect URI. Auth0 words
// them; the code is what counts.
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

// judgePage sorts an answer that is no redirect.
func (c *Client) judgePage(f Finding, l Login, r *http.Response, body []byte) Finding {
	switch {
	case unavailable(r):
		return failedCheck(f.Check, statusError(f.Check, r, c.cfg.Now()))
	case r.StatusCode >= 400:
		return failedCheck(f.Check, c.refusedLogin(l, body, shownPage(r, body)))
	}
	f.Result, f.Text = ResultWarning, "the tenant answers "+shownPage(r, body)+" where a redirect is due"
	f.Hint = "log in once by hand and look at what it shows"
	return f
}

// CheckSecret finds out whether the tenant takes the client's authentication,
// by a token request that cannot succeed: its code is made up. Nothing is
// spent, but the tenant logs a failed exchange and may count it against the
// client.
func (c *Client) CheckSecret(ctx context.Context) Finding {
	f := Finding{Check: "secret", Result: ResultOK, Text: "the tenant takes the client's authentication"}
	if c.cfg.Auth == AuthNone {
		f.Result, f.Text = ResultSkipped, "a public client has none"
		return f
	}
	m, err := c.idp.endpoints(ctx)
	if err != nil {
		return skipped(f.Check, "discovery and the right issuer")
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {"made-up"}, "redirect_uri": {c.cfg.RedirectURL}}
	_, o, e := c.post(ctx, f.Check, m.Token, form, tries{})
	if c.ownTransport {
		c.http.CloseIdleConnections()
	}
	switch {
	case e == nil && o == succeeded:
		f.Result, f.Class, f.Text = ResultProblem, ClassBadResponse, "the tenant gives a token for a code that is made up"
	case e.Code == "invalid_grant", e.Code == "unauthorized_client": // it knows who asks and refuses what is asked
	case e.Class == ClassClientRejected:
		f.Result, f.Class, f.Text = ResultProblem, ClassClientRejected, fmt.Sprintf("the tenant refuses the client's authentication: %s: %s", e.Code, e.Description)
		f.Hint = "compare client_secret with the application's in the tenant's dashboard, and token_auth with its authentication method"
	case o == refused && e.Class == ClassRequest:
		f.Result, f.Text = ResultSkipped, "the tenant's answer "+e.Code+" tells nothing of the secret"
	default:
		return unreached(f.Check, e)
	}
	return f
}
