package tokend

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Transport is an [http.RoundTripper] that sends the token of Source with each
// request, replacing any Authorization header.
//
// It sends the token only to Origins: https://HOST or https://HOST:PORT, and http for
// this machine alone (RFC 6750 section 5.3). A request to another origin fails with an
// [*OriginError], even after a redirect.
//
// After a 401 (RFC 6750 section 3.1) the token is replaced and the request sent
// once more, if it has no body or a GetBody. A token that replaced a rejected one
// is not replaced for a minute, so an API that rejects every token costs one
// refresh a minute. A 401 with insufficient_scope is returned, because a refresh
// grants no scopes.
type Transport struct {
	Source  *Source
	Origins []string          // such as "https://api.example.com"
	Base    http.RoundTripper // nil: http.DefaultTransport

	mu    sync.Mutex
	fresh Secret    // replaced a rejected token
	until time.Time // before this, fresh is not replaced
}

// Format implements [fmt.Formatter] and masks the token for every verb.
func (t *Transport) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "transport to "+strings.Join(t.Origins, ", "))
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.roundTrip(req)
	if err != nil && resp == nil && req.Body != nil {
		_ = req.Body.Close() // a RoundTripper closes it even on errors
	}
	return resp, err
}

func (t *Transport) roundTrip(req *http.Request) (*http.Response, error) {
	if !slices.ContainsFunc(t.Origins, func(o string) bool { return sameOrigin(o, req.URL) }) {
		return nil, &OriginError{Origin: req.URL.Scheme + "://" + req.URL.Host}
	}
	token, err := t.Source.Get(req.Context(), "")
	if err != nil {
		return nil, err
	}
	resp, err := t.base().RoundTrip(withToken(req, token))
	if err != nil || !t.replaceable(req, resp, token) {
		return resp, err
	}
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		if again.Body, err = req.GetBody(); err != nil {
			return resp, nil //nolint:nilerr // the 401 is the answer
		}
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be reused
	_ = resp.Body.Close()                         // read only
	if token, err = t.Source.Get(req.Context(), token.AccessToken); err != nil {
		return nil, err
	}
	t.note(token)
	return t.base().RoundTrip(withToken(again, token))
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return http.DefaultTransport
}

// insufficientScope is compiled at the first 401, not at the start of each program.
var insufficientScope = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\berror\s*=\s*"?insufficient_scope\b`)
})

// replaceable reports whether the answer is a 401 that another token may avoid,
// and the request can be sent again.
func (t *Transport) replaceable(req *http.Request, resp *http.Response, token *Token) bool {
	if resp.StatusCode != http.StatusUnauthorized || req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return false
	}
	if slices.ContainsFunc(resp.Header.Values("WWW-Authenticate"), insufficientScope().MatchString) {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return token.AccessToken != t.fresh || !t.Source.client.now().Before(t.until)
}

// note records the token that replaced a rejected one.
func (t *Transport) note(token *Token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if token.AccessToken != t.fresh {
		t.fresh, t.until = token.AccessToken, t.Source.client.now().Add(time.Minute)
	}
}

// withToken returns a copy of req with the token: a RoundTripper must not change
// the request.
func withToken(req *http.Request, token *Token) *http.Request {
	out := req.Clone(req.Context())
	out.Header.Set("Authorization", "Bearer "+token.AccessToken.Reveal())
	return out
}

// OriginError is the error for a request to an origin that is not in
// [Transport.Origins]. Nothing was sent.
type OriginError struct{ Origin string }

// Error implements error.
func (e *OriginError) Error() string {
	advice := "add it to the origins of the transport"
	if u, err := url.Parse(e.Origin); err == nil && !secure(u) {
		advice = "use https: http shows it to everyone in the network"
	}
	return "the token is not sent to " + e.Origin + "\nhint: " + advice
}

// secure reports whether no one between this program and the API can read a request.
func secure(u *url.URL) bool {
	host := u.Hostname()
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(u.Scheme, "https") || strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// sameOrigin compares scheme, host and port (RFC 6454 section 4).
func sameOrigin(origin string, u *url.URL) bool {
	o, err := url.Parse(origin)
	return err == nil && o.Host != "" && o.User == nil && strings.Trim(o.Path, "/") == "" && o.RawQuery == "" && secure(u) && strings.EqualFold(o.Scheme, u.Scheme) && strings.EqualFold(hostPort(o), hostPort(u))
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return u.Hostname() + ":" + port
}
