// Package e2e_test runs the provider in the real Terraform, against the real
// tokend and mockauth0.
package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// version is that of every provider here: what is built locally has none.
const version = "0.0.1"

// built is where the binaries are that the tests start: tokend and mockauth0 in
// bin/, the provider and its stand-ins as Terraform looks for them in plugins/.
var built string

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8") // parallel tests wait for tokens to expire
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tokend-terraform")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	built = dir
	if _, err := exec.LookPath(terraformCLI()); err == nil { // else every test skips, or fails in CI
		if err := build(); err != nil {
			fmt.Fprintln(os.Stderr, "building the binaries:", err)
			return 1
		}
	}
	return m.Run()
}

func build() error {
	for _, b := range []struct {
		dir  string
		args []string
	}{
		{"../..", []string{"-o", built + "/bin/", "./cmd/tokend", "./cmd/mockauth0", "./e2e/internal/calling"}},
		{"..", []string{"-o", plugin(built, "tokend/tokend"), "."}},
		{"..", []string{"-o", plugin(built, "hashicorp/external"), "./internal/standin"}},
	} {
		cmd := exec.Command("go", append([]string{"build"}, b.args...)...)
		cmd.Dir, cmd.Stderr = b.dir, os.Stderr
		if err := cmd.Run(); err != nil {
			return err
		}
	}
	for _, source := range []string{"hashicorp/http", "example/calls"} {
		path := plugin(built, source)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.Link(plugin(built, "hashicorp/external"), path); err != nil {
			return err
		}
	}
	return nil
}

// terraformCLI is the program under test: $TERRAFORM, such as OpenTofu's tofu, or
// terraform.
func terraformCLI() string {
	if path := os.Getenv("TERRAFORM"); path != "" {
		return path
	}
	return "terraform"
}

// openTofu reports whether the program under test is OpenTofu.
func openTofu() bool { return filepath.Base(terraformCLI()) == "tofu" }

// registry is the default host of a provider's source address.
func registry() string {
	if openTofu() {
		return "registry.opentofu.org"
	}
	return "registry.terraform.io"
}

// plugin is where Terraform looks for a provider in a configuration's directory.
func plugin(dir, source string) string {
	return filepath.Join(dir, "terraform.d", "plugins", registry(), source, version,
		runtime.GOOS+"_"+runtime.GOARCH, "terraform-provider-"+filepath.Base(source)+"_v"+version)
}

// tool returns the path of a program that a test needs. Without it the test is
// skipped by name on a person's machine and fails in CI.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing, and CI must not skip\nhint: install it and put it on the PATH", name)
	}
	t.Skipf("%s is missing\nhint: install it and put it on the PATH", name)
	return ""
}
