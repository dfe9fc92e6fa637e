package postgres_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// listenSilently returns an address that accepts connections and never answers.
func listenSilently(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	return l.Addr().String()
}

// wire relays connections to a database, and can cut one at a statement.
type wire struct {
	to   string
	l    net.Listener
	wg   sync.WaitGroup
	mu   sync.Mutex
	open map[net.Conn]bool
	cuts atomic.Pointer[cuts]
	held atomic.Bool // nothing is relayed
}

// cuts are the next cuts of a wire.
type cuts struct {
	where cut
	word  []byte       // of the statement
	left  atomic.Int64 // how often it still cuts
	call  func()       // what happens before the statement instead; nil: a cut
}

// hit reports whether the connection is cut at a statement.
func (c *cuts) hit(statement []byte) bool {
	return c != nil && bytes.Contains(statement, c.word) && c.left.Load() > 0 && c.left.Add(-1) >= 0
}

// cut is when a connection is lost.
type cut int

const (
	beforeStatement cut = iota // it does not reach the database
	afterAnswer                // its answer does not reach the client
)

// newWire returns a relay to the host of a URL, and the URL of the relay.
func newWire(t *testing.T, dsn string) (*wire, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	must(t, err)
	w := &wire{to: u.Host, open: map[net.Conn]bool{}}
	w.l, err = net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w.wg.Go(w.accept)
	t.Cleanup(func() {
		must(t, w.l.Close())
		w.cutAll()
		w.wg.Wait()
	})
	u.Host = w.l.Addr().String()
	return w, u.String()
}

func (w *wire) accept() {
	for {
		client, err := w.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", w.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		w.mu.Lock()
		w.open[client], w.open[server] = true, true
		w.mu.Unlock()
		var lose atomic.Bool // the next answer
		w.wg.Go(func() { w.relay(server, client, &lose, true) })
		w.wg.Go(func() { w.relay(client, server, &lose, false) })
	}
}

func (w *wire) relay(to, from net.Conn, lose *atomic.Bool, statements bool) {
	defer func() { _ = errors.Join(to.Close(), from.Close()) }()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if err != nil || w.held.Load() {
			return
		}
		if c := w.cuts.Load(); statements && c.hit(b[:n]) {
			switch {
			case c.call != nil:
				c.call()
			case c.where == beforeStatement:
				return
			default:
				lose.Store(true)
			}
		} else if !statements && lose.Load() {
			return
		}
		if _, err := io.Copy(to, bytes.NewReader(b[:n])); err != nil {
			return
		}
	}
}

// cutAt cuts a connection at each of the next n statements with that word.
func (w *wire) cutAt(where cut, word string, n int64) {
	c := &cuts{where: where, word: []byte(word)}
	c.left.Store(n)
	w.cuts.Store(c)
}

// callAt calls f before the next statement with that word.
func (w *wire) callAt(word string, f func()) {
	c := &cuts{word: []byte(word), call: f}
	c.left.Store(1)
	w.cuts.Store(c)
}

// cutAll cuts all connections.
func (w *wire) cutAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		_ = c.Close() // it may be closed already
		delete(w.open, c)
	}
}
