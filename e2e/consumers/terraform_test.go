package consumers

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// registry is a private module registry with one module, behind a gate; the
// archives are open, as they are in the protocol.
func registry(t *testing.T) (*httptest.Server, *gate) {
	t.Helper()
	var archive bytes.Buffer
	z := gzip.NewWriter(&archive)
	a := tar.NewWriter(z)
	module := "output \"hello\" {\n  value = \"hello\"\n}\n"
	if err := a.WriteHeader(&tar.Header{Name: "main.tf", Mode: 0o600, Size: int64(len(module))}); err != nil {
		t.Fatal(err)
	}
	_, _ = a.Write([]byte(module))
	_ = a.Close()
	_ = z.Close()
	g := &gate{}
	closed := http.NewServeMux()
	closed.HandleFunc("GET /v1/modules/team/hello/local/versions", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"modules":[{"versions":[{"version":"1.0.0"}]}]}`)
	})
	closed.HandleFunc("GET /v1/modules/team/hello/local/1.0.0/download", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Terraform-Get", "/hello.tar.gz")
		w.WriteHeader(http.StatusNoContent)
	})
	mux := http.NewServeMux()
	mux.Handle("/v1/", g.wrap(closed))
	mux.HandleFunc("GET /hello.tar.gz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(archive.Bytes()) })
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv, g
}

// TestTerraformCredentials: terraform init fetches a module of a private
// registry with the token, and the token is in no file that it leaves.
func TestTerraformCredentials(t *testing.T) {
	terraform := tool(t, "terraform")
	srv, g := registry(t)
	for _, c := range []struct {
		name, host string // of the client
		works      bool
	}{{"listed", "registry.example.com", true}, {"not_listed", "other.example.com", false}} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, c.host)
			g.expect(s.token(t))
			plugins := filepath.Join(s.home, ".terraform.d", "plugins")
			write(t, filepath.Join(plugins, "keep"), "")
			if err := os.Symlink(filepath.Join(bin, "tokend-credential"), filepath.Join(plugins, "terraform-credentials-tokend")); err != nil {
				t.Fatal(err)
			}
			// The host's services stand here: discovery would want https.
			write(t, filepath.Join(s.home, "cli.tfrc"), fmt.Sprintf(`credentials_helper "tokend" {}
disable_checkpoint = true
host "registry.example.com" {
  services = { "modules.v1" = "%s/v1/modules/" }
}
`, srv.URL))
			write(t, filepath.Join(s.home, "conf", "main.tf"), `module "hello" {
  source  = "registry.example.com/team/hello/local"
  version = "1.0.0"
}
output "hello" { value = module.hello.hello }
`)
			run := func(args ...string) (string, error) {
				cmd := s.command(terraform, args...)
				cmd.Dir = filepath.Join(s.home, "conf")
				cmd.Env = append(cmd.Env, "TF_CLI_CONFIG_FILE="+filepath.Join(s.home, "cli.tfrc"), "TF_IN_AUTOMATION=1", "NO_COLOR=1")
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			out, err := run("init", "-no-color", "-input=false")
			if (err == nil) != c.works {
				t.Fatalf("init: %v, it saw %q\n%s", err, g.saw(), out)
			}
			want := "bearer"
			if !c.works {
				want = ""
			}
			if strings.TrimSpace(g.saw()) != want {
				t.Errorf("the registry saw %q, want %q", g.saw(), want)
			}
			if out, err := run("apply", "-auto-approve", "-no-color", "-input=false"); c.works && (err != nil || !strings.Contains(out, `hello = "hello"`)) {
				t.Errorf("apply: %v\n%s", err, out)
			}
			tokenNowhere(t, s, "conf", ".terraform.d", "cli.tfrc")
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
