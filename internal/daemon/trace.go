package daemon

import (
	"cmp"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/guard"
	"example.com/tokend/internal/proxy"
	"example.com/tokend/internal/trace"
	"example.com/tokend/pkg/flow"
)

// tracedKey has the tracing of a request in its gin context.
const tracedKey = "trace"

// traced is the span of a request, which begins when its caller is known.
type traced struct {
	began time.Time
	span  *trace.Span
}

// traceRequest ends the span of a request, whether it is answered or ends in a panic. It
// is not among the handlers of a service without traces.
func (d *Daemon) traceRequest(c *gin.Context) {
	t := &traced{began: time.Now()}
	c.Set(tracedKey, t)
	defer func() {
		t.span.Set("tokend.request_id", flow.RequestID(c.Request.Context()))
		t.span.Answered(c.Writer.Status())
	}()
	c.Next()
}

// beginSpan begins the span of a request. The trace of the caller is continued if the
// request was admitted: any program of the machine could decide what is sampled otherwise.
func (d *api) beginSpan(c *gin.Context, caller *guard.Caller, admitted bool) {
	if d.trace == nil {
		return
	}
	t, ok := c.MustGet(tracedKey).(*traced)
	if !ok {
		return
	}
	var from http.Header
	if admitted {
		from = c.Request.Header
	}
	ctx, span := d.trace.Request(c.Request, cmp.Or(routeName(c.FullPath()), otherRoute), t.began, from)
	t.span = span
	c.Request = c.Request.WithContext(ctx)
	span.Set("tokend.caller", caller.Name)
	if name := c.Param("client"); d.clients[name] != nil { // any other name is the caller's text
		span.Set("tokend.client", name)
	}
}

// upstreamsBy returns how upstreams are reached, with traces if there are any. A nil base
// is the default.
func (d *Daemon) upstreamsBy(base http.RoundTripper) http.RoundTripper {
	if d.trace == nil {
		return base
	}
	if base == nil {
		base = proxy.NewTransport(nil)
	}
	return d.trace.Transport(base)
}
