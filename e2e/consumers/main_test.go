package consumers

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// bin is where the programs are, with the links of the credential helpers.
var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tokend-consumers")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bin = dir
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./cmd/tokend", "./cmd/tokend-credential", "./cmd/mockauth0")
	build.Dir = filepath.Join("..", "..")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the programs:", err)
		return 1
	}
	for _, helper := range []string{"docker-credential-tokend", "git-credential-tokend", "terraform-credentials-tokend"} {
		if err := os.Symlink("tokend-credential", filepath.Join(dir, helper)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// tool returns the path of a program that a test needs. Without it the test is
// skipped by name on a person's machine and fails in CI.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing, and CI must not skip\nhint: make deps", name)
	}
	t.Skipf("%s is missing\nhint: make deps", name)
	return ""
}

// service is a tokend with client demo, logged in at a mockauth0.
type service struct {
	home   string
	env    []string // of every command
	issuer string
	addr   string // http://host:port
	key    string
}

var (
	issuerLine = regexp.MustCompile(`issuer (http://\S+),`)
	listenLine = regexp.MustCompile(`msg=listening network=tcp addr=(\S+)`)
)

// start runs both programs until the test ends. hosts is where the helpers may
// hand the token to.
func start(t *testing.T, hosts ...string) *service {
	t.Helper()
	home, err := os.MkdirTemp("", "tokend") // shorter than t.TempDir's: a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	s := &service{home: home}
	s.env = []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home,
		"TOKEND_LISTEN=127.0.0.1:0", "MOCKAUTH0_LISTEN=127.0.0.1:0", "TOKEND_CLIENTS=demo",
		"TOKEND_CLIENT_DEMO_CLIENT_ID=demo", "TOKEND_CLIENT_DEMO_CLIENT_SECRET=demo-secret", "TOKEND_CLIENT_DEMO_LOGIN=headless",
		"TOKEND_CLIENT_DEMO_REDIRECT_URI=http://localhost:8484/callback", "TOKEND_CLIENT_DEMO_AUDIENCE=https://api.example.com/",
		"TOKEND_CLIENT_DEMO_SCOPES=openid,offline_access,read:calls", "TOKEND_CLIENT_DEMO_HOSTS=" + strings.Join(hosts, ","),
	}
	s.issuer = s.serve(t, issuerLine, "mockauth0")
	s.env = append(s.env, "TOKEND_CLIENT_DEMO_ISSUER="+s.issuer)
	s.addr = "http://" + s.serve(t, listenLine, "tokend", "serve")
	b, err := os.ReadFile(filepath.Join(home, ".local", "state", "tokend", "api.key"))
	if err != nil {
		t.Fatal(err)
	}
	s.key = strings.TrimSpace(string(b))
	if out, err := s.command("tokend", "token", "demo", "--wait", "--timeout", "20s").CombinedOutput(); err != nil {
		t.Fatalf("no token: %v\n%s", err, out)
	}
	return s
}

// command is a program with the service's environment.
func (s *service) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	for _, kv := range s.env {
		if dir, ok := strings.CutPrefix(kv, "PATH="); ok {
			if path := filepath.Join(filepath.SplitList(dir)[0], name); exists(path) {
				cmd = exec.Command(path, args...)
			}
		}
	}
	cmd.Env, cmd.Dir = s.env, s.home
	return cmd
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// serve starts a program and returns what its log says it is reached at.
func (s *service) serve(t *testing.T, line *regexp.Regexp, name string, args ...string) string {
	t.Helper()
	cmd, log := s.command(name, args...), &logged{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if m := line.FindStringSubmatch(log.String()); m != nil {
			return m[1]
		}
	}
	t.Fatalf("%s does not serve:\n%s", name, log)
	return ""
}

type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// documented is the block of docs/cli.md that has all of parts in it.
func documented(t *testing.T, language string, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(b), -1) {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(m[1], p) }) {
			return m[1]
		}
	}
	t.Fatalf("docs/cli.md has no block of %s with %q", language, parts)
	return ""
}

// token is what "tokend token demo" prints.
func (s *service) token(t *testing.T) string {
	t.Helper()
	out, err := s.command("tokend", "token", "demo").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// gate lets a request through that carries the token, as a bearer or as a
// password, and keeps what was sent.
type gate struct {
	mu    sync.Mutex
	token string
	ask   string // WWW-Authenticate of a refusal
	seen  []string
}

func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, basic := r.BasicAuth()
		g.mu.Lock()
		token := g.token
		g.mu.Unlock()
		how := ""
		switch {
		case r.Header.Get("Authorization") == "Bearer "+token:
			how = "bearer"
		case basic && password == token:
			how = "basic " + user
		case r.Header.Get("Authorization") != "":
			how = "wrong"
		}
		g.mu.Lock()
		g.seen = append(g.seen, how)
		g.mu.Unlock()
		if how == "" || how == "wrong" {
			w.Header().Set("WWW-Authenticate", g.ask)
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// expect sets the token that is let through.
func (g *gate) expect(token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.token, g.seen = token, nil
}

// saw says how requests were authorised, without repetition in a row.
func (g *gate) saw() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for _, how := range g.seen {
		if len(out) == 0 || out[len(out)-1] != how {
			out = append(out, how)
		}
	}
	return strings.Join(out, ", ")
}
