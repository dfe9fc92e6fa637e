package e2e_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocs_CurlBypassesProxy: every documented or shipped curl to this machine
// has --noproxy, or uses a unix socket. Otherwise http_proxy would get the
// request with its key.
//
// Row X29 of docs/guarantees.md.
func TestDocs_CurlBypassesProxy(t *testing.T) {
	local := regexp.MustCompile(`\bcurl\b.*(localhost|127\.0\.0\.1|\[::1\])`)
	found := 0
	for _, root := range []string{"README.md", "docs", "examples", "deploy", "scripts", "action.yml", ".github"} {
		err := filepath.WalkDir(filepath.Join("..", root), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for line := range strings.Lines(strings.ReplaceAll(string(b), "\\\n", " ")) {
				if !local.MatchString(line) {
					continue
				}
				found++
				if !strings.Contains(line, "--noproxy") && !strings.Contains(line, "--unix-socket") {
					t.Errorf("%s: %s", path, strings.TrimSpace(line))
				}
			}
			return nil
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if found < 10 {
		t.Errorf("only %d calls were found", found)
	}
}
