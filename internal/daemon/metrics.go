package daemon

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/guard"
	"example.com/tokend/internal/metrics"
	"example.com/tokend/internal/proxy"
	"example.com/tokend/pkg/flow"
)

// pingTimeout is how long a scrape waits for the store.
const pingTimeout = time.Second

// otherRoute is the route of requests that no route matches.
const otherRoute = "other"

// routeCounters has the counters of each route, by its path; "" is any other path. They
// are found once, so that a token read has one look-up.
type routeCounters map[string]*metrics.Route

// resolve finds the counters of an engine's routes.
func (r routeCounters) resolve(m *metrics.Metrics, e *gin.Engine) {
	r[""] = m.Route(otherRoute)
	for _, route := range e.Routes() {
		r[route.Path] = m.Route(routeName(route.Path))
	}
}

// count counts a request, whether it is refused, answered or ends in a panic.
func (r routeCounters) count(c *gin.Context) {
	defer func() { r[c.FullPath()].Done(c.Writer.Status()) }()
	c.Next()
}

// time counts the time of a request since it began. A token in memory is returned without
// that: reading the clock twice would be a large part of its cost.
func (r routeCounters) time(c *gin.Context, began time.Time) { r[c.FullPath()].Took(time.Since(began)) }

// routeName returns a path of gin's in the form of docs/api.md; both of the proxy's are
// one route.
func routeName(path string) string {
	path = strings.TrimSuffix(path, "/*path")
	return strings.NewReplacer(":client", "{client}", ":name", "{client}").Replace(path)
}

// countProxied counts a request that was forwarded, or not.
func (d *Daemon) countProxied(c *gin.Context, cl *client) {
	d.metrics.Proxied(cl.Name(), c.Writer.Status(), c.Writer.Header().Get(proxy.ErrorHeader) != "")
}

// scrape answers with the metrics. A key that may use some clients sees these only.
func (d *api) scrape(c *gin.Context) {
	h := c.Writer.Header()
	h["Content-Type"] = []string{metrics.ContentType}
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	if c.Request.Method == http.MethodHead {
		c.Status(http.StatusOK)
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), pingTimeout)
	defer cancel()
	s := metrics.Scrape{StoreUp: d.ready(ctx) == nil}
	for _, state := range flow.States() {
		s.States = append(s.States, string(state))
	}
	caller := guard.CallerOf(ctx)
	for _, name := range d.names {
		if caller.May(name) {
			st := d.clients[name].Status()
			s.Clients = append(s.Clients, metrics.Client{Name: name, State: string(st.State), TokenExpiry: st.Expiry, GrantEnd: st.GrantEnds})
		}
	}
	if err := d.metrics.Write(c.Writer, s); err != nil && ctx.Err() == nil {
		d.log.WarnContext(ctx, "metrics not written", "reason", err.Error(), "hint", bugHint)
	}
}
