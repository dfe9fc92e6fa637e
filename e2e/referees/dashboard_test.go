package referees_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// service is a running tokend, whose dashboard a browser opens.
type service struct {
	t    *testing.T
	home string
	addr string // of its TCP listener
	env  []string
	cmd  *exec.Cmd

	mu  sync.Mutex
	log strings.Builder
}

// startService runs tokend with clients at the tenant: web logs in with a browser, tv
// with a code, ci needs no person, and the tenant refuses reports.
func startService(t *testing.T, ten *tenant, file string) *service {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, home: t.TempDir(), addr: l.Addr().String()}
	_ = l.Close() // tokend takes the port, now and after a restart
	_, port, _ := net.SplitHostPort(s.addr)
	if ten != nil {
		ten.addClient("web", object{"callbacks": []string{"http://localhost:" + port + "/callback"}})
		ten.addClient("tv", object{"app_type": "native", "token_endpoint_auth_method": "none", "grant_types": []string{"urn:ietf:params:oauth:grant-type:device_code", "refresh_token"}})
		ten.addClient("reports", object{"app_type": "non_interactive", "grant_types": []string{"client_credentials"}}) // without a client grant
		file = strings.ReplaceAll(file, "ISSUER", ten.issuer)
	}
	config := filepath.Join(s.home, "tokend.yaml")
	if err := os.WriteFile(config, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	s.env = append(clean(), "HOME="+s.home, "XDG_STATE_HOME="+s.home, "XDG_RUNTIME_DIR="+s.home, "XDG_CONFIG_HOME="+s.home,
		"TOKEND_CONFIG="+config, "TOKEND_LISTEN="+s.addr, "TOKEND_SOCKET=off", "TOKEND_AUDIT_FILE="+filepath.Join(s.home, "audit.jsonl"))
	s.start()
	t.Cleanup(s.stop)
	return s
}

// clients is the configuration of the clients of startService.
const clients = `clients:
  web:
    issuer: ISSUER
    insecure_allow_http: true
    client_id: web
    client_secret: web-secret
    token_auth: post
    scopes: [openid, email, offline_access, read:calls]
    audience: https://api.example.com/
    login: browser
    upstreams: [https://api.example.com/]
  tv:
    issuer: ISSUER
    insecure_allow_http: true
    client_id: tv
    token_auth: none
    login: device
    scopes: [openid, offline_access]
  ci:
    issuer: ISSUER
    insecure_allow_http: true
    client_id: demo
    client_secret: demo-secret
    token_auth: post
    grant: client_credentials
    audience: https://api.example.com/
  reports:
    issuer: ISSUER
    insecure_allow_http: true
    client_id: reports
    client_secret: reports-secret
    token_auth: post
    grant: client_credentials
    audience: https://api.example.com/
`

func (s *service) start() {
	s.t.Helper()
	s.cmd = exec.Command(tokend, "serve")
	s.cmd.Env = s.env
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		s.note(lines.Text())
		if strings.Contains(lines.Text(), "msg=listening") {
			go func() {
				for lines.Scan() {
					s.note(lines.Text())
				}
			}()
			return
		}
	}
	s.t.Fatalf("tokend does not serve:\n%s", s.logged())
}

func (s *service) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.WriteString(line + "\n")
}

func (s *service) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func (s *service) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// run runs a command of tokend.
func (s *service) run(args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), tokend, args...)
	cmd.Env = s.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("tokend %s: %v\n%s\n%s", strings.Join(args, " "), err, out, s.logged())
	}
	return strings.TrimSpace(string(out))
}

// link is a link that opens the dashboard, as an address.
func (s *service) link() string { return s.run("dashboard") }

// dashboard opens a browser at the dashboard.
func (s *service) dashboard() *chromium {
	s.t.Helper()
	c := launch(s.t)
	c.do(chromedp.EmulateViewport(1280, 800), chromedp.Navigate(s.link()), visible("#clients"))
	c.until("document.getElementById('live').textContent === 'Live'")
	return c
}

// until waits until an expression of the page is true.
func (c *chromium) until(js string) {
	c.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-tick.C {
		if ok, err := chromedp.Run(c.ctx, chromedp.Evaluate[bool]("Boolean("+js+")")); err == nil && ok {
			return
		}
	}
	c.fail(fmt.Errorf("it never was: %s", js))
}

// text is the text of an element.
func (c *chromium) text(css string) string {
	c.t.Helper()
	out, err := chromedp.Run(c.ctx, chromedp.Text(chromedp.CSS(css)))
	if err != nil {
		c.fail(err)
	}
	return out
}

func (c *chromium) eval(js string) string {
	c.t.Helper()
	out, err := chromedp.Run(c.ctx, chromedp.Evaluate[string](js))
	if err != nil {
		c.fail(err)
	}
	return out
}

