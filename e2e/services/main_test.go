// Package services_test runs the programs as a service manager and a pipeline
// run them, and what examples/ and docs/deploy.md show.
package services_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tokend/e2e/internal/programs"
)

// bin is where the binaries are that the tests start.
var bin string

func TestMain(m *testing.M) { os.Exit(programs.Main(m, root, &bin)) }

// root is the repository.
const root = "../.."

func write(t *testing.T, path, text string, perm os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), perm); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// mockauth0 starts a tenant and returns its issuer.
func mockauth0(t *testing.T, env ...string) (issuer string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "mockauth0"), "serve")
	cmd.Env = append([]string{"MOCKAUTH0_LISTEN=127.0.0.1:0"}, env...)
	return programs.Start(t, cmd).WaitFor(t, programs.Issuer)
}

// output runs a command that must succeed and returns its stdout.
func output(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, stderr.String())
	}
	return string(out)
}
