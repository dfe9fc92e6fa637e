package flow

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// slotKey marks a context whose requests have their slot already.
type slotKey struct{}

// notStarted is the failure of a request that has waited for its slot in vain:
// nothing of it was sent.
type notStarted struct{ err error }

func (n *notStarted) Error() string {
	return "other requests to the provider have not ended: " + n.err.Error()
}
func (n *notStarted) Unwrap() error { return n.err }

// slot waits for one of the requests that may be made at once. Requests with the
// context that it returns are part of it.
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

// admit waits for a slot for a token request, unless a rate limit holds the
// provider's clients back. The wait does not count as the request's time.
func (p *Provider) admit(ctx context.Context, op string) (context.Context, func(), *Error) {
	if e := p.held(op); e != nil {
		return nil, nil, e
	}
	with, release, err := p.slot(ctx)
	if err != nil {
		return nil, nil, networkError(op, err)
	}
	if e := p.held(op); e != nil { // by a request that had the slot before
		release()
		return nil, nil, e
	}
	return with, release, nil
}

// hold keeps the token requests of all clients back for d: the provider has
// limited its whole rate.
func (p *Provider) hold(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = latest(p.until, p.now().Add(min(d, retryAfterMax)))
}

// held returns the failure of a request that hold keeps back, or nil.
func (p *Provider) held(op string) *Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.until.Sub(p.now())
	if left <= 0 || left > retryAfterMax { // longer: the clock was set back
		return nil
	}
	return &Error{
		Op: op, Class: ClassRateLimited, RetryAfter: left,
		Description: "the provider has limited the rate of all clients",
	}
}

// limitedTransport makes each request wait for a slot, with its own context, and
// keep it until the answer's body is closed.
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

// CloseIdleConnections closes those of a transport that the provider made
// itself; others may be in use elsewhere.
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
