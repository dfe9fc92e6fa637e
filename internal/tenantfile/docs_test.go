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

// docs/mock.md lists every field of a user once, and its example is valid.
func TestDocumentedUsers(t *testing.T) {
	page, err := os.ReadFile("../../docs/mock.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "### Users of a tenant file")
	text, _, _ = strings.Cut(text, "\n## ")
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
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(text)
	if len(example) == 0 {
		t.Fatal("no example")
	}
	r, err := loadText(t, "clients: [{name: A}]\n"+example[1])
	if err != nil || len(r.Ignored) > 0 || len(r.Tenant.Users) != 1 {
		t.Errorf("%v, ignored %q", err, r.Ignored)
	}
}
