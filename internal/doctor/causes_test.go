package doctor

import (
	"fmt"
	"strings"
	"testing"

	"example.com/tokend/pkg/flow"
)

// f reads a finding: "client demo: problem state idp_timeout: text".
func f(t *testing.T, line string) Finding {
	t.Helper()
	where, what, found := strings.Cut(line, ": ")
	var x Finding
	if _, err := fmt.Sscan(where, &x.Area); !found || err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	x.Client = strings.TrimPrefix(strings.TrimPrefix(where, x.Area), " ")
	head, text, _ := strings.Cut(what, ": ")
	words := append(strings.Fields(head), "", "")
	x.Result, x.Check, x.Class, x.Text = flow.Result(words[0]), words[1], flow.Class(words[2]), text
	if x.Result == flow.ResultProblem || x.Result == flow.ResultWarning {
		x.Hint = "do it"
	}
	return x
}

func (f Finding) line() string {
	return strings.TrimSpace(f.Area+" "+f.Client) + ": " + strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Result, f.Check, f.Class)) + ": " + f.Text
}

func TestArrange_ReportsEachCauseOnceAndProblemsFirst(t *testing.T) {
	for name, tc := range map[string]struct{ found, want []string }{
		"problems, then warnings, then the rest": {
			[]string{"machine: ok a: 1", "machine: warning b: 2", "machine: skipped c: 3", "machine: problem d invalid_configuration: 4", "service: ok e: 5"},
			[]string{"machine: problem d invalid_configuration: 4", "machine: warning b: 2", "machine: ok a: 1", "machine: skipped c: 3", "service: ok e: 5"},
		},
		"a login comes last of the problems": {
			[]string{"client a: problem state login_required: x", "client a: problem authorize invalid_configuration: y"},
			[]string{"client a: problem authorize invalid_configuration: y", "client a: problem state login_required: x"},
		},
		"a provider that is down, at its first client only": {
			[]string{"client a: problem discovery idp_unreachable: down", "client b: problem discovery idp_unreachable: down", "client c: problem discovery idp_unreachable: other"},
			[]string{"client a: problem discovery idp_unreachable: down", "client b: skipped discovery: down (see client a)", "client c: problem discovery idp_unreachable: other"},
		},
		"a setting of each client": {
			[]string{"client a: warning audience: none", "client b: warning audience: none"},
			[]string{"client a: warning audience: none", "client b: warning audience: none"},
		},
		"a state that discovery explains, and is merged": {
			[]string{"client a: problem discovery idp_unreachable: down", "client b: problem state idp_timeout: unavailable", "client b: problem discovery idp_unreachable: down"},
			[]string{"client a: problem discovery idp_unreachable: down", "client b: skipped state: unavailable (see discovery)", "client b: skipped discovery: down (see client a)"},
		},
		"a degraded state that a check explains": {
			[]string{"client a: warning state idp_unreachable: degraded", "client a: problem keys idp_timeout: slow"},
			[]string{"client a: problem keys idp_timeout: slow", "client a: skipped state: degraded (see keys)"},
		},
		"a degraded state that nothing explains": {
			[]string{"client a: warning state idp_unreachable: degraded", "client a: ok keys: 1"},
			[]string{"client a: warning state: degraded", "client a: ok keys: 1"},
		},
		"a secret that the provider rejects": {
			[]string{"client a: problem state client_rejected: client_rejected", "client a: problem secret client_rejected: wrong"},
			[]string{"client a: problem secret client_rejected: wrong", "client a: skipped state: client_rejected (see secret)"},
		},
		"a setting that explains the state, by its text": {
			[]string{"client a: problem state invalid_configuration: unavailable: the issuer is wrong", "client a: problem issuer invalid_configuration: the issuer is wrong"},
			[]string{"client a: problem issuer invalid_configuration: the issuer is wrong", "client a: skipped state: unavailable: the issuer is wrong (see issuer)"},
		},
		"another setting does not explain the state": {
			[]string{"client a: problem state invalid_configuration: unavailable: the issuer is wrong", "client a: problem clock invalid_configuration: behind"},
			[]string{"client a: problem clock invalid_configuration: behind", "client a: problem state invalid_configuration: unavailable: the issuer is wrong"},
		},
		"a redirect URI that is wrong for tokend": {
			[]string{"client a: problem redirect_uri invalid_configuration: port 1", "client a: problem authorize invalid_configuration: redirect_uri x is not registered"},
			[]string{"client a: problem redirect_uri invalid_configuration: port 1", "client a: skipped authorize: redirect_uri x is not registered (see redirect_uri)"},
		},
		"another refusal of a login": {
			[]string{"client a: problem redirect_uri invalid_configuration: port 1", "client a: problem authorize invalid_configuration: no such client"},
			[]string{"client a: problem redirect_uri invalid_configuration: port 1", "client a: problem authorize invalid_configuration: no such client"},
		},
		"a directory of another user": {
			[]string{"configuration: problem directory invalid_configuration: not writable", "configuration: problem owner invalid_configuration: user 0"},
			[]string{"configuration: problem owner invalid_configuration: user 0", "configuration: skipped directory: not writable (see owner)"},
		},
		"a read-only directory": {
			[]string{"configuration: problem directory invalid_configuration: not writable", "configuration: ok owner: user 0"},
			[]string{"configuration: problem directory invalid_configuration: not writable", "configuration: ok owner: user 0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var found []Finding
			for _, line := range tc.found {
				found = append(found, f(t, line))
			}
			var got []string
			for _, f := range arrange(found) {
				got = append(got, f.line())
				if hinted := f.Result == flow.ResultProblem || f.Result == flow.ResultWarning; hinted != (f.Hint != "") {
					t.Errorf("hint %q of %s", f.Hint, f.line())
				}
			}
			if strings.Join(got, "\n") != strings.Join(tc.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}
