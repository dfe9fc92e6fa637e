// Package services_test runs the programs as a service manager and a pipeline
// run them, and what examples/ and docs/deploy.md show.
package services_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bin is where the binaries are that the tests start.
var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tokend-services")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bin = dir
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./cmd/tokend", "./cmd/mockauth0")
	build.Dir = root
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the binaries:", err)
		return 1
	}
	return m.Run()
}

// root is the repository.
const root = "../.."

// tool returns the path of a program that a test needs. Without it the test is
// skipped by name on a person's machine and fails in CI.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing, and CI must not skip\nhint: make deps", name)
	}
	t.Skipf("%s is missing\nhint: make deps", name)
	return ""
}

// folder is a directory of the test's own, with a path that is short enough for
// a unix socket.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "svc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

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

// process is a program that a test started.
type process struct {
	*exec.Cmd
	log  *buffer
	done chan struct{}
}

// start starts cmd, which is killed at the end of the test unless it ended.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{Cmd: cmd, log: &buffer{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait(); close(p.done) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-p.done })
	return p
}

// waitFor waits for a line of the log and returns its first group.
func (p *process) waitFor(t *testing.T, pattern string) string {
	t.Helper()
	line, deadline := regexp.MustCompile(pattern), time.After(20*time.Second)
	for {
		if m := line.FindStringSubmatch(p.log.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended: %s\n%s", p.Path, p.ProcessState, p.log)
		case <-deadline:
			t.Fatalf("%s: %q did not come\n%s", p.Path, pattern, p.log)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// end ends the process by SIGTERM, which must be a success.
func (p *process) end(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not end\n%s", p.Path, p.log)
	}
	if code := p.ProcessState.ExitCode(); code != 0 {
		t.Errorf("%s ended with %d\n%s", p.Path, code, p.log)
	}
}

// mockauth0 starts a tenant and returns its issuer.
func mockauth0(t *testing.T, env ...string) (issuer string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "mockauth0"), "serve")
	cmd.Env = append([]string{"MOCKAUTH0_LISTEN=127.0.0.1:0"}, env...)
	return start(t, cmd).waitFor(t, `issuer (http://\S+),`)
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

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
