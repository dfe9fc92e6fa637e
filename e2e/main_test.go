// Package e2e_test joins the parts: scripts over the real binaries, and
// clients that nobody here wrote as referees.
package e2e_test

import (
	"os"
	"testing"

	"example.com/tokend/e2e/internal/programs"
)

// bin is where the binaries are that the tests start.
var bin string

func TestMain(m *testing.M) { os.Exit(programs.Main(m, "..", &bin)) }
