package daemon

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"example.com/tokend/pkg/flow"
)

// apiPage is docs/api.md.
func apiPage(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEveryRouteIsDocumented(t *testing.T) {
	d, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z…]+) (/\\S*)` \\|").FindAllStringSubmatch(apiPage(t), -1) {
		documented[m[1]+" "+m[2]] = false
	}
	for _, r := range d.active.Load().engine.(*gin.Engine).Routes() {
		path := strings.TrimSuffix(strings.NewReplacer(":client", "{client}", ":name", "{client}").Replace(r.Path), "/*path")
		name := r.Method + " " + path
		if r.Method == "HEAD" { // of every GET
			name = "GET " + path
		}
		if strings.HasSuffix(path, "/proxy") {
			name = "… " + path
		}
		if _, ok := documented[name]; !ok {
			t.Errorf("%s is not among the routes", name)
		}
		documented[name] = true
	}
	for name, served := range documented {
		if !served {
			t.Errorf("%s is not served", name)
		}
	}
}

// Each member of a client's state is documented.
func TestEveryMemberIsDocumented(t *testing.T) {
	page := apiPage(t)
	for _, f := range reflect.VisibleFields(reflect.TypeFor[clientView]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && !strings.Contains(page, "`"+name+"`") && !strings.Contains(page, `"`+name+`":`) {
			t.Errorf("%s is not documented", name)
		}
	}
}

// errorTable returns the statuses of each error code of docs/api.md.
func errorTable(t *testing.T) map[string][]int {
	t.Helper()
	documented := map[string][]int{}
	for _, row := range regexp.MustCompile("(?m)^\\| (\\d{3}) \\| (`[a-z_`, ]+`) \\|").FindAllStringSubmatch(apiPage(t), -1) {
		status, err := strconv.Atoi(row[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[2], -1) {
			documented[code[1]] = append(documented[code[1]], status)
		}
	}
	return documented
}

// TestTroubleshooting_HasEveryCode: docs/troubleshooting.md has a row for each error code of
// docs/api.md, and no other.
func TestTroubleshooting_HasEveryCode(t *testing.T) {
	page, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := errorTable(t)
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| [^|]+ \\| [^|]+ \\|$").FindAllStringSubmatch(string(page), -1) {
		if documented[row[1]] == nil {
			t.Errorf("docs/troubleshooting.md has %s, which is not a code, or twice", row[1])
		}
		delete(documented, row[1])
	}
	for code := range documented {
		t.Errorf("docs/troubleshooting.md has no row for %s", code)
	}
}

// TestEveryErrorIsDocumented compares the table with the codes in the source, and
// with the status of every class of flow's.
func TestEveryErrorIsDocumented(t *testing.T) {
	documented := errorTable(t)
	known := map[string]bool{}
	for _, m := range inSource(t, `(?m)^\t(?:Class\w+ +Class *= "|code\w+ = ")(\w+)"`, "*.go", "../../pkg/flow/errors.go") {
		known[m] = true
	}
	for _, m := range inSource(t, `Code: +"(\w+)"`, "*.go", "../guard/*.go", "../proxy/*.go") {
		known[m] = true
	}
	for _, m := range inSource(t, `(?m)^const code\w+ = "(\w+)"`, "*.go") {
		known[m] = true
	}
	for _, m := range inSource(t, `forbidden\("(\w+)"`, "../guard/*.go") {
		known["forbidden_"+m] = true
	}
	delete(known, "forbidden_") // a prefix
	if len(known) < 25 {
		t.Fatalf("only %d codes were found", len(known))
	}
	for code := range known {
		if len(documented[code]) == 0 {
			t.Errorf("%s is not documented", code)
		}
	}
	for code, statuses := range documented {
		if !known[code] {
			t.Errorf("%s does not occur", code)
		}
		of := statusOf(flow.Class(code))
		if slices.Contains(inSource(t, `Class\w+ +Class = "(\w+)"`, "../../pkg/flow/errors.go"), code) && !slices.Contains(statuses, of) {
			t.Errorf("%s has status %d, not %v", code, of, statuses)
		}
	}
}

// inSource returns the first group of every match in the files of these patterns.
func inSource(t *testing.T, expr string, patterns ...string) []string {
	t.Helper()
	var found []string
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(expr).FindAllStringSubmatch(string(b), -1) {
				found = append(found, m[1])
			}
		}
	}
	return found
}
