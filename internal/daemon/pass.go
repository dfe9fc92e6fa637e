package daemon

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

	"github.com/gin-gonic/gin"
)

// passing is how a request is passed on.
type passing struct {
	via     http.RoundTripper
	rewrite func(*httputil.ProxyRequest)
	answer  func(*http.Response) error
	private func(name string) bool // which headers of the answer are not passed on
	failed  func(error)            // answers, when via has not
}

// errNoHTTP is an answer that HTTP/1 does not have; HTTP/2 lets it through.
var errNoHTTP = errors.New("the status has not three digits, or the length is none")

// pass streams a request and its answer through, however long they take.
func (d *Daemon) pass(c *gin.Context, how passing) {
	ctx, end := d.streams.begin(c.Request.Context())
	defer end()
	req := c.Request.WithContext(ctx) // net/http looks at the body of its own
	rc := http.NewResponseController(c.Writer)
	body := newSentBody(req)
	defer body.end(func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) })
	_ = rc.SetReadDeadline(time.Time{}) // the server's limits are for requests that are answered here
	_ = rc.SetWriteDeadline(time.Time{})
	_ = rc.EnableFullDuplex() // HTTP/1 would read the body to its end before the answer begins
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			without(r.In.Trailer, ofCaller)
			r.Out.Trailer = r.In.Trailer // filled when the body has ended
			how.rewrite(r)
		},
		ModifyResponse: how.pass,
		Transport:      how.via, FlushInterval: -1, BufferPool: &d.copying,
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
			if !body.ended.Load() {
				closeAfter(c.Writer)
			}
			if !body.failed.Load() {
				how.failed(err)
				return
			}
			p := badRequest("the body of the request is malformed, or ended too early")
			p.Client = c.Param("client")
			d.fail(c, p)
		},
	}
	p.ServeHTTP(passWriter{c.Writer, body, how.private}, req)
}

// pass makes an answer the one that the caller gets.
func (how passing) pass(resp *http.Response) error {
	length := resp.Header["Content-Length"]
	if resp.StatusCode < 100 || resp.StatusCode > 999 || len(length) > 1 || len(length) == 1 && resp.ContentLength < 0 {
		return errNoHTTP
	}
	trailers := func() {
		without(resp.Trailer, how.private)
		without(resp.Trailer, noTrailer)
	}
	without(resp.Header, how.private)
	trailers()                                            // those that it announces
	if resp.StatusCode != http.StatusSwitchingProtocols { // whose body is a connection
		resp.Body = trailed{resp.Body, trailers}
	}
	return how.answer(resp)
}

// passWriter lets informational answers (100, 103) through, of which gin would
// make the final status, and writes a header when it is there.
type passWriter struct {
	gin.ResponseWriter
	body    *sentBody
	private func(name string) bool // as of passing
}

func (w passWriter) WriteHeader(code int) {
	if code == http.StatusSwitchingProtocols { // of an upgrade it is written elsewhere; HTTP/2 has none
		return
	}
	if raw := unwrap(w.ResponseWriter); code >= 100 && code < 200 {
		without(w.Header(), w.private)
		without(w.Header(), noTrailer) // nor before the answer
		raw.WriteHeader(code)
		return
	}
	if !w.body.ended.Load() {
		closeAfter(w.ResponseWriter)
	}
	w.ResponseWriter.WriteHeader(code)
	w.WriteHeaderNow()
}

// Unwrap is for [http.ResponseController].
func (w passWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// unwrap is the writer of net/http itself.
func unwrap(w http.ResponseWriter) http.ResponseWriter {
	if under, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		return under.Unwrap()
	}
	return w
}

// closeAfter has the connection closed when the answer is written, and not
// before the caller could read it (RFC 9112 section 9.6): what is left of its
// body would be taken for the next request. Nothing but the reader of a body
// that is too large says that to net/http.
func closeAfter(w http.ResponseWriter) {
	_, _ = http.MaxBytesReader(unwrap(w), io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 1))
}

// sentBody is what the caller sends, and whether that can be read to its end.
type sentBody struct {
	io.ReadCloser
	trailer http.Header // of the request
	reading sync.Mutex
	over    bool // the request is; guarded by reading
	failed  atomic.Bool
	ended   atomic.Bool // was read whole, or there is none
}

// newSentBody takes the place of a request's body.
func newSentBody(r *http.Request) *sentBody {
	b := &sentBody{ReadCloser: r.Body, trailer: r.Trailer}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = b
	} else {
		b.ended.Store(true)
	}
	return b
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.over {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		without(b.trailer, ofCaller)
		b.ended.Store(true)
	case err != nil:
		b.failed.Store(true)
	}
	return n, err
}

// end waits for a read for the upstream, which may still be under way when that
// has answered: net/http wants the connection for itself then. interrupt ends a
// read that waits for the caller.
func (b *sentBody) end(interrupt func()) {
	if !b.ended.Load() {
		interrupt()
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	b.over = true
}
