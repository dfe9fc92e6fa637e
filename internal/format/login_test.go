package format_test

import (
	"testing"

	"example.com/tokend/internal/format"
	"example.com/tokend/pkg/tokend"
)

// What to do about a failure is a command, where a login is what helps.
func TestFailureHint_NamesTheCommand(t *testing.T) {
	for name, tt := range map[string]struct {
		status tokend.Status
		want   string
	}{
		"no failure": {tokend.Status{}, ""},
		"no login helps": {
			tokend.Status{Failure: &tokend.Failure{Class: "idp_redirect", Hint: "set issuer"}}, "set issuer",
		},
		"outcome unknown": {
			tokend.Status{Client: "web", Login: "paste", Failure: &tokend.Failure{Class: "idp_unreachable", Hint: "to retry now, log in again: tokend login web --paste"}},
			"to retry now, log in again: tokend login web --paste",
		},
		"rejected while the token is valid": {
			tokend.Status{Client: "web", Failure: &tokend.Failure{Class: tokend.CodeLoginRequired}}, "tokend login web",
		},
	} {
		if got := format.FailureHint(&tt.status); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
