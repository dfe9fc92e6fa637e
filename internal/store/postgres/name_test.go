package postgres

import (
	"strings"
	"testing"
)

// The name of a process has what tells it apart, and fits PostgreSQL's limit.
func TestProcessName(t *testing.T) {
	for host, want := range map[string]string{
		"db-0":                    "db-0",
		"a b\nc":                  "a?b?c",
		"tokend-6c9d8f7b5d-x2x4z": "tokend-6c9d8f7b5d-x2x4z",
		"a-long-release-name-of-tokend-in-a-cluster-6c9d8f7b5d-x2x4z": "a-long-release-n~-6c9d8f7b5d-x2x4z",
	} {
		name := processName("5f3a9c0011223344", host, 4194304)
		if len(name) > maxName || !strings.HasPrefix(name, "tokend 5f3a9c-") {
			t.Errorf("%q has %d bytes", name, len(name))
		}
		if p := parseProcess(name); p.Host != want || p.ID != 4194304 {
			t.Errorf("%q is read as %+v, want host %s", name, p, want)
		}
	}
	if p := parseProcess("tokend 5f3a9c-of another program"); p.ID != 0 {
		t.Errorf("%+v", p)
	}
	one, other := processName("5f3a9c", "h", 1), processName("5f3a9c", "h", 1)
	if one == other {
		t.Error("two processes have one name")
	}
}
