package contract

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// cannedMock is a canned server with a control API that accepts every call, except
// those with refusedSetting, which it answers with status.
func cannedMock(t *testing.T, refusedSetting string, status int, token func(form string) string) Target {
	t.Helper()
	c := newCanned(t)
	c.answer = func(w http.ResponseWriter, r *http.Request) bool {
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.HasPrefix(r.URL.Path, "/_mock/") && refusedSetting != "" && strings.Contains(string(body), refusedSetting):
			w.WriteHeader(status)
		case strings.HasPrefix(r.URL.Path, "/_mock/"):
			w.WriteHeader(http.StatusOK)
		case r.URL.Path == "/oauth/token":
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, token(string(body)))
		default:
			return discoveryOnly(w, r)
		}
		return true
	}
	target := c.target()
	target.Control = c.URL + "/_mock/"
	return target
}

const vaultRefusal = `{"error":"unauthorized_client","error_description":"Grant type 'urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token' not allowed for the client."}`

// The cases of a feature do not apply only if the target answers exactly as a tenant
// without it. With any other answer they run.
func TestFeatureMustBeShownToBeAbsent(t *testing.T) {
	for name, tc := range map[string]struct {
		id, refused string
		status      int
		token       string
		want        Status
	}{
		"refused as documented":    {"token.vault.not_connected", "", 0, vaultRefusal, NotApplicable},
		"refused with other words": {"token.vault.not_connected", "", 0, strings.Replace(vaultRefusal, "not allowed", "not enabled", 1), Fail},
		"refused with a code only": {"token.vault.not_connected", "", 0, `{"error":"unauthorized_client"}`, Fail},
		"setting refused":          {"userinfo.fapi.query_token", "compliance_level", 400, vaultRefusal, NotApplicable},
		"setting not found":        {"userinfo.fapi.query_token", "compliance_level", 404, vaultRefusal, Fail},
		"control API broken":       {"userinfo.fapi.query_token", "compliance_level", 500, vaultRefusal, Fail},
		"setting accepted":         {"userinfo.fapi.query_token", "", 0, vaultRefusal, Fail},
		"other setting refused":    {"userinfo.fapi.query_token", "allowed_logout_urls", 400, vaultRefusal, Fail},
		"a case without a feature": {"token.code.missing", "", 0, vaultRefusal, Fail},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := Check(t.Context(), cannedMock(t, tc.refused, tc.status, func(string) string { return tc.token }))
			if err != nil {
				t.Fatal(err)
			}
			if got := result(t, report, tc.id); got.Status != tc.want {
				t.Errorf("%+v, want %s", got, tc.want)
			}
		})
	}
}

// A step of a feature that the runner does not have fails the case.
func TestStepThatTheRunnerLacks(t *testing.T) {
	report, err := Check(t.Context(), cannedMock(t, "", 0, func(string) string { return "{}" }))
	if err != nil {
		t.Fatal(err)
	}
	got := result(t, report, "mfa.authenticators.delete")
	if got.Status != Fail || !strings.Contains(got.Diff, "the runner has no such step") {
		t.Errorf("%+v", got)
	}
}
