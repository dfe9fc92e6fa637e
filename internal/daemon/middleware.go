package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/guard"
	"example.com/tokend/internal/proxy"
	"example.com/tokend/internal/requestid"
	"example.com/tokend/pkg/flow"
)

// accessLevel is the level of the access log, which is for debugging: nothing else
// logs cached reads.
const accessLevel = slog.LevelDebug

// accessLog logs the route of a request, never its query, which may hold a code.
func (d *Daemon) accessLog(c *gin.Context) {
	ctx := c.Request.Context()
	if !d.log.Enabled(ctx, accessLevel) {
		return
	}
	began := time.Now()
	c.Next()
	d.log.Log(c.Request.Context(), accessLevel, "request", "method", c.Request.Method, "route", c.FullPath(), "client", c.Param("client"),
		"caller", guard.CallerOf(c.Request.Context()).Name, "status", c.Writer.Status(), "took", time.Since(began))
}

// identify gives a request its id, and its answer.
func (d *Daemon) identify(c *gin.Context) string {
	id := d.ids.Of(c.Request.Header[requestid.Header])
	c.Writer.Header()[requestid.Header] = []string{id}
	return id
}

// withID gives a request its id and returns its context with that.
func (d *Daemon) withID(c *gin.Context) context.Context {
	return flow.WithRequestID(c.Request.Context(), d.identify(c))
}

// recovery answers 500 for a handler that panics. The value may contain headers or
// tokens, so the log has only its type and the stack, where arguments are addresses.
func (d *Daemon) recovery(c *gin.Context) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
		d.log.ErrorContext(c.Request.Context(), "handler panicked", "reason", proxy.PanicText(v), "hint", bugHint,
			"route", c.FullPath(), "stack", string(debug.Stack()))
		if !c.Writer.Written() {
			d.fail(c, &problem{Status: http.StatusInternalServerError, Code: codeInternal, Description: "unexpected error; see tokend's log"})
		}
		c.Abort()
	}()
	c.Next()
}
