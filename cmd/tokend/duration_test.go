package main

import (
	"strings"
	"testing"
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
