package main

import (
	"cmp"
	"os"
	"path/filepath"
	"testing"

	"example.com/tokend/internal/clidocs"
)

// docs/cli-reference.md has every command and flag, as the program has them.
func TestCLIReference_IsWhatTheCommandsSay(t *testing.T) {
	t.Setenv("CI", "") // it sets a default
	if err := clidocs.Page("../../docs/cli-reference.md", (&program{}).command(), *update); err != nil {
		t.Errorf("%v; run go test ./cmd/tokend -run CLIReference -update", err)
	}
}

// "make man" keeps the pages in the directory MAN_DIR.
func TestMan_HasAPageOfEachCommand(t *testing.T) {
	dir := cmp.Or(os.Getenv("MAN_DIR"), t.TempDir())
	if err := clidocs.Man((&program{}).command(), dir); err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"tokend.1", "tokend-login.1"} {
		if info, err := os.Stat(filepath.Join(dir, page)); err != nil || info.Size() < 100 {
			t.Errorf("%s: %v", page, err)
		}
	}
}
