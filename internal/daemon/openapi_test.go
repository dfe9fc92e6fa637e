package daemon

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/openapi"
)

// openAPI is docs/openapi.yaml, which every daemon of the tests is compared with.
var openAPI = sync.OnceValues(func() (*openapi.Document, error) {
	return openapi.Load(filepath.Join("..", "..", "docs", "openapi.yaml"))
})

// document returns docs/openapi.yaml.
func document(t testing.TB) *openapi.Document {
	t.Helper()
	d, err := openAPI()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// compared makes a daemon fail the test when docs/openapi.yaml does not have an answer.
func (d *Daemon) compared(t testing.TB) {
	d.handler = document(t).Handler(d.handler, func(err error) { t.Error(err) })
}

func TestOpenAPI_HasEveryRoute(t *testing.T) {
	d, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	documented := document(t).Routes()
	served := map[string]bool{}
	for _, r := range d.active.Load().engine.(*gin.Engine).Routes() {
		path := strings.NewReplacer(":client", "{client}", ":name", "{client}", "*path", "{path}").Replace(r.Path)
		if path == "/" || path == "/dashboard" || strings.HasPrefix(path, "/dashboard/") || r.Method == "HEAD" && !strings.Contains(path, "/proxy") {
			continue // pages, and what the text says of every GET
		}
		served[r.Method+" "+path] = true
		if !slices.Contains(documented, r.Method+" "+path) {
			t.Errorf("%s %s is not in docs/openapi.yaml", r.Method, path)
		}
	}
	for _, route := range documented {
		if !served[route] {
			t.Errorf("%s of docs/openapi.yaml is not served", route)
		}
	}
}

// TestOpenAPI_HasEveryError compares the codes of each status with the table of docs/api.md.
func TestOpenAPI_HasEveryError(t *testing.T) {
	documented := document(t).Codes()
	table := errorTable(t)
	for code, statuses := range table {
		if code == "method_not_allowed" || code == "forbidden_csrf" || code == "tokend_unreachable" {
			continue // of unknown methods, the dashboard and tokend proxy
		}
		for _, status := range statuses {
			if !slices.Contains(documented[status], code) {
				t.Errorf("docs/openapi.yaml has no %s with %d", code, status)
			}
		}
	}
	for status, codes := range documented {
		for _, code := range codes {
			if !slices.Contains(table[code], status) {
				t.Errorf("docs/api.md has no %s with %d", code, status)
			}
		}
	}
}
