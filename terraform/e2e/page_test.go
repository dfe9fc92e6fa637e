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
		t.Run(title, func(t *testing.T) {
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
			if hits(string(out)+read(t, filepath.Join(dir, "terraform.tfstate")), w.key(t)) {
				t.Error("a secret is printed, or in the state")
			}
		})
	}
	if ran != 4 {
		t.Errorf("%d sections, want 4", ran)
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
	here := strings.ReplaceAll(text.String(), "127.0.0.1:8490", freePort(t)) // another test may have it
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
