package e2e_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	section = regexp.MustCompile(`(?m)^## `)
	block   = regexp.MustCompile("(?ms)^```(sh|hcl)\n(.*?)^```$")
)

// TestPage runs docs/terraform.md: the configuration and the shell blocks of
// each section in a folder of their own, as they stand.
func TestPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, map[string]string{"TOKEND_CLIENT_DEMO_UPSTREAMS": "$API"})
	ran := 0
	for _, text := range section.Split(read(t, "../../docs/terraform.md"), -1) {
		title, _, _ := strings.Cut(text, "\n")
		blocks := block.FindAllStringSubmatch(text, -1)
		if len(blocks) == 0 {
			continue
		}
		ran++
		t.Run(title, func(t *testing.T) { w.section(t, blocks, w.key(t)) })
	}
	if ran != 4 {
		t.Errorf("%d sections, want 4", ran)
	}
}

// TestPage_ManagementAPI runs the section of docs/management.md with Terraform: from a
// token of tokend to a login of the client that was created with it. No service runs.
func TestPage_ManagementAPI(t *testing.T) {
	t.Parallel()
	w := newTenant(t, 0)
	_, text, found := strings.Cut(read(t, "../../docs/management.md"), "\n## From Terraform to a login\n")
	if !found {
		t.Fatal("docs/management.md does not have the section")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	w.section(t, block.FindAllStringSubmatch(text, -1), "management-secret")
	if n := w.journal(t, "endpoint=management&client_id=management"); n != 1 {
		t.Errorf("%d calls of the Management API, want 1", n)
	}
	for _, grant := range []string{"client_credentials", "authorization_code"} {
		if n := w.journal(t, "endpoint=token&grant="+grant); n == 0 {
			t.Errorf("no token by %s", grant)
		}
	}
}

// section runs the blocks of one section in a folder of its own. They call the API, and
// neither print nor store a secret.
func (w *world) section(t *testing.T, blocks [][]string, secrets ...string) {
	t.Helper()
	calls := w.journal(t, "endpoint=resource")
	dir := t.TempDir()
	for _, b := range blocks {
		if b[1] == "hcl" {
			if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(b[2]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	out, err := w.script(t, dir, blocks).CombinedOutput()
	if err != nil || strings.Contains(strings.ToLower(string(out)), "error: ") {
		t.Errorf("%v\n%s", err, out)
	}
	if w.journal(t, "endpoint=resource") == calls {
		t.Errorf("the API was not called:\n%s", out)
	}
	if hits(string(out)+read(t, filepath.Join(dir, "terraform.tfstate")), secrets...) {
		t.Error("a secret is printed, or in the state")
	}
}

// script is the shell blocks of a section as one: a later one may use the
// variables of an earlier one.
func (w *world) script(t *testing.T, dir string, blocks [][]string) *exec.Cmd {
	var text strings.Builder
	for _, b := range blocks {
		if b[1] == "sh" {
			text.WriteString(b[2])
		}
	}
	clone, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer("127.0.0.1:8490", freePort(t), "http://localhost:8400/", w.issuer).Replace(text.String()) // another test may have them
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-euc", here)
	cmd.Dir = dir
	cmd.Env = environ(w.env, map[string]string{
		"API": w.api, "CLONE": clone, "GOCACHE": goEnv(t, "GOCACHE"), "GOMODCACHE": goEnv(t, "GOMODCACHE"), "GOFLAGS": goEnv(t, "GOFLAGS"),
		"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1",
	})
	return cmd
}

// freePort returns an address without a listener.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// goEnv is a setting of the go command: the section that builds has another home.
func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
