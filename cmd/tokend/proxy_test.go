package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// api answers with the Authorization that it gets.
func api(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.RequestURI+" "+r.Header.Get("Authorization"))
	}))
	t.Cleanup(s.Close)
	return s
}

// proxying runs "tokend proxy" until the test ends and returns its addresses.
func proxying(t *testing.T, args ...string) (addrs []net.Addr, stdout, stderr *syncBuffer) {
	t.Helper()
	stdout, stderr = &syncBuffer{}, &syncBuffer{}
	up := make(chan []net.Addr, 1)
	p := program{stdin: strings.NewReader(""), stdout: stdout, stderr: stderr, listening: func(a []net.Addr) { up <- a }}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- p.run(ctx, append([]string{"proxy"}, args...)) }()
	select {
	case addrs = <-up:
	case code := <-ended:
		cancel()
		t.Fatalf("proxy ended with %d: %s", code, stderr)
	case <-time.After(20 * time.Second):
		t.Fatal("proxy does not listen")
	}
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != 0 {
			t.Errorf("proxy ended with %d: %s", code, stderr)
		}
	})
	return addrs, stdout, stderr
}

// asked returns the answer to a GET over any network.
func asked(t *testing.T, network, addr, authorization string) (int, string) {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	defer tr.CloseIdleConnections()
	host := addr
	if network == "unix" {
		host = "localhost"
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+host+"/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestProxy(t *testing.T) {
	home := clean(t)
	a := api(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENT_DEMO_UPSTREAMS=https://api.example.com/,"+a.URL+"/v2")
	s := serve(t)
	socket := filepath.Join(home, "run", "proxy.sock")
	for name, env := range map[string][]string{
		"by socket, key file": nil,
		"by TCP":              {"TOKEND_ADDR=http://" + s.tcp},
		"by socket alone":     {"TOKEND_ADDR=unix:" + filepath.Join(home, ".local/state/tokend/tokend.sock")},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, env...)
			addrs, stdout, stderr := proxying(t, "demo", "--upstream", a.URL+"/v2/deep", "--listen", "127.0.0.1:0", "--socket", socket)
			key, err := os.ReadFile(filepath.Join(home, ".local/state/tokend/api.key"))
			if err != nil {
				t.Fatal(err)
			}
			bearer := "Bearer " + strings.TrimSpace(string(key))
			if stdout.String() != "http://"+addrs[0].String()+"\n" {
				t.Errorf("stdout %q", stdout)
			}
			if code, body := asked(t, "tcp", addrs[0].String(), bearer); code != 200 || body != "/v2/deep/x Bearer "+canaryToken {
				t.Errorf("%d %s", code, body)
			}
			if code, _ := asked(t, "tcp", addrs[0].String(), ""); code != 401 {
				t.Errorf("without a key: %d", code)
			}
			if code, body := asked(t, "unix", socket, ""); code != 200 || body != "/v2/deep/x Bearer "+canaryToken {
				t.Errorf("over the socket: %d %s", code, body)
			}
			noCanary(t, "stderr", stderr.String())
			if strings.Contains(stderr.String(), string(key)) || !strings.Contains(stderr.String(), a.URL+"/v2/deep") {
				t.Errorf("stderr %q", stderr)
			}
		})
	}
	addrs, stdout, _ := proxying(t, "demo", "--socket", socket)
	if len(addrs) != 1 || stdout.String() != "unix:"+socket+"\n" {
		t.Errorf("with a socket alone: %v, stdout %q", addrs, stdout)
	}
	if fi, err := os.Stat(socket); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi, err)
	}
}

func TestProxyExitCodes(t *testing.T) {
	home := clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENT_DEMO_UPSTREAMS=https://api.example.com/v2",
		"TOKEND_CLIENTS=demo,bare", "TOKEND_CLIENT_BARE_ISSUER="+f.URL+"/", "TOKEND_CLIENT_BARE_CLIENT_ID=bare", "TOKEND_CLIENT_BARE_CLIENT_SECRET="+canarySecret)
	s := serve(t)
	setenv(t, "TOKEND_ADDR=http://"+s.tcp)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	plain := write(t, filepath.Join(home, "plain", "file"), "", 0o600)
	for _, c := range []struct {
		args, env string
		code      int
		stderr    string
	}{
		{"proxy", "", 64, ""},
		{"proxy demo extra", "", 64, ""},
		{"proxy demo --upstream nonsense", "", 64, "--upstream is not a URL"},
		{"proxy demo --upstream https://u:" + canarySecret + "@api.example.com/", "", 64, "--upstream is not a URL"},
		{"proxy demo --upstream https://evil.example/", "", 77, "hint: list it under clients.demo.upstreams (TOKEND_CLIENT_DEMO_UPSTREAMS)"},
		{"proxy demo --upstream https://api.example.com/", "", 77, "is not in the upstreams"},
		{"proxy demo --upstream http://api.example.com/v2", "", 77, "is not in the upstreams"},
		{"proxy bare --upstream https://api.example.com/", "", 78, "client bare has no upstreams"},
		{"proxy missing", "", 66, "unknown_client"},
		{"proxy demo --listen 0.0.0.0:0", "", 64, "--listen: address"},
		{"proxy demo --listen nonsense", "", 64, "--listen: address"},
		{"proxy demo --listen " + busy.Addr().String(), "", 69, "--listen=" + busy.Addr().String()},
		{"proxy demo --socket " + plain, "", 78, "set --socket to another path"},
		{"proxy demo", "TOKEND_API_KEY=wrong-wrong-wrong-wrong", 77, "unauthorized"},
		{"proxy demo", "TOKEND_ADDR=unix:/nonexistent/s", 69, "does not answer"},
		{"proxy demo", "TOKEND_ADDR=unix:SOCKET HOME=/nonexistent XDG_STATE_HOME=/nonexistent", 78, "no API key is set"},
	} {
		t.Run(strings.TrimSpace(c.args+" "+c.env), func(t *testing.T) {
			for _, kv := range strings.Fields(strings.Replace(c.env, "SOCKET", filepath.Join(home, ".local/state/tokend/tokend.sock"), 1)) {
				setenv(t, kv)
			}
			o := runTokend(t, strings.Fields(c.args)...)
			if o.code != c.code || !strings.Contains(o.stderr, c.stderr) || o.stdout != "" {
				t.Errorf("exit %d, want %d; stdout %q, stderr %q", o.code, c.code, o.stdout, o.stderr)
			}
			if !strings.HasPrefix(o.stderr, "error: ") || strings.Count(o.stderr, "\n") != 2 {
				t.Errorf("stderr is not an error and a hint: %q", o.stderr)
			}
			noCanary(t, "stderr", o.stderr)
		})
	}
}
