package daemon

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
)

// pass streams a request and its answer through, however long they take.
func (d *Daemon) pass(c *gin.Context, via http.RoundTripper, rewrite func(*httputil.ProxyRequest), answer func(*http.Response) error, failed func(error)) {
	ctx, end := d.streams.begin(c.Request.Context())
	defer end()
	req := c.Request.WithContext(ctx) // net/http looks at the body of its own
	body := newSentBody(req)
	rc := http.NewResponseController(c.Writer)
	_ = rc.SetReadDeadline(time.Time{}) // the server's limits are for requests that are answered here
	_ = rc.SetWriteDeadline(time.Time{})
	_ = rc.EnableFullDuplex() // HTTP/1 would read the body to its end before the answer begins
	p := &httputil.ReverseProxy{
		Rewrite: rewrite, ModifyResponse: answer, Transport: via, FlushInterval: -1, BufferPool: &d.copying,
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
			if !body.failed.Load() {
				failed(err)
				return
			}
			c.Header("Connection", "close") // where the next request would begin nobody knows
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
	if raw, ok := w.ResponseWriter.(interface{ Unwrap() http.ResponseWriter }); ok && code >= 100 && code < 200 && code != http.StatusSwitchingProtocols {
		raw.Unwrap().WriteHeader(code)
		return
	}
	if code != http.StatusSwitchingProtocols && !w.body.ended.Load() {
		w.Header().Set("Connection", "close") // the rest of the body would be read as the next request
	}
	w.ResponseWriter.WriteHeader(code)
	w.WriteHeaderNow()
}

// Unwrap is for [http.ResponseController].
func (w passWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// sentBody is what the caller sends, and whether that can be read to its end.
type sentBody struct {
	io.ReadCloser
	failed atomic.Bool
	ended  atomic.Bool // was read whole, or there is none
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
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.ended.Store(true)
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, http.ErrBodyReadAfterClose) { // that one is of our own side
		b.failed.Store(true)
	}
	return n, err
}
