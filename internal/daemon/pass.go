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

// pass streams a request and its answer through, however long they take.
func (d *Daemon) pass(c *gin.Context, via http.RoundTripper, rewrite func(*httputil.ProxyRequest), answer func(*http.Response) error, failed func(error)) {
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
		Rewrite: rewrite, ModifyResponse: answer, Transport: via, FlushInterval: -1, BufferPool: &d.copying,
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
			if !body.ended.Load() {
				closeAfter(c.Writer)
			}
			if !body.failed.Load() {
				failed(err)
				return
			}
			p := badRequest("the body of the request is malformed, or ended too early")
			p.Client = c.Param("client")
			d.fail(c, p)
		},
	}
	p.ServeHTTP(passWriter{c.Writer, body}, req)
}

// passWriter lets informational answers (100, 103) through, of which gin would
// make the final status, and writes a header when it is there.
type passWriter struct {
	gin.ResponseWriter
	body *sentBody
}

func (w passWriter) WriteHeader(code int) {
	if raw := unwrap(w.ResponseWriter); code >= 100 && code < 200 && code != http.StatusSwitchingProtocols {
		raw.WriteHeader(code)
		return
	}
	if code != http.StatusSwitchingProtocols && !w.body.ended.Load() {
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
	reading sync.Mutex
	over    bool // the request is; guarded by reading
	failed  atomic.Bool
	ended   atomic.Bool // was read whole, or there is none
}

// newSentBody takes the place of a request's body.
func newSentBody(r *http.Request) *sentBody {
	b := &sentBody{ReadCloser: r.Body}
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
