package daemon

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// access is what a route asks of its caller.
type access int

const (
	keyed   access = iota // every guard, and a key that opens the client in the path
	passed                // as keyed, for what is passed on to an upstream
	open                  // every guard, no key: it tells nothing of a client
	landing               // Host only: the browser comes from the tenant's page, the state is its key
)

// routes is the whole API.
func (d *api) routes() http.Handler {
	gin.SetMode(gin.ReleaseMode) // debug mode prints routes to stdout
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.UseRawPath = true // %2F is no slash
	e.Use(d.accessLog, d.recovery)
	for _, r := range []struct {
		method, path string
		access       access
		handler      gin.HandlerFunc
	}{
		{"GET", "/v1/clients", keyed, d.listClients},
		{"GET", "/v1/clients/:client", keyed, d.getClient},
		{"GET", "/v1/clients/:client/token", keyed, d.getToken},
		{"GET", "/v1/clients/:client/actions-id-token", keyed, d.actionsIDToken},
		{"POST", "/v1/clients/:client/login", keyed, d.startLogin},
		{"POST", "/v1/clients/:client/code", keyed, d.finishLogin},
		{"POST", "/v1/clients/:client/refresh", keyed, d.refresh},
		{"POST", "/v1/clients/:client/resume", keyed, d.resume},
		{"DELETE", "/v1/clients/:client/grant", keyed, d.forget},
		{"GET", "/callback", landing, d.callback},
		{"GET", "/healthz", open, d.healthz},
		{"GET", "/readyz", open, d.readyz},
	} {
		e.Handle(r.method, r.path, d.guard(r.access), r.handler)
	}
	for _, method := range proxyMethods {
		e.Handle(method, "/v1/clients/:client/proxy", d.guard(passed), d.proxy)
		e.Handle(method, "/v1/clients/:client/proxy/*path", d.guard(passed), d.proxy)
	}
	d.outside(e)
	return e
}

// outside answers for what is no route.
func (d *api) outside(e *gin.Engine) {
	e.NoRoute(d.guard(keyed), func(c *gin.Context) {
		d.fail(c, &problem{Status: http.StatusNotFound, Code: "not_found", Description: "there is no such path"})
	})
	e.NoMethod(d.guard(keyed), func(c *gin.Context) {
		d.fail(c, &problem{
			Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
			Description: "this path answers " + c.Writer.Header().Get("Allow") + " only",
		})
	})
}

func (d *Daemon) healthz(c *gin.Context) {
	writeJSON(c, http.StatusOK, struct {
		Status  string `json:"status"`
		Version string `json:"version,omitempty"` // which program runs, after an update too
	}{"ok", d.version})
}

func (d *Daemon) readyz(c *gin.Context) {
	if err := d.ready(c.Request.Context()); err != nil {
		d.log.WarnContext(c.Request.Context(), "not ready", "error", err)
		d.fail(c, &problem{
			Status: http.StatusServiceUnavailable, Code: "store_unavailable",
			Description: "the store does not answer", RetryAfter: 1,
		})
		return
	}
	writeJSON(c, http.StatusOK, struct {
		Status string `json:"status"`
	}{"ready"})
}
