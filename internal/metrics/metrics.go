// Package metrics has the metrics of the service, in the text format of Prometheus.
//
// [New] returns them; the parts of the service count in them, and [Metrics.Write] is one
// scrape. docs/metrics.md lists them. Every label has one of a fixed set of values, or
// is the name of a configured client: nothing that a caller or a provider sends.
package metrics

import (
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics are the metrics of one service. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	clients  counts

	refreshTook  prometheus.Histogram
	httpRequests *prometheus.CounterVec
	httpTook     *prometheus.HistogramVec
	storeTook    *prometheus.HistogramVec
	storeErrors  *prometheus.CounterVec
	events       *prometheus.CounterVec
	undelivered  *prometheus.CounterVec
	storeUp      prometheus.Gauge

	mu     sync.Mutex
	routes map[string]*Route
}

// Operations of the store, kinds of events that were not delivered.
const (
	OpLoad = "load"
	OpSave = "save"
	OpLock = "lock"
	OpPing = "ping"

	Dropped = "dropped" // too many events waited
	Failed  = "failed"
)

// New returns the metrics of a service of that version. notified reports whether the
// store can notify of changes by other processes, or needs not to.
func New(version string, notified func() bool) *Metrics {
	fast := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	m := &Metrics{
		registry: prometheus.NewRegistry(), routes: map[string]*Route{},
		refreshTook: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tokend_refresh_duration_seconds", Help: "Time of a refresh, with everything that is stored and verified for it.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30, 60},
		}),
		httpRequests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tokend_http_requests_total", Help: "Requests to the API, by route and status.",
		}, []string{"route", "code"}),
		httpTook: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tokend_http_request_duration_seconds", Help: "Time until a request to the API was answered, without those that were refused or answered with a token in memory.", Buckets: fast,
		}, []string{"route"}),
		storeTook: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tokend_store_operation_duration_seconds", Help: "Time of an operation of the store.", Buckets: fast,
		}, []string{"operation"}),
		storeErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tokend_store_errors_total", Help: "Operations of the store that failed.",
		}, []string{"operation"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tokend_events_total", Help: "Events of the clients.",
		}, []string{"type"}),
		undelivered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tokend_events_undelivered_total", Help: "Events that on_event did not get: dropped, because too many waited, or failed.",
		}, []string{"reason"}),
		storeUp: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tokend_store_up", Help: "1 if the store answered during this scrape.",
		}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tokend_build_info", Help: "1, with the version of the program.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	info.Set(1)
	m.registry.MustRegister(
		m.refreshTook, m.httpRequests, m.httpTook, m.storeTook, m.storeErrors, m.events, m.undelivered, m.storeUp, info,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tokend_store_notifications_up", Help: "0 while a PostgreSQL store cannot notify of changes by other processes, 1 otherwise.",
		}, func() float64 { return float64(btou(notified())) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	for _, op := range []string{OpLoad, OpSave, OpLock, OpPing} { // a rate needs a first value
		m.storeTook.WithLabelValues(op)
		m.storeErrors.WithLabelValues(op)
	}
	for _, reason := range []string{Dropped, Failed} {
		m.undelivered.WithLabelValues(reason)
	}
	return m
}

// Stored counts an operation of the store, one of the Op constants.
func (m *Metrics) Stored(op string, took time.Duration, failed bool) {
	m.storeTook.WithLabelValues(op).Observe(took.Seconds())
	if failed {
		m.storeErrors.WithLabelValues(op).Inc()
	}
}

// Event counts an event; kind is one of package flow's.
func (m *Metrics) Event(kind string) { m.events.WithLabelValues(kind).Inc() }

// Undelivered counts an event that was [Dropped], or whose delivery has [Failed].
func (m *Metrics) Undelivered(reason string) { m.undelivered.WithLabelValues(reason).Inc() }

// Refreshed counts a refresh of a client. The result is "success" or a class of errors.
func (m *Metrics) Refreshed(client, result string, took time.Duration) {
	m.refreshTook.Observe(took.Seconds())
	m.clients.add(refreshes, client, result)
}

// Proxied counts a request that was forwarded, or not, by its status: an upstream may
// answer with any number, so the label is its class. own is an answer of tokend itself.
func (m *Metrics) Proxied(client string, status int, own bool) {
	code := "other"
	switch {
	case own:
		code = "tokend"
	case status >= 100 && status < 600:
		code = strconv.Itoa(status/100) + "xx"
	}
	m.clients.add(proxied, client, code)
}

// Route counts the requests of one route.
type Route struct {
	name  string
	took  prometheus.Observer
	of    *prometheus.CounterVec
	codes [500]atomic.Pointer[prometheus.Counter] // from 100; a token read should not search them
}

// Route returns the counters of a route, whose name is a constant of the program.
func (m *Metrics) Route(name string) *Route {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.routes[name]
	if r == nil {
		r = &Route{name: name, took: m.httpTook.WithLabelValues(name), of: m.httpRequests}
		m.routes[name] = r
		r.code(http.StatusOK)
	}
	return r
}

// Done counts a request that was answered.
func (r *Route) Done(status int) { r.code(status).Inc() }

// Took counts the time of a request.
func (r *Route) Took(d time.Duration) { r.took.Observe(d.Seconds()) }

func (r *Route) code(status int) prometheus.Counter {
	if status < 100 || status-100 >= len(r.codes) || http.StatusText(status) == "" { // an upstream can answer with any number
		return r.of.WithLabelValues(r.name, "other")
	}
	at := &r.codes[status-100]
	if c := at.Load(); c != nil {
		return *c
	}
	c := r.of.WithLabelValues(r.name, strconv.Itoa(status))
	at.Store(&c)
	return c
}
