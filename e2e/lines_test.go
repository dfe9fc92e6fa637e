package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"example.com/tokend/internal/mutation"
)

// removals remove a documented behaviour from the code; the script of its line
// must fail then.
var removals = []struct {
	line, file, old, new, script string
}{
	{"1 state comes back", "pkg/mock/authorize_response.go", "if req.hasState {", "if false {", "01_authorize"},
	{"1 redirect_uri is registered", "pkg/mock/authorize_request.go", "case !allowsCallback(client, req.redirectURI, t.nameOfOrganization(p)):", "case false:", "01_authorize"},
	{"1 response_type is known", "pkg/mock/authorize_request.go", "if slices.Equal(words, types) {", "if true {", "01_authorize"},
	{"1 consent is asked", "pkg/mock/authorize.go", "case missing && t.loginMode(req.client) == LoginForm:", "case false:", "01_consent"},
	{"1 consent is remembered", "pkg/mock/authorize.go", "t.keepConsent(t.consentKey(req, u), c.now)", "", "01_consent"},
	{"2 order of the members", "pkg/mock/token.go", `b.add("refresh_token", refresh)
	b.add("id_token", id)`, `b.add("id_token", id)
	b.add("refresh_token", refresh)`, "02_token"},
	{"2 the documented body", "pkg/mock/token.go", "if t.cfg.TokenBody == TokenBodyDocumented {", "if false {", "02_token"},
	{"3 refresh_token for offline_access only", "pkg/mock/grant_code.go", `if cd.grant.has("offline_access") && `, "if ", "03_code"},
	{"3 redirect_uri as before", "pkg/mock/grant_code.go", `case sent != "" && sent != cd.redirectURI:`, "case false:", "03_code"},
	{"3 a code works once", "pkg/mock/grant_code.go", "cd.used = true", "", "03_code"},
	{"4 the token opens userinfo", "pkg/mock/mint.go", `[]string{o.api.Identifier, o.issuer + "userinfo"}`, "[]string{o.api.Identifier}", "04_id_token"},
	{"4 tokend verifies the signature", "pkg/flow/verify.go", "if payload, err := jws.Verify(k.Key); err == nil {", "if payload := jws.UnsafePayloadWithoutVerification(); k.Key != nil {", "04_id_token"},
	{"5 tokens expire by the clock", "pkg/mock/resource.go", `case !time.Unix(int64(exp), 0).After(c.now):`, "case time.Unix(int64(exp), 0).IsZero():", "05_refresh"},
	{"6 not a JWT", "pkg/mock/resource.go", `case strings.Count(token, ".") != 2:`, "case false:", "06_unauthorized"},
	{"6 invalid", "pkg/mock/resource.go", `claims, ok := t.openJWT(token)
	if !ok {`, `claims, ok := t.openJWT(strings.TrimSuffix(token, "x"))
	if !ok {`, "06_unauthorized"},
	{"6 role", "pkg/mock/resource.go", "case u == nil || !slices.Contains(u.Roles, eligibleRole):", "case u == nil:", "06_unauthorized"},
	{"a restart keeps the grant", "pkg/flow/snapshot.go", "if t.unverified {", "if t.unverified || old == nil {", "restart"},
}

// TestDocumentedLines builds the programs with each behaviour removed and expects
// its script to fail. MUTANTS=all tries all; otherwise it tries one.
func TestDocumentedLines(t *testing.T) {
	for i, r := range removals {
		m, err := mutation.Replace(filepath.Join("..", filepath.FromSlash(r.file)), r.old, r.new)
		if err != nil { // the code has changed
			t.Error(err)
			continue
		}
		if i > 0 && os.Getenv("MUTANTS") != "all" {
			continue
		}
		t.Run(r.line, func(t *testing.T) {
			test, err := m.CaughtBy(mutation.Tests{Args: []string{"-run", "^TestScripts$/^" + r.script + "$", "."}})
			if err != nil || test != "TestScripts/"+r.script {
				t.Errorf("%s does not fail, but %q: %v", r.script, test, err)
			}
		})
	}
}
