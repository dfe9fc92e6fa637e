package flow

import (
	"bytes"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// refusedLogin returns the error for an error page that the provider shows instead
// of a redirect, because the client or its redirect URI is wrong (RFC 6749 section
// 4.1.2.1): explained if its text is known, otherwise quoted. A login, a status and
// doctor report the same.
func (c *Client) refusedLogin(l Login, words []byte, shown string) *Error {
	words = bytes.ToLower(words)
	has := func(s string) bool { return bytes.Contains(words, []byte(s)) }
	e := &Error{Op: "login", Class: ClassConfig}
	switch {
	case !c.cfg.PAR && namesPAR().Match(words):
		e.Description, e.Hint = "the provider rejects the login request: "+shown, parHint
	case has("callback url mismatch"), has("allowed callback urls"):
		e.Description = "redirect_uri " + l.RedirectURL + " is not among the application's Allowed Callback URLs"
		e.Hint = "add " + l.RedirectURL + " to Allowed Callback URLs of application " + c.cfg.ClientID +
			" in the tenant's dashboard, or set redirect_uri to one of them"
	case has("unknown client"):
		e.Description = fmt.Sprintf("the provider has no application with client_id %q", c.cfg.ClientID)
		e.Hint = "set client_id to the Client ID of the application, and issuer to its tenant"
	default:
		e.Description = "the provider rejects the login request: " + shown
		e.Hint = "check client_id, and that " + l.RedirectURL + " is among the application's Allowed Callback URLs"
	}
	return e
}

// refusal returns the error of an authorization response, without the secrets of the
// login.
func (l Login) refusal(q url.Values) (code, said string) {
	return clean(q.Get("error"), 64), clean(redact(q.Get("error_description"), []string{l.State, l.Verifier.Reveal(), l.Nonce}), 256)
}

// errorIn returns the error that a URL carries, "" without one.
func (l Login) errorIn(u *url.URL) string {
	code, said := l.refusal(u.Query())
	if code == "" {
		return ""
	}
	return code + ": " + said
}

// unavailable reports whether an answer says that the provider cannot serve a page
// at the moment.
func unavailable(r *http.Response) bool {
	return r.StatusCode == http.StatusTooManyRequests || r.StatusCode >= 500 && r.StatusCode != http.StatusNotImplemented
}

// shownPage names a page by its title and status.
func shownPage(r *http.Response, body []byte) string {
	return fmt.Sprintf("the page %q with status %d", titleOf(body), r.StatusCode)
}

var titleTag = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
})

func titleOf(body []byte) string {
	m := titleTag().FindSubmatch(body)
	if m == nil {
		return "untitled"
	}
	return clean(strings.TrimSpace(html.UnescapeString(string(m[1]))), 80)
}
