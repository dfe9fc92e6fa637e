package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The export of a running tenant is a tenant file with what the Management API made, and
// a tenant of it exports the same.
func TestExport_IsATenantFile(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.yaml"), filepath.Join(dir, "second.yaml")
	t.Run("first", func(t *testing.T) {
		r := start(t, 1, nil)
		newManager(t, r.issuers[0]).createClient(t, "created")
		if code, stdout, stderr := execute(t, "export", "--url", r.issuers[0], "--output", first); code != 0 || stdout != "" || stderr != "" {
			t.Fatalf("exit code %d %s %s", code, stdout, stderr)
		}
	})
	if info, err := os.Stat(first); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	t.Run("second", func(t *testing.T) {
		r := start(t, 1, nil, "serve", "--tenant", first)
		if log := strings.Join(r.log, "\n"); strings.Contains(log, "ignored") {
			t.Errorf("what the export has is ignored:\n%s", log)
		}
		if code, stdout, _ := execute(t, "export", "--url", r.issuers[0]); code != 0 || !strings.Contains(stdout, "name: created") {
			t.Fatalf("exit code %d %s", code, stdout)
		} else if b, err := os.ReadFile(first); err != nil || string(b) != stdout {
			t.Errorf("the export of the export is another one: %v", err)
		}
		if code, _, stderr := execute(t, "export", "--url", r.issuers[0], "--output", filepath.Join(second, "x")); code != exitFailure || !strings.Contains(stderr, "hint: name a file") {
			t.Errorf("exit code %d %s", code, stderr)
		}
	})
}

// A file that exists, perhaps one that a person wrote, is replaced only on request.
func TestExport_ReplacesAFileWithForceOnly(t *testing.T) {
	r := start(t, 1, nil)
	file := filepath.Join(t.TempDir(), "tenant.yaml")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := execute(t, "export", "--url", r.issuers[0], "--output", file)
	if b, err := os.ReadFile(file); code != exitFailure || !strings.Contains(stderr, "tenant.yaml exists\nhint: name another file, or replace it: --force") || string(b) != "mine" {
		t.Errorf("exit code %d %s; the file is %q, %v", code, stderr, b, err)
	}
	code, _, stderr = execute(t, "export", "--url", r.issuers[0], "--output", file, "--force")
	if b, err := os.ReadFile(file); code != 0 || stderr != "" || !strings.Contains(string(b), "x-management:") {
		t.Errorf("with --force: exit code %d %s; the file is %q, %v", code, stderr, b, err)
	}
}

// Invitations, tickets and jobs end by themselves; they are reported.
func TestExport_ReportsWhatItLeavesOut(t *testing.T) {
	r := start(t, 1, nil)
	m := newManager(t, r.issuers[0])
	if status, _, body := m.send(t, "POST", m.issuer+"api/v2/jobs/users-exports", `{"format":"json"}`, "Authorization", "Bearer "+m.token, "Content-Type", "application/json"); status >= 300 {
		t.Fatalf("%d %s", status, body)
	}
	if code, _, stderr := execute(t, "export", "--url", r.issuers[0]); code != 0 || stderr != "mockauth0: not exported: job: 1\n" {
		t.Errorf("exit code %d %s", code, stderr)
	}
}

func TestExport_NeedsAMockauth0(t *testing.T) {
	r := start(t, 1, nil)
	for url, want := range map[string]string{r.issuers[0] + "nothing/": "hint: give the address of a mockauth0", "http://127.0.0.1:1/": "hint: start it"} {
		if code, _, stderr := execute(t, "export", "--url", url); code != exitUnavailable || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d %s", url, code, stderr)
		}
	}
}
