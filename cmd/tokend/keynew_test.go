package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tokend/internal/store/seal"
)

// TestKeyNew: each keyset is a new one that opens as a keyset, and nothing is written.
func TestKeyNew(t *testing.T) {
	home := clean(t)
	one, two := runTokend(t, "key", "new"), runTokend(t, "key", "new")
	for _, o := range []output{one, two} {
		if _, err := seal.Parse(o.stdout); o.code != 0 || err != nil || o.stderr != "" {
			t.Errorf("exit %d, %v, %q", o.code, err, o.stderr)
		}
	}
	if one.stdout == two.stdout {
		t.Error("the same keyset twice")
	}
	if found, err := filepath.Glob(filepath.Join(home, "*")); len(found) > 0 || err != nil {
		t.Errorf("%v %v", found, err)
	}
	if _, err := os.Stat("keyset.json"); err == nil {
		t.Error("a keyset file was written")
	}
}

// In a terminal without the service's variables and without a service, no client is known.
func TestKeyAdd_WithoutTheServicesSettings(t *testing.T) {
	clean(t)
	if o := runTokend(t, "key", "add", "agent", "--clients", "demo"); o.code != exitNoClient || !strings.Contains(o.stderr, "hint: run it with the variables of the service, or with its TOKEND_CONFIG") {
		t.Errorf("%+v", o)
	}
}