// tab is the tab that something opens.
func (c *chromium) tab(open step) *chromium {
	c.t.Helper()
	opened := chromedp.WaitNewTarget(c.ctx, func(i *target.Info) bool { return i.Type == "page" })
	c.do(open)
	select {
	case id := <-opened:
		ctx, cancel := chromedp.NewContext(c.ctx, chromedp.WithTargetID(id))
		c.t.Cleanup(cancel)
		return &chromium{t: c.t, ctx: ctx}
	case <-time.After(20 * time.Second):
		c.fail(fmt.Errorf("no tab was opened"))
	}
	return nil
}

// screenshots saves the page in three forms to the directory of SCREENSHOTS, if there
// is one, so that a person can look at it.
func (c *chromium) screenshots(name string) {
	c.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		c.t.Fatal(err)
	}
	for _, form := range []struct {
		name, scheme  string
		width, height int64
	}{{"light", "light", 1280, 800}, {"dark", "dark", 1280, 800}, {"narrow", "light", 375, 740}, {"narrow-dark", "dark", 375, 740}} {
		c.media(form.scheme)
		c.do(chromedp.EmulateViewport(form.width, form.height))
		b, err := chromedp.Run(c.ctx, chromedp.FullScreenshot(100))
		if err != nil {
			c.fail(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+"-"+form.name+".png"), b, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	c.media("")
	c.do(chromedp.EmulateViewport(1280, 800))
}

func (c *chromium) media(scheme string) {
	c.t.Helper()
	if _, err := chromedp.Call(c.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}); err != nil {
		c.fail(err)
	}
}

// TestDashboard_LogsIn goes from a click to ready, through the tenant's pages, with the
// page that was open following live.
func TestDashboard_LogsIn(t *testing.T) {
	t.Parallel()
	ten := startTenant(t)
	s := startService(t, ten, clients)
	c := s.dashboard()
	c.until("document.querySelector('#c-ci .state.good')")
	c.screenshots("clients-waiting")
	login := c.tab(click("#b-web"))
	login.signIn()
	login.do(visible("#consent-form"))
	c.do(visible("#login"))
	c.screenshots("login")
	login.do(click("#accept"))
	login.until("document.body.innerText.includes('Logged in')")
	c.until("document.querySelector('#c-web .state.good')") // by an event
	c.until("!document.getElementById('login').open")
	c.screenshots("clients")

	c.do(click("#a-web"), visible("#timeline"))
	before := c.text("#cards")
	c.do(click("#do-refresh"))
	c.until("document.querySelectorAll('.events li').length === 2")
	if after := c.text("#cards"); after == before || !strings.Contains(after, "Generation") {
		t.Errorf("after a refresh:\n%s", after)
	}
	c.screenshots("client")

	c.do(click("#do-logout"), visible("#ask"))
	c.screenshots("ask")
	c.do(chromedp.KeyEvent("\r")) // Cancel has the focus
	c.until("!document.getElementById('ask').open")
	if state := c.text("#head .state"); !strings.Contains(state, "Ready") {
		t.Errorf("after Cancel: %s", state)
	}
	c.do(click("#do-logout"), visible("#ask"), click("#ask-yes"))
	c.until("document.querySelector('#head .state.bad')")
	ten.wantCalls("web", "authorization_code 200", "refresh_token 200")
	for _, action := range []string{"login", "refresh", "logout"} {
		if out := s.run("audit", "web", "--format", "json"); !regexp.MustCompile(`"action":"` + action + `","caller":"dashboard:main","client":"web"`).MatchString(out) {
			t.Errorf("no entry of %s:\n%s", action, out)
		}
	}
	c.do(chromedp.Navigate("http://"+s.addr+"/dashboard/audit"), visible("table.log"))
	c.screenshots("audit")
	c.do(chromedp.Navigate("http://"+s.addr+"/dashboard/configuration"), visible("table.settings"))
	c.screenshots("configuration")
	if text := c.text("main"); strings.Contains(text, "web-secret") || !strings.Contains(text, "(secret)") {
		t.Errorf("the configuration is not masked:\n%s", text)
	}
}

// TestDashboard_Device shows the code and its QR code, and follows.
func TestDashboard_Device(t *testing.T) {
	t.Parallel()
	ten := startTenant(t)
	s := startService(t, ten, clients)
	c := s.dashboard()
	c.do(click("#b-tv"), visible(".device .qr"))
	c.screenshots("device")
	page := c.eval("document.querySelector('.device a').href")
	b := newBrowser(t, ten)
	b.open(page)
	c.until("document.querySelector('#head .state.good')")
}

// unused keeps what later tests need.
var _ = []any{context.Background, json.Marshal, io.ReadAll, http.MethodGet, cookiejar.New, httptest.NewServer, url.Parse, network.Enable}
