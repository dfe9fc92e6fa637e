package e2e_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/tokend/e2e/internal/programs"
)

// blocks returns the shell blocks of a page.
func blocks(t *testing.T, page string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(b), -1) {
		out = append(out, m[1])
	}
	if len(out) == 0 {
		t.Fatalf("%s has no block marked sh", page)
	}
	return out
}

// documentPages are the pages whose blocks TestDocs runs.
var documentPages = []string{
	"agents.md", "api.md", "ci.md", "cli.md", "contract-tests.md", "deploy.md", "getting-started.md", "local-development.md", "management.md", "metrics.md", "mock.md", "proxy.md",
}

// otherPages are those whose blocks another test runs.
var otherPages = map[string]string{
	"exec.md":           "TestExecDocs",
	"mock-languages.md": "e2e/referees",
	"terraform.md":      "terraform/e2e",
}

// TestDocs_EveryPageIsRun: no page has a block marked sh that no test runs.
func TestDocs_EveryPageIsRun(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join("..", "docs", "*.md"))
	if err != nil || len(pages) < 20 {
		t.Fatal(pages, err)
	}
	for _, page := range pages {
		name := filepath.Base(page)
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if has, run := strings.Contains(string(b), "\n```sh\n"), slices.Contains(documentPages, name) || otherPages[name] != ""; has != run {
			t.Errorf("%s: it has blocks %v, and a test runs them %v", name, has, run)
		}
	}
}

// skippedCases is in the output of a contract that left cases out.
var skippedCases = regexp.MustCompile(`passed, \d+ failed, [1-9]\d* skipped`)

// TestDocs runs the shell blocks of the documentation in a home directory of
// their own, with both programs started. Only ports are replaced.
func TestDocs(t *testing.T) {
	curls := curlFolder(t)
	programs.Tool(t, "git")
	programs.Tool(t, "python3")
	for _, page := range documentPages {
		t.Run(page, func(t *testing.T) {
			d := newDocs(t)
			d.compare(t, curls)
			if page == "ci.md" { // a machine without a service
				d.env = append(d.env, "TOKEND_SOCKET="+filepath.Join(d.home, "ci.sock"), "TOKEND_AUDIT_FILE=off")
			}
			if page != "mock.md" { // an unsuccessful answer fails the block
				if err := os.WriteFile(filepath.Join(d.home, ".curlrc"), []byte("fail\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for i, block := range blocks(t, page) {
				if strings.Contains(block, "terraform init") { // with its configuration, in terraform/e2e
					continue
				}
				block = strings.ReplaceAll(block, "http://localhost:8400/", d.issuer)
				block = strings.ReplaceAll(block, "http://localhost:8484/", d.service+"/")
				block = strings.ReplaceAll(block, "127.0.0.1:8410", freePort(t))
				block = strings.ReplaceAll(block, "127.0.0.1:8490", freePort(t))
				recorder := freePort(t)
				block = strings.NewReplacer("127.0.0.1:8401", recorder, "http://localhost:8401/", "http://"+recorder+"/").Replace(block)
				out, err := d.run(t, block)
				if err != nil || strings.Contains(string(out), "error: ") || skippedCases.Match(out) {
					t.Errorf("block %d: %v\n%s\nprinted:\n%s", i+1, err, block, out)
				}
			}
		})
	}
}

// TestDocs_AgentsInGo: the Go program of docs/agents.md is the one that its test runs.
func TestDocs_AgentsInGo(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "agents.md"))
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(filepath.Join("internal", "calling", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(page)
	if shown == nil || !strings.Contains(strings.ReplaceAll(string(program), "\n\t", "\n"), string(shown[1])) {
		t.Errorf("e2e/internal/calling does not have %q", shown)
	}
}

// run runs a block, and then ends its background processes.
func (d *docs) run(t *testing.T, block string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-euc", block)
	cmd.Env, cmd.Dir = d.env, d.home
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // usually no process is left
	return out, err
}

// compare makes the curl of the blocks use a relay, which compares the answers with
// docs/openapi.yaml.
func (d *docs) compare(t *testing.T, curls string) {
	t.Helper()
	r := &relays{}
	if err := r.add(d.service[strings.LastIndex(d.service, ":")+1:]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, deviation := range r.close() {
			t.Error(deviation)
		}
	})
	d.env = append(d.env, "PATH="+strings.Join([]string{curls, bin, os.Getenv("PATH")}, string(os.PathListSeparator)), relayVariable+"="+r.variable())
}

// freePort returns an address that is free at the moment.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// docs is where the blocks run.
type docs struct {
	home, issuer string
	service      string // the URL of tokend, without a slash at its end
	env          []string
}

func newDocs(t *testing.T) *docs {
	t.Helper()
	home := programs.Folder(t)
	if err := os.Symlink(bin, filepath.Join(home, "bin")); err != nil { // as in the repository
		t.Fatal(err)
	}
	for _, folder := range []string{"deploy", "examples"} {
		repository, err := filepath.Abs(filepath.Join("..", folder))
		if err == nil {
			err = os.Symlink(repository, filepath.Join(home, folder))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	d := &docs{home: home}
	for name, value := range defaults(home) {
		if !strings.HasPrefix(name, "XDG_") {
			d.env = append(d.env, name+"="+value)
		}
	}
	d.env = append(d.env, "HOME="+home, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GITHUB_OUTPUT="+home+"/output", "GITHUB_ENV="+home+"/variables",
		"TOKEND_AUDIT_FILE="+home+"/audit/audit.jsonl", "TOKEND_CLIENT_DEMO_HOSTS=git.example.com,registry.example.com")
	d.issuer = d.start(t, programs.Issuer, "mockauth0")
	d.env = append(d.env, "MOCKAUTH0_LISTEN="+strings.TrimSuffix(strings.TrimPrefix(d.issuer, "http://"), "/"), "TOKEND_CLIENT_DEMO_ISSUER="+d.issuer, "API="+d.issuer+"_mock/resource",
		"TOKEND_CLIENT_DEMO_UPSTREAMS="+d.issuer+"_mock/resource")
	d.service = "http://localhost:" + d.start(t, programs.Port, "tokend", "serve")
	return d
}

// start runs a program until the test ends and returns what its log says.
func (d *docs) start(t *testing.T, line *regexp.Regexp, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, name), args...)
	cmd.Env, cmd.Dir = slices.Clone(d.env), d.home
	return programs.Start(t, cmd).WaitFor(t, line)
}
