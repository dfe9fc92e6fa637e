package contract_test

import (
	"net/http"
	"strings"
	"testing"

	"example.com/tokend/pkg/contract"
	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/management"
)

// TestManagementContract plays the recorded answers of the Management API against the
// mock; each case is a subtest of its own name.
func TestManagementContract(t *testing.T) {
	tenant := mock.Start(t, mock.Config{})
	contract.Run(t, contract.Target{Issuer: tenant.Issuer(), Control: tenant.Issuer() + "_mock/", Management: true})
}

// TestManagementContractCanFail: for every case there is a small change of the tenant's
// answers that the case notices.
func TestManagementContractCanFail(t *testing.T) {
	tenant := mock.Start(t, mock.Config{})
	target := contract.Target{Issuer: tenant.Issuer(), Control: tenant.Issuer() + "_mock/", Management: true}
	blind := map[string]bool{}
	for _, c := range contract.ManagementCases() {
		blind[c.ID] = true
	}
	if len(blind) != 269 {
		t.Errorf("%d cases, want 269", len(blind))
	}
	for _, c := range []change{
		{"other members", func(path string, res *http.Response, body string) string {
			if !strings.HasPrefix(path, "/api/v2/") || res.StatusCode == http.StatusNoContent {
				return body
			}
			return strings.NewReplacer(`":`, `_x":`, "{}", "[]", "[]", "{}").Replace(body)
		}},
		{"bodies", func(path string, res *http.Response, body string) string {
			if strings.HasPrefix(path, "/api/v2/") && res.StatusCode == http.StatusNoContent {
				res.StatusCode = http.StatusOK
			}
			return body
		}},
	} {
		target.HTTPClient = &http.Client{Transport: c}
		report, err := contract.Check(t.Context(), target)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for _, r := range report.Cases {
			if r.Status == contract.Fail {
				delete(blind, r.ID)
			}
		}
	}
	for id := range blind {
		t.Errorf("no change is noticed by %s", id)
	}
}

// Every endpoint of the API has a case.
func TestEveryManagementEndpointHasACase(t *testing.T) {
	api, err := management.New()
	if err != nil {
		t.Fatal(err)
	}
	played := map[string]bool{}
	for _, c := range contract.ManagementCases() {
		path := strings.TrimPrefix(c.Request.Path, "/api/v2")
		if name, found := api.Endpoint(c.Request.Method, path); found {
			played[name] = true
		}
	}
	for _, name := range api.Endpoints() {
		if !played[name] {
			t.Errorf("%s has no case", name)
		}
	}
}
