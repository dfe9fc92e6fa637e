package referees_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutants make the tenant wrong in one place each; the referee must say so.
var mutants = []struct{ what, file, old, new, referee string }{
	{"another nonce", "pkg/mock/mint.go", `c.add("nonce", o.g.nonce)`, `c.add("nonce", o.g.nonce+"x")`, "Auth0"},
	{"another nonce", "pkg/mock/mint.go", `c.add("nonce", o.g.nonce)`, `c.add("nonce", o.g.nonce+"x")`, "PassportAuth0"},
	{"another nonce", "pkg/mock/mint.go", `c.add("nonce", o.g.nonce)`, `c.add("nonce", o.g.nonce+"x")`, "Auth0SPAJS/http"},
	{"no challenge of /userinfo", "pkg/mock/userinfo.go", `c.w.Header().Set("WWW-Authenticate", value)`, "", "OpenIDClient/http"},
	{"a code works twice", "pkg/mock/grant_code.go", "cd.used = true", "", "PassportAuth0"},
	{"a code works forever", "pkg/mock/grant_code.go", "if !c.now.Before(cd.expires) {", "if false {", "ZitadelRP/http"},
	{"a revoked token lives", "pkg/mock/revoke.go", `t.revokeFamily(rt.family, "revoked by the client")`, "", "Auth0"},
	{"a revoked token lives", "pkg/mock/revoke.go", `t.revokeFamily(rt.family, "revoked by the client")`, "", "OIDCClientTS"},
	{"an idle token lives", "pkg/mock/grant_refresh.go", `lifetimeOver(c.now, f.seen, p.IdleTokenLifetime)`, "false", "OIDCAgent/device_http"},
	{"blocked users refresh", "pkg/mock/grant_refresh.go", "case u.Blocked:", "case false:", "ExpressOpenIDConnect/code_http"},
	{"any callback will do", "pkg/mock/authorize_request.go", "case !allowsCallback(client, req.redirectURI, t.nameOfOrganization(p)):", "case false:", "ExpressOpenIDConnect/id_token_form_post_https"},
	{"another nonce", "pkg/mock/mint.go", `c.add("nonce", o.g.nonce)`, `c.add("nonce", o.g.nonce+"x")`, "Authlib/http"},
	{"a revoked token lives", "pkg/mock/revoke.go", `t.revokeFamily(rt.family, "revoked by the client")`, "", "Authlib/https"},
	{"no logout token", "pkg/mock/logout.go", "t.reportLogout(c, s)", "", "ExpressOpenIDConnect/backchannel_logout_http"},
	{"a logout token for another client", "pkg/mock/backchannel.go", `{"aud", id},`, `{"aud", id + "x"},`, "ExpressOpenIDConnect/backchannel_logout_http"},
	{"no token in the query", "pkg/mock/credentials.go", `c.query().Get("access_token"); q != ""`, `""; q != ""`, "PassportAuth0"},
	{"expired tokens", "pkg/mock/mint.go", `c.add("exp", o.now.Add(o.lifetime()).Unix())`, `c.add("exp", o.now.Add(-o.lifetime()).Unix())`, "ExpressOAuth2JWTBearer/http"},
	{"expired tokens", "pkg/mock/mint.go", `c.add("exp", o.now.Add(o.lifetime()).Unix())`, `c.add("exp", o.now.Add(-o.lifetime()).Unix())`, "PyJWT/http"},
	{"the audience of another API", "pkg/mock/mint.go", `c.add("aud", []string{o.api.Identifier, o.issuer + "userinfo"})`, `c.add("aud", o.issuer + "userinfo")`, "PyJWT/https"},
	{"an issuer without its slash", "pkg/mock/discovery.go", `{"issuer", c.issuer}`, `{"issuer", c.issuer[:len(c.issuer)-1]}`, "ExpressOAuth2JWTBearer/https"},
	{"one issuer for both listeners", "pkg/mock/mock.go", "t.serve(w, r, issuer) })", "t.serve(w, r, t.issuer) })", "Auth0"},
	{"no rotation", "pkg/mock/grant_refresh.go", `if client.RefreshPolicy().RotationType == "rotating" {`, "if false {", "Auth0SPAJS/http"},
	{"a replay is forgiven", "pkg/mock/grant_refresh.go", `t.revokeFamily(f, "a rotated refresh token was used again (ferrt)")`, "", "Auth0SPAJS/http"},
	{"no CORS where anybody may ask", "pkg/mock/cors.go", `h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Credentials", "false")`, "", "Auth0SPAJS/http"},
	{"no CORS for the client's origin", "pkg/mock/cors.go", `h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")`, "", "OIDCClientTS"},
	{"no preflight", "pkg/mock/cors.go", `h.Set("Access-Control-Allow-Headers", asked)`, "", "Auth0SPAJS/http"},
	{"a frame shows the login", "pkg/mock/authorize.go", `return t.refusal(c, req, refuse("login_required", "Login required").withHint("%s", t.sessionHint(c, s)))`, `return t.page(c, tx, s, "/u/login")`, "OIDCClientTS"},
	{"a message that no frame may have", "pkg/mock/pages.go", `&& !strings.Contains(name, "web_message")`, "", "Auth0SPAJS/https"},
	{"a session survives the logout", "pkg/mock/logout.go", "delete(t.st.sessions, s.id)\n\t\tt.reportLogout(c, s)\n\t}\n\tt.setSessionCookie(c, \"\", -1e9)", "_ = s\n\t}", "Auth0SPAJS/http"},
	{"a logout loses its state", "pkg/mock/logout.go", `if bad == nil && target != "" && p.Has("state") {`, "if false {", "ZitadelRP/https"},
	{"a device that is never connected", "pkg/mock/device.go", `d.state, d.grant = "approved", g`, `d.state, d.grant = "denied", g`, "OIDCAgent/device_http"},
	{"no scope is needed", "pkg/mock/management/api.go", "if err := c.checkScope(); err != nil {", "if err := error(nil); err != nil {", "Auth0_ManagementClient"},
	{"two users with one address", "pkg/mock/management/users.go", "\t\t\treturn errUserExists\n\t\t}\n\t}\n\treturn nil", "\t\t}\n\t}\n\treturn nil", "Auth0_ManagementClient"},
	{"flags of the tenant are replaced", "pkg/mock/management/patch.go", `KindTenant: {"flags": true, `, "KindTenant: {", "Auth0_ManagementClient"},
	{"another client of an export", "pkg/mock/tenant/client.go", "c.ClientID = derivedID(c.Name, 32)", "c.ClientID, c.GrantTypes = derivedID(c.Name, 32), nil", "Auth0DeployCLI"},
}

