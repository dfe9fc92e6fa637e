package flow

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// slotKey marks a context whose request already has a slot.
type slotKey struct{}

// notStarted is the error of a request that did not get a slot in time: nothing
// was sent.
type notStarted struct{ err error }

func (n *notStarted) Error() string {
	return "timed out waiting for other requests to the provider: " + n.err.Error()
}
func (n *notStarted) Unwrap() error { return n.err }

// slot waits for one of the slots for concurrent requests. Requests with the
// returned context share the slot.
func (p *Provider) slot(ctx context.Context) (context.Context, func(), error) {
	if ctx.Value(slotKey{}) != nil {
		return ctx, func() {}, nil
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, &notStarted{ctx.Err()}
	}
	var once sync.Once
	return context.WithValue(ctx, slotKey{}, true), func() { once.Do(func() { <-p.slots }) }, nil
}

// admit waits for a slot for a token request. It fails during a rate limit of the
// provider. Waiting does not count as the request's time.
func (p *Provider) admit(ctx context.Context, op string) (context.Context, func(), *Error) {
	if e := p.rateLimitError(op); e != nil {
		return nil, nil, e
	}
	with, release, err := p.slot(ctx)
	if err != nil {
		return nil, nil, networkError(op, err)
	}
	if e := p.rateLimitError(op); e != nil { // the previous request in this slot may have set it
		release()
		return nil, nil, e
	}
	return with, release, nil
}

// setRateLimit makes the token requests of all clients fail for d: the provider
// has limited its total rate.
func (p *Provider) setRateLimit(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = latest(p.until, p.now().Add(min(d, retryAfterMax)))
}

// rateLimitError returns the error during a rate limit, or nil.
func (p *Provider) rateLimitError(op string) *Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.until.Sub(p.now())
	if left <= 0 || left > retryAfterMax { // a longer wait means that the clock was set back
		return nil
	}
	return &Error{
		Op: op, Class: ClassRateLimited, RetryAfter: left,
		Description: "the provider has limited the rate of all clients",
	}
}

// rateLimitEnd returns when a rate limit of the provider ends, zero if there is
// none.
func (p *Provider) rateLimitEnd() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if left := p.until.Sub(p.now()); left <= 0 || left > retryAfterMax { // as in rateLimitError
		return time.Time{}
	}
	return p.until
}

// limitedTransport makes each request wait for a slot, within its context, and
// holds the slot until the response body is closed.
type limitedTransport struct {
	p    *Provider
	next http.RoundTripper // nil: http.DefaultTransport
}

// RoundTrip implements [http.RoundTripper].
func (t *limitedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	_, release, err := t.p.slot(req.Context())
	if err != nil {
		closeBody(req)
		return nil, err
	}
	r, err := t.base().RoundTrip(req)
	if err != nil {
		release()
		return nil, err
	}
	r.Body = &slotBody{r.Body, release}
	return r, nil
}

func (t *limitedTransport) base() http.RoundTripper {
	if t.next == nil {
		return http.DefaultTransport
	}
	return t.next
}

// CloseIdleConnections closes idle connections if the provider made the
// transport; another one may be used elsewhere.
func (t *limitedTransport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

type slotBody struct {
	io.ReadCloser
	release func()
}

// Close implements [io.Closer].
func (b *slotBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}
