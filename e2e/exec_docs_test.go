package e2e_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// shellBlock is a block of the documentation that is run as it stands.
var shellBlock = regexp.MustCompile("(?s)\n```sh\n(.*?)```")

// TestExecDocs runs every sh block of docs/exec.md, in order, without a service.
func TestExecDocs(t *testing.T) {
	tool(t, "curl")
	b, err := os.ReadFile("../docs/exec.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := shellBlock.FindAllStringSubmatch(string(b), -1)
	if len(blocks) != 6 {
		t.Fatalf("docs/exec.md has %d sh blocks; count them anew", len(blocks))
	}
	s := execTenant(t)
	for i, block := range blocks {
		cmd := s.tokend()
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-euc", block[1]}
		cmd.Env = append(cmd.Env, "API="+s.issuer+"_mock/resource/calls")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil || stderr.Len() > 0 && !strings.Contains(block[1], "serve --once") {
			t.Errorf("block %d: %v\n%s%s\n%s", i+1, err, block[1], out, stderr.String())
		}
		if want := map[int]string{0: `"agent@example.com"|"sub"|auth0`, 5: `^\{"value":"eyJ`}[i]; !regexp.MustCompile(want).Match(out) {
			t.Errorf("block %d printed %q", i+1, out)
		}
	}
	if token := s.read(t, "run/token"); lifeOf(t, token) <= 0 || strings.TrimSpace(s.read(t, "run/size")) == "0" {
		t.Errorf("the file holds %d characters", len(token))
	}
}
