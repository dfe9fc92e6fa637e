package referees_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var provedBy = regexp.MustCompile(`(?m)^\| ([^|]+) \| (v?\d[^|]*) \|[^|]*\|[^|]*\|[^|]*\|$`)

// TestProvedBy: the versions in docs/mock.md are those that the tests run with.
func TestProvedBy(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "mock.md"))
	if err != nil {
		t.Fatal(err)
	}
	pinned := goVersions(t, filepath.Join("..", "..", "go.mod"))
	pinned["github.com/zitadel/oidc/v3"] = goVersions(t, "go.mod")["github.com/zitadel/oidc/v3"]
	var lock struct {
		Packages map[string]struct{ Version string }
	}
	b, err := os.ReadFile(filepath.Join("npm", "package-lock.json"))
	if err == nil {
		err = json.Unmarshal(b, &lock)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range lock.Packages {
		pinned[strings.TrimPrefix(name, "node_modules/")] = p.Version
	}
	rows := provedBy.FindAllStringSubmatch(string(doc), -1)
	if len(rows) != 10 {
		t.Errorf("%d rows with a version", len(rows))
	}
	for _, row := range rows {
		versions := strings.Split(row[2], ", ")
		for i, name := range strings.Split(row[1], ", ") {
			if pinned[name] != versions[i] {
				t.Errorf("%s is pinned to %q, docs/mock.md says %s", name, pinned[name], versions[i])
			}
		}
	}
}

func goVersions(t *testing.T, file string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) (v\S+)`).FindAllStringSubmatch(string(b), -1) {
		out[m[1]] = m[2]
	}
	return out
}
