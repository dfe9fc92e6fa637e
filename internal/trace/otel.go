//go:build otel

package trace

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"example.com/tokend/internal/hint"
)

const (
	tracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	endpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
)

// Start returns a tracer that exports by OTLP over HTTP, as the OTEL_ variables say, or
// none if they ask for no traces. It does not connect.
func Start(ctx context.Context, c Config) (*Tracer, error) {
	set := variables(c.Environ())
	if off(set) || set[tracesEndpoint] == "" && set[endpoint] == "" && set["OTEL_TRACES_EXPORTER"] == "" {
		return nil, nil
	}
	if err := check(set); err != nil {
		return nil, err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		c.Log.WarnContext(ctx, "tracing failed", "reason", err.Error(), "hint", exportHint)
	}))
	of, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "tokend"), attribute.String("service.version", c.Version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, hint.Errorf("set it to name=value,…, percent-encoded", "OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	to, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(of), sdktrace.WithBatcher(&exporter{SpanExporter: to, config: c}))
	return &Tracer{&openTelemetry{provider: provider, tracer: provider.Tracer("example.com/tokend")}}, nil
}

// check returns the error of variables that the SDK would ignore.
func check(set map[string]string) error {
	for name, can := range map[string]string{
		"OTEL_TRACES_EXPORTER":               "otlp",
		"OTEL_EXPORTER_OTLP_PROTOCOL":        "http/protobuf",
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
	} {
		if v := set[name]; v != "" && v != can {
			return hint.Errorf("set it to "+can+", or unset it", "%s: %q is not supported", name, v)
		}
	}
	for _, name := range []string{tracesEndpoint, endpoint} {
		if v := set[name]; v != "" {
			u, err := url.Parse(v)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
				return hint.Errorf("set it to one such as http://127.0.0.1:4318", "%s is not an http or https URL", name)
			}
		}
	}
	return nil
}

const exportHint = "check the OTEL_EXPORTER_OTLP_ variables and the collector; tokens are served"

// exporter logs that spans cannot be exported, and when they can be again: once each.
type exporter struct {
	sdktrace.SpanExporter
	config Config
	failed atomic.Bool
}

// ExportSpans implements [sdktrace.SpanExporter].
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err == nil && e.failed.Swap(false):
		e.config.Log.InfoContext(ctx, "traces are exported again")
	case err != nil && !e.failed.Swap(true):
		e.config.Log.WarnContext(ctx, "traces are not exported, and spans are dropped", "reason", err.Error(), "hint", exportHint)
	}
	return nil
}

// openTelemetry implements [sdk].
type openTelemetry struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	context  propagation.TraceContext
}

func (o *openTelemetry) start(ctx context.Context, name string, k kind, began time.Time) (context.Context, sdkSpan) {
	kinds := [...]trace.SpanKind{internal: trace.SpanKindInternal, server: trace.SpanKindServer, client: trace.SpanKindClient}
	opts := []trace.SpanStartOption{trace.WithSpanKind(kinds[k])}
	if !began.IsZero() {
		opts = append(opts, trace.WithTimestamp(began))
	}
	ctx, s := o.tracer.Start(ctx, name, opts...)
	return ctx, span{s}
}

func (o *openTelemetry) parent(ctx context.Context, h http.Header) context.Context {
	return o.context.Extract(ctx, propagation.HeaderCarrier(h))
}

func (o *openTelemetry) inject(ctx context.Context, h http.Header) {
	o.context.Inject(ctx, propagation.HeaderCarrier(h))
}

func (o *openTelemetry) close(ctx context.Context) error { return o.provider.Shutdown(ctx) }

// span implements [sdkSpan].
type span struct{ trace.Span }

func (s span) set(key, value string) { s.SetAttributes(attribute.String(key, value)) }
func (s span) status(code int)       { s.SetAttributes(attribute.Int("http.response.status_code", code)) }
func (s span) fail(class string)     { s.SetStatus(codes.Error, class) }
func (s span) end()                  { s.End() }
