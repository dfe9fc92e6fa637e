package mock

import (
	"net/http"
	"net/url"
	"strings"
)

// address has the URLs of the tenant for one request. A browser and a program can reach
// the tenant under different ones; the issuer is the same for both.
type address struct {
	issuer string // in discovery and in the claim iss
	front  string // where a browser opens the tenant's pages
	base   string // where this request came in: front or issuer
	prefix string // the path of base without the slash at its end; "" at most tenants

	console string // where pages link to the console; "" for no link
}

// addressOf returns the address of a request to an issuer. The host of the request
// selects between the two URLs that the configuration has; it never becomes part of one.
func (t *Tenant) addressOf(r *http.Request, issuer string) address {
	a := address{issuer: issuer, front: issuer, base: issuer}
	if t.cfg.BrowserURL != "" && issuer == t.issuer {
		a.front = t.cfg.BrowserURL
	}
	front, err := url.Parse(a.front)
	if err == nil && a.front != issuer && hostAndPort(front) == hostAndPort(&url.URL{Scheme: front.Scheme, Host: r.Host}) {
		a.base = a.front
	}
	if u, err := url.Parse(a.base); err == nil {
		a.prefix = strings.TrimSuffix(u.Path, "/")
	}
	switch t.cfg.ConsoleURL {
	case "":
		a.console = a.path(controlPrefix)
	case NoConsole:
	default:
		a.console = t.cfg.ConsoleURL
	}
	return a
}

// below returns the request with its path below the address. A proxy may have removed
// the prefix already.
func (a address) below(r *http.Request) *http.Request {
	if a.prefix == "" || !strings.HasPrefix(r.URL.Path, a.prefix+"/") {
		return r
	}
	in, u := *r, *r.URL
	u.Path, u.RawPath = strings.TrimPrefix(u.Path, a.prefix), strings.TrimPrefix(u.RawPath, a.prefix)
	in.URL = &u
	return &in
}

// url returns the URL of an endpoint that programs call.
func (a address) url(path string) string { return a.base + strings.TrimPrefix(path, "/") }

// pageURL returns the URL of a page that a person opens.
func (a address) pageURL(path string) string { return a.front + strings.TrimPrefix(path, "/") }

// path returns the path of one of the tenant's pages for a redirect or a form.
func (a address) path(path string) string { return a.prefix + path }

// secure reports whether the request came by https. Over http, browsers drop Secure
// cookies.
func (a address) secure() bool { return strings.HasPrefix(a.base, "https://") }
