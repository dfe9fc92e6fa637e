package mock_test

import (
	"net/http"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
)

// A popup, which has no prompt=none, gets its answer; a frame does if its origin is an
// Allowed Web Origin. Nothing is posted to another one.
func TestWebMessageNeedsAWebOrigin(t *testing.T) {
	w := newWorld(t, mock.Config{})
	w.authorize().location() // a session
	ask := func(params ...string) reply {
		return w.authorize(append([]string{"response_mode", "web_message", "prompt", "none"}, params...)...)
	}
	const text = "The specified redirect_uri 'http://localhost:8484/callback' does not have a registered origin."
	ask().page(http.StatusBadRequest, "invalid_request", text)
	ask("prompt", "none", "audience", "https://nope.example").page(http.StatusBadRequest, "invalid_request", text) // before any other error
	ask("client_id", "lenient-third").page(http.StatusBadRequest, "invalid_request", text)
	if r := ask("prompt", "-"); r.status != http.StatusOK || !strings.Contains(r.body, "postMessage") {
		t.Errorf("a popup: %d", r.status)
	}
	for origin, want := range map[string]int{
		"http://localhost:8484": 200, "http://localhost:8484/": 400, "http://localhost:9999": 400, "http://*.localhost:8484": 400, "https://localhost:8484": 400,
	} {
		w.mustControl("PATCH", "/_mock/clients/demo", `{"web_origins":["`+origin+`"]}`)
		if r := ask(); r.status != want {
			t.Errorf("%s: %d, want %d", origin, r.status, want)
		}
	}
}

func TestPlaceholdersByField(t *testing.T) {
	w := newWorld(t, mock.Config{})
	w.mustControl("PATCH", "/_mock/clients/b2b", `{"organization_usage":"allow",
		"callbacks":["https://*.preview.example.com/cb","https://{organization_name}.app.example.com/cb"],
		"allowed_origins":["https://*.cors.example.com","https://{organization_name}.cors.example.org"],
		"allowed_logout_urls":["https://*.preview.example.com/bye","https://{organization_name}.app.example.com/bye"]}`)
	origin := func(origin string) string {
		return w.from(origin, http.MethodPost, "/oauth/token").header.Get("Access-Control-Allow-Origin")
	}
	for _, c := range []struct {
		origin string
		want   bool
	}{
		{"https://a.preview.example.com", true}, // of a callback
		{"https://acme.app.example.com", true},
		{"https://other.app.example.com", false},
		{"https://a.cors.example.com", true},
		{"https://a.b.cors.example.com", false},
		{"https://acme.cors.example.org", true},
		{"https://other.cors.example.org", false},
	} {
		if got := origin(c.origin); (got == c.origin) != c.want || !c.want && got != "" {
			t.Errorf("%s: Allow-Origin %q", c.origin, got)
		}
	}
	for target, want := range map[string]int{
		"https://a.preview.example.com/bye": 302, "https://A.preview.example.com/bye?x=y": 302, "https://a.b.preview.example.com/bye": 400,
		"https://acme.app.example.com/bye": 400, "https://*.preview.example.com/bye": 400,
	} {
		if r := w.get("/v2/logout?" + pairs("client_id", "b2b", "returnTo", target).Encode()); r.status != want {
			t.Errorf("%s: %d, want %d", target, r.status, want)
		}
	}
	if r := w.get("/v2/logout?client_id=b2b"); r.status != http.StatusOK {
		t.Errorf("a logout goes to a URL with a placeholder: %s", r.header.Get("Location"))
	}
	w.authorize("client_id", "b2b", "redirect_uri", "-").page(400, "invalid_request", "Missing required parameter: redirect_uri")
	w.authorize("client_id", "b2b", "redirect_uri", "https://acme.app.example.com/cb", "organization", "org_acme").location()
	w.mustControl("PATCH", "/_mock/clients/b2b", `{"organization_usage":"deny"}`)
	if got := origin("https://acme.cors.example.org"); got != "" {
		t.Errorf("without organizations: Allow-Origin %q", got)
	}
	w.authorize("client_id", "b2b", "redirect_uri", "https://acme.app.example.com/cb", "organization", "org_acme").
		page(403, "unauthorized_client", "Callback URL mismatch. ")
	w.mustControl("PATCH", "/_mock/clients/b2b", `{"is_first_party":false,"organization_usage":"allow"}`)
	if got := origin("https://a.cors.example.com"); got != "" {
		t.Errorf("a third-party client: Allow-Origin %q", got)
	}
}

func TestIssuerInAnswers(t *testing.T) {
	w := newWorld(t, mock.Config{})
	discovery := func() any {
		return decodeJSON[map[string]any](t, w.get("/.well-known/openid-configuration").body)["authorization_response_iss_parameter_supported"]
	}
	if got := discovery(); got != nil {
		t.Errorf("off: discovery has %v", got)
	}
	w.mustControl("PATCH", "/_mock/tenant", `{"authorization_response_iss_parameter_supported":true}`)
	if got := discovery(); got != true {
		t.Errorf("on: discovery has %v", got)
	}
	for _, params := range [][]string{nil, {"prompt", "bogus"}, {"response_mode", "fragment"}} {
		if got := w.authorize(params...).param("iss"); got != issuer {
			t.Errorf("%v: iss %q", params, got)
		}
	}
	for _, mode := range []string{"form_post", "web_message"} {
		if r := w.authorize("response_mode", mode); !strings.Contains(r.body, `"iss"`) {
			t.Errorf("%s has no iss: %s", mode, r.body)
		}
	}
}
