package daemon

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/guard"
	"example.com/tokend/internal/proxy"
	"example.com/tokend/pkg/flow"
)

// route is one route of the API. What GET answers, HEAD answers without a body.
type route struct {
	method, path string
	access       guard.Access
	handler      gin.HandlerFunc
	cached       func(*gin.Context, *guard.Caller) bool // answers from memory, or returns false; nil: never
	audit        string                                 // its name in the audit log; "": not there
	page         bool                                   // of the dashboard: a refusal is a page, too
}

// Names of routes in the audit log.
const (
	actionCallback = "callback"
	actionToken    = "token"
)

// table is the whole API except for the proxy, which accepts any method.
func (d *api) table() []route {
	return append(d.dashboardTable(), []route{
		{method: "GET", path: "/v1/clients", access: guard.NeedsKey, handler: d.listClients},
		{method: "GET", path: "/v1/clients/:client", access: guard.NeedsKey, handler: d.getClient},
		{method: "GET", path: "/v1/clients/:client/token", access: guard.NeedsKey, handler: d.getToken, cached: d.cachedToken, audit: actionToken},
		{method: "GET", path: "/v1/clients/:client/actions-id-token", access: guard.NeedsKey, handler: d.actionsIDToken, audit: "actions-id-token"},
		{method: "POST", path: "/v1/clients/:client/login", access: guard.Manages, handler: d.startLogin, audit: "login"},
		{method: "POST", path: "/v1/clients/:client/code", access: guard.Manages, handler: d.finishLogin, audit: "code"},
		{method: "POST", path: "/v1/clients/:client/refresh", access: guard.Manages, handler: d.refresh, audit: "refresh"},
		{method: "POST", path: "/v1/clients/:client/resume", access: guard.Manages, handler: d.resume, audit: "resume"},
		{method: "DELETE", path: "/v1/clients/:client/grant", access: guard.Manages, handler: d.forget, audit: "logout"},
		{method: "GET", path: "/v1/service", access: guard.NeedsKey, handler: d.service},
		{method: "GET", path: "/v1/events", access: guard.NeedsKey, handler: d.events},
		{method: "POST", path: "/v1/dashboard", access: guard.NeedsKey, handler: d.linkDashboard, audit: "dashboard"},
		{method: "GET", path: "/metrics", access: guard.NeedsKey, handler: d.scrape},
		{method: "GET", path: "/callback", access: guard.CallbackOnly, handler: d.callback, audit: actionCallback},
		{method: "GET", path: "/callback/:name", access: guard.CallbackOnly, handler: d.callback, audit: actionCallback},
		{method: "GET", path: "/healthz", access: guard.Open, handler: d.healthz},
		{method: "GET", path: "/readyz", access: guard.Open, handler: d.readyz},
	}...)
}

// routes is the handler of the whole API.
func (d *api) routes() http.Handler {
	gin.SetMode(gin.ReleaseMode) // debug mode prints routes to stdout
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.UseRawPath = true // %2F is not a slash
	d.routed = routeCounters{}
	if d.trace != nil {
		e.Use(d.traceRequest)
	}
	e.Use(d.routed.count, d.accessLog, d.recovery)
	for _, r := range d.table() {
		e.Handle(r.method, r.path, d.guarded(r))
		if r.method == http.MethodGet { // net/http drops the body (RFC 9110 section 9.3.2)
			e.Handle(http.MethodHead, r.path, d.guarded(r))
		}
	}
	for _, method := range proxy.Methods() {
		e.Handle(method, "/v1/clients/:client/proxy", d.guarded(route{access: guard.Proxied, handler: d.forward, audit: "proxy"}))
		e.Handle(method, "/v1/clients/:client/proxy/*path", d.guarded(route{access: guard.Proxied, handler: d.forward, audit: "proxy"}))
	}
	e.NoRoute(d.guarded(route{access: guard.NeedsKey, handler: d.notFound}))
	e.NoMethod(d.guarded(route{access: guard.NeedsKey, handler: d.methodNotAllowed}))
	d.routed.resolve(d.metrics, e)
	return e
}

