package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var yamlBlocks = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// Every configuration in docs/grants.md is valid, except for the
// paths of its files.
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
		home, path := homeWith(t, "")
		key := newKeyFile(t, home)
		secret := write(t, filepath.Join(home, "secret"), canarySecret, 0o600)
		text := b[1]
		if !strings.HasPrefix(text, "clients:") {
			text = goodFile + text
		}
		text = strings.NewReplacer("/run/secrets/key.pem", key, "/run/secrets/ci", secret, "/run/secrets/agent", secret,
			"/var/run/secrets/tokens/tenant", secret).Replace(text)
		write(t, path, text, 0o600)
		if _, faults := loadAt(t, home, "ACTIONS_ID_TOKEN_REQUEST_URL=https://actions.example.com/token", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=job"); faults != nil {
			t.Errorf("%v\n%s", faults, text)
		}
	}
}

// The callers of docs/deploy.md are valid.
func TestDocumentedCallers(t *testing.T) {
	doc, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range yamlBlocks.FindAllStringSubmatch(string(doc), -1) {
		if !strings.Contains(b[1], "callers:") {
			continue
		}
		if c := mustLoad(t, b[1]+goodFile); len(c.Callers) != 3 || c.Callers[2].Tokens[0].CAFile == "" {
			t.Errorf("%+v", c.Callers)
		}
		return
	}
	t.Error("docs/deploy.md has no callers")
}
