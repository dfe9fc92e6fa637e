package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/tokend/internal/doctor"
	"example.com/tokend/pkg/flow"
)

// documented are the rows of docs/troubleshooting.md: what doctor prints and
// the hint, with … for anything.
func documented(t *testing.T) (rows [][2]string) {
	t.Helper()
	b, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tables, found := strings.Cut(string(b), "\n## Configuration\n") // before it are the codes of the API
	if !found {
		t.Fatal("docs/troubleshooting.md has no part Configuration")
	}
	for line := range strings.Lines(tables) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || strings.HasPrefix(cells[1], "---") || strings.TrimSpace(cells[1]) == "cause" {
			continue
		}
		rows = append(rows, [2]string{strings.Trim(cells[2], " `"), strings.TrimSpace(cells[3])})
	}
	return rows
}

func matches(pattern, text string) bool {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), "…", ".*") + "$").MatchString(text)
}

// checkDocumentation holds each row against what was printed, and wants every
// check that can fail to be in one.
func checkDocumentation(t *testing.T, printed []doctor.Finding) {
	rows := documented(t)
	if len(rows) < 40 {
		t.Errorf("%d rows were found", len(rows))
	}
	for _, row := range rows {
		if !slices.ContainsFunc(printed, func(f doctor.Finding) bool {
			return matches(row[0], fmt.Sprintf("%s %s: %s", f.Result, f.Check, f.Text)) && matches(row[1], f.Hint)
		}) {
			t.Errorf("doctor never printed %q with hint %q", row[0], row[1])
		}
	}
	for _, f := range printed {
		if f.Result != flow.ResultProblem && f.Result != flow.ResultWarning {
			continue
		}
		if !slices.ContainsFunc(rows, func(row [2]string) bool { return strings.Contains(row[0], " "+f.Check+": ") }) {
			t.Errorf("%s is in no row: %s", f.Check, f.Text)
		}
	}
}
