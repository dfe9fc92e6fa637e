package provider

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
)

// jwt makes an unsigned one of a payload.
func jwt(payload string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"RS256"}`)) + "." + enc([]byte(payload)) + "." + enc([]byte("signature"))
}

func called(expression, token string) string {
	return fmt.Sprintf("terraform {\n  required_providers {\n    tokend = { source = \"hashicorp/tokend\" }\n  }\n}\n"+
		"locals {\n  token = %q\n}\noutput \"got\" {\n  value = %s\n}\n", token, expression)
}

func TestJWTFunctions(t *testing.T) {
	terraform(t)
	const payload = `{"iss":"https://tenant.example.com/","aud":["https://api.example.com/","x"],"exp":1767323045.9,"email_verified":true,"org":null,` +
		`"big":123456789012345678901234567890,"https://example.com/roles":["agent"],"none":[],"address":{"country":"CH"}}`
	tests := []struct{ name, expression, want string }{
		{"claim", `provider::tokend::jwt_claims(local.token).iss`, "https://tenant.example.com/"},
		{"claim that is a URL", `provider::tokend::jwt_claims(local.token)["https://example.com/roles"][0]`, "agent"},
		{"nested", `provider::tokend::jwt_claims(local.token).address.country`, "CH"},
		{"everything, as jsondecode has it", `tostring(jsonencode(provider::tokend::jwt_claims(local.token)) == jsonencode(jsondecode(` + "\"" +
			strings.ReplaceAll(payload, `"`, `\"`) + "\"" + `)))`, "true"},
		{"digits of a number", `format("%d", provider::tokend::jwt_claims(local.token).big)`, "123456789012345678901234567890"},
		{"null", `tostring(provider::tokend::jwt_claims(local.token).org == null)`, "true"},
		{"expiry", `provider::tokend::jwt_expiry(local.token)`, "2026-01-02T03:04:05Z"},
		{"expiry compared", `tostring(timecmp(provider::tokend::jwt_expiry(local.token), "2026-01-02T03:04:06Z"))`, "-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setting{}.run(t, resource.TestStep{
				Config:            called(tt.expression, jwt(payload)),
				ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectKnownOutputValue("got", knownvalue.StringExact(tt.want))},
			})
		})
	}
}

// TestJWTErrors tests one error of each function with Terraform; the others are tested
// without it.
func TestJWTErrors(t *testing.T) {
	terraform(t)
	for _, tt := range []struct{ expression, token, want string }{
		{`provider::tokend::jwt_claims(local.token)`, "opaque", `"token" parameter:\s+the\s+token\s+is\s+not\s+a\s+JWT.*Hint`},
		{`provider::tokend::jwt_expiry(local.token)`, jwt(`{}`), `the\s+token\s+has\s+no\s+exp\s+claim`},
	} {
		setting{}.run(t, resource.TestStep{Config: called(tt.expression, tt.token), ExpectError: regexp.MustCompile(`(?s)` + tt.want)})
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := jwt(`{"sub":"secret-subject"}`)
	head, rest, _ := strings.Cut(good, ".")
	tests := []struct{ name, token, want string }{
		{"empty", "", "not a JWT"},
		{"opaque", "v2.local", "opaque"},
		{"encrypted", good + ".a.b", "only its API can read it"},
		{"four parts", good + ".a", "not a JWT"},
		{"not base64url", head + ".secret+subject=.x", "not base64url"},
		{"padded", head + "." + base64.URLEncoding.EncodeToString([]byte(`{"sub":"a"}`)) + ".x", "not base64url"},
		{"not JSON", jwt("secret-subject"), "not a JSON object"},
		{"array", jwt(`["secret-subject"]`), "not a JSON object"},
		{"null", jwt(`null`), "not a JSON object"},
		{"two objects", jwt(`{"sub":"secret-subject"}{}`), "something follows"},
		{"with its type", "Bearer " + good, ""}, // the header is not read
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := decode(tt.token)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), rest) {
				t.Errorf("%v shows the token", err)
			}
		})
	}
}

func TestExpiry(t *testing.T) {
	tests := []struct{ payload, want string }{
		{`{"exp":0}`, "1970-01-01T00:00:00Z"},
		{`{"exp":1767323045}`, "2026-01-02T03:04:05Z"},
		{`{"exp":1.767323045e9}`, "2026-01-02T03:04:05Z"},
		{`{"exp":253402300799}`, "9999-12-31T23:59:59Z"},
		{`{"exp":253402300800}`, "not a number of seconds"},
		{`{"exp":-1}`, "not a number of seconds"},
		{`{"exp":1e999}`, "not a number of seconds"},
		{`{"exp":"1767323045"}`, "not a number of seconds"},
		{`{"exp":null}`, "no exp claim"},
		{`{}`, "no exp claim"},
	}
	for _, tt := range tests {
		claims, err := decode(jwt(tt.payload))
		if err != nil {
			t.Fatal(err)
		}
		exp, err := expiry(claims["exp"])
		if got := exp.Format(time.RFC3339); err == nil && got != tt.want || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %s, %v; want %s", tt.payload, got, err, tt.want)
		}
	}
}

// FuzzDecode: every input gives a value or an error, and no panic.
func FuzzDecode(f *testing.F) {
	for _, payload := range []string{`{}`, `{"exp":1,"a":[null,{"b":1e400}]}`, `{"a":{"":1}}`, "\xff", `[`} {
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		claims, err := decode(jwt(payload))
		if err != nil {
			return
		}
		if _, err := valueOf(t.Context(), claims); err != nil && !strings.Contains(err.Error(), "number") {
			t.Error(err)
		}
		_, _ = expiry(claims["exp"])
	})
}
