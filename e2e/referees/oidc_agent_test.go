//go:build linux

package referees_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// agent is a running oidc-agent with a home and a socket of its own.
type agent struct {
	t   *testing.T
	ten *tenant
	env []string
	dir string
}

func startAgent(t *testing.T, ten *tenant) *agent {
	t.Helper()
	path := tool(t, "oidc-agent")
	dir, err := os.MkdirTemp("", "oidc-agent") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	a := &agent{t: t, ten: ten, dir: dir}
	socket := filepath.Join(dir, "socket")
	a.env = append(clean(), "HOME="+dir, "OIDC_SOCK="+socket, "OIDC_ENCRYPTION_PW=of the test's own")
	if err := os.Mkdir(filepath.Join(dir, ".oidc-agent"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--console", "--socket-path="+socket, "--no-autoreauthenticate")
	cmd.Env = a.env
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it has a process of its own for the accounts
		_ = cmd.Wait()
	})
	a.await("the socket of oidc-agent", func() bool { _, err := os.Stat(socket); return err == nil })
	return a
}

func (a *agent) await(what string, there func() bool) {
	a.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-tick.C {
		if there() {
			return
		}
	}
	a.t.Fatalf("%s does not come", what)
}

// account makes the account "mock" by a flow; whatever address matches is
// where the person has to go. The groups of the match are given to visit.
func (a *agent) account(issuer, flow string, address *regexp.Regexp, visit func([]string), flags ...string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "oidc-gen", append([]string{
		"--manual", "--client-id=agent", "--client-secret=", "--issuer=" + issuer, "--cert-path=" + a.ten.ca,
		"--scope=openid profile email offline_access", "--flow=" + flow, "--no-url-call", "--no-scheme",
		"--pw-env", "--prompt=none", "--confirm-yes", "mock",
	}, flags...)...)
	cmd.Env = a.env
	said, err := os.Create(filepath.Join(a.dir, "said"))
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = said.Close() }()
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	var m []string
	a.await("the address to go to", func() bool {
		b, err := os.ReadFile(said.Name())
		if err == nil {
			m = address.FindStringSubmatch(string(b))
		}
		return m != nil
	})
	visit(m)
	if err := cmd.Wait(); err != nil {
		b, _ := os.ReadFile(said.Name())
		a.t.Fatalf("oidc-gen: %v\n%s", err, b)
	}
}

// token is oidc-token, with what it said when it has none.
func (a *agent) token(flags ...string) (string, string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "oidc-token", append(flags, "mock")...)
	cmd.Env = a.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", stderr.String()
	}
	return strings.TrimSpace(string(out)), ""
}

// serves is the whole of what an account is for: a token, a fresh one by a
// rotated refresh token, and the tenant's refusal once that lies idle too long.
func (a *agent) serves(grant string) {
	a.t.Helper()
	first, fault := a.token()
	if first == "" {
		a.t.Fatal(fault)
	}
	second, fault := a.token("--force-new")
	third, _ := a.token("--force-new")
	if second == "" || second == first || third == "" || third == second {
		a.t.Errorf("no fresh tokens: %s", fault)
	}
	res, err := newBrowser(a.t, a.ten).bearer(a.ten.issuer+"userinfo", third)
	if err != nil || res.StatusCode != http.StatusOK {
		a.t.Errorf("/userinfo: %v %v", res, err)
	}
	a.ten.advance(25 * 24 * time.Hour)
	if _, fault = a.token("--force-new"); !strings.Contains(fault, "Unknown or invalid refresh token.") {
		a.t.Errorf("an idle refresh token: %q", fault)
	}
	a.ten.wantCalls("agent", grant, "refresh_token 200", "refresh_token 200",
		"refresh_token 403 invalid_grant: the idle lifetime is over")
}

// TestRefereeOIDCAgent: oidc-agent of Debian gets an account by the device
// flow and by the code flow, and keeps it under rotation.
func TestRefereeOIDCAgent(t *testing.T) {
	settings := func(callbacks ...string) object {
		return object{
			"app_type": "native", "token_endpoint_auth_method": "none", "callbacks": callbacks,
			"grant_types":   []string{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"},
			"refresh_token": object{"rotation_type": "rotating", "expiration_type": "expiring", "idle_token_lifetime": 1296000},
		}
	}
	t.Run("device_http", func(t *testing.T) {
		t.Parallel()
		ten := startTenant(t)
		a := startAgent(t, ten)
		ten.addClient("agent", settings())
		a.account(ten.issuer, "device", regexp.MustCompile(`(?s)(http://\S+/activate)\s.*enter the code: (\S+)`), func(m []string) {
			if p := newBrowser(t, ten).open(m[1] + "?user_code=" + m[2]); !strings.Contains(p.body, "all set") {
				t.Errorf("the device is not connected: %s", p.body)
			}
		})
		a.serves("device_code 200")
	})
	t.Run("code_https", func(t *testing.T) {
		t.Parallel()
		ten := startTenant(t)
		a := startAgent(t, ten)
		var callbacks []string
		for range 3 { // it takes the first that is still free
			callbacks = append(callbacks, "http://localhost:"+strconv.Itoa(freePort(t)))
		}
		ten.addClient("agent", settings(callbacks...))
		a.account(ten.https, "code", regexp.MustCompile(`(https://\S+/authorize\?\S+)`), func(m []string) {
			if p := newBrowser(t, ten).open(m[1]); p.status != http.StatusOK {
				t.Errorf("sent back to %s: %d %s", p.url.Host, p.status, p.body)
			}
		}, "--redirect-uri="+strings.Join(callbacks, " "))
		a.serves("authorization_code 200")
	})
}

// freePort returns a port without a listener at this moment.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
