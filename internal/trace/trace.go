// Package trace makes OpenTelemetry spans of what the service does. Only a program that
// is built with the tag otel has the SDK; in every other, [Start] returns no tracer.
//
// A span has names of the configuration, routes, statuses and classes of errors: no
// token, code, key, path or query, and nothing else that a caller or a provider has sent.
package trace

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Config is how spans are exported. The standard OTEL_ variables say the rest.
type Config struct {
	Environ func() []string // NAME=value; the SDK reads those of the process
	Version string          // of the program
	Log     *slog.Logger
}

// Tracer begins spans. A nil tracer begins none.
type Tracer struct{ sdk sdk }

// sdk is what needs the SDK.
type sdk interface {
	start(ctx context.Context, name string, k kind, began time.Time) (context.Context, sdkSpan)
	parent(ctx context.Context, h http.Header) context.Context // with the span that the headers name
	inject(ctx context.Context, h http.Header)                 // names the span of ctx in the headers
	close(ctx context.Context) error
}

// sdkSpan is a span of the SDK.
type sdkSpan interface {
	set(key, value string)
	status(code int)
	fail(class string)
	end()
}

type kind int

const (
	internal kind = iota
	server
	client
)

// Span is an operation that runs. The methods of a nil span do nothing.
type Span struct {
	s    sdkSpan
	kind kind
}

// Set adds an attribute, unless it is empty. The value must not come from outside.
func (s *Span) Set(key, value string) {
	if s != nil && value != "" {
		s.s.set(key, value)
	}
}

// Answered ends a span of HTTP with the status of the answer.
func (s *Span) Answered(status int) {
	if s == nil {
		return
	}
	s.s.status(status)
	if status >= 500 || s.kind == client && status >= 400 {
		s.s.fail("")
	}
	s.s.end()
}

// Ended ends a span with the class of its error, "" without one.
func (s *Span) Ended(class string) {
	if s == nil {
		return
	}
	if class != "" {
		s.s.set("error.type", class)
		s.s.fail(class)
	}
	s.s.end()
}

// Begin begins a span inside of the service.
func (t *Tracer) Begin(ctx context.Context, name string) (context.Context, *Span) {
	return t.begin(ctx, name, internal, time.Time{})
}

// Call begins the span of a request that the service sends.
func (t *Tracer) Call(ctx context.Context, name string) (context.Context, *Span) {
	return t.begin(ctx, name, client, time.Time{})
}

// Request begins the span of a request that is answered. It belongs to the span that the
// headers name (W3C Trace Context), if from is set.
func (t *Tracer) Request(r *http.Request, route string, began time.Time, from http.Header) (context.Context, *Span) {
	ctx := r.Context()
	if t == nil {
		return ctx, nil
	}
	if from != nil {
		ctx = t.sdk.parent(ctx, from)
	}
	method := knownMethod(r.Method)
	ctx, s := t.begin(ctx, method+" "+route, server, began)
	s.Set("http.request.method", method)
	s.Set("http.route", route)
	return ctx, s
}

// knownMethod returns a method, or "_OTHER" for one that the caller has made up.
func knownMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "QUERY":
		return method
	}
	return "_OTHER"
}

func (t *Tracer) begin(ctx context.Context, name string, k kind, began time.Time) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	ctx, s := t.sdk.start(ctx, name, k, began)
	return ctx, &Span{s: s, kind: k}
}

// Transport returns a transport that begins a span for each request, and names it in the
// request. The span ends with the header of the answer. Without a tracer it is base.
func (t *Tracer) Transport(base http.RoundTripper) http.RoundTripper {
	if t == nil {
		return base
	}
	return &transport{t, base}
}

type transport struct {
	tracer *Tracer
	base   http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	method := knownMethod(r.Method)
	ctx, s := t.tracer.Call(r.Context(), method)
	s.Set("http.request.method", method)
	s.Set("server.address", r.URL.Host)
	r = r.WithContext(ctx)
	r.Header = r.Header.Clone()
	t.tracer.sdk.inject(ctx, r.Header)
	resp, err := t.base.RoundTrip(r)
	if err != nil {
		class := "unreachable"
		if r.Context().Err() != nil {
			class = "canceled"
		}
		s.Ended(class)
		return nil, err
	}
	s.Answered(resp.StatusCode)
	return resp, nil
}

// CloseIdleConnections closes those of the base.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Close sends the spans that wait. Without a tracer it does nothing.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.sdk.close(ctx)
}

// variables returns the OTEL_ variables of an environment that are set.
func variables(environ []string) map[string]string {
	set := map[string]string{}
	for _, kv := range environ {
		if name, value, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "OTEL_") && value != "" {
			set[name] = value
		}
	}
	return set
}

// off reports whether the variables turn traces off.
func off(set map[string]string) bool {
	return strings.EqualFold(set["OTEL_SDK_DISABLED"], "true") || set["OTEL_TRACES_EXPORTER"] == "none"
}
