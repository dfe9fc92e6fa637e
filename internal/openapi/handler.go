package openapi

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
)

// Handler passes requests to next and reports what of an exchange the document does not
// have, when the exchange has ended.
func (d *Document) Handler(next http.Handler, report func(error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := Exchange{Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery}
		body := &recordedBody{ReadCloser: r.Body}
		answer := &recordedAnswer{ResponseWriter: w}
		if path, _ := d.find(x.Path); path != proxyPath { // whose bodies may be large
			r.Body = body
		}
		next.ServeHTTP(answer, r)
		if answer.hijacked {
			return
		}
		if answer.status == 0 {
			answer.status = http.StatusOK
		}
		x.Body, x.Status, x.Header, x.Answer = body.bytes(), answer.status, w.Header(), answer.body.Bytes()
		if err := d.Check(x); err != nil {
			report(err)
		}
	})
}

// recordedBody keeps what is read of a request's body. A transport may read on after it
// has returned the answer.
type recordedBody struct {
	io.ReadCloser

	mu   sync.Mutex
	read []byte
}

func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read = append(b.read, p[:n]...)
	return n, err
}

func (b *recordedBody) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read
}

// recordedAnswer keeps a copy of an answer, for HEAD without the body, which is not sent.
type recordedAnswer struct {
	http.ResponseWriter
	status   int
	body     bytes.Buffer
	hijacked bool
}

// WriteHeader implements [http.ResponseWriter], as Write does.
func (a *recordedAnswer) WriteHeader(status int) {
	if status >= 200 && a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *recordedAnswer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.body.Write(p)
	return a.ResponseWriter.Write(p)
}

// Flush implements [http.Flusher], which gin asks for.
func (a *recordedAnswer) Flush() {
	if f, ok := a.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Hijack implements [http.Hijacker].
func (a *recordedAnswer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.hijacked = true
	return http.NewResponseController(a.ResponseWriter).Hijack()
}

// Unwrap is for [http.ResponseController].
func (a *recordedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
