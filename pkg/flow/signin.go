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
	maxHops   = 10
	signInKey = "sign in"
	loginGate = "login" // holds back logins without a person after one that failed
	localGate = "local" // holds Run back, and no caller, while something to send cannot be read
)

// SignIn has a grant without a person: headless, by the seed, by client
// credentials, a token exchange or a password, refused before or not. Where a page wants a person it is an [*Error] of
// [ClassLoginRequired] that names the page.
func (c *Client) SignIn(ctx context.Context) (*Grant, error) {
	if !c.kind.unattended {
		return nil, &Error{
			Op: "login", Class: ClassLoginRequired, Description: "this client's login needs a person",
			Hint: "log in with a browser, here or, with the grant device_code, anywhere",
		}
	}
	c.mu.Lock()
	for _, key := range []string{loginGate, signInKey} {
		delete(c.gates, key)
	}
	if g := c.gates[""]; g != nil && g.err.Class != ClassRateLimited {
		delete(c.gates, "")
	}
	c.mu.Unlock()
	w := c.want(Request{Force: true})
	w.key, w.signIn, w.probe = signInKey, true, true
	f := c.join(w)
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, f.gaveUp(ctx)
	}
	if f.err != nil {
		return nil, f.err
	}
	return c.grant(), nil
}

// signIn logs in headless, under the lease: no two processes do it at once.
// Nothing that it meets changes a grant that works.
func (x *exchange) signIn(ctx context.Context, prior *Grant, revision int64) (*Token, *Error) {
	c := x.c
	if e := c.credentialError(ctx); e != nil {
		return nil, x.loginFailed(ctx, prior, revision, e)
	}
	l, err := c.login(ctx, x.meta)
	if err != nil {
		return nil, c.failed(x.w, asError("login", err))
	}
	hctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	callback, e := c.walk(hctx, l)
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
	delete(c.gates, loginGate)
	c.mu.Unlock()
	return c.serve(x.w, g.Tokens[0]), nil
}

// loginFailed ends a headless login that brought no grant. Where there is none,
// the next attempt is held back: by the stored schedule when the provider refuses
// the client's authentication, else by a back-off.
func (x *exchange) loginFailed(ctx context.Context, prior *Grant, revision int64, e *Error) *Error {
	c := x.c
	if prior.begun() && prior.State != GrantDead && prior.RefreshToken != "" {
		return e
	}
	if e.local {
		return c.failed(x.w, e)
	}
	if e.Op == "exchange" && e.Class == ClassClientRejected {
		g := prior
		if g == nil {
			g = c.blank(nil, revision)
			g.LoggedIn = time.Time{}
		}
		c.reject(g, e, c.clientCredentialHash(ctx))
		c.note(ctx, x.l, g)
		return c.failed(x.w, e)
	}
	c.shut(loginGate, e)
	return c.failed(x.w, e)
}

// walk follows the redirects of /authorize within the tenant's origin, with
// cookies, up to the one that leads to the redirect URI. That one is read, not
// requested.
func (c *Client) walk(ctx context.Context, l Login) (url.Values, *Error) {
	jar, _ := cookiejar.New(nil) // never fails
	h := &http.Client{Transport: c.http.Transport, Jar: jar, CheckRedirect: c.http.CheckRedirect}
	at := l.URL
	for range maxHops {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
		if err != nil {
			return nil, &Error{Op: "login", Class: ClassBadResponse, Description: "the tenant redirects to no usable URL"}
		}
		req.Header.Set("Accept", "text/html")
		r, err := h.Do(req)
		if err != nil {
			return nil, networkError("login", err)
		}
		body, _ := readBody(r.Body) // a page is only looked at for its title
		if r.StatusCode < 300 || r.StatusCode >= 400 {
			return nil, c.metPage(l, r, body)
		}
		to, err := req.URL.Parse(r.Header.Get("Location"))
		if err != nil || r.Header.Get("Location") == "" {
			return nil, &Error{Op: "login", Class: ClassBadResponse, Status: r.StatusCode, Description: "a redirect without a usable Location"}
		}
		if isCallback(to, l.RedirectURL) {
			return to.Query(), nil
		}
		if words := l.errorIn(to); words != "" { // the tenant's own error page
			return nil, c.refusedLogin(l, []byte(words), words)
		}
		if at, err = sameOrigin(at, to.String()); err != nil {
			return nil, &Error{
				Op: "login", Class: ClassLoginRequired, Description: "the login leads elsewhere: " + err.Error(),
				Hint: "log in with a browser", Remedy: RemedyBrowser, Err: err,
			}
		}
	}
	return nil, &Error{Op: "login", Class: ClassRedirect, Description: fmt.Sprintf("the login redirects more than %d times", maxHops)}
}

// isCallback reports whether u is the redirect URI with parameters added to its query.
func isCallback(u *url.URL, redirect string) bool {
	r, err := url.Parse(redirect)
	return err == nil && u.Scheme == r.Scheme && strings.EqualFold(u.Host, r.Host) && u.EscapedPath() == r.EscapedPath()
}

// metPage is the failure of a headless login at a page.
func (c *Client) metPage(l Login, r *http.Response, body []byte) *Error {
	if unavailable(r) {
		return statusError("login", r, c.cfg.Now())
	}
	if r.StatusCode >= 400 {
		e := c.refusedLogin(l, body, shownPage(r, body))
		e.Status = r.StatusCode
		return e
	}
	return &Error{
		Op: "login", Class: ClassLoginRequired, Status: r.StatusCode, Description: fmt.Sprintf("the tenant wants a person at the page %q at %s", titleOf(body), r.Request.URL.Path),
		Hint: "let the tenant answer without a page, or log in with a browser", Remedy: RemedyBrowser, Err: errors.New("headless login met a page"),
	}
}
