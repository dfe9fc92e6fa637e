package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// audience is the API that the mock protects under /_mock/resource/.
const audience = "https://api.example.com/"

// world is a tenant and a tokend that has logged in there.
type world struct {
	dir    string // short, for the socket
	env    map[string]string
	issuer string
	tokend string // URL
	api    string // base URL of the protected API
}

// newWorld starts both. lifetime is that of the API's tokens in seconds, 0 for
// a day. settings are further ones of tokend.
func newWorld(t *testing.T, lifetime int, settings map[string]string) *world {
	t.Helper()
	w := newTenant(t, lifetime)
	w.startTokend(t, settings)
	return w
}

// newTenant starts the tenant only.
func newTenant(t *testing.T, lifetime int) *world {
	t.Helper()
	tool(t, terraformCLI())
	tool(t, "curl")
	dir, err := os.MkdirTemp("", "tf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &world{dir: dir, env: map[string]string{
		"PATH": filepath.Join(built, "bin") + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME": dir, "TMPDIR": os.TempDir(),
		"XDG_STATE_HOME": dir + "/state", "XDG_RUNTIME_DIR": dir + "/run", "XDG_CONFIG_HOME": dir + "/config",
	}}
	if err := os.Mkdir(dir+"/run", 0o700); err != nil {
		t.Fatal(err)
	}
	w.issuer = w.start(t, "mockauth0", regexp.MustCompile(`issuer (http://\S+),`), map[string]string{"MOCKAUTH0_LISTEN": "127.0.0.1:0"})
	w.api = w.issuer + "_mock/resource"
	if lifetime > 0 {
		w.post(t, w.issuer+"_mock/resource-servers", fmt.Sprintf(`{"name":"Calls","identifier":%q,"allow_offline_access":true,"token_lifetime":%d,`+
			`"scopes":[{"value":"read:calls"},{"value":"write:calls"}]}`, audience, lifetime))
	}
	return w
}

// startTokend starts tokend with a client of the tenant.
func (w *world) startTokend(t *testing.T, settings map[string]string) {
	t.Helper()
	env := map[string]string{
		"TOKEND_LISTEN": "127.0.0.1:0", "TOKEND_CLIENTS": "demo",
		"TOKEND_CLIENT_DEMO_ISSUER": w.issuer, "TOKEND_CLIENT_DEMO_CLIENT_ID": "demo", "TOKEND_CLIENT_DEMO_CLIENT_SECRET": "demo-secret",
		"TOKEND_CLIENT_DEMO_REDIRECT_URI": "http://localhost:8484/callback", "TOKEND_CLIENT_DEMO_AUDIENCE": audience,
		"TOKEND_CLIENT_DEMO_SCOPES": "openid,profile,offline_access,read:calls", "TOKEND_CLIENT_DEMO_LOGIN": "headless",
	}
	for name, value := range settings {
		env[name] = strings.NewReplacer("$API", w.api, "$ISSUER", w.issuer).Replace(value)
	}
	w.tokend = "http://127.0.0.1:" + w.start(t, "tokend", regexp.MustCompile(`msg=listening network=tcp addr=127\.0\.0\.1:(\d+)`), env)
	w.env["TOKEND_ADDR"] = w.tokend
}

// start starts a server, and returns what its log says where it listens.
func (w *world) start(t *testing.T, name string, listens *regexp.Regexp, env map[string]string) string {
	t.Helper()
	logFile, err := os.Create(filepath.Join(w.dir, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = logFile.Close() }()
	cmd := exec.Command(filepath.Join(built, "bin", name), "serve")
	cmd.Dir, cmd.Stderr, cmd.Env = w.dir, logFile, environ(w.env, env)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
		if t.Failed() {
			t.Logf("%s: %s", name, read(t, logFile.Name()))
		}
	})
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if m := listens.FindStringSubmatch(read(t, logFile.Name())); m != nil {
			return m[1]
		}
		select {
		case <-done:
			t.Fatalf("%s ended:\n%s", name, read(t, logFile.Name()))
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not serve", name)
	return ""
}

func environ(sets ...map[string]string) []string {
	all := map[string]string{}
	for _, s := range sets {
		maps.Copy(all, s)
	}
	var env []string
	for name, value := range all {
		env = append(env, name+"="+value)
	}
	return env
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (w *world) post(t *testing.T, url, body string) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s", url, resp.StatusCode, b)
	}
}

// key is tokend's API key.
func (w *world) key(t *testing.T) string {
	return strings.TrimSpace(read(t, w.dir+"/state/tokend/api.key"))
}

// command runs the tokend command and returns what it prints.
func (w *world) command(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(built, "bin", "tokend"), args...)
	cmd.Env = environ(w.env)
	out, err := cmd.Output()
	if ee := (*exec.ExitError)(nil); errors.As(err, &ee) {
		t.Fatalf("tokend %s: %v\n%s", strings.Join(args, " "), err, ee.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// workspace is a folder with a configuration and the providers that it needs.
type workspace struct {
	*world
	dir string
	env map[string]string // in addition to the world's

	before []string // what runs terraform: a program by its path, and its arguments
	shown  string   // everything that terraform has printed
	each   func()   // runs before each command, if it is set
}

// workspace makes one of a configuration, and initialises it.
func (w *world) workspace(t *testing.T, configuration string, plugins ...string) *workspace {
	t.Helper()
	ws := &workspace{world: w, dir: t.TempDir(), env: map[string]string{}}
	if err := os.WriteFile(filepath.Join(ws.dir, "main.tf"), []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, source := range plugins {
		path := plugin(ws.dir, source)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(plugin(built, source), path); err != nil {
			t.Fatal(err)
		}
	}
	ws.must(t, "init", "-no-color", "-input=false")
	ws.shown = "" // it warns that a provider built here has no signature
	return ws
}

// terraform runs terraform. What reaches for the network finds a closed door.
func (ws *workspace) terraform(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if ws.each != nil {
		ws.each()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	line := append(append(slices.Clone(ws.before), tool(t, terraformCLI())), args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Dir = ws.dir
	cmd.Env = environ(ws.world.env, map[string]string{
		"TF_CLI_CONFIG_FILE": os.DevNull, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1",
		"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1",
	}, ws.env)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	ws.shown += out.String()
	return out.String(), err
}

func (ws *workspace) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := ws.terraform(t, args...)
	if err != nil {
		t.Fatalf("terraform %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// journal is how many requests of an endpoint the tenant has had.
func (w *world) journal(t *testing.T, query string) int {
	t.Helper()
	resp, err := http.Get(w.issuer + "_mock/requests?" + query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var j struct {
		Count int `json:"count"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&j); err != nil {
		t.Fatal(err)
	}
	return j.Count
}
