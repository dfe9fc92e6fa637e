package e2e_test

import (
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// update rewrites ../docs: go test ./e2e -run TestDocs -update
var update = flag.Bool("update", false, "write ../docs from schema, examples and templates")

// TestDocs: the registry's pages are what its generator makes of schema,
// examples and templates, and the registry takes them.
func TestDocs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, nil)
	ws := w.workspace(t, read(t, "../examples/provider/provider.tf"), "tokend/tokend")
	// The generator looks for a provider of the namespace hashicorp.
	schema := strings.ReplaceAll(ws.must(t, "providers", "schema", "-json"), registry()+"/tokend/", "registry.terraform.io/hashicorp/")
	schemaFile := filepath.Join(ws.dir, "schema.json")
	if err := os.WriteFile(schemaFile, []byte(schema), 0o600); err != nil {
		t.Fatal(err)
	}
	provider, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	rendered, err := filepath.Rel(provider, out)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		rendered, out = "docs", "../docs"
	}
	common := []string{"--provider-dir", provider, "--provider-name", "tokend", "--providers-schema", schemaFile}
	generator(t, append([]string{"generate", "--rendered-website-dir", rendered}, common...)...)
	generator(t, append([]string{"validate"}, common...)...)
	want, got := pages(t, out), pages(t, "../docs")
	for name, text := range want {
		if got[name] != text {
			t.Errorf("docs/%s is not what the schema says; hint: go test ./e2e -run TestDocs -update", name)
		}
	}
	if len(want) != len(got) || len(want) < 5 {
		t.Errorf("%d pages, want %d", len(got), len(want))
	}
}

// generator runs tfplugindocs at its pinned version.
func generator(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"tool", "-modfile=tools/go.mod", "tfplugindocs"}, args...)...)
	cmd.Dir = ".."
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tfplugindocs %s: %v\n%s", args[0], err, text)
	}
}

func pages(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			all[rel] = read(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestManifest: the registry reads the protocol from it.
func TestManifest(t *testing.T) {
	var m struct {
		Version  int `json:"version"`
		Metadata struct {
			Protocols []string `json:"protocol_versions"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal([]byte(read(t, "../terraform-registry-manifest.json")), &m); err != nil {
		t.Fatal(err)
	}
	if m.Version != 1 || len(m.Metadata.Protocols) != 1 || m.Metadata.Protocols[0] != "6.0" {
		t.Errorf("%+v", m)
	}
}

// TestStandsAlone: the provider speaks HTTP to tokend and shares no code with
// it; a provider that did would hide a change of the API.
func TestStandsAlone(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-test", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		path := strings.Fields(line)[0]
		if strings.HasPrefix(path, "example.com/tokend/") && !strings.HasPrefix(path, "example.com/tokend/terraform") {
			t.Errorf("it imports %s", path)
		}
	}
}
