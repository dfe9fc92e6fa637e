// Package deploy_test holds what deploy/ has to the tools of those that read it:
// buildkit's parser, the types of Kubernetes' API; and runs it without them.
package deploy_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// root is the repository.
const root = ".."

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, path, text string, perm os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), perm); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, perm); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

// superuser returns what makes a command run as root, "" where it does already.
// Without it the test is skipped on a person's machine and fails in CI.
func superuser(t *testing.T) []string {
	t.Helper()
	if os.Geteuid() == 0 {
		return nil
	}
	if exec.Command("sudo", "-n", "true").Run() == nil {
		return []string{"sudo", "-n"}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("chroot needs root or sudo, and CI must not skip")
	}
	t.Skip("chroot needs root or sudo")
	return nil
}

// asRoot runs a command that must succeed.
func asRoot(t *testing.T, args ...string) string {
	t.Helper()
	args = append(superuser(t), args...)
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

// process is a program that a test started.
type process struct {
	*exec.Cmd
	log  *buffer
	done chan struct{}
}

func start(t *testing.T, args []string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(args[0], args[1:]...), log: &buffer{}, done: make(chan struct{})}
	p.Stdout, p.Stderr = p.log, p.log
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.Wait(); close(p.done) }()
	t.Cleanup(func() { p.stop(t) })
	return p
}

// stop ends the process by SIGTERM, as every runtime does, and waits.
func (p *process) stop(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
	default:
		kill := append(superuser(t), "kill", strconv.Itoa(p.Process.Pid))
		cmd := exec.Command(kill[0], kill[1:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // sudo passes no signal on that comes from its own group
		_ = cmd.Run()
	}
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.Process.Kill()
		t.Errorf("%q does not end\n%s", p.Args, p.log)
	}
	return p.ProcessState.ExitCode()
}

// waitFor waits for a line of the log and returns its last group.
func (p *process) waitFor(t *testing.T, pattern string) string {
	t.Helper()
	line, deadline := regexp.MustCompile(pattern), time.After(20*time.Second)
	for {
		if m := line.FindStringSubmatch(p.log.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-p.done:
			t.Fatalf("%q ended: %s\n%s", p.Args, p.ProcessState, p.log)
		case <-deadline:
			t.Fatalf("%q: %q did not come\n%s", p.Args, pattern, p.log)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

type buffer struct {
	mu sync.Mutex
	b  strings.Builder
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

// freePort returns a port that had no listener a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// sh runs a script that must succeed and returns what it printed.
func sh(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("sh", "-euc", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// refreshToken logs in at a mock tenant as an application does once, to get a seed for a
// pipeline.
func refreshToken(t *testing.T, issuer string) string {
	t.Helper()
	form := url.Values{
		"grant_type": {"password"}, "client_id": {"demo"}, "client_secret": {"demo-secret"},
		"username": {"agent@example.com"}, "password": {"password"}, "scope": {"openid offline_access"}, "audience": {"https://api.example.com/"},
	}
	resp, err := http.PostForm(issuer+"oauth/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.RefreshToken == "" {
		t.Fatalf("%d: no refresh token (%v)", resp.StatusCode, err)
	}
	return answer.RefreshToken
}
