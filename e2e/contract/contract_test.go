// Package contract_test plays the documented answers of Auth0 against the mock,
// and shows that every refusal of the mock is held by one of them.
package contract_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"example.com/tokend/pkg/contract"
	"example.com/tokend/pkg/mock"
)

// TestDocs_ContractInGo: the Go program of docs/contract-tests.md is documented_test.go.
func TestDocs_ContractInGo(t *testing.T) {
	page, err := os.ReadFile("../../docs/contract-tests.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("documented_test.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```go\n"+string(program)+"```\n") {
		t.Errorf("docs/contract-tests.md does not have\n%s", program)
	}
}

// TestAbsentFeatures: docs/mock.md lists what the mock does not have, and cases apply
// unless they are of one of these features. So a feature that stops working is not
// taken for an absent one.
func TestAbsentFeatures(t *testing.T) {
	page, err := os.ReadFile("../../docs/mock.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "answers as a tenant without these features")
	section, _, _ = strings.Cut(section, "\n## ")
	section = strings.Join(strings.Fields(section), " ")
	tenant := mock.Start(t, mock.Config{})
	report, err := contract.Check(t.Context(), contract.Target{Issuer: tenant.Issuer(), Control: tenant.Issuer() + "_mock/"})
	if err != nil {
		t.Fatal(err)
	}
	absent := map[string]bool{}
	for _, r := range report.Cases {
		if what, found := strings.CutPrefix(r.Reason, "the tenant does not have "); r.Status == contract.NotApplicable && found {
			absent[what] = true
		} else if r.Status == contract.NotApplicable || r.Status == contract.Skip {
			t.Errorf("%s is left out: %s", r.ID, r.Reason)
		}
	}
	for what := range absent {
		if !strings.Contains(section, what) {
			t.Errorf("the cases of %q do not apply, and docs/mock.md does not list it", what)
		}
	}
	if len(absent) != documentedAsAbsent {
		t.Errorf("%d features are absent, want %d: %v", len(absent), documentedAsAbsent, absent)
	}
}

const documentedAsAbsent = 8 // features in docs/mock.md

// change alters one trait of a tenant's answers, none that the setup of a case needs.
type change struct {
	name string
	do   func(path string, res *http.Response, body string) string
}

var changes = []change{
	{"statuses of refusals", func(_ string, res *http.Response, body string) string {
		other := map[int]int{400: 403, 401: 400, 403: 400, 429: 503, 501: 400, 503: 500}
		if s := other[res.StatusCode]; s != 0 {
			res.StatusCode = s
		}
		return body
	}},
	{"200 for refusals", func(_ string, res *http.Response, body string) string {
		if res.StatusCode >= 400 {
			res.StatusCode = http.StatusOK
		}
		return body
	}},
	{"303 for 302", func(_ string, res *http.Response, body string) string {
		if res.StatusCode == http.StatusFound {
			res.StatusCode = http.StatusSeeOther
		}
		return body
	}},
	{"token type in lower case", func(_ string, _ *http.Response, body string) string {
		return strings.NewReplacer(`"token_type":"Bearer"`, `"token_type":"bearer"`, `"token_type":"DPoP"`, `"token_type":"dpop"`).Replace(body)
	}},
	{"a page without markup", func(path string, res *http.Response, body string) string {
		if path == "/authorize" && res.StatusCode == http.StatusOK {
			return strings.NewReplacer("<", "", "postMessage", "post").Replace(body)
		}
		return body
	}},
	{"other error codes", func(_ string, _ *http.Response, body string) string {
		return strings.Replace(body, `"error":"`, `"error":"x_`, 1)
	}},
	{"another alias of discovery", func(path string, _ *http.Response, body string) string {
		if path == "/.well-known/oauth-authorization-server" {
			return body + " "
		}
		return body
	}},
	{"a refresh with a worthless successor and more scope", func(_ string, res *http.Response, body string) string {
		if sent, err := res.Request.GetBody(); err == nil {
			if b, err := io.ReadAll(sent); err == nil && bytes.Contains(b, []byte("grant_type=refresh_token")) {
				return strings.NewReplacer(`"refresh_token":"`, `"refresh_token":"x y`, `"scope":"`, `"scope":"admin:all `).Replace(body)
			}
		}
		return body
	}},
	{"another first member", func(path string, res *http.Response, body string) string {
		if path != "/oauth/token" && path != "/oauth/revoke" && res.StatusCode < 300 && strings.HasPrefix(body, `{"`) {
			return `{"x` + body[2:]
		}
		return body
	}},
	{"another text", func(path string, res *http.Response, body string) string {
		if path == "/dbconnections/change_password" && res.StatusCode == http.StatusOK {
			return strings.ToLower(body)
		}
		return body
	}},
	{"an answer to a revocation", func(path string, res *http.Response, body string) string {
		if path == "/oauth/revoke" && res.StatusCode == http.StatusOK {
			return "OK"
		}
		return body
	}},
}

// RoundTrip implements http.RoundTripper.
func (c change) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || strings.HasPrefix(r.URL.Path, "/_mock/") && !strings.HasPrefix(r.URL.Path, "/_mock/resource/") {
		return res, err
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if err := res.Body.Close(); err != nil {
		return nil, err
	}
	changed := c.do(r.URL.Path, res, string(b))
	res.Body = io.NopCloser(bytes.NewReader([]byte(changed)))
	res.ContentLength = int64(len(changed))
	res.Header.Set("Content-Length", strconv.Itoa(len(changed)))
	return res, nil
}

// TestContractCanFail: for every case there is a small change of the tenant's
// answers that the case notices, so none of them is vacuous.
func TestContractCanFail(t *testing.T) {
	tenant := mock.Start(t, mock.Config{})
	target := contract.Target{Issuer: tenant.Issuer(), Control: tenant.Issuer() + "_mock/"}
	report, err := contract.Check(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	noticed := map[string]bool{}
	for _, c := range report.Cases { // those that fail already are TestContract's
		if c.Status != contract.NotApplicable {
			noticed[c.ID] = c.Status == contract.Fail
		}
	}
	for _, c := range changes {
		target.HTTPClient = &http.Client{Transport: c}
		report, err := contract.Check(t.Context(), target)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		n := 0
		for _, r := range report.Cases {
			if r.Status == contract.Fail && !strings.HasPrefix(r.Diff, "setup ") {
				noticed[r.ID] = true
				n++
			}
		}
		t.Logf("%s: %d cases notice", c.name, n)
	}
	var blind []string
	for id, ok := range noticed {
		if !ok {
			blind = append(blind, id)
		}
	}
	slices.Sort(blind)
	if len(blind) > 0 {
		t.Errorf("no change is noticed by %q", blind)
	}
}
