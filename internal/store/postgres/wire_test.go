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
	to    string
	l     net.Listener
	wg    sync.WaitGroup
	mu    sync.Mutex
	open  map[net.Conn]bool
	where cut
	word  []byte       // of the statement
	cuts  atomic.Int64 // how often it still cuts
	held  atomic.Bool  // nothing is relayed
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
		switch {
		case !statements && lose.Load():
			return
		case statements:
			where, cuts := w.cutsIn(b[:n])
			if cuts && where == beforeStatement {
				return
			}
			if cuts {
				lose.Store(true)
			}
		}
		if _, err := io.Copy(to, bytes.NewReader(b[:n])); err != nil {
			return
		}
	}
}

// cutsIn reports whether a connection is cut at these statements, and counts it.
func (w *wire) cutsIn(statements []byte) (cut, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.where, bytes.Contains(statements, w.word) && w.cuts.Load() > 0 && w.cuts.Add(-1) >= 0
}

// cutAt cuts a connection at each of the next n statements with that word.
func (w *wire) cutAt(where cut, word string, n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.where, w.word = where, []byte(word)
	w.cuts.Store(n)
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
