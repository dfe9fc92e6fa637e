// Package e2e_test tests the parts together: scripts over the real binaries, and
// third-party clients as referees.
package e2e_test

import (
	"os"
	"testing"

	"example.com/tokend/e2e/internal/programs"
)

// bin is the directory of the tested binaries.
var bin string

func TestMain(m *testing.M) { os.Exit(programs.Main(m, "..", &bin)) }
