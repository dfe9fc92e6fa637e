package main

import (
	"flag"
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