// guarded puts a route behind the guard. The 404 and the 405 are behind it, too: a
// refused request learns nothing about the API. The handler finds the caller in the
// request's context. A cached answer does not need that context, which would be most
// of its allocations, and writes its own entry in the audit log.
func (d *api) guarded(r route) gin.HandlerFunc {
	return func(c *gin.Context) {
		if c.Request.TransferEncoding != nil { // perhaps with a Content-Length, which net/http ignores (RFC 9112 section 6.1)
			c.Writer.Header()["Connection"] = []string{"close"}
		}
		caller, refusal := d.guard.Admit(c.Request, r.access, c.Param("client"))
		d.beginSpan(c, caller, refusal == nil)
		if refusal == nil && r.cached != nil && !d.log.Enabled(c.Request.Context(), accessLevel) && r.cached(c, caller) {
			return
		}
		rec := d.audited(c, r.audit, caller)
		d.answer(c, r, caller, refusal)
		rec.end() // not after a panic, which is answered later
	}
}

func (d *api) answer(c *gin.Context, r route, caller *guard.Caller, refusal *guard.Refusal) {
	if refusal != nil {
		c.Request = c.Request.WithContext(d.withID(c))
		refusal.Log(d.log, c.Request, caller)
		if r.page {
			d.refusePage(c, refusal)
			return
		}
		d.fail(c, problemOfRefusal(refusal))
		return
	}
	defer d.routed.time(c, time.Now())
	c.Request = c.Request.WithContext(guard.WithCaller(d.withID(c), caller))
	r.handler(c)
}

func (d *Daemon) notFound(c *gin.Context) {
	d.fail(c, &problem{Status: http.StatusNotFound, Code: "not_found", Description: "there is no such path"})
}

func (d *Daemon) methodNotAllowed(c *gin.Context) {
	d.fail(c, &problem{
		Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
		Description: "this path answers " + c.Writer.Header().Get("Allow") + " only",
	})
}

func (d *Daemon) healthz(c *gin.Context) {
	writeJSON(c, http.StatusOK, struct {
		Status  string `json:"status"`
		Version string `json:"version,omitempty"` // of the running program, which an update on disk does not change
	}{"ok", d.version})
}

func (d *Daemon) readyz(c *gin.Context) {
	if err := d.ready(c.Request.Context()); err != nil {
		reason, advice := reasonAndHint(err, "tokend doctor shows what is wrong with the store")
		d.log.WarnContext(c.Request.Context(), "not ready", "reason", reason, "hint", advice)
		p := &problem{
			Status: http.StatusServiceUnavailable, Code: "store_unavailable",
			Description: "the store does not answer", RetryAfter: 1,
		}
		if errors.Is(err, flow.ErrReplaced) { // without the error's text, whose path and host are not for every caller
			p.Description, p.Hint = "the store was deleted or replaced while it was in use", "restart tokend"
		}
		d.fail(c, p)
		return
	}
	ready := struct {
		Status        string        `json:"status"`
		Notifications string        `json:"notifications,omitempty"` // of other processes' changes: "ok", "lost"; "": this store has none
		Audit         *auditFailure `json:"audit,omitempty"`         // why it is degraded: tokens are served
	}{"ready", d.notifications(c.Request.Context()), d.auditFailure()}
	if ready.Audit != nil {
		ready.Status = "degraded"
	}
	writeJSON(c, http.StatusOK, ready)
}

// notifications reports whether changes of other processes are notified. Without them
// the daemon is ready: it reads the store when a token is about to expire.
func (d *Daemon) notifications(ctx context.Context) string {
	if d.watchError == nil {
		return ""
	}
	err := d.watchError()
	if err == nil {
		return "ok"
	}
	reason, advice := reasonAndHint(err, "tokens are served, and other processes' changes are read when a token is about to expire")
	d.log.WarnContext(ctx, "notifications are lost", "reason", reason, "hint", advice)
	return "lost"
}
