// Package programs builds the programs of this repository, and starts programs for tests.
package programs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTimeout is how long a program may take to serve, or to end.
const startTimeout = 30 * time.Second

// What the logs say of where a program is reached.
var (
	Issuer = regexp.MustCompile(`issuer (http://\S+),`)                              // of mockauth0
	Port   = regexp.MustCompile(`msg=listening network=tcp addr=127\.0\.0\.1:(\d+)`) // of tokend
)

// Main builds the programs of the repository at root, sets bin to the folder
// that they are in, and runs the tests. It is for TestMain.
func Main(m *testing.M, root string, bin *string) int {
	dir, err := os.MkdirTemp("", "tokend-bin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./cmd/tokend", "./cmd/tokend-credential", "./cmd/mockauth0") //nolint:gosec,noctx // the go command
	build.Dir, build.Stderr = root, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the programs:", err)
		return 1
	}
	*bin = dir
	return m.Run()
}

// Tool returns the path of a program that a test needs. Without it the test is
// skipped by name on a person's machine and fails in CI.
func Tool(t *testing.T, name string) string {
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

// Folder is a directory of the test's own, with a path that is short enough for
// a unix socket.
func Folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tokend")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Program is one that a test has started.
type Program struct {
	*exec.Cmd
	Log *Log // both of its outputs, except those that were set before

	ended chan struct{}
}

// Start starts cmd, which is killed at the end of the test unless it has ended.
func Start(t *testing.T, cmd *exec.Cmd) *Program {
	t.Helper()
	p := &Program{Cmd: cmd, Log: &Log{}, ended: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.Log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.Log
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait(); close(p.ended) }()
	t.Cleanup(p.Kill)
	return p
}

// WaitFor waits for a match in the log and returns its last group.
func (p *Program) WaitFor(t *testing.T, line *regexp.Regexp) string {
	t.Helper()
	deadline := time.After(startTimeout)
	for {
		if m := line.FindStringSubmatch(p.Log.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-p.ended:
			t.Fatalf("%s ended: %s\n%s", p.Path, p.ProcessState, p.Log)
		case <-deadline:
			t.Fatalf("%s: %q did not come\n%s", p.Path, line, p.Log)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// Wait waits until the program has ended, and returns its exit code.
func (p *Program) Wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(startTimeout):
		t.Fatalf("%s does not end\n%s", p.Path, p.Log)
	}
	return p.ProcessState.ExitCode()
}

// End ends the program by SIGTERM, which must be a success.
func (p *Program) End(t *testing.T) {
	t.Helper()
	p.EndBy(t, syscall.SIGTERM)
}

// EndBy is End by another signal.
func (p *Program) EndBy(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	if code := p.Wait(t); code != 0 {
		t.Errorf("%s ended with %d\n%s", p.Path, code, p.Log)
	}
}

// Kill is kill -9.
func (p *Program) Kill() {
	_ = p.Process.Kill() // it may have ended
	<-p.ended
}

// Log is what a program has written so far.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
