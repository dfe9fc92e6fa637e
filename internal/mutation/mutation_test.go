package mutation

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const code = `package p

const tooSmall = "too small"

func check(n int) string {
	if n < 0 {
		return refuse("negative")
	}
	if n == 0 {
		return tooSmall
	}
	switch {
	case n > 9:
		return refuse("large")
	case n == 7:
		return "seven"
	}
	return ""
}

func refuse(why string) string { return why }
`

const codeTest = `package p

import "testing"

func TestCheck(t *testing.T) {
	if check(-1) == "" {
		t.Error("negative")
	}
}
`

// place creates a module with the code and a test that covers half of it.
func place(t *testing.T) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "p.go")
	for name, text := range map[string]string{"go.mod": "module p\n\ngo 1.26\n", "p.go": code, "p_test.go": codeTest} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, file
}

func TestRefusals(t *testing.T) {
	dir, _ := place(t)
	list, err := RefusalsIn(dir, []string{"refuse", "tooSmall"})
	if err != nil || len(list) != 3 || list[0].Name != "p.go:6 n < 0" || list[1].Name != "p.go:9 n == 0" || list[2].Name != "p.go:13 n > 9" {
		t.Fatalf("%v, %v", list, err)
	}
	tests := Tests{Dir: dir, Args: []string{"."}}
	if test, err := list[0].CaughtBy(tests); err != nil || test != "TestCheck" {
		t.Errorf("held by %q, %v", test, err)
	}
	if test, err := list[1].CaughtBy(tests); !errors.Is(err, ErrUnnoticed) {
		t.Errorf("held by %q, %v", test, err)
	}
}

func TestReplace(t *testing.T) {
	dir, file := place(t)
	for _, what := range []string{"refuse", "nothing"} {
		if _, err := Replace(file, what, ""); err == nil || !strings.Contains(err.Error(), "not once") {
			t.Errorf("%s: %v", what, err)
		}
	}
	m, err := Replace(file, "n < 0", "n < ")
	if err != nil {
		t.Fatal(err)
	}
	if test, err := m.CaughtBy(Tests{Dir: dir, Args: []string{"."}}); err == nil || errors.Is(err, ErrUnnoticed) {
		t.Errorf("what does not compile is held by %q, %v", test, err)
	}
}

func TestCaughtBy_EndlessLoop(t *testing.T) {
	dir, file := place(t)
	m, err := Replace(file, `return refuse("negative")`, "for {\n}")
	if err != nil {
		t.Fatal(err)
	}
	if test, err := m.CaughtBy(Tests{Dir: dir, Args: []string{"-timeout=2s", "."}}); !errors.Is(err, ErrTimeout) {
		t.Errorf("an endless loop is held by %q, %v", test, err)
	}
}
