package provider

import (
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

func looked(provider, client string) string {
	return fmt.Sprintf("provider \"tokend\" {\n%s\n}\ndata \"tokend_client\" \"this\" {\n  client = %q\n}\n", provider, client)
}

func TestClient(t *testing.T) {
	terraform(t)
	str, null := knownvalue.StringExact, knownvalue.Null()
	tests := []struct {
		name, answer string
		want         map[string]knownvalue.Check
	}{
		{
			"whole", `200 {"client":"demo","issuer":"https://tenant.example.com/","state":"ready","subject":"auth0|1","scope":"openid read:calls",
			"expiry":"2026-01-02T05:04:05.5+02:00","obtained":"2026-01-02T02:04:05Z","last_exchange":"2026-01-02T02:04:05Z","logged_in":"2026-01-01T00:00:00Z",
			"next_refresh":"2026-01-02T02:49:05Z","generation":7,"rotation":"on","grant_ends":"2026-02-01T00:00:00Z","login":"browser"}`,
			map[string]knownvalue.Check{
				"state": str("ready"), "issuer": str("https://tenant.example.com/"), "subject": str("auth0|1"), "scope": str("openid read:calls"),
				"expires_at": str("2026-01-02T03:04:05Z"), "last_exchange_at": str("2026-01-02T02:04:05Z"), "logged_in_at": str("2026-01-01T00:00:00Z"),
				"next_refresh_at": str("2026-01-02T02:49:05Z"), "generation": knownvalue.Int64Exact(7), "rotation": str("on"),
				"grant_ends_at": str("2026-02-01T00:00:00Z"), "login": str("browser"), "failure": null,
			},
		},
		{
			"login required", `200 {"client":"demo","issuer":"https://tenant.example.com/","state":"login_required","generation":0,"login":"browser",
			"authorize_url":"https://tenant.example.com/authorize?state=s","failure":{"time":"2026-01-02T03:00:00Z","class":"login_required","description":"no grant"}}`,
			map[string]knownvalue.Check{
				"state": str("login_required"), "subject": null, "expires_at": null, "grant_ends_at": null,
				"failure": knownvalue.ObjectExact(map[string]knownvalue.Check{
					"at": str("2026-01-02T03:00:00Z"), "class": str("login_required"), "code": null, "description": str("no grant"),
				}),
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, map[string][]string{"/v1/clients/demo": {tt.answer}})
			var checks []statecheck.StateCheck
			for name, want := range tt.want {
				checks = append(checks, statecheck.ExpectKnownValue("data.tokend_client.this", tfjsonpath.New(name), want))
			}
			setting{}.run(t, resource.TestStep{Config: looked(configured(f), "demo"), ConfigStateChecks: checks})
			if n := len(f.requests("/v1/clients/demo/token")); n != 0 {
				t.Errorf("asked %d times for a token", n)
			}
		})
	}
}

func TestClientRefusals(t *testing.T) {
	terraform(t)
	tests := []struct {
		name, answer string
		want         []string
	}{
		{"unknown", unknownClient, []string{"Unknown client", `client = "demo"`, `has no client "demo"`}},
		{"wrong key", wrongKey, []string{"tokend refuses the key"}},
		{"of another client", `200 {"client":"other","state":"ready"}`, []string{"Not tokend", `no state of client "demo"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, map[string][]string{"/v1/clients/demo": {tt.answer}})
			setting{}.run(t, resource.TestStep{Config: looked(configured(f), "demo"), ExpectError: refusal(tt.want)})
		})
	}
}
