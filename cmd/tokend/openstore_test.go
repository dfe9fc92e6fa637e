package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOpenStore_Places: the spill goes to the configured directory, and the mark
// next to the keyset's file.
func TestOpenStore_Places(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_LISTEN=127.0.0.1:0", "TOKEND_SPILL_DIR="+filepath.Join(home, "spill"),
		"TOKEND_STORE_KEY_FILE="+filepath.Join(home, "keys", "k.json"))
	s, err := loadSettings()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first makes the keyset
		grants, err := s.openStore(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := grants.Close(); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"spill", "keys/k.json.mark"} {
			if _, err := os.Stat(filepath.Join(home, name)); err != nil {
				t.Error(err)
			}
		}
	}
}
