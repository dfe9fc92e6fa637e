// Package referees_test lets clients of third parties judge mockauth0:
// each does its own happy path, unmodified, and sees one thing refused. What
// the tenant saw of it is read from its journal.
package referees_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mockauth0 and tokend are the programs that the tests start.
var mockauth0, tokend string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if code, is := runContainer(); is {
		return code
	}
	if mockauth0 = os.Getenv(composeMock); mockauth0 != "" { // a process of TestCompose
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "referees")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	mockauth0, tokend = filepath.Join(dir, "mockauth0"), filepath.Join(dir, "tokend")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir, "./cmd/mockauth0", "./cmd/tokend")
	build.Dir = filepath.Join("..", "..")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building mockauth0 and tokend:", err)
		return 1
	}
	return m.Run()
}

// tool returns the path of a program that a test needs, by the first of its
// names that is there. Without it the test is skipped by name on a person's
// machine and fails in CI.
func tool(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	lacking(t, strings.Join(names, " or "))
	return ""
}

func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing, and CI must not skip\nhint: make deps", what)
	}
	t.Skipf("%s is missing\nhint: make deps", what)
}
