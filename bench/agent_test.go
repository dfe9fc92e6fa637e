package bench

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

var agentLine = regexp.MustCompile(`(OIDC_SOCK|OIDCD_PID)=([^;]+);`)

// oidcAgent starts oidc-agent with account demo of the tenant and returns the
// variables of its commands. It skips if the Debian package oidc-agent-cli is
// missing.
func oidcAgent(b *testing.B, issuer string) (env []string) {
	b.Helper()
	for _, tool := range []string{"oidc-agent", "oidc-gen", "oidc-token"} {
		if _, err := exec.LookPath(tool); err != nil {
			b.Logf("%s is missing: oidc-token is not measured\nhint: apt-get install oidc-agent-cli", tool)
			return nil
		}
	}
	home, err := os.MkdirTemp("", "oidc") // short, because of the length limit of a socket's path
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(home) })
	env = []string{"HOME=" + home, "TMPDIR=" + home, "OIDC_ENCRYPTION_PW=bench"}
	run := func(name string, args ...string) []byte {
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			b.Fatalf("%s: %v\n%s", name, err, out)
		}
		return out
	}
	for _, m := range agentLine.FindAllSubmatch(run("oidc-agent", "--no-autoload"), -1) {
		env = append(env, string(m[1])+"="+string(m[2]))
	}
	b.Cleanup(func() { run("oidc-agent", "-k") })
	run("oidc-gen", "demo", "-m", "--issuer", issuer, "--client-id", "demo", "--client-secret", "demo-secret", "--rt", refreshToken(b, issuer),
		"--scope", "openid offline_access", "--redirect-uri", "http://localhost:8484/callback", "--pw-env", "--confirm-default", "--prompt=none",
		"--no-url-call", "--no-webserver")
	return env
}

// refreshToken returns a refresh token of the default tenant's first user.
func refreshToken(b *testing.B, issuer string) string {
	b.Helper()
	resp, err := client(b).PostForm(issuer+"oauth/token", url.Values{
		"grant_type": {"password"}, "client_id": {"demo"}, "client_secret": {"demo-secret"}, "username": {"agent@example.com"},
		"password": {"password"}, "scope": {"openid offline_access"}, "audience": {"https://api.example.com/"},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var t struct {
		Refresh string `json:"refresh_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&t); err != nil || resp.StatusCode != http.StatusOK || t.Refresh == "" {
		b.Fatalf("no refresh token: status %d, %v", resp.StatusCode, err)
	}
	return t.Refresh
}
