package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

const limitedKey = "an-api-key-of-client-ci-only"

// newX starts a service with two clients, and a key for one of them that only reads.
func newX(t *testing.T) *agent {
	t.Helper()
	a := newAgent(t, mock.Start(t, mock.Config{}), "TOKEND_CLIENTS=demo,ci", "TOKEND_LOG_LEVEL=debug")
	for _, kv := range a.env {
		if name, found := strings.CutPrefix(kv, "TOKEND_CLIENT_DEMO_"); found {
			a.env = append(a.env, "TOKEND_CLIENT_CI_"+name)
		}
	}
	writeFile(t, filepath.Join(a.dir, "config", "tokend", "tokend.yaml"), "keys:\n  limited: {key: "+limitedKey+", clients: [ci], access: read}\n")
	a.start(t, "")
	a.loggedIn(t)
	return a
}

// raw sends a request as it is written, with HOST and PORT of the service, and returns
// status, headers and body; status 0: the connection was closed.
func (a *agent) raw(t *testing.T, request string) (status int, header http.Header, body string) {
	t.Helper()
	host := strings.TrimPrefix(a.url, "http://")
	_, port, _ := strings.Cut(host, ":")
	conn, err := net.DialTimeout("tcp", host, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	request = strings.NewReplacer("HOST", host, "PORT", port, "\n", "\r\n").Replace(request)
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	var answer bytes.Buffer
	defer func() { comparedConnection(t, request, &answer) }()
	r, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &answer)), nil)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if r.Close {
		r.Header.Set("Connection", "close")
	}
	return r.StatusCode, r.Header, string(b)
}

// TestX has the X rows of docs/threat-model.md that are requests to a service, over the
// real binary. No answer but that of "good" has a token.
func TestX(t *testing.T) {
	t.Parallel()
	a := newX(t)
	const (
		path = "/v1/clients/demo/token"
		auth = "\nAuthorization: Bearer " + agentKey
		ci   = "\nAuthorization: Bearer " + limitedKey
	)
	get := func(path, host, headers string) string {
		return "GET " + path + " HTTP/1.1\nHost: " + host + headers + "\n\n"
	}
	for _, c := range []struct {
		row, request string
		status       int
		code         string
	}{
		{"good", get(path, "HOST", auth), 200, `"access_token"`},
		{"X01 another Host", get(path, "evil.example", auth), 403, "forbidden_host"},
		{"X02 a suffix", get(path, "127.0.0.1.evil.example:PORT", auth), 403, "forbidden_host"},
		{"X02 a dot", get(path, "localhost.:PORT", auth), 403, "forbidden_host"},
		{"X02 short", get(path, "127.1:PORT", auth), 403, "forbidden_host"},
		{"X02 mapped", get(path, "[::ffff:127.0.0.1]:PORT", auth), 403, "forbidden_host"},
		{"X02 any", get(path, "0.0.0.0:PORT", auth), 403, "forbidden_host"},
		{"X03 Origin", get(path, "HOST", auth+"\nOrigin: http://HOST"), 403, "forbidden_origin"},
		{"X03 Origin null", get(path, "HOST", auth+"\nOrigin: null"), 403, "forbidden_origin"},
		{"X04 cross-site", get(path, "HOST", auth+"\nSec-Fetch-Site: cross-site"), 403, "forbidden_sec_fetch_site"},
		{"X05 preflight", "OPTIONS " + path + " HTTP/1.1\nHost: HOST\nOrigin: https://evil.example\nAccess-Control-Request-Method: GET\n\n", 403, "forbidden_preflight"},
		{"X06 no key", get(path, "HOST", ""), 401, "unauthorized"},
		{"X06 wrong key", get(path, "HOST", auth+"x"), 401, "unauthorized"},
		{"X07 another client", get(path, "HOST", ci), 403, "client_forbidden"},
		{"X07 its state", get("/v1/clients/demo", "HOST", ci), 403, "client_forbidden"},
		{"X07 its proxy", get("/v1/clients/demo/proxy/x", "HOST", ci), 403, "client_forbidden"},
		{"X07 a change", "POST /v1/clients/ci/refresh HTTP/1.1\nHost: HOST" + ci + "\nContent-Length: 0\n\n", 403, "manage_forbidden"},
		{"X08 X-Forwarded-For", get(path, "HOST", auth+"\nX-Forwarded-For: 127.0.0.1"), 403, "forbidden_forwarded"},
		{"X08 Via", get(path, "HOST", auth+"\nVia: 1.1 proxy"), 403, "forbidden_forwarded"},
		{"X08 absolute", "GET http://HOST" + path + " HTTP/1.1\nHost: HOST" + auth + "\n\n", 403, "forbidden_absolute_target"},
		{"X33 TE and CL", "POST /v1/clients/demo/refresh HTTP/1.1\nHost: HOST" + ci + "\nContent-Length: 4\nTransfer-Encoding: chunked\n\n0\n\n" + get(path, "HOST", auth), 403, "client_forbidden"},
		{"X33 body without a key", "POST /v1/clients/demo/refresh HTTP/1.1\nHost: HOST\nContent-Length: 1000000\nExpect: 100-continue\n\n", 401, "unauthorized"},
		{"X35 another redirect URI", get("/callback/demo?code=x&state=y", "HOST", ""), 400, "Not logged in"},
		{"the list of clients without a key", get("/v1/clients", "HOST", ""), 401, "unauthorized"},
		{"metrics without a key", get("/metrics", "HOST", ""), 401, "unauthorized"},
		{"an unknown path without a key", get("/nothing", "HOST", ""), 401, "unauthorized"},
		{"a hostile request id", get("/v1/clients/demo", "evil.example", "\nX-Request-Id: a\"b<c>"), 403, "forbidden_host"},
	} {
		t.Run(c.row, func(t *testing.T) {
			status, header, body := a.raw(t, c.request)
			if status != c.status || !strings.Contains(body, c.code) {
				t.Errorf("%d %s, want %d %s", status, body, c.status, c.code)
			}
			if c.row != "good" && strings.Contains(body, "eyJ") {
				t.Errorf("the answer has a token: %s", body)
			}
			for name := range header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("the answer has %s", name)
				}
			}
			if c.row == "X33 TE and CL" && header.Get("Connection") != "close" {
				t.Error("the connection stays open")
			}
			if id := header.Get("X-Request-Id"); strings.ContainsAny(id, `"<>`) || status == 403 && id == "" {
				t.Errorf("the request id is %q", id)
			}
		})
	}
}

