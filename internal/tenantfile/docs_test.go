package tenantfile

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock/tenant"
)

// docs/mock.md lists every field of a user once.
func TestDocumentedUsers(t *testing.T) {
	page, err := os.ReadFile("../../docs/mock.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "### Users of a tenant file")
	text, _, _ = strings.Cut(text, "\n##") // the next heading
	var got, want []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*)\\|").FindAllStringSubmatch(text, -1) {
		for _, field := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[1], -1) {
			got = append(got, field[1])
		}
	}
	for f := range reflect.TypeFor[tenant.User]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		want = append(want, name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("docs/mock.md has %q\ntenant.User %q", got, want)
	}
}

// The tenant file in docs/mock.md is valid and has nothing that the mock ignores.
func TestDocumentedFile(t *testing.T) {
	page, err := os.ReadFile("../../docs/mock.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)> tenant.yaml <<'END'\n(.*?)END\n").FindSubmatch(page)
	if len(example) == 0 {
		t.Fatal("docs/mock.md has no tenant file")
	}
	r, err := loadText(t, string(example[1]))
	if err != nil || len(r.Ignored) > 0 || len(r.Tenant.Users) != 1 || len(r.Tenant.ResourceServers) != 1 || len(r.Tenant.Roles) != 1 {
		t.Errorf("%v, ignored %q", err, r.Ignored)
	}
}
