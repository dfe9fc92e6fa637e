package flow

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"time"
)

// Getter returns access tokens, as a [*Client] does. It is safe for concurrent use.
type Getter interface {
	Get(ctx context.Context, r Request) (*Token, error)
}

// Transport is an [http.RoundTripper] that sends a valid token with each request,
// replacing any Authorization header.
//
// It sends the token only to the Upstreams; a request to any other URL fails with
// an [*Error] of [ClassUpstream], even after a redirect. (An [http.Client] calls
// its Transport for each redirect, so its own rule of removing Authorization does
// not apply to the header that is added here.)
//
// After a 401 (RFC 6750 section 3.1) the request is sent once more with another
// token, if its body can be sent again: there is no body, it has a GetBody, or at
// most 64 KiB of it were read. All requests that are rejected with the same token
// share one refresh, and there is none if a newer token is available. A 401 with
// insufficient_scope is returned, because a refresh grants no scopes. A token
// that replaced a rejected one is not replaced for a minute, so an API that
// rejects every token costs one refresh a minute. If the refresh fails, its error
// is returned.
type Transport struct {
	Source    Getter
	Upstreams []*url.URL        // from [ParseUpstream]; none: every request is rejected
	Request   Request           // the zero value is the client's default token
	Base      http.RoundTripper // nil: http.DefaultTransport
	Now       func() time.Time  // nil: time.Now

	mu      sync.Mutex
	renewed Secret    // replaced a rejected token
	until   time.Time // before this, renewed is not replaced
}

// renewalPause is how long a token that replaced a rejected one is not replaced
// itself.
const renewalPause = time.Minute

// Format implements [fmt.Formatter] and masks the token for every verb.
func (t *Transport) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "transport to %s", t.Upstreams)
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !allowed(t.Upstreams, req) {
		closeBody(req)
		return nil, &Error{
			Op: "upstream", Class: ClassUpstream, Description: "the token is not for " + origin(req.URL),
			Hint: "add the API's URL to the upstreams",
		}
	}
	token, err := t.Source.Get(req.Context(), t.Request)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	body := newReplay(req)
	resp, err := t.base().RoundTrip(withToken(req, token, body.first()))
	if err != nil || !t.needsNewToken(resp, token) || !body.rewind() {
		body.finish()
		return resp, err
	}
	discardBody(resp)
	want := t.Request
	want.Not = token.AccessToken
	if token, err = t.Source.Get(req.Context(), want); err != nil {
		body.cancel()
		return nil, err
	}
	t.rememberRenewed(token)
	second, err := body.second()
	if err != nil {
		return nil, err
	}
	return t.base().RoundTrip(withToken(req, token, second))
}

// CloseIdleConnections closes the idle connections of Base.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return http.DefaultTransport
}

func (t *Transport) now() time.Time {
	if t.Now != nil {
		return t.Now()
	}
	return time.Now()
}

// withToken returns a copy of req with the token and that body: a RoundTripper
// must not change the request.
func withToken(req *http.Request, token *Token, body io.ReadCloser) *http.Request {
	out := *req
	out.Header = req.Header.Clone()
	if out.Header == nil {
		out.Header = http.Header{}
	}
	out.Header.Set("Authorization", "Bearer "+token.AccessToken.Reveal())
	out.Body = body
	return &out
}

var insufficientScope = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\berror\s*=\s*"?insufficient_scope\b`)
})

// needsNewToken reports whether another token may help after this answer.
func (t *Transport) needsNewToken(resp *http.Response, token *Token) bool {
	if resp.StatusCode != http.StatusUnauthorized {
		return false
	}
	for _, challenge := range resp.Header.Values("WWW-Authenticate") {
		if insufficientScope().MatchString(challenge) {
			return false
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return token.AccessToken != t.renewed || !t.now().Before(t.until)
}

// rememberRenewed records a token that replaced a rejected one, before it is
// used: other requests may use it at the same time.
func (t *Transport) rememberRenewed(token *Token) {
	now := t.now()
	if now.Sub(token.Obtained) > renewalPause {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.renewed, t.until = token.AccessToken, now.Add(renewalPause)
}

// discardBody closes the body of an answer. It reads a short one first, so that
// its connection can be used again.
func discardBody(resp *http.Response) {
	const short = 2 << 10
	if resp.ContentLength >= 0 && resp.ContentLength <= short {
		_, _ = io.CopyN(io.Discard, resp.Body, short) // errors do not matter
	}
	_ = resp.Body.Close() // not needed any more
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // not read
	}
}
