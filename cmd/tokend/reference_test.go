package main

import (
	"testing"

	"example.com/tokend/internal/clidocs"
)

// docs/cli-reference.md has every command and flag, as the program has them.
func TestCLIReference_IsWhatTheCommandsSay(t *testing.T) {
	if err := clidocs.Page("../../docs/cli-reference.md", (&program{}).command(), *update); err != nil {
		t.Errorf("%v; run go test ./cmd/tokend -run CLIReference -update", err)
	}
}