// TestRefereesNotice builds the tenant with each of them and expects its
// referee's test to fail. MUTANTS=all tries all; otherwise one does.
func TestRefereesNotice(t *testing.T) {
	if os.Getenv("MUTANT") != "" {
		t.Skip("this is the test of a mutant")
	}
	nodejs(t)
	packages(t)
	for i, m := range mutants {
		overlaid := overlay(t, m.file, m.old, m.new) // fails where the code has changed
		if i > 0 && os.Getenv("MUTANTS") != "all" {
			continue
		}
		t.Run(m.what+"_"+m.referee, func(t *testing.T) {
			name, part, _ := strings.Cut(m.referee, "/")
			cmd := exec.Command("go", "test", "-count=1", "-vet=off", "-run", "^TestReferee"+name+"$/^"+part+"$", ".")
			if part == "" {
				cmd.Args[5] = "^TestReferee" + name + "$"
			}
			cmd.Env = append(os.Environ(), "MUTANT=1", "GOFLAGS=-buildvcs=false -overlay="+overlaid)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestReferee"+m.referee) {
				t.Errorf("TestReferee%s does not fail: %v\n%s", m.referee, err, out)
			}
		})
	}
}

// overlay is the file by which the go command reads a source of the project
// with one piece of it replaced.
func overlay(t *testing.T, file, old, new string) string { //nolint:revive // as in strings.Replace
	t.Helper()
	file, err := filepath.Abs(filepath.Join("..", "..", filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(src), old); n != 1 {
		t.Errorf("%s holds %q %d times, not once", file, old, n)
		return ""
	}
	dir := t.TempDir()
	mutated, list := filepath.Join(dir, "mutated.go"), filepath.Join(dir, "overlay.json")
	b, err := json.Marshal(map[string]any{"Replace": map[string]string{file: mutated}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{mutated: []byte(strings.Replace(string(src), old, new, 1)), list: b} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return list
}
