package flow

import (
	"context"
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

// Transport is an [http.RoundTripper] that sends a fresh token with each request,
// in place of any Authorization that it has.
//
// The token goes to the Upstreams and nowhere else; a request to another place
// is an [*Error] of [ClassUpstream], also when a redirect leads there: to an
// [http.Client] a Transport is asked per request, so the client's own rule of
// taking Authorization off does not cover what is put on here.
//
// After a 401 (RFC 6750 section 3.1) the request is sent once more with another
// token, if its body can be sent again: there is none, it has a GetBody, or what
// was read of it is at most 64 KiB. However many requests are refused with the
// same token, it is refreshed once, and not at all when a newer one is there
// already. A 401 that says insufficient_scope is an answer, as no refresh mends
// it; so is, for a minute, one to the token that came after a 401: whatever an
// API answers, it costs one refresh a minute. When the refresh fails, its error
// is returned.
type Transport struct {
	Source    Getter
	Upstreams []*url.URL        // as [ParseUpstream] reads them; none: every request is refused
	Request   Request           // which token; the zero value is the client's own
	Base      http.RoundTripper // nil: http.DefaultTransport
	Now       func() time.Time  // nil: time.Now

	mu      sync.Mutex
	renewed Secret    // came after a 401
	until   time.Time // before this, renewed is not replaced
}

// freshFor is how long a token counts as fresh. An API that answers 401 to
// everything, or to every other request, costs one refresh in this time.
const freshFor = time.Minute

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
	resp, err := t.base().RoundTrip(bearing(req, token, body.first()))
	if err != nil || !t.mends(resp, token) || !body.rewind() {
		body.settle()
		return resp, err
	}
	release(resp)
	want := t.Request
	want.Not = token.AccessToken
	if token, err = t.Source.Get(req.Context(), want); err != nil {
		body.drop()
		return nil, err
	}
	t.note(token)
	second, err := body.second()
	if err != nil {
		return nil, err
	}
	return t.base().RoundTrip(bearing(req, token, second))
}

// CloseIdleConnections closes those of the base.
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

// bearing is a copy of req with the token and that body: a RoundTripper must not
// change what it was given.
func bearing(req *http.Request, token *Token, body io.ReadCloser) *http.Request {
	out := *req
	out.Header = req.Header.Clone()
	if out.Header == nil {
		out.Header = http.Header{}
	}
	out.Header.Set("Authorization", "Bearer "+token.AccessToken.Reveal())
	out.Body = body
	return &out
}

var insufficientScope = regexp.MustCompile(`(?i)\berror\s*=\s*"?insufficient_scope\b`)

// mends reports whether another token may be the remedy for an answer.
func (t *Transport) mends(resp *http.Response, token *Token) bool {
	if resp.StatusCode != http.StatusUnauthorized {
		return false
	}
	for _, challenge := range resp.Header.Values("WWW-Authenticate") {
		if insufficientScope.MatchString(challenge) {
			return false
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return token.AccessToken != t.renewed || !t.now().Before(t.until)
}

// note remembers a fresh token that takes the place of a refused one, before the
// API has it: other requests may get it meanwhile.
func (t *Transport) note(token *Token) {
	now := t.now()
	if now.Sub(token.Obtained) > freshFor {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.renewed, t.until = token.AccessToken, now.Add(freshFor)
}

// release closes an answer; one that is short is read, so that its connection can
// be used again.
func release(resp *http.Response) {
	const short = 2 << 10
	if resp.ContentLength >= 0 && resp.ContentLength <= short {
		_, _ = io.CopyN(io.Discard, resp.Body, short) // whatever comes of it
	}
	_ = resp.Body.Close() // it is not wanted
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // it was not read
	}
}
