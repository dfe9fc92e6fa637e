package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	canaryToken  = "canary-access-token"
	canaryFresh  = "canary-refresh-token"
	canarySecret = "canary-client-secret"
	canaryKey    = "canary-api-key-0123456789"
)

// clean gives the test a home of its own and no variable of tokend's.
func clean(t *testing.T) (home string) {
	t.Helper()
	home, err := os.MkdirTemp("", "tokend") // shorter than t.TempDir's: a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	for _, name := range tokendVariables() {
		unset(t, name)
	}
	for _, name := range []string{
		"XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "CREDENTIALS_DIRECTORY", "CI",
		"STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CONFIGURATION_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
	} {
		unset(t, name)
	}
	t.Setenv("HOME", home)
	return home
}

func unset(t *testing.T, name string) {
	t.Helper()
	t.Setenv(name, "") // so that it is put back
	if err := os.Unsetenv(name); err != nil {
		t.Fatal(err)
	}
}

// tokendVariables are the names of the process's variables that tokend reads.
func tokendVariables() []string {
	var names []string
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "TOKEND_") || strings.HasPrefix(name, "OTEL_") {
			names = append(names, name)
		}
	}
	return names
}

// setenv sets "NAME=value" each.
func setenv(t *testing.T, vars ...string) {
	t.Helper()
	for _, kv := range vars {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
}

func write(t testing.TB, path, text string, perm os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
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

// output is what a command left.
type output struct {
	code           int
	stdout, stderr string
}

func runTokend(t *testing.T, args ...string) output {
	t.Helper()
	return tokendWith(t, program{stdin: strings.NewReader("")}, args...)
}

func tokendWith(t *testing.T, p program, args ...string) output {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p.stdout, p.stderr = &stdout, &stderr
	if p.replace == nil { // else "exec" would end the test as a success of its command
		p.replace = func(path string, _, _ []string) error {
			t.Errorf("the test would become %s", path)
			return os.ErrPermission
		}
	}
	ctx, cancel := context.WithCancel(t.Context()) // without a deadline, which a login would show
	defer cancel()
	defer time.AfterFunc(time.Minute, cancel).Stop() // a service that should have refused runs on
	code := p.run(ctx, args)
	if ctx.Err() != nil {
		t.Errorf("tokend %q runs for a minute", args)
	}
	return output{code, stdout.String(), stderr.String()}
}

// served is a service in this process.
type served struct {
	tcp  string // host:port
	log  *syncBuffer
	stop func() int // ends it and returns its exit code
}

// serve runs "tokend serve" on a port of its own until the test ends.
func serve(t *testing.T) *served {
	t.Helper()
	return serveAt(t, "127.0.0.1:0")
}

func serveAt(t *testing.T, addr string) *served {
	t.Helper()
	t.Setenv("TOKEND_LISTEN", addr)
	return serveWith(t, program{})
}

// serveWith runs a program's "serve" with the listener that is set.
func serveWith(t *testing.T, p program) *served {
	t.Helper()
	s := &served{log: &syncBuffer{}}
	up := make(chan []net.Addr, 1)
	p.stdin, p.stdout, p.stderr, p.listening = strings.NewReader(""), s.log, s.log, func(a []net.Addr) { up <- a }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- p.run(ctx, []string{"serve"}) }()
	s.stop = sync.OnceValue(func() int { cancel(); return <-ended })
	select {
	case a := <-up:
		s.tcp = a[0].String()
	case code := <-ended:
		t.Fatalf("serve ended with %d:\n%s", code, s.log)
	case <-time.After(20 * time.Second):
		t.Fatalf("serve does not listen:\n%s", s.log)
	}
	t.Cleanup(func() {
		if code := s.stop(); code != 0 {
			t.Errorf("serve ended with %d:\n%s", code, s.log)
		}
	})
	return s
}

// tenant answers as a tenant does, without its checks.
type tenant struct {
	*httptest.Server
	mu    sync.Mutex
	token http.HandlerFunc
	codes int // authorization codes that were exchanged
}

func newTenant(t *testing.T) *tenant {
	f := &tenant{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": f.URL + "/", "authorization_endpoint": f.URL + "/authorize", "token_endpoint": f.URL + "/oauth/token",
			"jwks_uri": f.URL + "/jwks", "revocation_endpoint": f.URL + "/oauth/revoke",
		})
	})
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		http.Redirect(w, r, q.Get("redirect_uri")+"?code=the-code&state="+q.Get("state"), http.StatusFound)
	})
	mux.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		h := f.token
		if r.FormValue("grant_type") == "authorization_code" {
			f.codes++
		}
		f.mu.Unlock()
		if h != nil {
			h(w, r)
			return
		}
		answer := map[string]any{"access_token": canaryToken, "token_type": "Bearer", "expires_in": 86400}
		if r.FormValue("grant_type") != "client_credentials" {
			answer["refresh_token"] = canaryFresh
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	})
	mux.HandleFunc("POST /oauth/revoke", func(http.ResponseWriter, *http.Request) {})
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *tenant) exchanged() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.codes
}

func (f *tenant) refuse(status int, code string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": "no"})
	}
}

// configure sets one client called demo, by variables.
func (f *tenant) configure(t *testing.T, more ...string) {
	t.Helper()
	setenv(t, "TOKEND_CLIENTS=demo", "TOKEND_CLIENT_DEMO_ISSUER="+f.URL+"/", "TOKEND_CLIENT_DEMO_CLIENT_ID=demo",
		"TOKEND_CLIENT_DEMO_CLIENT_SECRET="+canarySecret, "TOKEND_CLIENT_DEMO_SCOPES=offline_access")
	setenv(t, more...)
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func noCanary(t *testing.T, where, text string) {
	t.Helper()
	for _, c := range []string{canaryToken, canaryFresh, canarySecret, canaryKey} {
		if strings.Contains(text, c) {
			t.Errorf("%s holds %q:\n%s", where, c, text)
		}
	}
}

func serveHandler(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}
