package contract_test

import (
	"os"
	"testing"

	"example.com/tokend/internal/mutation"
)

// refusers are the functions of pkg/mock that make a refusal.
var refusers = []string{
	"refuse", "missing", "badCode", "badRefresh", "unauthorized", "notAllowed", "badProof",
	"badSignup", "dbError", "exists", "badStart",
}

// TestEveryRefusalIsHeld takes the refusals of pkg/mock out, one at a time,
// and expects a test to fail by name: a documented case, or one of the mock's
// own tests. MUTANTS=all tries all of them (make mutants); otherwise it is a slice.
func TestEveryRefusalIsHeld(t *testing.T) {
	list, err := mutation.RefusalsIn("../../pkg/mock", refusers)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 80 {
		t.Fatalf("only %d refusals were found in pkg/mock", len(list))
	}
	step := 12
	if os.Getenv("MUTANTS") == "all" {
		step = 1
	}
	for i := 0; i < len(list); i += step {
		m := list[i]
		t.Run(m.Name, func(t *testing.T) {
			test, err := m.CaughtBy(
				mutation.Tests{Args: []string{"-run", "^TestContract$", "."}},
				mutation.Tests{Args: []string{"-run", "^Test", "../../pkg/mock"}},
			)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("caught by %s", test)
		})
	}
}
