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

// TestDocs_Guarantees: every test that docs/guarantees.md names exists, and every
// row that a test cites is there.
func TestDocs_Guarantees(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join("..", "docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests, cited := map[string]bool{}, map[string]string{}
	err = filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
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
