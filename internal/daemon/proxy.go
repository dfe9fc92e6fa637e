package daemon

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/audit"
	"example.com/tokend/internal/guard"
	"example.com/tokend/internal/proxy"
	"example.com/tokend/internal/requestid"
	"example.com/tokend/pkg/flow"
)

// codeUpstreamDown is an upstream that does not answer.
const codeUpstreamDown = "upstream_unreachable"

// forward sends a request on to an upstream of the client, with the client's token
// in place of the API key.
func (d *api) forward(c *gin.Context) {
	cl := d.known(c)
	if cl == nil {
		return
	}
	noteAudience(c, cl, "")
	note(c, func(e *audit.Entry) { e.Method = c.Request.Method })
	if p := cl.refusesAudience(guard.CallerOf(c.Request.Context()), ""); p != nil {
		d.failFor(c, cl, p)
		return
	}
	to := cl.upstreams
	if to == nil {
		to = d.proxy.Client(cl.Name(), tokenSource{cl.Client.Client, cl.life}, nil)
	}
	defer d.countProxied(c, cl)
	id := c.Writer.Header()[requestid.Header]
	delete(c.Writer.Header(), requestid.Header) // the upstream's answer can have one of its own
	ctx, done := d.whileAllowed(c.Request.Context(), cl.Name())
	defer done()
	to.Forward(headerWriter{c.Writer}, c.Request.WithContext(ctx), func(err error) {
		c.Writer.Header()[requestid.Header] = id
		var down *proxy.UpstreamError
		if errors.As(err, &down) {
			d.failFor(c, cl, &problem{Status: http.StatusBadGateway, Code: codeUpstreamDown, Description: down.Error(), Hint: down.Hint()})
			return
		}
		d.failWith(c, cl, err)
	})
}

// whileAllowed returns a context that ends when a later configuration has the caller no
// longer, or not for this client: an upgraded connection and a stream have no end of their
// own. done must be called at the end of the request.
func (d *api) whileAllowed(parent context.Context, client string) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(parent)
	caller := guard.CallerOf(ctx)
	var mu sync.Mutex // of stop
	var stop func() bool
	var watch func(*api)
	watch = func(a *api) {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		stop = context.AfterFunc(a.replaced, func() {
			next := d.active.Load()
			if next.guard.StillMay(caller, client) {
				watch(next)
				return
			}
			d.log.InfoContext(ctx, "ended a proxied request: its caller may no longer use the client", "client", client, "caller", caller.Name)
			cancel()
		})
	}
	watch(d)
	return ctx, func() {
		cancel()
		mu.Lock()
		defer mu.Unlock()
		stop()
	}
}

// headerWriter writes a header at once. gin would keep the status of an
// informational answer (100, 103) for the final one.
type headerWriter struct{ gin.ResponseWriter }

func (w headerWriter) WriteHeader(code int) {
	if raw, ok := w.ResponseWriter.(interface{ Unwrap() http.ResponseWriter }); ok && code >= 100 && code < 200 {
		raw.Unwrap().WriteHeader(code)
		return
	}
	w.ResponseWriter.WriteHeader(code)
	w.WriteHeaderNow()
}

// Unwrap is for [http.ResponseController].
func (w headerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// tokenSource returns tokens for requests of the proxy, each of which waits for as
// long as a caller does.
type tokenSource struct {
	*flow.Client
	life *life
}

// Get implements [flow.Getter].
func (s tokenSource) Get(ctx context.Context, r flow.Request) (*flow.Token, error) {
	if t := s.Cached(r); t != nil {
		return t, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	defer s.life.use()()
	return s.Client.Get(ctx, r)
}
