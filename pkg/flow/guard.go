package flow

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
)

// guardedBody is the body of a token request. It asks whether the request may
// still be made before its first byte is read, and its connection asks again
// right before the bytes are written: a process can be stopped in between.
type guardedBody struct {
	io.Reader
	mine    func() *Error // nil: always
	conn    atomic.Pointer[guardedConn]
	read    atomic.Bool
	written atomic.Bool
	refused atomic.Pointer[Error]
}

// check returns why the request may not be made, or nil. Once bytes of the body
// have been written it does not ask any more.
func (b *guardedBody) check() *Error {
	if b.mine == nil || b.written.Load() {
		return nil
	}
	e := b.mine()
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

// attach lets the connection of the request ask. One that several requests share
// (HTTP/2) does not: there the body alone asks.
func (b *guardedBody) attach(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok && t.ConnectionState().NegotiatedProtocol != "h2" {
		conn = t.NetConn()
	}
	if c, ok := conn.(*guardedConn); ok {
		b.conn.Store(c)
		c.body.Store(b)
	}
}

// detach ends what attach began.
func (b *guardedBody) detach() {
	if c := b.conn.Load(); c != nil {
		c.body.CompareAndSwap(b, nil)
	}
}

// guardedConn is a connection that asks the request it carries before it writes.
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

// dialGuarded dials as d does.
func dialGuarded(d *net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &guardedConn{Conn: c}, nil
	}
}
