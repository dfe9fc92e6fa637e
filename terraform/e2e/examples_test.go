package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// example is an example of ../examples behind the provider's own.
func example(t *testing.T, path string) string {
	t.Helper()
	text := read(t, "../examples/provider/provider.tf") + read(t, "../examples/provider/provider_key.tf")
	return text + read(t, filepath.Join("../examples", path))
}

// variables are what the examples want to be given.
func (ws *workspace) variables(t *testing.T) {
	t.Helper()
	ws.env["TF_VAR_api"] = ws.api
	ws.env["TF_VAR_tokend"] = fmt.Sprintf(`{"endpoint":%q,"api_key":%q}`, ws.tokend, ws.key(t))
}

// TestExamples: each is planned and applied as it stands, and does what it says.
func TestExamples(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, nil)
	secrets := []string{w.command(t, "token", "demo"), w.key(t)}
	tests := []struct {
		path   string
		from   string // as a person would change it so that it complains
		to     string
		says   string
		called int // calls of the protected API
	}{
		{"ephemeral-resources/tokend_token/ephemeral-resource.tf", `"30m"`, `"48h"`, "min_validity is more than the provider's maximum", 1},
		{"data-sources/tokend_client/data-source.tf", `["ready", "degraded"]`, `["none"]`, "Client demo is ready: tokend login demo", 0},
		{"functions/jwt_claims/function.tf", `"https://api.example.com/"`, `"https://other.example.com/"`, "is for another API", 0},
		{"functions/jwt_expiry/function.tf", `"30m"`, `"48h"`, "expires in less than half an hour", 0},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			before := w.journal(t, "endpoint=resource")
			ws := w.workspace(t, example(t, tt.path), "tokend/tokend")
			ws.variables(t)
			a := ws.planAndApply(t)
			if n := w.journal(t, "endpoint=resource") - before; n != tt.called {
				t.Errorf("%d calls of the API, want %d", n, tt.called)
			}
			if strings.Contains(ws.shown, tt.says) || strings.Contains(ws.shown, "Warning") {
				t.Errorf("it complains:\n%s", ws.shown)
			}
			for name, text := range map[string]string{"state": a.state, "plan": a.plan, "show -json": a.show, "TRACE log": a.trace, "output": ws.shown} {
				if hits(text, secrets...) {
					t.Errorf("%s has a secret", name)
				}
			}
			text := example(t, tt.path)
			if !strings.Contains(text, tt.from) {
				t.Fatalf("%s is not in it", tt.from)
			}
			other := w.workspace(t, strings.Replace(text, tt.from, tt.to, 1), "tokend/tokend")
			other.variables(t)
			if out, _ := other.terraform(t, "apply", "-auto-approve", "-no-color", "-input=false"); !strings.Contains(strings.Join(strings.Fields(out), " "), tt.says) {
				t.Errorf("with %s it does not say %q:\n%s", tt.to, tt.says, out)
			}
		})
	}
	err := filepath.WalkDir("../examples", func(path string, d os.DirEntry, err error) error {
		rel, _ := filepath.Rel("../examples", path)
		run := filepath.Dir(rel) == "provider" // a part of each
		for _, tt := range tests {
			run = run || tt.path == rel
		}
		if err == nil && !d.IsDir() && !run {
			t.Errorf("%s is not run", rel)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
