package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"example.com/tokend/e2e/internal/programs"
)

// TestDocs_GettingStartedSettings: the settings of docs/getting-started.md, and no others,
// start a tokend that has a token of mockauth0.
func TestDocs_GettingStartedSettings(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "getting-started.md"))
	if err != nil {
		t.Fatal(err)
	}
	home := programs.Folder(t)
	env := []string{"HOME=" + home, "PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH")}
	tenant := exec.Command(filepath.Join(bin, "mockauth0"))
	tenant.Env = append([]string{"MOCKAUTH0_LISTEN=127.0.0.1:0"}, env...)
	issuer := programs.Start(t, tenant).WaitFor(t, programs.Issuer)
	var settings strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^\$ (export TOKEND_.*)$`).FindAllStringSubmatch(string(page), -1) {
		settings.WriteString(strings.ReplaceAll(m[1], "http://localhost:8400/", issuer) + "\n")
	}
	service := exec.Command("/bin/sh", "-euc", settings.String()+"exec tokend serve")
	service.Env = append([]string{"TOKEND_LISTEN=127.0.0.1:0", "TOKEND_CLIENT_DEMO_REDIRECT_URI=http://localhost:8484/callback"}, env...) // as with the default port
	port := programs.Start(t, service).WaitFor(t, programs.Port)
	token := exec.CommandContext(t.Context(), filepath.Join(bin, "tokend"), "token", "demo")
	token.Env = append([]string{"TOKEND_LISTEN=127.0.0.1:" + port}, env...)
	if out, err := token.CombinedOutput(); err != nil || strings.Count(string(out), ".") != 2 {
		t.Errorf("no token: %v\n%s", err, out)
	}
}
