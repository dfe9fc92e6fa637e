package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/tokend/e2e/internal/programs"
)

// execPlace is a mock and a directory for tokend.
type execPlace struct {
	issuer, dir string
}

func execTenant(t *testing.T) *execPlace {
	t.Helper()
	s := &execPlace{dir: programs.Folder(t)}
	if err := os.Mkdir(filepath.Join(s.dir, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, "mockauth0"))
	cmd.Env = append(os.Environ(), "MOCKAUTH0_LISTEN=127.0.0.1:0")
	s.issuer = programs.Start(t, cmd).WaitFor(t, programs.Issuer)
	return s
}

// tokend returns a tokend command with the script's client, in a session without
// a terminal.
func (s *execPlace) tokend(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin, "tokend"), args...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "TOKEND_") && !strings.HasPrefix(kv, "PATH=") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	for k, v := range defaults(s.dir) {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Env = append(cmd.Env, "TOKEND_CLIENT_DEMO_ISSUER="+s.issuer, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// control sends a request to the mock's control API.
func (s *execPlace) control(t *testing.T, method, path, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.issuer+"_mock/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s: %d %s %v", path, resp.StatusCode, b, err)
	}
	return string(b)
}

func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("%s: not in 20 s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (s *execPlace) has(name string) func() bool {
	return func() bool { _, err := os.Stat(filepath.Join(s.dir, name)); return err == nil }
}

func (s *execPlace) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// recorder writes a line for each signal, at once, and exits with 7 if the file
// "stop" exists.
const recorder = `for s in INT TERM HUP QUIT USR1 USR2 WINCH; do trap "echo $s >>got" $s; done
echo $$ >ready
while [ ! -e stop ]; do sleep 0.05 & wait $!; done
exit 7`

// Without a terminal each signal reaches the command once, whether it is sent to
// tokend alone or to its process group.
func TestExec_PassesSignals(t *testing.T) {
	s := execTenant(t)
	cmd := s.tokend("exec", "demo", "--", "sh", "-c", recorder)
	out := &programs.Log{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wait(t, "the command", s.has("ready"))
	want := ""
	for i, pid := range []int{cmd.Process.Pid, -cmd.Process.Pid} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH} {
			if err := syscall.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
			name := map[syscall.Signal]string{2: "INT", 15: "TERM", 1: "HUP", 3: "QUIT", syscall.SIGUSR1: "USR1", syscall.SIGUSR2: "USR2", syscall.SIGWINCH: "WINCH"}[sig]
			want += name + "\n"
			wait(t, fmt.Sprint(name, i), func() bool { b, _ := os.ReadFile(filepath.Join(s.dir, "got")); return len(b) >= len(want) })
		}
	}
	stop(t, s)
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("exec ended with %v", err)
	}
	if got := s.read(t, "got"); got != want {
		t.Errorf("the command got %q, want %q", got, want)
	}
	if out.String() != "" {
		t.Errorf("tokend said %q", out)
	}
}

func stop(t *testing.T, s *execPlace) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "stop"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A signal before the command has started ends tokend like a shell, and starts
// nothing.
func TestExec_SignalBeforeCommand(t *testing.T) {
	s := execTenant(t)
	s.control(t, "POST", "faults", `{"endpoint":"token","times":1,"kind":"delay","delay":"1s"}`)
	cmd := s.tokend("exec", "demo", "--", "touch", "started")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wait(t, "a login", func() bool {
		return !strings.Contains(s.control(t, "GET", "requests?endpoint=authorize", ""), `"count":0`)
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 128+15 || s.has("started")() {
		t.Errorf("exit %d, started %v", code, s.has("started")())
	}
	// The refresh in flight was stored: no new login is needed.
	if out, err := s.tokend("exec", "demo", "--", "true").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if n := s.control(t, "GET", "requests?endpoint=authorize", ""); !strings.HasPrefix(n, `{"count":1,`) {
		t.Errorf("logins: %s", n)
	}
}

// The private service leaves no process and no listener.
func TestExec_LeavesNothing(t *testing.T) {
	s := execTenant(t)
	cmd := s.tokend("exec", "demo", "--", "sh", "-c", "echo $TOKEND_ADDR; ps -eo pgid,args | grep -c '[s]leep 7.25'; sleep 0.1", "sleep 7.25")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	addr, _, _ := strings.Cut(string(out), "\n")
	if _, err := http.Get(addr + "/healthz"); err == nil || !strings.HasPrefix(addr, "http://127.0.0.1:") {
		t.Errorf("%s answers still", addr)
	}
	if ps, err := exec.Command("ps", "-eo", "args").Output(); err != nil || bytes.Contains(ps, []byte("sleep 7.25")) {
		t.Errorf("%v: a process is left", err)
	}
	if left, err := os.ReadDir(filepath.Join(s.dir, "run")); err != nil || len(left) != 0 {
		t.Errorf("left in the runtime directory: %v %v", left, err)
	}
}

// The file always has a complete and valid token, over many lifetimes.
func TestTokenFile_Rotates(t *testing.T) {
	s := execTenant(t)
	s.control(t, "POST", "resource-servers", `{"name":"Short","identifier":"https://short.example.com/","allow_offline_access":true,"token_lifetime":6}`)
	s.control(t, "PATCH", "clients/demo", `{"refresh_token":{"rotation_type":"rotating","expiration_type":"expiring","leeway":0}}`)
	cmd := s.tokend("serve")
	cmd.Env = append(cmd.Env, "TOKEND_CLIENT_DEMO_AUDIENCE=https://short.example.com/", "TOKEND_CLIENT_DEMO_FILE="+filepath.Join(s.dir, "d", "token"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() }()
	wait(t, "the file", s.has("d/token"))
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	seen := map[string]bool{}
	for ctx.Err() == nil {
		token := s.read(t, "d/token")
		if left := lifeOf(t, token); left <= 0 {
			t.Fatalf("its token has been invalid for %s", -left)
		}
		seen[token] = true
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
	if len(seen) < 3 {
		t.Errorf("%d tokens in 8 s", len(seen))
	}
	if f := s.control(t, "GET", "families", ""); !strings.Contains(f, `"count":1,`) || strings.Contains(f, "revoked") {
		t.Errorf("families: %s", f)
	}
}

// lifeOf returns how long a JWT is still valid.
func lifeOf(t *testing.T, token string) time.Duration {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("half a token: %d characters", len(token))
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Exp int64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(b, &claims) != nil {
		t.Fatalf("no claims: %v", err)
	}
	return time.Until(time.Unix(claims.Exp, 0))
}
