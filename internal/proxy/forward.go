package proxy

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// forwarding is how a request is sent on.
type forwarding struct {
	via     http.RoundTripper
	rewrite func(*httputil.ProxyRequest)
	answer  func(*http.Response)   // changes the answer
	drop    func(name string) bool // which headers of the answer the caller does not get
	failed  func(error)            // writes the answer when via has none
}

// forward streams a request and its answer, however long they take.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, how forwarding) {
	ctx, end := p.streams.begin(r.Context())
	defer end()
	r = r.WithContext(ctx) // a copy: net/http keeps using its own body
	rc := http.NewResponseController(w)
	body := newRequestBody(r)
	defer body.end(func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) })
	_ = rc.SetReadDeadline(time.Time{}) // the server's limits are for requests that it answers itself
	_ = rc.SetWriteDeadline(time.Time{})
	_ = rc.EnableFullDuplex() // HTTP/1 would read the body to its end before the answer begins
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			remove(r.In.Trailer, dropFromRequestTrailer)
			r.Out.Trailer = r.In.Trailer // filled when the body has ended
			how.rewrite(r)
		},
		ModifyResponse: how.modify,
		Transport:      how.via, FlushInterval: -1, BufferPool: &p.buffers,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
			if !body.ended.Load() {
				closeAfterAnswer(w)
			}
			if body.failed.Load() {
				err = badRequest("send the complete body", "the body of the request is malformed, or ended too early")
			}
			how.failed(err)
		},
	}
	proxy.ServeHTTP(answerWriter{w, body, how.drop}, r)
}

// modify makes an upstream's answer the one that the caller gets.
func (how forwarding) modify(resp *http.Response) error {
	length := resp.Header["Content-Length"]
	if resp.StatusCode < 100 || resp.StatusCode > 999 || len(length) > 1 || len(length) == 1 && resp.ContentLength < 0 {
		return errBadAnswer
	}
	trailers := func() {
		remove(resp.Trailer, how.drop)
		remove(resp.Trailer, dropFromAnswerTrailer)
	}
	remove(resp.Header, how.drop)
	trailers()                                            // the announced ones
	if resp.StatusCode != http.StatusSwitchingProtocols { // its body is a connection
		resp.Body = trailedBody{resp.Body, trailers}
	}
	how.answer(resp)
	return nil
}

// answerWriter removes headers from informational answers (100, 103), and closes a
// connection whose body was not read.
type answerWriter struct {
	http.ResponseWriter
	body *requestBody
	drop func(name string) bool // as of forwarding
}

func (w answerWriter) WriteHeader(code int) {
	if code == http.StatusSwitchingProtocols { // ReverseProxy writes that of an upgrade itself; HTTP/2 has none
		return
	}
	if code >= 100 && code < 200 {
		remove(w.Header(), w.drop)
		remove(w.Header(), dropFromAnswerTrailer) // nor before the answer
	} else if !w.body.ended.Load() {
		closeAfterAnswer(w.ResponseWriter)
	}
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap is for [http.ResponseController].
func (w answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// closeAfterAnswer makes net/http close the connection after the answer, but not before
// the caller could read it (RFC 9112 section 9.6): net/http would read the rest of the
// body as the next request. Only the reader for too large bodies triggers that.
func closeAfterAnswer(w http.ResponseWriter) {
	for {
		under, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = under.Unwrap()
	}
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 1))
}

// requestBody is the body of a caller's request, and whether it was read to its end.
type requestBody struct {
	io.ReadCloser
	trailer http.Header // of the request
	reading sync.Mutex
	over    bool // the request is; guarded by reading
	failed  atomic.Bool
	ended   atomic.Bool // was read whole, or there is none
}

// newRequestBody replaces a request's body.
func newRequestBody(r *http.Request) *requestBody {
	b := &requestBody{ReadCloser: r.Body, trailer: r.Trailer}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = b
	} else {
		b.ended.Store(true)
	}
	return b
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.over {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		remove(b.trailer, dropFromRequestTrailer)
		b.ended.Store(true)
	case err != nil:
		b.failed.Store(true)
	}
	return n, err
}

// end waits for a read by the transport, which may still run after the upstream has
// answered: net/http needs the connection then. interrupt ends a read that waits for
// the caller.
func (b *requestBody) end(interrupt func()) {
	if !b.ended.Load() {
		interrupt()
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	b.over = true
}
