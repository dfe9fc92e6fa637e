package flow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

const (
	maxRedirects = 10
	headlessKey  = "headless login"
	loginBackoff = "login" // back-off of logins without a person
	localBackoff = "local" // back-off of Run alone, while a file on this machine cannot be read or the store does not answer
)

// LoginHeadless logs in without a person: headless, by the seed, by client credentials,
// a token exchange or a password, even if the credential was rejected before. If
// the provider shows a page that needs a person, the error is an [*Error] of
// [ClassLoginRequired] that names the page.
func (c *Client) LoginHeadless(ctx context.Context) (*Grant, error) {
	if !c.kind.unattended {
		return nil, &Error{
			Op: "login", Class: ClassLoginRequired, Description: "this client's login needs a person",
			Hint: "log in with a browser, here or, with the grant device_code, anywhere",
		}
	}
	c.mu.Lock()
	for _, key := range []string{loginBackoff, headlessKey} {
		delete(c.backoffs, key)
	}
	if g := c.backoffs[""]; g != nil && g.err.Class != ClassRateLimited {
		delete(c.backoffs, "")
	}
	c.mu.Unlock()
	w := c.want(Request{Force: true})
	w.key, w.newLogin, w.probe = headlessKey, true, true
	f := c.join(ctx, w)
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, f.timeoutError(ctx)
	}
	if f.err != nil {
		return nil, f.err
	}
	return c.grant(), nil
}

// logInHeadless logs in without a person, under the lease, so that no two
// processes do it at once. A failed login does not change a working grant.
func (x *exchange) logInHeadless(ctx context.Context, prior *Grant, revision int64) (*Token, *Error) {
	c := x.c
	if e := c.credentialError(ctx); e != nil {
		return nil, x.loginFailed(ctx, prior, revision, e)
	}
	l, err := c.login(ctx, x.meta)
	if err != nil {
		return nil, c.failed(ctx, x.w, asError("login", err))
	}
	hctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	callback, e := c.followRedirects(hctx, l)
	var code Secret
	var g *Grant
	if e == nil {
		code, e = c.checkCallback(l, callback, x.meta)
	}
	if e == nil {
		g, e = c.redeem(ctx, x.f, x.l, x.meta, l, code, prior, revision)
	}
	if e != nil {
		return nil, x.loginFailed(ctx, prior, revision, e)
	}
	c.mu.Lock()
	delete(c.backoffs, loginBackoff)
	c.mu.Unlock()
	return c.serve(x.w, g.Tokens[0]), nil
}

// loginFailed handles a failed headless login. Without a working grant it delays
// the next attempt: by the stored schedule if the provider rejects the client's
// authentication, otherwise by a back-off.
func (x *exchange) loginFailed(ctx context.Context, prior *Grant, revision int64, e *Error) *Error {
	c := x.c
	if prior.exists() && prior.State != GrantDead && prior.RefreshToken != "" {
		return e
	}
	if e.local {
		return c.failed(ctx, x.w, e)
	}
	if e.Op == "exchange" && e.Class == ClassClientRejected {
		g := prior
		if g == nil {
			g = c.emptyGrant(nil, revision)
			g.LoggedIn = time.Time{}
		}
		c.reject(ctx, g, e, c.clientCredentialHash(ctx))
		c.saveBestEffort(ctx, x.l, g)
		return c.failed(ctx, x.w, e)
	}
	c.backOff(loginBackoff, e)
	return c.failed(ctx, x.w, e)
}

// followRedirects follows the redirects of /authorize within the provider's
// origin, with cookies, and returns the query of the one to the redirect URI. It
// does not request the redirect URI.
func (c *Client) followRedirects(ctx context.Context, l Login) (url.Values, *Error) {
	jar, _ := cookiejar.New(nil) // never fails
	h := &http.Client{Transport: c.http.Transport, Jar: jar, CheckRedirect: c.http.CheckRedirect}
	at := l.URL
	for range maxRedirects {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
		if err != nil {
			return nil, &Error{Op: "login", Class: ClassBadResponse, Description: "the provider redirects to an invalid URL"}
		}
		req.Header.Set("Accept", "text/html")
		setRequestID(ctx, req.Header)
		r, err := h.Do(req)
		if err != nil {
			return nil, networkError("login", err)
		}
		body, _ := readBody(r.Body) // only the title of a page is used
		if r.StatusCode < 300 || r.StatusCode >= 400 {
			return nil, c.pageError(l, r, body)
		}
		to, err := req.URL.Parse(r.Header.Get("Location"))
		if err != nil || r.Header.Get("Location") == "" {
			return nil, &Error{Op: "login", Class: ClassBadResponse, Status: r.StatusCode, Description: "a redirect without a valid Location"}
		}
		if isCallback(to, l.RedirectURL) {
			return to.Query(), nil
		}
		if words := l.errorIn(to); words != "" { // the tenant's own error page
			return nil, c.refusedLogin(l, []byte(words), words)
		}
		if at, err = sameOrigin(at, to.String()); err != nil {
			return nil, &Error{
				Op: "login", Class: ClassLoginRequired, Description: "the login redirects to another site: " + err.Error(),
				Hint: "log in with a browser", Remedy: RemedyBrowser, Err: err,
			}
		}
	}
	return nil, &Error{Op: "login", Class: ClassRedirect, Description: fmt.Sprintf("the login redirects more than %d times", maxRedirects)}
}

// isCallback reports whether u is the redirect URI with additional query
// parameters.
func isCallback(u *url.URL, redirect string) bool {
	r, err := url.Parse(redirect)
	return err == nil && u.Scheme == r.Scheme && strings.EqualFold(u.Host, r.Host) && u.EscapedPath() == r.EscapedPath()
}

// pageError returns the error of a headless login that got a page.
func (c *Client) pageError(l Login, r *http.Response, body []byte) *Error {
	if unavailable(r) {
		return statusError("login", r, c.cfg.Now())
	}
	if r.StatusCode >= 400 {
		e := c.refusedLogin(l, body, shownPage(r, body))
		e.Status = r.StatusCode
		return e
	}
	return &Error{
		Op: "login", Class: ClassLoginRequired, Status: r.StatusCode, Description: fmt.Sprintf("a person must log in at the page %q at %s", titleOf(body), r.Request.URL.Path),
		Hint: "turn the page off for this application, or log in with a browser", Remedy: RemedyBrowser, Err: errors.New("the headless login got a page"),
	}
}
