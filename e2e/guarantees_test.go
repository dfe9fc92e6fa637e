package e2e_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testName = regexp.MustCompile("`(Test[A-Za-z0-9_]+)")
	testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	rowIDs   = regexp.MustCompile(`ows? ((?:[FBX]\d\d(?:, )?)+) of docs/guarantees\.md`)
)

// promised are the pages whose tables name a test for each promise.
var promised = []string{"guarantees.md", "threat-model.md"}

// TestDocs_ThreatModel: each row of its tables has a test, or says that something is not
// done.
func TestDocs_ThreatModel(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join("..", "docs", "threat-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 6 || strings.HasPrefix(cells[1], "---") || strings.TrimSpace(cells[4]) == "test" {
			continue
		}
		rows++
		if last := cells[len(cells)-2]; !testName.MatchString(last) && !strings.HasPrefix(last, " none: ") {
			t.Errorf("no test: %s", line)
		}
	}
	if rows < 60 {
		t.Errorf("only %d rows", rows)
	}
}

// TestDocs_Guarantees: every test that docs/guarantees.md and docs/threat-model.md name
// exists, and every row that a test cites is there.
func TestDocs_Guarantees(t *testing.T) {
	t.Parallel()
	var b []byte
	for _, page := range promised {
		text, err := os.ReadFile(filepath.Join("..", "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, text...)
	}
	tests, cited := map[string]bool{}, map[string]string{}
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllSubmatch(src, -1) {
			tests[string(m[1])] = true
		}
		for _, m := range rowIDs.FindAllSubmatch(src, -1) {
			for id := range strings.SplitSeq(string(m[1]), ", ") {
				cited[id] = path
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range testName.FindAllSubmatch(b, -1) {
		if !tests[string(m[1])] {
			t.Errorf("there is no test %s", m[1])
		}
	}
	for id, path := range cited {
		if !strings.Contains(string(b), "\n| "+id+" | ") {
			t.Errorf("%s cites row %s, which docs/guarantees.md does not have", path, id)
		}
	}
	if len(cited) < 50 {
		t.Errorf("only %d rows are cited", len(cited))
	}
}
