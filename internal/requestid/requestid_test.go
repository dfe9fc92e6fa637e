package requestid

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"example.com/tokend/pkg/flow"
)

func TestOf_TakesHarmlessIDs(t *testing.T) {
	for name, tt := range map[string]struct {
		values []string
		taken  bool
	}{
		"a UUID":             {[]string{"3f8e0f5c-9f63-4c1e-8a53-0d6c1b1f7a11"}, true},
		"letters and digits": {[]string{"aZ09._-"}, true},
		"64 characters":      {[]string{strings.Repeat("x", 64)}, true},
		"65 characters":      {[]string{strings.Repeat("x", 65)}, false},
		"none":               {nil, false},
		"empty":              {[]string{""}, false},
		"two":                {[]string{"a", "b"}, false},
		"a line break":       {[]string{"a\nb"}, false},
		"a space":            {[]string{"a b"}, false},
		"a quote":            {[]string{`a"b`}, false},
		"an equals sign":     {[]string{"a=b"}, false},
		"not ASCII":          {[]string{"ä"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			id := New("start").Of(tt.values)
			if taken := len(tt.values) > 0 && id == tt.values[0]; taken != tt.taken || !taken && id != "start-0000001" {
				t.Errorf("id %q", id)
			}
		})
	}
}

func TestOf_MakesDifferentIDs(t *testing.T) {
	s, seen := New("start"), map[string]bool{}
	for range 1000 {
		id := s.Of(nil)
		if seen[id] || !harmless(id) || len(id) != len("start-0000001") {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}

func TestLog_HasID(t *testing.T) {
	var b strings.Builder
	log := Log(Log(slog.New(slog.NewTextHandler(&b, nil)))) // adds it once
	ctx := flow.WithRequestID(context.Background(), "req-1")
	log.With("client", "demo").InfoContext(ctx, "one")
	log.InfoContext(context.Background(), "two")
	lines := strings.Split(b.String(), "\n")
	if !strings.HasSuffix(lines[0], "msg=one client=demo request_id=req-1") || strings.Contains(lines[1], "request_id") {
		t.Errorf("the log has %q", lines)
	}
}
