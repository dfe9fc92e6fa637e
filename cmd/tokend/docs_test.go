package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var yamlBlocks = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// Every configuration in docs/grants.md is good as it stands, but for the
// places of its files.
func TestDocumentedGrants(t *testing.T) {
	doc, err := os.ReadFile("../../docs/grants.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := yamlBlocks.FindAllStringSubmatch(string(doc), -1)
	if len(blocks) != 8 {
		t.Fatalf("%d configurations", len(blocks))
	}
	for _, b := range blocks {
		home := clean(t)
		key := newKeyFile(t, home)
		secret := write(t, filepath.Join(home, "secret"), canarySecret, 0o600)
		text := b[1]
		if !strings.HasPrefix(text, "clients:") {
			text = goodFile + text
		}
		text = strings.NewReplacer("/run/secrets/key.pem", key, "/run/secrets/ci", secret, "/run/secrets/agent", secret,
			"/var/run/secrets/tokens/tenant", secret).Replace(text)
		write(t, filepath.Join(home, ".config/tokend/tokend.yaml"), text, 0o600)
		setenv(t, "ACTIONS_ID_TOKEN_REQUEST_URL=https://actions.example.com/token", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=job")
		if o := runTokend(t, "config", "check"); o.code != 0 {
			t.Errorf("exit %d: %s\n%s", o.code, o.stderr, text)
		}
	}
}

// The help of serve names every variable of a client.
func TestServeHelpNamesEveryField(t *testing.T) {
	for _, name := range variables("", &clientConfig{}) {
		name = strings.TrimPrefix(name, "_")
		secret, isFile := strings.CutSuffix(name, "_FILE")
		if !regexp.MustCompile(`\b`+name+`\b`).MatchString(serveHelp) && !(isFile && strings.Contains(serveHelp, secret+"[_FILE]")) {
			t.Errorf("%s is not in the help", name)
		}
	}
}
