//go:build otel

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	callersSpan  = "b7ad6b7169203331"
	traceparent  = "00-" + callersTrace + "-" + callersSpan + "-01"
)

// otlpReceiver is a collector in this process.
type otlpReceiver struct {
	*httptest.Server
	mu     sync.Mutex
	spans  []*tracepb.Span
	raw    strings.Builder
	header http.Header
	status int // 0: 200
}

func newOTLPReceiver(t *testing.T) *otlpReceiver {
	t.Helper()
	c := &otlpReceiver{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var req collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &req)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.status != 0 {
			w.WriteHeader(c.status)
			return
		}
		c.raw.Write(body)
		c.header = r.Header
		for _, of := range req.GetResourceSpans() {
			fmt.Fprintln(&c.raw, of.GetResource().GetAttributes())
			for _, scope := range of.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// received returns the spans, and the bytes that had them.
func (c *otlpReceiver) received() (spans []*tracepb.Span, raw string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans), c.raw.String()
}

// spanNamed returns the only span with a name and an attribute, "" for any.
func spanNamed(t *testing.T, spans []*tracepb.Span, name, attribute string) *tracepb.Span {
	t.Helper()
	var found []*tracepb.Span
	for _, s := range spans {
		if s.GetName() == name && strings.Contains(" "+attributesOf(s)+" ", attribute) {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		var all []string
		for _, s := range spans {
			all = append(all, s.GetName()+": "+attributesOf(s))
		}
		t.Fatalf("%d spans %s with %q in\n%s", len(found), name, attribute, strings.Join(all, "\n"))
	}
	return found[0]
}

func attributesOf(s *tracepb.Span) string {
	var list []string
	for _, a := range s.GetAttributes() {
		list = append(list, a.GetKey()+"="+cmp.Or(a.GetValue().GetStringValue(), fmt.Sprint(a.GetValue().GetIntValue())))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// askTraced sends a request with a key and a trace, and returns the status of the answer.
func askTraced(t *testing.T, method, url, key string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Traceparent", traceparent)
	req.Header.Set("X-Request-Id", "req-1")
	a, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = a.Body.Close()
	return a.StatusCode
}

func TestTraces_OfReadRefreshAndProxiedCall(t *testing.T) {
	collector, f := newOTLPReceiver(t), newTenant(t)
	var provider http.Header
	f.token = func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		provider = r.Header.Clone()
		f.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"`+canaryToken+`","token_type":"Bearer","expires_in":86400}`)
	}
	upstreamSaw := make(chan http.Header, 1)
	upstream := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upstreamSaw <- r.Header.Clone()
		w.WriteHeader(http.StatusTeapot)
	}))
	r := serveFile(t, f, strings.Replace(oneClient, "grant: client_credentials", "grant: client_credentials, upstreams: [\""+upstream+"/\"]", 1),
		"OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_EXPORTER_OTLP_HEADERS=x-collector-key=collector-key")
	base := "http://" + r.tcp + "/v1/clients/"
	for _, c := range []struct {
		method, path, key string
		status            int
	}{
		{"GET", "demo/token", canaryKey, 200},
		{"GET", "demo/token", canaryKey, 200}, // from memory
		{"POST", "demo/refresh", canaryKey, 200},
		{"GET", "demo/proxy/calls/" + canaryToken + "?secret=" + canarySecret, canaryKey, 418},
		{"GET", "demo/token?access_token=" + canaryToken, canaryKey, 400},
		{"GET", canarySecret + "/token", canaryKey, 404},
		{"GET", "demo", canaryToken, 401},
		{canarySecret, "demo", canaryKey, 405},
	} {
		if got := askTraced(t, c.method, base+c.path, c.key); got != c.status {
			t.Errorf("%s %s: %d", c.method, c.path, got)
		}
	}
	if code := r.stop(); code != 0 { // exports what waits
		t.Fatalf("serve ended with %d:\n%s", code, r.log)
	}
	spans, raw := collector.received()
	noCanary(t, "the export", raw)
	noCanary(t, "the log", r.log.String())
	if collector.header.Get("X-Collector-Key") != "collector-key" || !strings.Contains(raw, `"service.name"`) || !strings.Contains(raw, `"tokend"`) {
		t.Errorf("header %v, resource in %q", collector.header, raw)
	}

	refresh := spanNamed(t, spans, "POST /v1/clients/{client}/refresh", "")
	if got, want := attributesOf(refresh), "http.request.method=POST http.response.status_code=200 http.route=/v1/clients/{client}/refresh tokend.caller=main tokend.client=demo tokend.request_id=req-1"; got != want {
		t.Errorf("attributes\n%s, want\n%s", got, want)
	}
	if refresh.GetKind() != tracepb.Span_SPAN_KIND_SERVER || traceOf(refresh) != callersTrace || parentOf(refresh) != callersSpan {
		t.Errorf("the request is not in its caller's trace: %v", refresh)
	}
	var under *tracepb.Span // the refresh of this request, not the one at the start
	var post, saved int
	for _, s := range spans {
		if s.GetName() == "refresh" && string(s.GetParentSpanId()) == string(refresh.GetSpanId()) {
			under = s
		}
	}
	if under == nil || attributesOf(under) != "tokend.client=demo" || traceOf(under) != callersTrace {
		t.Fatalf("the refresh under the request: %v", under)
	}
	for _, s := range spans {
		if string(s.GetParentSpanId()) != string(under.GetSpanId()) {
			continue
		}
		switch s.GetName() {
		case "token_request":
			post++
			if got := attributesOf(s); got != "tokend.client=demo tokend.grant_type=client_credentials" || s.GetKind() != tracepb.Span_SPAN_KIND_CLIENT || s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR {
				t.Errorf("token request: %s, %v", got, s)
			}
		case "store_save":
			saved++
		}
	}
	if post != 1 || saved == 0 {
		t.Errorf("%d token requests and %d saves under the refresh", post, saved)
	}
	f.mu.Lock()
	if provider == nil || provider.Get("Traceparent") != "" || provider.Get("Tracestate") != "" {
		t.Errorf("the provider got %v", provider)
	}
	f.mu.Unlock()

	proxied := spanNamed(t, spans, "GET /v1/clients/{client}/proxy", "tokend.client=demo")
	call := spanNamed(t, spans, "GET", "http.response.status_code=418")
	if got, want := attributesOf(call), "http.request.method=GET http.response.status_code=418 server.address="+strings.TrimPrefix(upstream, "http://"); got != want {
		t.Errorf("proxied call\n%s, want\n%s", got, want)
	}
	if string(call.GetParentSpanId()) != string(proxied.GetSpanId()) || call.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("%v", call)
	}
	var id trace.SpanID
	copy(id[:], call.GetSpanId())
	if got, want := (<-upstreamSaw).Get("Traceparent"), "00-"+callersTrace+"-"+id.String()+"-01"; got != want {
		t.Errorf("the upstream got %s, want %s", got, want)
	}

	unknown := spanNamed(t, spans, "GET /v1/clients/{client}/token", "http.response.status_code=404")
	if strings.Contains(attributesOf(unknown), "tokend.client") {
		t.Errorf("a made-up client is in %s", attributesOf(unknown))
	}
	refused := spanNamed(t, spans, "GET /v1/clients/{client}", "http.response.status_code=401")
	if traceOf(refused) == callersTrace || parentOf(refused) != "0000000000000000" {
		t.Errorf("a refused caller decides about a trace: %v", refused)
	}
	spanNamed(t, spans, "_OTHER other", "")
}

func traceOf(s *tracepb.Span) string { return fmt.Sprintf("%x", s.GetTraceId()) }

func parentOf(s *tracepb.Span) string { return fmt.Sprintf("%016x", s.GetParentSpanId()) }

// A failed token request has the class of its error.
func TestTraces_FailedRefreshHasClass(t *testing.T) {
	collector, f := newOTLPReceiver(t), newTenant(t)
	f.refuse(http.StatusUnauthorized, "invalid_client")
	r := serveFile(t, f, oneClient, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+collector.URL+"/v1/traces")
	_ = askTraced(t, "POST", "http://"+r.tcp+"/v1/clients/demo/refresh", canaryKey)
	if code := r.stop(); code != 0 {
		t.Fatalf("serve ended with %d:\n%s", code, r.log)
	}
	spans, raw := collector.received()
	noCanary(t, "the export", raw)
	for _, s := range spans {
		if s.GetName() == "token_request" && strings.Contains(attributesOf(s), "error.type=client_rejected") && s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR {
			return
		}
	}
	t.Errorf("no failed token request in %v", spans)
}

// A collector that fails stops nothing, and is one line in the log.
func TestTraces_CollectorFails_IsLoggedOnce(t *testing.T) {
	collector, f := newOTLPReceiver(t), newTenant(t)
	collector.status = http.StatusBadRequest
	r := serveFile(t, f, oneClient, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_BSP_SCHEDULE_DELAY=10")
	const line = "traces are not exported"
	until(t, func() error {
		if status := askTraced(t, "GET", "http://"+r.tcp+"/v1/clients/demo/token", canaryKey); status != 200 {
			t.Fatalf("a read: %d", status)
		}
		if !strings.Contains(r.log.String(), line) {
			return fmt.Errorf("no line in %s", r.log)
		}
		return nil
	})
	if code := r.stop(); code != 0 || strings.Count(r.log.String(), line) != 1 {
		t.Errorf("serve ended with %d:\n%s", code, r.log)
	}
}

// Without a variable that asks for traces there are none.
func TestTraces_OffByDefault(t *testing.T) {
	for name, env := range map[string][]string{
		"no variable": nil,
		"disabled":    {"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_SDK_DISABLED=true"},
		"no exporter": {"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_TRACES_EXPORTER=none"},
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			setenv(t, env...)
			if tr, err := startTracing(t.Context(), slog.New(slog.DiscardHandler)); tr != nil || err != nil {
				t.Errorf("%v, %v", tr, err)
			}
		})
	}
}

// A variable that the SDK would ignore is an error of the start.
func TestTraces_WrongVariables(t *testing.T) {
	for variable, want := range map[string]string{
		"OTEL_TRACES_EXPORTER=zipkin":                         `OTEL_TRACES_EXPORTER: "zipkin" is not supported`,
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc":                    `OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" is not supported`,
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json":        `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/json" is not supported`,
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + canarySecret:  "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is not an http or https URL",
		"OTEL_EXPORTER_OTLP_ENDPOINT=collector.internal:4318": "OTEL_EXPORTER_OTLP_ENDPOINT is not an http or https URL",
		"OTEL_RESOURCE_ATTRIBUTES=novalue":                    "OTEL_RESOURCE_ATTRIBUTES",
	} {
		t.Run(variable, func(t *testing.T) {
			f := newTenant(t)
			clean(t)
			f.configure(t, "TOKEND_LISTEN=off", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", variable)
			ctx, stop := context.WithTimeout(t.Context(), 10*time.Second) // a start without the error ends then
			defer stop()
			var stderr syncBuffer
			p := program{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &stderr}
			code, text := p.run(ctx, []string{"serve"}), stderr.String()
			if code != exitConfig || !strings.Contains(text, want) || !strings.Contains(text, "hint: set it to ") {
				t.Errorf("%d: %s", code, text)
			}
			noCanary(t, "the error", text)
		})
	}
}
