//go:build !otel

package main

import (
	"strings"
	"testing"
)

// A program without tracing says once, at its start, that variables ask for it. Their
// values can be secrets.
func TestTraces_NotInThisBuild(t *testing.T) {
	for name, tt := range map[string]struct {
		env    []string
		logged int
	}{
		"an endpoint":  {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_HEADERS=key=" + canarySecret}, 1},
		"none":         {nil, 0},
		"disabled":     {[]string{"OTEL_SERVICE_NAME=x", "OTEL_SDK_DISABLED=true"}, 0},
		"no exporter":  {[]string{"OTEL_SERVICE_NAME=x", "OTEL_TRACES_EXPORTER=none"}, 0},
		"empty values": {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT="}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := serveFile(t, newTenant(t), oneClient, tt.env...)
			if code := r.stop(); code != 0 {
				t.Fatalf("serve ended with %d:\n%s", code, r.log)
			}
			log := r.log.String()
			noCanary(t, "the log", log)
			if got := strings.Count(log, `"this build has no tracing"`); got != tt.logged {
				t.Errorf("%d lines in\n%s", got, log)
			}
			if tt.logged > 0 && !strings.Contains(log, "ignored=OTEL_EXPORTER_OTLP_ENDPOINT,OTEL_EXPORTER_OTLP_HEADERS hint=") {
				t.Errorf("the line names no variables:\n%s", log)
			}
		})
	}
}
