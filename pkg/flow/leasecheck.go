package flow

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
)

// guardedBody is the body of a token request. It checks the lease before its
// first byte is read, and its connection checks again right before the bytes are
// written, because the process can be stopped in between.
type guardedBody struct {
	io.Reader
	checkLease func() *Error // nil: always
	conn       atomic.Pointer[guardedConn]
	read       atomic.Bool
	written    atomic.Bool
	refused    atomic.Pointer[Error]
}

// check returns why the request must not be sent, or nil. It does not check any
// more once bytes of the body were written.
func (b *guardedBody) check() *Error {
	if b.checkLease == nil || b.written.Load() {
		return nil
	}
	e := b.checkLease()
	if e != nil {
		b.refused.Store(e)
	}
	return e
}

// Read implements [io.Reader].
func (b *guardedBody) Read(p []byte) (int, error) {
	if !b.read.Load() {
		if e := b.check(); e != nil {
			return 0, e
		}
	}
	b.read.Store(true)
	return b.Reader.Read(p)
}

// Close implements [io.Closer].
func (b *guardedBody) Close() error { return nil }

// attach makes the request's connection check too. A connection that is shared by
// several requests (HTTP/2) cannot: there only the body checks.
func (b *guardedBody) attach(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok && t.ConnectionState().NegotiatedProtocol != "h2" {
		conn = t.NetConn()
	}
	if c, ok := conn.(*guardedConn); ok {
		b.conn.Store(c)
		c.body.Store(b)
	}
}

// detach undoes attach.
func (b *guardedBody) detach() {
	if c := b.conn.Load(); c != nil {
		c.body.CompareAndSwap(b, nil)
	}
}

// guardedConn is a connection that checks the lease of its request before each
// write.
type guardedConn struct {
	net.Conn
	body atomic.Pointer[guardedBody]
}

// Write implements [net.Conn].
func (c *guardedConn) Write(p []byte) (int, error) {
	b := c.body.Load()
	if b == nil {
		return c.Conn.Write(p)
	}
	if e := b.check(); e != nil {
		return 0, e
	}
	n, err := c.Conn.Write(p)
	if n > 0 && b.read.Load() {
		b.written.Store(true)
	}
	return n, err
}

// dialGuarded dials with d and returns guarded connections.
func dialGuarded(d *net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &guardedConn{Conn: c}, nil
	}
}
