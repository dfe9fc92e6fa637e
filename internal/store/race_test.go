package store

import (
	"os"
	"path/filepath"
	"testing"
)

// TestKeyset_AnotherProcessWasFirst simulates that another process has created
// the keyset since this one checked.
func TestKeyset_AnotherProcessWasFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	var first string
	for range 2 {
		if err := createKeyset(path); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(b)
		}
		if string(b) != first {
			t.Error("the first keyset was replaced")
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("files %v (%v), want the keyset alone", entries, err)
	}
}
