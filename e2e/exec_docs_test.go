package e2e_test

import (
	"regexp"
	"strings"
	"testing"

	"example.com/tokend/e2e/internal/programs"
)

// TestExecDocs runs every sh block of docs/exec.md, in order, without a service.
func TestExecDocs(t *testing.T) {
	programs.Tool(t, "curl")
	all := blocks(t, "exec.md")
	if len(all) != 7 {
		t.Fatalf("docs/exec.md has %d sh blocks; update the number", len(all))
	}
	s := execTenant(t)
	for i, block := range all {
		cmd := s.tokend()
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-euc", block}
		cmd.Env = append(cmd.Env, "API="+s.issuer+"_mock/resource", "ISSUER="+s.issuer)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil || stderr.Len() > 0 && !strings.Contains(block, "serve --once") {
			t.Errorf("block %d: %v\n%s%s\n%s", i+1, err, block, out, stderr.String())
		}
		if want := map[int]string{0: `"agent@example.com"|"sub"|auth0`, 3: `"sub":"auth0`, 6: `^\{"value":"eyJ`}[i]; !regexp.MustCompile(want).Match(out) {
			t.Errorf("block %d printed %q", i+1, out)
		}
	}
	if token := s.read(t, "run/token"); lifeOf(t, token) <= 0 || strings.TrimSpace(s.read(t, "run/size")) == "0" {
		t.Errorf("the file holds %d characters", len(token))
	}
}