// TestX_LimitedKey: a key sees states, events and metrics of its clients only.
func TestX_LimitedKey(t *testing.T) {
	t.Parallel()
	a := newX(t)
	for _, path := range []string{"/v1/clients", "/metrics"} {
		status, body := askAs(t, limitedKey, "GET", a.url+path)
		if status != 200 || strings.Contains(body, `"demo"`) || !strings.Contains(body, `"ci"`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
		if status, body := askAs(t, agentKey, "GET", a.url+path); status != 200 || !strings.Contains(body, `"demo"`) {
			t.Errorf("%s with the main key: %d %s", path, status, body)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", a.url+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+limitedKey)
	resp, err := a.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for _, client := range []string{"demo", "ci"} { // demo first: its event would come first
		if status, body := a.ask(t.Context(), "POST", "/v1/clients/"+client+"/refresh"); status != 200 {
			t.Fatalf("%s: %d %s", client, status, body)
		}
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"demo"`) {
			t.Errorf("an event of another client: %s", lines.Text())
		}
		if strings.HasPrefix(lines.Text(), "data:") && strings.Contains(lines.Text(), `"ci"`) {
			return
		}
	}
	t.Errorf("no event of its client came: %v", lines.Err())
}

// TestX_Starts: a start that would be unsafe is refused with 78, and says why.
func TestX_Starts(t *testing.T) {
	t.Parallel()
	for row, c := range map[string]struct {
		spoil func(t *testing.T, a *agent)
		says  string
	}{
		"X10 a link in place of the store": {func(t *testing.T, a *agent) {
			a.start(t, "")
			a.End(t)
			check(t, os.Rename(filepath.Join(a.dir, "state", "tokend", "tokend.db"), filepath.Join(a.dir, "state", "tokend", "other.db")))
			check(t, os.Symlink("other.db", filepath.Join(a.dir, "state", "tokend", "tokend.db")))
		}, "not a regular file"},
		"X11 a directory that all can write to": {func(t *testing.T, a *agent) {
			writeFile(t, filepath.Join(a.dir, "state", "tokend", "x"), "")
			check(t, os.Chmod(filepath.Join(a.dir, "state", "tokend"), 0o777))
		}, "can be written by others"},
		"X12 beyond loopback": {func(_ *testing.T, a *agent) { a.env = append(a.env, "TOKEND_LISTEN=0.0.0.0:0") }, "TOKEND_LISTEN"},
		"X31 a secret for everyone": {func(t *testing.T, a *agent) {
			path := filepath.Join(a.dir, "secret")
			writeFile(t, path, "canary")
			check(t, os.Chmod(path, 0o644))
			a.env = append(a.env, "TOKEND_CLIENT_DEMO_CLIENT_SECRET=", "TOKEND_CLIENT_DEMO_CLIENT_SECRET_FILE="+path)
		}, "is open to everyone (mode 0644)"},
		"X31 a pipe in place of a key": {func(t *testing.T, a *agent) {
			path := filepath.Join(a.dir, "key")
			check(t, syscall.Mkfifo(path, 0o600))
			a.env = append(a.env, "TOKEND_API_KEY=", "TOKEND_API_KEY_FILE="+path)
		}, "not a regular file"},
	} {
		t.Run(row, func(t *testing.T) {
			a := newAgent(t, mock.Start(t, mock.Config{}))
			c.spoil(t, a)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, filepath.Join(bin, "tokend"), "serve")
			cmd.Env, cmd.Dir = a.env, a.dir
			out, err := cmd.CombinedOutput()
			if e := (*exec.ExitError)(nil); !errors.As(err, &e) || e.ExitCode() != 78 || !strings.Contains(string(out), c.says) || strings.Contains(string(out), "canary") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
