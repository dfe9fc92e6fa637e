package mock_test

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
)

// HEAD is what wait-on and "wget --spider" send. It is answered as GET without a
// body, and as an unknown method where there is no GET.
func TestHeadAnswersAsGet(t *testing.T) {
	tenant, client := wire(t)
	index := decodeJSON[struct {
		Calls []struct{ Method, Path string }
	}](t, newWorld(t, mock.Config{}).control("GET", "/_mock/", "").body)
	paths := map[string]bool{"/_mock/resource/calls": true} // path → served by GET
	for path, methods := range tenant.Routes() {
		paths[path] = slices.Contains(strings.Fields(methods), http.MethodGet)
	}
	for _, c := range index.Calls {
		if c.Method == http.MethodGet && !strings.Contains(c.Path, "PATH") {
			paths[c.Path] = true
		}
	}
	delete(paths, "/_mock/events") // a GET does not end; see TestHeadOfEventsEnds
	do := func(method, path string) (*http.Response, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, strings.TrimSuffix(tenant.Issuer(), "/")+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		defer res.Body.Close() //nolint:errcheck // read to its end
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		return res, string(b)
	}
	if len(paths) < 25 {
		t.Fatalf("only %d paths: %v", len(paths), slices.Sorted(maps.Keys(paths)))
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		t.Run(path, func(t *testing.T) {
			head, body := do(http.MethodHead, path)
			if body != "" {
				t.Errorf("HEAD has the body %q", body)
			}
			if !paths[path] {
				if head.StatusCode != http.StatusNotFound {
					t.Errorf("no GET, but HEAD answered %d", head.StatusCode)
				}
				return
			}
			get, _ := do(http.MethodGet, path)
			if head.StatusCode != get.StatusCode || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
				t.Errorf("HEAD: %d %q, GET: %d %q", head.StatusCode, head.Header.Get("Content-Type"), get.StatusCode, get.Header.Get("Content-Type"))
			}
		})
	}
}
