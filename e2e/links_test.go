package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	linkInPage = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence      = regexp.MustCompile("(?ms)^```.*?^```$|`[^`\n]*`")
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noAnchor   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestDocs_LinksLeadSomewhere: each link to a file or to a heading leads to one, and each
// page of docs/ is reached from docs/README.md.
func TestDocs_LinksLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join("..", "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	linked := map[string]bool{}
	for _, page := range append(pages, filepath.Join("..", "README.md"), filepath.Join("..", "CONTRIBUTING.md"), filepath.Join("..", "npm", "README.md")) {
		b, err := os.ReadFile(page)
		if err != nil && filepath.Base(filepath.Dir(page)) == "npm" {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range linkInPage.FindAllStringSubmatch(fence.ReplaceAllString(string(b), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			found++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			if filepath.Base(page) == "README.md" && filepath.Base(filepath.Dir(page)) == "docs" {
				linked[filepath.Base(target)] = true
			}
			text, err := os.ReadFile(target)
			switch info, statErr := os.Stat(target); {
			case statErr != nil:
				t.Errorf("%s: %s is not there", page, m[1])
			case anchor == "" || info.IsDir():
			case err != nil:
				t.Fatal(err)
			case !anchors(string(text))[anchor]:
				t.Errorf("%s: %s has no heading #%s", page, file, anchor)
			}
		}
	}
	if found < 200 {
		t.Errorf("only %d links were found", found)
	}
	for _, page := range pages {
		if name := filepath.Base(page); name != "README.md" && !linked[name] {
			t.Errorf("docs/README.md does not lead to %s", name)
		}
	}
}

// anchors are those that GitHub gives the headings of a page.
func anchors(page string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		all[strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return all
}
