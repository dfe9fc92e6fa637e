package tenantfile

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock/tenant"
)

// docs/mock.md says of each field what the mock does with it, in a table for each
// section of the tenant file.
func TestDocumentedSupport(t *testing.T) {
	page, err := os.ReadFile("../../docs/mock.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "## What each field does\n")
	text, _, _ = strings.Cut(text, "\n## ")
	got := map[string][]string{} // section → rows
	section, order := "", []string{}
	for line := range strings.SplitSeq(text, "\n") {
		if name := regexp.MustCompile("^### `(.*)`$").FindStringSubmatch(line); name != nil {
			section = name[1]
			order = append(order, section)
		} else if strings.HasPrefix(line, "| `") {
			got[section] = append(got[section], line)
		}
	}
	want, sections := supportRows()
	if !slices.Equal(order, sections) {
		t.Errorf("docs/mock.md has the sections %q, not %q", order, sections)
	}
	for _, section := range sections {
		if !slices.Equal(got[section], want[section]) {
			t.Errorf("docs/mock.md: the rows of `%s` must be\n%s", section, strings.Join(want[section], "\n"))
		}
	}
}

// supportRows returns the rows of each section: the fields that have the same text in
// one row.
func supportRows() (rows map[string][]string, sections []string) {
	rows = map[string][]string{}
	type row struct{ section, text string }
	fields, order := map[row][]string{}, []row{}
	for _, f := range tenant.Fields() {
		section, name, _ := strings.Cut(f.Path, ".")
		text := map[tenant.Support]string{
			tenant.Emulated: "emulated", tenant.Stored: "stored only",
			tenant.Absent: "absent: a real tenant " + f.Effect, tenant.Refused: "refused at start: a real tenant " + f.Effect,
		}[f.Support]
		r := row{section, text}
		if fields[r] == nil {
			order = append(order, r)
		}
		fields[r] = append(fields[r], "`"+name+"`")
		if !slices.Contains(sections, section) {
			sections = append(sections, section)
		}
	}
	for _, r := range order {
		rows[r.section] = append(rows[r.section], "| "+strings.Join(fields[r], ", ")+" | "+r.text+" |")
	}
	return rows, sections
}
