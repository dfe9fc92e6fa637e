package proxy

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// Transport connects to upstreams. An upgrade needs HTTP/1, even if the server supports
// HTTP/2.
type Transport struct{ any, http1 *http.Transport }

// NewTransport returns a transport that trusts the authorities of c; nil: the
// system's. It uses the proxy that http_proxy and no_proxy name.
func NewTransport(c *tls.Config) *Transport {
	return &Transport{any: newTransport(c, true), http1: newTransport(c, false)}
}

func newTransport(c *tls.Config, http2 bool) *http.Transport {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:       c.Clone(),
		TLSHandshakeTimeout:   10 * time.Second,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // the caller decides what it accepts
		Protocols:             new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	t.Protocols.SetHTTP2(http2)
	return t
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return t.http1.RoundTrip(r)
	}
	return t.any.RoundTrip(r)
}

// CloseIdleConnections closes the connections that wait for a request.
func (t *Transport) CloseIdleConnections() {
	t.any.CloseIdleConnections()
	t.http1.CloseIdleConnections()
}

// copyBuffers saves an allocation of 32 KiB per copy.
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
