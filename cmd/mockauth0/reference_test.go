package main

import (
	"cmp"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"example.com/tokend/internal/clidocs"
)

var update = flag.Bool("update", false, "rewrite the reference of the command line")

// docs/cli-reference.md has every command and flag, as the program has them.
func TestCLIReference_IsWhatTheCommandsSay(t *testing.T) {
	if err := clidocs.Page("../../docs/cli-reference.md", (&program{}).command(), *update); err != nil {
		t.Errorf("%v; run go test ./cmd/mockauth0 -run CLIReference -update", err)
	}
}

// "make man" keeps the pages in the directory MAN_DIR.
func TestMan_HasAPageOfEachCommand(t *testing.T) {
	dir := cmp.Or(os.Getenv("MAN_DIR"), t.TempDir())
	if err := clidocs.Man((&program{}).command(), dir); err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"mockauth0.1", "mockauth0-serve.1"} {
		if info, err := os.Stat(filepath.Join(dir, page)); err != nil || info.Size() < 100 {
			t.Errorf("%s: %v", page, err)
		}
	}
}
