package daemon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/tokend/internal/proxy"
	"example.com/tokend/pkg/flow"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Secrets that only the answer to a request for them may contain.
const (
	canaryToken  = "canary-access-token"
	canaryFresh  = "canary-refresh-token"
	canarySecret = "canary-client-secret"
	canaryCode   = "canary-code"
	mainKey      = "canary-main-key-0123456789"
	ciKey        = "canary-ci-key-0123456789"
)

// Headers of the proxy.
const (
	errorHeader    = proxy.ErrorHeader
	upstreamHeader = "Tokend-Upstream"
	networkHeader  = "Tokend-Network"
)

// fakeTenant answers as a tenant does, without its checks.
type fakeTenant struct {
	*httptest.Server
	posts atomic.Int64
	mu    sync.Mutex
	token http.HandlerFunc // of the token endpoint; nil: a good answer
}

func newTenant(t testing.TB) *fakeTenant {
	f := &fakeTenant{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": f.issuer(), "authorization_endpoint": f.URL + "/authorize", "token_endpoint": f.URL + "/oauth/token",
			"jwks_uri": f.URL + "/jwks", "revocation_endpoint": f.URL + "/oauth/revoke",
		})
	})
	mux.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, r *http.Request) {
		f.posts.Add(1)
		f.mu.Lock()
		h := f.token
		f.mu.Unlock()
		if h == nil {
			h = goodToken
		}
		h(w, r)
	})
	mux.HandleFunc("POST /oauth/revoke", func(http.ResponseWriter, *http.Request) {})
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeTenant) issuer() string { return f.URL + "/" }

func (f *fakeTenant) answer(h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = h
}

func goodToken(w http.ResponseWriter, r *http.Request) {
	answer := map[string]any{"access_token": canaryToken, "token_type": "Bearer", "expires_in": 86400, "scope": "read:calls offline_access"}
	if r.FormValue("grant_type") != "client_credentials" {
		answer["refresh_token"] = canaryFresh
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func refuseWith(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": "no"})
	}
}

// kept is a client that needs no person; person is one that a person logs in.
func kept(t testing.TB, f *fakeTenant, name string) Client {
	return makeClient(t, flow.Config{
		Name: name, Issuer: f.issuer(), ClientID: name, ClientSecret: canarySecret,
		Source: flow.ClientCredentials{}, Audience: "https://api.example.com/",
	}, "")
}

func person(t testing.TB, f *fakeTenant, name string) Client {
	return makeClient(t, flow.Config{
		Name: name, Issuer: f.issuer(), ClientID: name, ClientSecret: canarySecret,
		Source: flow.AuthorizationCode{}, RedirectURL: "http://localhost:8484/callback", Scopes: []string{"offline_access"},
	}, "browser")
}

func makeClient(t testing.TB, c flow.Config, login string) Client {
	t.Helper()
	fc, err := flow.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return Client{Client: fc, Audience: c.Audience, Login: login, ClientID: c.ClientID, RedirectURL: c.RedirectURL}
}

// running is a daemon on its own port.
type running struct {
	*Daemon
	addr string // host:port
	log  *syncBuffer
}

// start runs a daemon until the test ends and waits for it.
func start(t testing.TB, c Config, more ...net.Listener) *running {
	t.Helper()
	r := &running{log: &syncBuffer{}}
	if c.Keys == nil {
		c.Keys = []Key{{Name: "main", Secret: mainKey}, {Name: "ci", Secret: ciKey, Clients: []string{"ci"}}}
	}
	c.Log = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if r.Daemon, err = New(c); err != nil {
		t.Fatal(err)
	}
	r.compared(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, append([]net.Listener{l}, more...)...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		explained(t, r.log.String())
	})
	return r
}

// answer is an answer with its complete body.
type answered struct {
	*http.Response
	body string
}

// raw sends the bytes of one request; HOST stands for the listener.
func (r *running) raw(t testing.TB, request string) answered {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	return exchange(t, c, strings.ReplaceAll(request, "HOST", r.addr))
}

func exchange(t testing.TB, c net.Conn, request string) answered {
	t.Helper()
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{resp, string(b)}
}

// call sends a request with the main key.
func (r *running) call(t testing.TB, method, path, body string) answered {
	t.Helper()
	return r.raw(t, method+" "+path+" HTTP/1.1\nHost: HOST\nAuthorization: Bearer "+mainKey+
		"\nContent-Length: "+strconv.Itoa(len(body))+"\n\n"+body)
}

// error is the code in an answer's body.
func (a answered) error(t testing.TB) string {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("status %d, body is not JSON: %q", a.StatusCode, a.body)
	}
	return p.Code
}

// authorized returns the login URL's state after POST …/login.
func (r *running) begun(t testing.TB, client string) (state string) {
	t.Helper()
	a := r.call(t, "POST", "/v1/clients/"+client+"/login", "")
	var l loginAnswer
	if err := json.Unmarshal([]byte(a.body), &l); err != nil || a.StatusCode != 200 {
		t.Fatalf("login: %d %s", a.StatusCode, a.body)
	}
	u, err := url.Parse(l.AuthorizeURL)
	if err != nil || u.Query().Get("state") != l.State || l.State == "" {
		t.Fatalf("login's URL and state differ: %s", a.body)
	}
	return l.State
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n got: %s\nwant: %s", path, got, want)
	}
}

// syncBuffer is a log that is written and read at the same time.
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

// noCanary fails when a secret is in text.
func noCanary(t testing.TB, where, text string) {
	t.Helper()
	for _, c := range []string{canaryToken, canaryFresh, canarySecret, canaryCode, mainKey, ciKey} {
		if strings.Contains(text, c) {
			t.Errorf("%s holds %q:\n%s", where, c, text)
		}
	}
}
