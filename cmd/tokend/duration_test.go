package main

import (
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/tokend"
)

func TestDurationWithoutUnit(t *testing.T) {
	for args, want := range map[string]string{
		"token demo --min-validity 10":         "hint: a number with its unit, such as 10s\n",
		"status --timeout 5":                   "hint: a number with its unit, such as 5s\n",
		"status --timeout soon":                "hint: a number with its unit, such as 30s\n",
		"exec --min-validity 1.5 demo -- true": "such as 1.5s\n",
		"status --timeot 5":                    "hint: tokend status --help\n",
	} {
		clean(t)
		if o := runTokend(t, strings.Fields(args)...); o.code != 64 || !strings.HasSuffix(o.stderr, want) {
			t.Errorf("%s: exit %d: %s", args, o.code, o.stderr)
		}
	}
}

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
		if got := span(d); got != want {
			t.Errorf("%v: %s, not %s", d, got, want)
		}
	}
}
