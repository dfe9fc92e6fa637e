package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/format"

	"github.com/spf13/cobra"
)

// completed is what a shell is offered for a command line that ends in args.
func completed(t *testing.T, args ...string) []string {
	t.Helper()
	o := runTokend(t, append([]string{"__completeNoDesc"}, args...)...)
	offered, directive, found := strings.Cut(o.stdout, ":")
	if o.code != 0 || !found || directive == "" {
		t.Fatalf("%+v", o)
	}
	return strings.Fields(offered)
}

func TestCompletesClients(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENTS=demo", "TOKEND_LISTEN=127.0.0.1:0")
	serve(t)
	// Another configuration stands here than the service's, so what is offered
	// tells who was asked.
	setenv(t, "TOKEND_CLIENTS=configured")
	for _, cmd := range []string{"token", "login", "refresh", "logout", "resume", "proxy", "file"} {
		if got := completed(t, cmd, ""); len(got) != 1 || got[0] != "demo" {
			t.Errorf("%s: %q", cmd, got)
		}
		if got := completed(t, cmd, "demo", ""); len(got) != 0 {
			t.Errorf("%s demo: %q", cmd, got)
		}
	}
	if got := completed(t, "exec", "demo", "--actions-id-token", ""); len(got) != 1 || got[0] != "demo" {
		t.Errorf("exec --actions-id-token: %q", got)
	}
	for _, cmd := range []string{"exec", "doctor"} {
		if got := completed(t, cmd, ""); len(got) != 1 || got[0] != "demo" {
			t.Errorf("%s: %q", cmd, got)
		}
	}
	if got := completed(t, "status", ""); len(got) != 1 || got[0] != "demo" {
		t.Errorf("status: %q", got)
	}
	setenv(t, "TOKEND_ADDR=unix:"+filepath.Join(home, "nosocket"))
	if got := completed(t, "token", ""); len(got) != 1 || got[0] != "configured" {
		t.Errorf("without a service: %q", got)
	}
}

func TestCompletesFormats(t *testing.T) {
	clean(t)
	if got := completed(t, "token", "--format", ""); strings.Join(got, " ") != strings.Join(format.Names(), " ") {
		t.Errorf("%q", got)
	}
	for _, cmd := range []string{"status", "doctor"} {
		if got := completed(t, cmd, "--format", ""); strings.Join(got, " ") != "table json" {
			t.Errorf("%s: %q", cmd, got)
		}
	}
	if got := completed(t, "completion", ""); strings.Join(got, " ") != "bash zsh fish powershell" {
		t.Errorf("%q", got)
	}
}

// A service that does not answer costs a person at a shell no more than a blink.
func TestCompletionNeverHangs(t *testing.T) {
	clean(t)
	release := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	t.Cleanup(hangs.Close)
	t.Cleanup(func() { close(release) })
	setenv(t, "TOKEND_ADDR="+hangs.URL, "TOKEND_CLIENTS=configured")
	begun := time.Now()
	if got := completed(t, "token", ""); len(got) != 1 || got[0] != "configured" {
		t.Errorf("%q", got)
	}
	if d := time.Since(begun); d > 20*time.Second {
		t.Errorf("it took %s", d)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // never accepts
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	setenv(t, "TOKEND_ADDR=http://"+silent.Addr().String())
	if got := completed(t, "token", "--wait", ""); len(got) != 1 || got[0] != "configured" {
		t.Errorf("%q", got)
	}
}

// Commands that take several names offer each once, and files after a "--".
func TestCompletesSeveralClients(t *testing.T) {
	clean(t)
	setenv(t, "TOKEND_ADDR=http://127.0.0.1:1", "TOKEND_CLIENTS=one,two")
	for _, tt := range []struct{ line, offered, directive string }{
		{"exec", "one two", ":4"},
		{"exec one", "two", ":4"},
		{"exec one --", "", ":0"},
		{"exec one two -- terraform", "", ":0"},
		{"doctor one", "two", ":4"},
		{"token one", "", ":4"},
	} {
		var b strings.Builder
		root := &cobra.Command{Use: "tokend"}
		for _, use := range []string{"exec NAME… [flags] -- COMMAND", "doctor [NAME…]", "token NAME"} {
			root.AddCommand(&cobra.Command{Use: use, Run: func(*cobra.Command, []string) {}})
		}
		line := append(strings.Fields("__completeNoDesc "+tt.line), "")
		complete(root, line)
		root.SetArgs(line)
		root.SetOut(&b)
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := strings.Fields(b.String())
		if want := append(strings.Fields(tt.offered), tt.directive); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%q: %q", tt.line, got)
		}
	}
}

// The scripts are good for the shells that they are for, where these are here.
func TestCompletionScripts(t *testing.T) {
	clean(t)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		o := runTokend(t, "completion", shell)
		if o.code != 0 || !strings.Contains(o.stdout, "__complete") {
			t.Errorf("%s: %d %s", shell, o.code, o.stderr)
		}
		path, err := exec.LookPath(shell)
		if err != nil || shell == "powershell" { // which has no check alone
			continue
		}
		check := exec.Command(path, "-n", write(t, filepath.Join(t.TempDir(), "script"), o.stdout, 0o600))
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s -n: %v\n%s", shell, err, out)
		}
	}
	if o := runTokend(t, "completion", "tcsh"); o.code != 64 || o.stdout != "" {
		t.Errorf("%+v", o)
	}
}
