package proxy

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// deadlines returns a listener whose connections change their deadlines rarely. net/http
// sets them eight times in a request, which is a large part of what the checks and timeouts
// of a token read cost.
func deadlines(l *net.TCPListener) net.Listener { return lazyListener{l} }

type lazyListener struct{ *net.TCPListener }

func (l lazyListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return newLazyConn(c), nil
}

// lazyConn keeps the deadlines that are set exactly. It changes those of its connection
// when a call begins and they would come too late; one that comes too early is changed
// when it has passed.
type lazyConn struct {
	net.Conn

	read, write deadline
}

func newLazyConn(c net.Conn) *lazyConn {
	return &lazyConn{Conn: c, read: deadline{apply: c.SetReadDeadline}, write: deadline{apply: c.SetWriteDeadline}}
}

// deadline is the deadline of reads, or of writes. The zero time means no deadline.
type deadline struct {
	apply func(time.Time) error

	mu    sync.Mutex
	want  time.Time // as it was set
	set   time.Time // of the connection
	calls int       // that are running
}

// to sets the deadline, for the calls that are running, too.
func (d *deadline) to(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.want = t
	if d.calls == 0 { // the next call finds it
		return nil
	}
	return d.change()
}

func (d *deadline) change() error {
	err := d.apply(d.want)
	if err == nil {
		d.set = d.want
	}
	return err
}

// begin begins a call, unless its deadline has passed.
func (d *deadline) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.want.IsZero() && (d.set.IsZero() || d.want.Before(d.set)) {
		if !time.Now().Before(d.want) { // as net/http sets it to end a call that may not have begun
			return os.ErrDeadlineExceeded
		}
		if err := d.change(); err != nil {
			return err
		}
	}
	d.calls++
	return nil
}

func (d *deadline) end() {
	d.mu.Lock()
	d.calls--
	d.mu.Unlock()
}

// early reports whether a call ended before its deadline, and may continue.
func (d *deadline) early(err error) bool {
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.want.IsZero() && !time.Now().Before(d.want) {
		return false
	}
	return d.change() == nil
}

// Read implements [net.Conn], as the methods below do.
func (c *lazyConn) Read(b []byte) (int, error) {
	if err := c.read.begin(); err != nil {
		return 0, err
	}
	defer c.read.end()
	for {
		n, err := c.Conn.Read(b)
		if n > 0 || !c.read.early(err) {
			return n, err
		}
	}
}

func (c *lazyConn) Write(b []byte) (int, error) {
	if err := c.write.begin(); err != nil {
		return 0, err
	}
	defer c.write.end()
	var written int
	for {
		n, err := c.Conn.Write(b[written:])
		written += n
		if !c.write.early(err) {
			return written, err
		}
	}
}

func (c *lazyConn) SetReadDeadline(t time.Time) error { return c.read.to(t) }

func (c *lazyConn) SetWriteDeadline(t time.Time) error { return c.write.to(t) }

func (c *lazyConn) SetDeadline(t time.Time) error {
	return errors.Join(c.read.to(t), c.write.to(t))
}

// CloseWrite is for net/http, which then waits for the caller to read a last answer.
func (c *lazyConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
