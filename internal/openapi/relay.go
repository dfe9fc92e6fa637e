package openapi

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// Relay passes connections to a service unchanged, and compares what was sent over them
// with the document. It is for clients that are programs, such as curl.
type Relay struct {
	document *Document
	listener net.Listener
	target   string
	wait     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // nil: closed
	errs  []error
}

// Relay starts a relay to an address.
func (d *Document) Relay(target string) (*Relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
	if err != nil {
		return nil, err
	}
	r := &Relay{document: d, listener: l, target: target, conns: map[net.Conn]bool{}}
	r.wait.Go(r.accept)
	return r, nil
}

// Port is that of the relay on 127.0.0.1.
func (r *Relay) Port() string {
	_, port, _ := net.SplitHostPort(r.listener.Addr().String())
	return port
}

// Close closes all connections and returns what the document does not have.
func (r *Relay) Close() error {
	_ = r.listener.Close()
	r.mu.Lock()
	for c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
	r.mu.Unlock()
	r.wait.Wait()
	return errors.Join(r.errs...)
}

func (r *Relay) accept() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wait.Go(func() { r.relay(c) })
	}
}

// relay passes on one connection until both sides have ended it.
func (r *Relay) relay(client net.Conn) {
	defer func() { _ = client.Close() }()
	service, err := net.Dial("tcp", r.target) //nolint:noctx // of a test
	if err != nil || !r.add(client, service) {
		return // as if the service refused it
	}
	var sent, answered bytes.Buffer
	var both sync.WaitGroup
	both.Go(func() { pass(service, client, &sent) })
	both.Go(func() { pass(client, service, &answered) })
	both.Wait()
	if err := r.document.CheckConnection(&sent, &answered); err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.errs = append(r.errs, err)
	}
}

func (r *Relay) add(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		if r.conns == nil {
			_ = c.Close()
			continue
		}
		r.conns[c] = true
	}
	return r.conns != nil
}

// pass copies until the sender ends or the receiver is gone.
func pass(to, from net.Conn, kept *bytes.Buffer) {
	_, err := io.Copy(io.MultiWriter(kept, to), from)
	if c, ok := to.(*net.TCPConn); ok && err == nil {
		_ = c.CloseWrite() // it may be gone
		return
	}
	_, _ = to.Close(), from.Close() // likewise
}

// CheckConnection is Check of the exchanges of a connection, until one was not complete or
// is not HTTP.
func (d *Document) CheckConnection(sent, answered io.Reader) error {
	requests, answers := bufio.NewReader(sent), bufio.NewReader(answered)
	for {
		req, err := http.ReadRequest(requests)
		if err != nil {
			return nil //nolint:nilerr // the end
		}
		x := Exchange{Method: req.Method, Path: req.URL.EscapedPath(), Query: req.URL.RawQuery}
		if x.Body, err = io.ReadAll(req.Body); err != nil {
			return nil //nolint:nilerr // as above
		}
		res, err := http.ReadResponse(answers, req)
		for err == nil && res.StatusCode == http.StatusContinue {
			res, err = http.ReadResponse(answers, req)
		}
		if err != nil || res.StatusCode == http.StatusSwitchingProtocols {
			return nil //nolint:nilerr // as above
		}
		x.Status, x.Header = res.StatusCode, res.Header
		x.Answer, err = io.ReadAll(res.Body)
		if err != nil && !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
			return nil //nolint:nilerr // as above
		}
		if err := d.Check(x); err != nil {
			return err
		}
	}
}
