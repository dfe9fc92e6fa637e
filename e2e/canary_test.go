package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// canaries are the forms of secrets in these tests: JWTs, refresh tokens and codes of the
// mock, and the values that the tests use.
var canaries = map[string]*regexp.Regexp{
	"a JWT":             regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{20,}`),
	"a refresh token":   regexp.MustCompile(`\bv1\.[A-Za-z0-9_-]{20,}`),
	"a code":            regexp.MustCompile(`[?&]code=[A-Za-z0-9_-]{20,}|\bcode=[a-z_]{0,19}[A-Z0-9-][A-Za-z0-9_-]{10,}`),
	"a code verifier":   regexp.MustCompile(`code_verifier=[A-Za-z0-9_-]{20,}`),
	"a client secret":   regexp.MustCompile(`\bdemo-secret\b`),
	"an API key":        regexp.MustCompile(`\btokend_[A-Za-z0-9_-]{43}\b|` + agentKey + "|" + limitedKey),
	"a planted canary":  regexp.MustCompile(`(?i)canary-`),
	"an authorization":  regexp.MustCompile(`(?i)authorization["':= ]+(bearer|basic) [A-Za-z0-9_.-]{8,}`),
	"a user's password": regexp.MustCompile(`password=password\b`),
}

// leaks returns the kinds of secrets that are in a text.
func leaks(text string) (kinds []string) {
	for kind, pattern := range canaries {
		if pattern.MatchString(text) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// scan reports secrets in the logs and audit files of a directory.
func scan(dir string) (found []string) {
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		name := filepath.Base(path)
		if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(name, ".log") && !strings.Contains(name, ".jsonl") {
			return nil //nolint:nilerr // a script may have removed it
		}
		b, err := os.ReadFile(path)
		for _, kind := range leaks(string(b)) {
			found = append(found, name+" has "+kind)
		}
		return err
	})
	return found
}

// TestCanaries: no secret is in any log, metric, audit entry, error or state of a service
// that does everything, well and badly. Row X27 of docs/guarantees.md.
func TestCanaries(t *testing.T) {
	t.Parallel()
	for planted, kind := range map[string]string{
		"client_secret=demo-secret": "a client secret", "Authorization: Bearer abcdefgh1234": "an authorization", "v1.M0ckRefreshToken_of_a_test": "a refresh token",
		"GET /callback?code=abcdefghijklmnopqrstuv&state=x": "a code", "caller=" + agentKey: "an API key", "x=canary-query": "a planted canary",
	} {
		if !strings.Contains(strings.Join(leaks(planted), ","), kind) {
			t.Errorf("the scan does not find %s in %q", kind, planted)
		}
	}
	file := tenant.Default()
	file.Clients[0].RefreshToken = &tenant.RefreshPolicy{RotationType: "rotating", ExpirationType: "expiring", TokenLifetime: 1000, IdleTokenLifetime: 1000}
	file.ResourceServers = append(file.ResourceServers, tenant.ResourceServer{Name: "tokend", Identifier: tokendAudience})
	file.ClientGrants = append(file.ClientGrants, tenant.ClientGrant{ClientID: "demo", Audience: tokendAudience})
	ten := mock.Start(t, mock.Config{Tenant: file})
	a := newAgent(t, ten, "TOKEND_LOG_LEVEL=debug", "TOKEND_CLIENTS=demo,f0,f1,f2,f3", "TOKEND_CLIENT_DEMO_UPSTREAMS="+ten.Issuer()+"_mock/resource/")
	writeFile(t, filepath.Join(a.dir, "config", "tokend", "tokend.yaml"), "audit_file: "+filepath.Join(a.dir, "audit.jsonl")+`
callers:
  ci:
    oidc: [{issuer: "`+ten.Issuer()+`", audience: "`+tokendAudience+`", subject: "demo@clients"}]
    clients: [demo]
`)
	for _, kv := range a.env {
		for _, name := range []string{"F0", "F1", "F2", "F3"} { // a failure delays the next request of its client only
			if setting, found := strings.CutPrefix(kv, "TOKEND_CLIENT_DEMO_"); found {
				a.env = append(a.env, "TOKEND_CLIENT_"+name+"_"+setting)
			}
		}
	}
	a.start(t, "")
	var outputs []string
	ask := func(bearer, method, path string, tokens bool) string {
		status, body := askAs(t, bearer, method, a.url+path)
		if !tokens || status != 200 {
			name, _, _ := strings.Cut(path, "?")
			outputs = append(outputs, method+" "+name[:min(len(name), 40)]+": "+body)
		}
		return body
	}
	token := ask(agentKey, "GET", "/v1/clients/demo/token?format=text", true)
	job := clientCredentials(t, ten, "demo", "demo-secret", tokendAudience)
	if leaks(token) == nil || leaks(job) == nil {
		t.Fatal("the scan does not find the tokens of this test")
	}
	ask(job, "GET", "/v1/clients/demo/token", true)
	ask(job+"x", "GET", "/v1/clients/demo/token", true)
	ask(job, "POST", "/v1/clients/demo/refresh", false)
	ask(agentKey+"x", "GET", "/v1/clients/demo/token", true)
	ask(token, "GET", "/v1/clients/demo/token", true) // a token in place of the key
	ask(agentKey, "GET", "/v1/clients/demo/proxy/calls?secret=canary-query", false)
	ask(agentKey, "GET", "/v1/clients/demo/proxy/calls/"+job, true) // the API repeats its path
	ask(agentKey, "GET", "/v1/clients/demo/token?access_token="+token, true)
	ask(agentKey, "GET", "/callback?code=canary-code-that-no-one-has-issued&state=x", false)
	for i, f := range []mock.Fault{
		{Endpoint: "token", Times: 1, Kind: mock.FaultStatus, Status: 500},
		{Endpoint: "token", Times: 1, Kind: "body", Status: 200, Body: `{"access_token":"` + token},
		{Endpoint: "token", Times: 1, Kind: "body", Status: 400, Body: `{"error":"invalid_request","error_description":"` + token + `"}`},
		{Endpoint: "token", Times: 1, Kind: "reset"},
	} {
		if _, err := ten.Fail(f); err != nil {
			t.Fatal(err)
		}
		ask(agentKey, "POST", fmt.Sprintf("/v1/clients/f%d/refresh", i), false)
		if n := len(ten.Faults()); n != i+1 || ten.Faults()[i].Hits != 1 {
			t.Errorf("the fault number %d was not met: %+v", i, ten.Faults())
		}
	}
	for _, path := range []string{"/metrics", "/v1/clients", "/v1/clients/demo", "/readyz", "/healthz", "/nothing"} {
		ask(agentKey, "GET", path, false)
	}
	a.env = append(a.env, "TOKEND_ADDR="+a.url)
	for _, args := range [][]string{
		{"status"},
		{"status", "--format", "json"},
		{"doctor"},
		{"config", "show"},
		{"config", "check"},
		{"key", "list"},
		{"audit"},
		{"audit", "--format", "json"},
		{"inspect", "demo"},
		{"token", "none"},
		{"refresh", "demo"},
		{"logout", "demo"},
		{"token", "demo"},
	} {
		out, _ := a.run(t, args...)
		outputs = append(outputs, "tokend "+strings.Join(args, " ")+": "+out)
	}
	ask(agentKey, "DELETE", "/v1/clients/demo/grant", false)
	a.End(t)
	audit, err := os.ReadFile(filepath.Join(a.dir, "audit.jsonl"))
	if err != nil || len(audit) == 0 {
		t.Fatalf("%s, %v", audit, err)
	}
	outputs = append(outputs, "log: "+a.Log.String())
	for _, text := range append(outputs, "audit: "+string(audit)) {
		if kinds := leaks(text); kinds != nil {
			t.Errorf("%v in %.3000s", kinds, text)
		}
	}
}
