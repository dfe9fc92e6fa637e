package format

import (
	"testing"
	"time"

	"example.com/tokend/pkg/tokend"
)

func TestShortOf(t *testing.T) {
	for _, c := range []struct {
		has    int64
		wanted time.Duration
		want   string
	}{
		{86399, 48 * time.Hour, "valid for 24h, not for 48h"},
		{86399, 24 * time.Hour, "valid for 23h59m59s, not for 24h0m0s"},
		{15, 50 * time.Second, "valid for 15s, not for 50s"},
	} {
		if got := shortOf(&tokend.Token{ExpiresIn: c.has}, c.wanted); got != c.want {
			t.Errorf("%d: %s", c.has, got)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		24*time.Hour - time.Second: "24h", 90 * time.Minute: "1h30m", time.Hour + 10*time.Second: "1h",
		10 * time.Minute: "10m0s", 15*time.Second + 1: "15s", 0: "0s",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v: %s, not %s", d, got, want)
		}
	}
}

func TestShellQuoted(t *testing.T) {
	for in, want := range map[string]string{"a": "'a'", "it's $(x)": `'it'\''s $(x)'`} {
		if got := ShellQuoted(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
