package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oauth2-proxy/mockoidc"

	"example.com/tokend/pkg/mock"
)

// tenant is a mock for the complete code flow.
type tenant struct {
	authorize, token, clientID, secret, redirect string
	scope                                        string
}

// tenants returns the mock of this project and the one that is most similar.
func tenants(b *testing.B) map[string]tenant {
	b.Helper()
	ours := mock.Start(b, mock.Config{})
	peer, err := mockoidc.Run()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = peer.Shutdown() })
	return map[string]tenant{
		"mockauth0": {
			ours.Issuer() + "authorize", ours.Issuer() + "oauth/token", "demo", "demo-secret",
			"http://localhost:8484/callback", "openid profile email offline_access",
		},
		"mockoidc": {
			peer.AuthorizationEndpoint(), peer.TokenEndpoint(), peer.ClientID, peer.ClientSecret,
			"http://localhost:8484/callback", "openid profile email",
		},
	}
}

// client returns an HTTP client that reuses connections, follows no redirect and
// uses no proxy.
func client(b *testing.B) *http.Client {
	b.Helper()
	t := &http.Transport{MaxIdleConnsPerHost: 64}
	b.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (t tenant) code(c *http.Client) (string, error) {
	res, err := c.Get(t.authorize + "?" + url.Values{ //nolint:noctx // a benchmark
		"response_type": {"code"}, "client_id": {t.clientID}, "redirect_uri": {t.redirect}, "scope": {t.scope}, "state": {"s"},
	}.Encode())
	if err != nil {
		return "", err
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	u, err := url.Parse(res.Header.Get("Location"))
	if err != nil || u.Query().Get("code") == "" {
		return "", fmt.Errorf("/authorize answered %s", res.Status)
	}
	return u.Query().Get("code"), nil
}

func (t tenant) post(c *http.Client, form url.Values) (map[string]any, error) {
	form.Set("client_id", t.clientID)
	form.Set("client_secret", t.secret)
	res, err := c.PostForm(t.token, form) //nolint:noctx // a benchmark
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s %w", res.Status, b, err)
	}
	var o map[string]any
	return o, json.Unmarshal(b, &o)
}

func (t tenant) exchange(c *http.Client) (map[string]any, error) {
	code, err := t.code(c)
	if err != nil {
		return nil, err
	}
	return t.post(c, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {t.redirect}})
}

// cpu returns this process's CPU time. Client and mock share it, so the figures
// are only for comparison.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func perFlow(b *testing.B, step func() error) {
	b.Helper()
	before := cpu()
	for b.Loop() {
		if err := step(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "flows/s")
}

// BenchmarkCodeFlow: /authorize, /oauth/token, two signatures.
func BenchmarkCodeFlow(b *testing.B) {
	for name, t := range tenants(b) {
		b.Run(name, func(b *testing.B) {
			c := client(b)
			perFlow(b, func() error { _, err := t.exchange(c); return err })
		})
	}
}

// BenchmarkRefresh: grant_type=refresh_token without rotation.
func BenchmarkRefresh(b *testing.B) {
	for name, t := range tenants(b) {
		b.Run(name, func(b *testing.B) {
			c := client(b)
			first, err := t.exchange(c)
			if err != nil {
				b.Fatal(err)
			}
			rt, _ := first["refresh_token"].(string)
			perFlow(b, func() error {
				_, err := t.post(c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {rt}})
				return err
			})
		})
	}
}

// BenchmarkClientCredentials: mockoidc has no such grant.
func BenchmarkClientCredentials(b *testing.B) {
	t := tenants(b)["mockauth0"]
	c := client(b)
	perFlow(b, func() error {
		_, err := t.post(c, url.Values{"grant_type": {"client_credentials"}, "audience": {"https://api.example.com/"}})
		return err
	})
}

// binaries builds the programs once per run, as "make build" does.
func binaries(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	cmd := exec.Command("go", "build", "-tags", "nomsgpack", "-o", dir+"/", "./cmd/...")
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// server starts a program on a free port and returns its URL and its process.
func server(b *testing.B, line *regexp.Regexp, env []string, name string, args ...string) (string, *exec.Cmd) {
	b.Helper()
	log := filepath.Join(b.TempDir(), "log")
	f, err := os.Create(log)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Stderr, cmd.Env = f, append(os.Environ(), env...)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	_ = f.Close()
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		ended := cmd.Wait()
		if out, err := os.ReadFile(log); b.Failed() && err == nil {
			b.Logf("%s: %v\n%s", name, ended, out)
		}
	})
	for range 4000 {
		out, err := os.ReadFile(log)
		if err != nil {
			b.Fatal(err)
		}
		if m := line.FindSubmatch(out); m != nil {
			return string(m[1]), cmd
		}
		time.Sleep(500 * time.Microsecond)
	}
	b.Fatalf("%s does not serve", name)
	return "", nil
}

var issuerLine = regexp.MustCompile(`issuer (http://\S+),`)

// BenchmarkStart measures the time from the start of the process to the first 200
// of discovery, and its memory then, for the built-in tenant and for a large one.
func BenchmarkStart(b *testing.B) {
	bin := binaries(b)
	for name, file := range map[string]string{"default": "", "1000_clients_100000_users": large(b)} {
		b.Run(name, func(b *testing.B) {
			c := client(b)
			var rss int
			for b.Loop() {
				env := []string{"MOCKAUTH0_LISTEN=127.0.0.1:0"}
				if file != "" {
					env = append(env, "MOCKAUTH0_TENANT="+file)
				}
				issuer, cmd := server(b, issuerLine, env, bin+"/mockauth0")
				res, err := c.Get(issuer + ".well-known/openid-configuration") //nolint:noctx // a benchmark
				if err != nil || res.StatusCode != http.StatusOK {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				rss = resident(b, cmd.Process.Pid)
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}
			b.ReportMetric(float64(rss)/1024, "MiB")
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/start")
		})
	}
}

// resident returns a process's resident memory in KiB; 0 without /proc.
func resident(b *testing.B, pid int) int {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// large writes the export of a tenant with 1,000 clients and 100,000 users.
func large(b *testing.B) string {
	b.Helper()
	var w bytes.Buffer
	w.WriteString("{\"clients\":[\n")
	for i := range 1000 {
		if i > 0 {
			w.WriteString(",\n")
		}
		fmt.Fprintf(&w, `{"name":"App %d","client_id":"app-%d","client_secret":"secret-%d","app_type":"regular_web","callbacks":["https://app%d.example.com/callback"],"grant_types":["authorization_code","refresh_token"]}`, i, i, i, i)
	}
	w.WriteString("],\n\"users\":[\n")
	for i := range 100000 {
		if i > 0 {
			w.WriteString(",\n")
		}
		fmt.Fprintf(&w, `{"user_id":"auth0|%024d","email":"user%d@example.com","email_verified":true,"name":"User %d","password":"password"}`, i, i, i)
	}
	w.WriteString("]}\n")
	file := filepath.Join(b.TempDir(), "tenant.json")
	if err := os.WriteFile(file, w.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	return file
}
