package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"example.com/tokend/pkg/flow"
)

// upstreams is how the upstreams are reached. An upgrade needs HTTP/1, whatever
// else the server speaks.
type upstreams struct{ any, http1 *http.Transport }

// newUpstreams trusts whom c says; nil: the system's authorities.
func newUpstreams(c *tls.Config) *upstreams {
	return &upstreams{any: upstreamTransport(c, true), http1: upstreamTransport(c, false)}
}

func upstreamTransport(c *tls.Config, http2 bool) *http.Transport {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:       c.Clone(),
		TLSHandshakeTimeout:   10 * time.Second,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // what the caller accepts is passed on
		Protocols:             new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	t.Protocols.SetHTTP2(http2)
	return t
}

// RoundTrip implements [http.RoundTripper].
func (u *upstreams) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return u.http1.RoundTrip(r)
	}
	return u.any.RoundTrip(r)
}

// CloseIdleConnections closes the connections that wait for a request.
func (u *upstreams) CloseIdleConnections() {
	u.any.CloseIdleConnections()
	u.http1.CloseIdleConnections()
}

// isTLS says whether err is of the handshake, whose words are safe to repeat.
func isTLS(err error) bool {
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var host x509.HostnameError
	return errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &host)
}

// patient has tokens for as long as a caller waits.
type patient struct {
	*flow.Client
	life *life
}

// Get implements [flow.Getter].
func (p patient) Get(ctx context.Context, r flow.Request) (*flow.Token, error) {
	if t := p.Cached(r); t != nil {
		return t, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer p.life.use()()
	return p.Client.Get(ctx, r)
}

// streams are the requests that are passed on. A connection that was upgraded is
// no longer the server's, so they are waited for here.
type streams struct {
	mu    sync.Mutex
	open  map[int]context.CancelFunc
	next  int
	ended bool
	all   sync.WaitGroup
}

// begin counts a request in until end is called.
func (s *streams) begin(parent context.Context) (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancel(parent)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		cancel()
		return ctx, func() {}
	}
	if s.open == nil {
		s.open = map[int]context.CancelFunc{}
	}
	s.next++
	id := s.next
	s.open[id] = cancel
	s.all.Add(1)
	return ctx, func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, id)
		s.all.Done()
	}
}

// end waits for the streams, and when ctx ends breaks them off.
func (s *streams) end(ctx context.Context) {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		s.all.Wait()
	}()
	select {
	case <-idle:
		return
	case <-ctx.Done():
	}
	s.mu.Lock()
	for _, cancel := range s.open {
		cancel()
	}
	s.mu.Unlock()
	<-idle
}

// copyBuffers spares a copy an allocation of 32 KiB.
type copyBuffers struct{ pool sync.Pool }

// Get implements [httputil.BufferPool].
func (b *copyBuffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

// Put implements [httputil.BufferPool].
func (b *copyBuffers) Put(p []byte) { b.pool.Put(&p) }
