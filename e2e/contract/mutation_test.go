package contract_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/tokend/internal/mutation"
)

// refusers are the functions of pkg/mock that make a refusal.
var refusers = []string{
	"refuse", "missing", "badCode", "badRefresh", "unauthorized", "notAllowed", "badProof",
	"badSignup", "dbError", "exists", "badStart",
}

// managementRefusers are those of pkg/mock/management, and the errors that it returns.
var managementRefusers = []string{
	"refuse", "invalid", "validation", "bad", "badToken", "refused", "missing", "errNotFound", "errMalformed", "errUserExists",
	"errNoAPI", "errNoAction", "errNoClient", "errNoConnection", "errNoCredential", "errNoDomain", "errNoExecution", "errNoGrant",
	"errNoInvitation", "errNoJob", "errNoKey", "errNoLog", "errNoMethod", "errNoModule", "errNoOrgClient", "errNoOrgConnection",
	"errNoOrganization", "errNoRole", "errNoSCIM", "errNoSession", "errNoToken", "errNoUser", "errNoVersion",
}

// behaviours are what the mock does without a refusal, each with a text that removes it.
var behaviours = []struct{ what, file, old, new string }{
	{"reserved claims are dropped", "actions.go", "if tenant.ReservedClaim(name) {", "if false {"},
	{"tokens for the Management API have namespaced claims", "mint.go", "if o.api != nil && t.st.apis[g.audience] == nil {", "if o.api == nil && false {"},
	{"a claim occurs once", "response.go", "if at < 0 {", "if true {"},
	{"/userinfo has the claims of Actions", "token.go", "t.keepProfile(access, o)", ""},
	{"/userinfo has them for implicit tokens", "front_channel.go", "t.keepProfile(access, o)", ""},
	{"/userinfo has none of an equal token before", "userinfo.go", "delete(t.st.profiles, hash(accessToken))", ""},
	{"tokens have no variants", "mint.go", "if err != nil || encode(b) != part {", "if err != nil || len(b) < 0 {"},
	{"assertions have no variants", "assertion.go", "if !canonical(raw) {", "if false {"},
	{"org_name by the tenant's setting", "mint.go", "org != nil && t.st.settings.OrganizationNames {", "org != nil {"},
	{"names of organizations by the tenant's setting", "describe.go", "if o == nil && st.settings.OrganizationNames {", "if o == nil {"},
	{"iss in answers", "authorize_response.go", "if req.nameIssuer {", "if false {"},
	{"iss in discovery", "discovery.go", "if namesIssuer {", "if false && namesIssuer {"},
	{"resource by the tenant's profile", "authorize_request.go", `aud != "" || t.st.settings.ResourceProfile == "audience" {`, `aud != "" {`},
	{"third-party clients match whole URLs", "allowed_url.go", "if err != nil || !p.Whole() && c != nil && c.ThirdParty() {", "if err != nil {"},
	{"placeholders of organizations need organization_usage", "allowed_url.go", "if c != nil && !c.UsesOrganizations() {", "if false {"},
	{"a logout goes to a whole URL", "authorize_request.go", "err != nil || !p.Whole() {", "false && (err != nil || !p.Whole()) {"},
	{"a URL that breaks a rule never matches", "tenant/placeholder.go", `case stars+names > 1:`, "case false:"},
	{"the star is in the first label", "tenant/placeholder.go", `case !strings.Contains(label, "*") && !strings.Contains(label, organizationName):`, "case false:"},
	{"the star is not below a top-level domain", "tenant/placeholder.go", `case !twoLabels(domain):`, `case false && domain == "":`},
	{"the star is in the host", "tenant/placeholder.go", `, strings.Contains(domain, "@"):`, ":"},
	{"labels after the star are not empty", "tenant/placeholder.go", `len(labels) > 1 && !slices.Contains(labels, "")`, "len(labels) > 1 || slices.Contains(labels, domain)"},
	{"{organization_name} is a whole label", "tenant/placeholder.go", "case names == 1 && label != organizationName:", "case false:"},
	{"the star is one label", "tenant/placeholder.go", `middle == "" || strings.ContainsFunc(label, notInLabel) {`, "false {"},
	{"{organization_name} is that of the login", "tenant/placeholder.go", `if organization == "" || label != organization {`, `if organization == "" {`},
	{"the organization is entered before the login", "organization.go", `behaviour == preLoginPrompt && req.client.OrganizationUsage == "require":`, "false:"},
	{"one membership needs no picker", "organization.go", "required && (len(list) == 1 || t.loginMode(req.client) == LoginAuto):", "required && t.loginMode(req.client) == LoginAuto:"},
	{"membership on login", "organization.go", "&& o.AutoMembership(u.Connection) {", "&& false {"},
	{"an invitation makes a member", "invitation.go", "t.st.addMember(o, u)", ""},
	{"an invitation verifies the address", "invitation.go", "verified.EmailVerified = true", ""},
	{"an invitation is consumed", "invitation.go", "delete(t.st.invitations, hash(req.invitation))", ""},
	{"an invitation replaces the older one", "invitation.go", "delete(t.st.invitations, key)", "_ = key"},
	{"an invitation is accepted once", "invitation.go", `if req.invitation == "" || tx.invited {`, `if req.invitation == "" {`},
	{"default_organization of a client grant", "tenant/client.go", "|| !slices.Contains(c.DefaultOrganization.Flows, flow) {", "{"},
	{"enabled_clients of a database", "tenant/connection.go", "d.EnabledClients == nil ||", "true ||"},
	{"connections of an organization", "connection.go", "o != nil && o.Connections != nil {", "false {"},
	{"connection chooses the user", "connection.go", "return u.Connection == req.connection", "return true"},
	{"the default directory for the password grant", "grant_password.go", "isIn := func(u *tenant.User) bool { return u.Connection == connection }", "isIn := func(*tenant.User) bool { _ = connection; return true }"},
	{"id_token_hint in strict-oidc", "authorize.go", `case req.hintedUser != "" && s.user != req.hintedUser:`, "case false:"},
	{"id_token_hint is not Auth0's", "authorize_request.go", `if hint == "" || t.cfg.Profile != ProfileStrictOIDC {`, `if hint == "" {`},
	{"a token is bound to the proof's key", "dpop.go", "g.jkt = p.thumbprint", ""},
	{"an API without DPoP ignores a proof", "dpop.go", "p != nil && (api == nil || api.TakesDPoP()); bound {", "p != nil; bound {"},
	{"required_for public clients", "tenant/pop.go", `return p.RequiredFor != "public_clients" || c.Public()`, "return true"},
	{"a proof is used once", "dpop.go", "t.st.proofs[key] = p.end", ""},
	{"public clients need a nonce", "dpop_nonce.go", "policy == noncePublic && !client.Public():", "policy == noncePublic:"},
	{"nonces end", "dpop_nonce.go", "case age >= nonceLifetime:", "case false:"},
	{"the nonce is exposed to pages", "dpop_nonce.go", `h.Set("Access-Control-Expose-Headers", exposed+", DPoP-Nonce")`, ""},
	{"/userinfo takes a proof again", "userinfo.go", "t.checkBinding(c, cred, claims, t.cfg.Profile == ProfileAuth0)", "t.checkBinding(c, cred, claims, false)"},
	{"a refresh token keeps its key", "grant_refresh.go", `checkKey("refresh token", rt.family.grant.jkt, r.proof)`, `checkKey("refresh token", "", r.proof)`},
	{"logout tokens go to clients of the session", "authorize.go", "s.logInTo(req.client.ClientID, c.issuer)", ""},
	{"another user is another session", "session.go", "s.clients = nil", ""},
	{"a logout reports", "logout.go", "t.reportLogout(c, s)", ""},
	{"a delivery has five seconds", "deliveries.go", "context.WithTimeout(b.ctx, logoutDeadline)", "context.WithTimeout(b.ctx, 2*logoutDeadline)"},
	{"a reset ends deliveries", "mock.go", "t.deliveries.end()\n\tt.mu.Lock()", "t.mu.Lock()"},
	{"the journal hides the query of a logout URL", "backchannel.go", `strings.Cut(token.url, "?")`, `strings.Cut(token.url, "\x00")`},
	{"an unknown address gets no mail", "dbconnections.go", `if u == nil || u.Email == "" {`, "if false {"},
	{"a link resets a password once", "reset_password.go", "delete(t.st.resets, hash(ticket))", ""},
	{"a code is used once", "passwordless_otp.go", "delete(t.st.otps, key)\n\tu := t.st.users[user]", "u := t.st.users[user]"},
	{"a code that needs a second factor is used", "passwordless_otp.go", `if bad != nil && bad.Code == "mfa_required" {`, "if false {"},
	{"three attempts for a code", "passwordless_otp.go", "o.attempts++", ""},
	{"a code verifies the address", "passwordless_otp.go", `u.EmailVerified || conn.Strategy == "email"`, "u.EmailVerified"},
	{"enabled_clients of a passwordless connection", "tenant/passwordless.go", "return c.EnabledClients == nil ||", "return true ||"},
	{"an mfa_token is used once", "mfa_grant.go", `delete(t.st.mfas, hash(r.Get("mfa_token")))`, ""},
	{"wrong factors are counted", "mfa_grant.go", "t.failed(key, c.now)", ""},
	{"a recovery code is used once", "mfa_grant.go", "changed.AuthenticationMethods[at].RecoveryCode = t.recoveryCode()", ""},
	{"the last challenge counts", "mfa.go", "tx.oob = &oobChallenge{code: hash(code)}", "if tx.oob == nil {\n\t\ttx.oob = &oobChallenge{code: hash(code)}\n\t}"},
	{"secrets of factors are masked", "tenant/mfa.go", `m.TOTPSecret, m.RecoveryCode = "", ""`, ""},
	{"two databases have two names", "describe.go", "duplicateName(names[d.Name], d.Name), ", ""},
	{"two connections have two names", "describe.go", "duplicateName(names[c.Name], c.Name), ", ""},
	{"two objects have two ids", "ids.go", `if id == "" || !other {`, "if true {"},
	{"two organizations have two ids", "describe.go", "repeatedID(o.ID, st.orgs[o.ID] != nil), ", ""},
	{"two databases have two ids", "describe.go", "repeatedID(d.ID, ids[d.ID]), ", ""},
	{"two connections have two ids", "describe.go", "repeatedID(c.ID, ids[c.ID]), ", ""},
	{"two APIs have two ids", "ids.go", "other.ID == api.ID && other.Identifier != api.Identifier", "other == nil"},
	{"two client grants have two ids", "ids.go", "old.ID == g.ID && other != key", `old == nil && other == ""`},
	{"two roles have two ids", "ids.go", "other != nil && key != r.Name", `other == nil && key != ""`},
	{"two connections have two names", "ids.go", "case name == otherName && sameKind:", "case name == otherName:"},
	{"two connections have two ids", "ids.go", "repeatedID(id, id == otherID)", "repeatedID(id, false && id == otherID)"},
	{"a database is not a passwordless connection", "ids.go", "connectionConflict(id, name, c.ID, c.Name, !database)", `connectionConflict("", name, "", c.Name, true)`},
	{"a passwordless connection is not a database", "ids.go", "connectionConflict(id, name, d.ID, d.Name, database)", `connectionConflict("", name, "", d.Name, true)`},
	{"an organization has not the name of another", "admin.go", `if old := t.st.organizationNamed(o.Name); old != nil && o.ID != "" && o.ID != old.ID {`, "if false {"},
	{"names of claims have a case", "mint.go", `strings.Trim(name, "abcdefghijklmnopqrstuvwxyz") != ""`, "false"},
	{"proofs have no variants", "dpop.go", "if err != nil || !canonical(raw) {", "if err != nil {"},
	{"dpop_jkt has no variants", "dpop.go", "&& encode(b) == s", ""},
	{"a pushed request is bound to the proof's key", "par.go", `p.Set("dpop_jkt", r.proof.thumbprint)`, ""},
	{"HS256 has a key", "tenant/client.go", `|| c.JWT.Alg == "HS256"`, ""},
	{"no lifetime overflows", "tenant/check.go", "case n > longest*3600:", "case false:"},
	{"references to nothing are reported", "tenant/notes.go", "return append(e.ObjectNotes(), e.Unresolved(e.known())...)", "return e.ObjectNotes()"},
	{"the control API reports references to nothing", "admin.go", "ignored = append(ignored, t.unresolved(in)...)", ""},
	{"the tenant's references to nothing are reported", "admin.go", "ignored = append(ignored, t.unresolved(s)...)", ""},
	{"a user's references to nothing are reported", "admin.go", "append(ignored, t.unresolved(merged)...), nil", "ignored, nil"},
	{"a client's references to nothing are reported", "admin.go", "append(ignored, t.unresolved(merged)...), err", "ignored, err"},
	{"origins that no browser sends are reported", "tenant/notes.go", "case list.origins && !isOrigin(entry):", "case false:"},
	{"callbacks that match nothing are reported", "tenant/notes.go", `case list.field == "callbacks" && !isCallback(entry):`, "case false:"},
	{"the members of a sign-up have types", "dbconnections.go", `if wrong := wrongType(m); wrong != "" {`, `if wrong := wrongType(m); false && wrong != "" {`},
	{"an address has one domain", "dbconnections.go", `&& !strings.Contains(domain, "@")`, ""},
	{"an address has no control characters", "dbconnections.go", "|| unicode.IsControl(r)", ""},
	{"errors of types are in plain words", "control.go", "if !errors.As(err, &wrong) {", "if true {"},
	{"one client grant of a client for an API", "describe.go", "errors.Join(st.repeatedGrant(g), st.addGrant(g))", "st.addGrant(g)"},
	{"an address is one user's in a connection", "users.go", "o != old && o.Connection == u.Connection", "false"},
	{"two second factors have two ids", "tenant/mfa.go", "return other.ID == m.ID", "return false"},
	{"codes have an address", "tenant/mfa.go", `m.Type == "phone" && m.PhoneNumber == "" && u.PhoneNumber == ""`, "false"},
	{"actions of machines have no second factor", "tenant/action.go", "case a.MFA:", "case false:"},
	{"actions are of clients", "tenant/notes.go", `if a.ClientID != "" && len(e.Clients) > 0 &&`, "if false &&"},
	{"a proof of possession has a mechanism", "tenant/pop.go", `if p.Mechanism == "" {`, "if false {"},
	{"a code that is used twice ends its refresh token", "grant_code.go", `t.revokeFamily(f, "its authorization code was used twice")`, ""},
	{"a code that is used twice ends its access token", "grant_code.go", "cd.reused = true\n\tif cd.accessToken != \"\" {", "if false {"},
	{"the control API has loopback names only", "control.go", "if !t.cfg.Public && !loopback(r.Host) {", "if false {"},
	{"the control API refuses pages of other sites", "control.go", "t.crossOrigin.Check(r); err != nil || readByPage(r) {", "t.crossOrigin.Check(r); err != nil && r == nil || readByPage(r) {"},
	{"the control API is not read by pages of other sites", "control.go", "err != nil || readByPage(r) {", "err != nil {"},
	{"a person may follow a link to the control API", "control.go", `&& r.Header.Get("Sec-Fetch-Mode") != "navigate"`, ""},
	{"the console takes its own forms only", "console_action.go", `if r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" {`, "if false {"},
	{"the console's callback is one address", "authorize_request.go", "case req.redirectURI == c.url(callbackPath):", "case strings.HasSuffix(req.redirectURI, callbackPath):"},
	{"the console does not keep tokens", "issued.go", "return strings.Clone(token[:strings.LastIndexByte(token, '.')])", "return token"},
	{"the console is for browsers", "console.go", `strings.Contains(r.Header.Get("Accept"), "text/html")`, "true"},
	{"the console stays below the issuer's path", "console_action.go", `at.path(page.Path())`, "page.Path()"},
	{"a client's token is for an API", "issue.go", "case user == nil && api == nil:", "case false:"},
	{"a switch arms a fault again", "console_action.go", "a.count = 0", ""},
	{"what expires next is first", "expiry.go", "cmp.Or(a.At.Compare(b.At),", "cmp.Or(b.At.Compare(a.At),"},
	{"hints name the call that used a code", "grant_code.go", "cd.usedAt, cd.usedBy = c.now, c.id", "cd.usedAt = c.now"},
	{"hints name the call that ended a family", "revoke.go", "rt.family.ended, rt.family.endedBy = c.now, c.id", ""},
	{"the journal counts what it drops", "journal.go", "return list, max(0, oldest-1-after)", "return list, 0"},
	{"the journal is limited", "journal.go", "if at < len(j.ring) {", "if false {"},
	{"a reset keeps the numbers", "journal.go", "j.ring, j.base = nil, j.last", "j.ring, j.base, j.last = nil, 0, 0"},
	{"a wait ends when the calls have come", "journal.go", "if len(v.list) >= n {", "if false {"},
	{"a stream continues after an id", "control_journal.go", `case id != "":`, "case false:"},
	{"a stream of an earlier run starts again", "control_journal.go", "if q.After > newest {", "if false {"},
	{"a stream reports what is missing", "control_journal.go", "if dropped > 0 {", "if false {"},
	{"a stream ends with the tenant", "control_journal.go", "case <-t.closed:", "case <-make(chan struct{}):"},
	{"assertions do not count a journal that dropped calls", "calls.go", "case dropped > 0:", "case false:"},
	{"expired state goes", "room.go", "case over(v):", "case false:"},
	{"a full map loses an entry", "room.go", `len(m)-len(keys) >= r.most && oldest != ""`, "false"},
	{"the oldest entry goes first", "room.go", `case oldest == "" || at.Before(age):`, `case oldest == "" || age.Before(at):`},
	{"counters of failed attempts are limited", "room.go", "delete(m, victim)", "_ = victim"},
	{"ended families go", "grant_refresh.go", "t.forgetFamily(t.st.families[old])", "_ = old"},
	{"a family keeps a thousand tokens", "grant_refresh.go", "len(f.tokens) > familyTokens {", "false {"},
	{"the error page says what to change", "authorize_response.go", `"Hint": e.Hint,`, ""},
	{"settings that a real tenant enforces are refused", "admin_object.go", "case f.Changes && f.Field.Support == tenant.Refused && !t.cfg.Lax:", "case false:"},
	{"misspelt members are refused", "admin_object.go", `case f.Misspelt != "":`, "case false:"},
	{"a PATCH replaces lists", "admin.go", "delete(old, name)", ""},
	{"every answer has the tenant's Date", "serve.go", "setDate(w.Header(), t.clock.Now())", ""},
	{"a block after wrong attempts ends", "attempts.go", "return f.count >= maxAttempts && !f.over(now)", "return f.count >= maxAttempts"},
	{"an assertion's jti can be used after its end", "assertion.go", "seen && end.After(now) {", "seen && end != now {"},
	{"a bucket fills with the clock", "limit.go", "b.left = min(full, b.left+passed)", "_ = passed"},
	{"a bucket is not more than full", "limit.go", "b.left = min(full, b.left+passed)", "b.left += passed"},
	{"a client's limit is its own", "limit.go", "if !l.each {", "if l != nil {"},
	{"the headers report a real limit", "limit.go", "if c.limit != nil {", "if false {"},
	{"a client's limit leaves the tenant's headers", "limit.go", "if a.limits.each {", "if false {"},
	{"Retry-After is until the next call", "limit.go", "if c.clientLimit != nil {", "if false {"},
	{"the global limit is 500 at the token endpoint", "fault_answers.go", `if f.Kind == FaultGlobalLimit && c.entry.Endpoint == "token" {`, "if false {"},
	{"a defect of one token", "defects.go", `if d.only != "" && d.only != token {`, "if false {"},
	{"only ID tokens have a wrong nonce", "defects.go", `if d.has(DefectNonce) && token == "id_token" {`, "if d.has(DefectNonce) {"},
	{"an expired token", "defects.go", "c = expired(c, now)", ""},
	{"a token of another issuer", "defects.go", `c = c.with(object{{"iss", wrongIssuer}})`, ""},
	{"a token for another audience", "defects.go", `c = c.with(object{{"aud", wrongAudience}})`, ""},
	{"a token of an unknown key", "defects.go", "key.ID = wrongKeyID", ""},
	{"a token with a wrong signature", "defects.go", "b[0] ^= 1", ""},
	{"an answer without expires_in", "defects.go", "return slices.Delete(o, at, at+1)", ""},
	{"a profile for one client", "fault_profiles.go", "f.Profile, f.ClientID, f.Seed+uint64(i)", `f.Profile, "", f.Seed+uint64(i)`},
	{"a profile with a seed", "fault_profiles.go", "f.Profile, f.ClientID, f.Seed+uint64(i)", "f.Profile, f.ClientID, uint64(i)"},
	{"a profile has no endpoint", "fault_profiles.go", `if f.Endpoint != "" || f.Kind != "" {`, "if false {"},
	{"a profile with times", "fault_profiles.go", "p.Times = f.Times", ""},
	{"faults of the Config come back after a reset", "mock.go", "t.armAll(t.cfg.Faults)", ""},
	{"a revoked key leaves the JWKS", "key_rotation.go", "r.keys, r.jwks = slices.Delete(slices.Clone(r.keys), at, at+1), nil", "r.jwks = nil"},
	{"the current key is not revoked", "key_rotation.go", "case at == 0:", "case false:"},
	{"the next key is not revoked", "key_rotation.go", "\tcase at < first:", "\tcase false:"},
	{"a rotation revokes the key before the previous one", "key_rotation.go", "r.addRevoked(old.ID, now)", "_ = old"},
	{"the last three revoked keys are listed", "key_rotation.go", "r.revoked = r.revoked[max(0, len(r.revoked)-revokedKeys):]", ""},
	{"the JWKS has the next key", "keys.go", "if err := r.loadNext(); err != nil {", "if err := error(nil); err != nil {"},
	{"a JWT for another audience is not for /userinfo", "userinfo.go", "case jwt && !namesUserinfo(iss, claims):", "case false:"},
	{"a JWT of another issuer is not for /userinfo", "userinfo.go", "case jwt && !t.ownIssuer(c, iss):", "case false:"},
	{"a token needs its claims", "token_problem.go", "if _, has := claims[name]; !has {", "if false {"},
	{"a revoked key is a reason of its own", "token_problem.go", "case t.keys.isRevoked(header.Kid):", "case false:"},
	{"the lifetime of an issued token", "issue.go", "claim: s.Claim}, s.Lifetime", "claim: s.Claim}, 0"},
	{"an issued token has the issuer of the request", "issue.go", "t.issue(in.TokenSpec, issuer)", "t.issue(in.TokenSpec, t.issuer)"},
	{"a token is for users that exist", "issue.go", `case s.User != "" && user == nil:`, "case false:"},
	{"a token is for APIs that exist", "issue.go", `case s.Audience != "" && api == nil:`, "case false:"},
	{"an issued token has any scope", "issue.go", `if s.Scope == "" {`, "if true {"},
	{"a browser's programs get its address", "address.go", "a.base = a.front", "_ = front"},
	{"the Host is that of the browser", "address.go", "hostAndPort(front) == hostAndPort(&url.URL{Scheme: front.Scheme, Host: r.Host})", "front != nil"},
	{"pages are at the browser's address", "discovery.go", `page("authorization_endpoint", "/authorize")`, `endpoint("authorization_endpoint", "/authorize")`},
	{"a device opens the browser's address", "device.go", `c.pageURL("/activate")`, `c.url("/activate")`},
	{"cookies stay below the issuer's path", "session.go", `Path: c.path("/")`, `Path: "/"`},
	{"a client has a login mode", "authorize.go", `if client.Login != "" {`, "if false {"},
	{"an endpoint of the Management API needs a scope", "management/auth.go", "if has && (!own ||", "if true || has && (!own ||"},
	{"a user's own scopes open the user's own paths", "management/auth.go", "if has && (!own || len(c.params) > 0 && c.params[0] == c.Subject) {", "if has && (!own || true) {"},
	{"an export has the roles of its users", "export.go", `d["roles"] = s.roleNames(d["roles"])`, ""},
	{"an export says which members an object lacks", "export.go", "e.Management.Omitted = objects.missingFrom(again)", "_ = again"},
	{"an export has no references to what is gone", "export.go", `keep("members", func(v any) bool { return s.users[asText(v)] })`, ""},
	{"changes of users are signalled", "users.go", "st.revision++\n\tst.users[u.UserID] = u", "st.users[u.UserID] = u"},
	{"changes by the control API are signalled", "control.go", "defer t.changed()", ""},
	{"keywords in an export are escaped", "../../internal/tenantfile/write.go", "case keyword && (r == '#' || r == '@'), r < 0x100", "case keyword && false, r < 0x100"},
	{"an export may have settings that a file may not", "../../internal/tenantfile/ignored.go", "&& !l.Lax && !l.export {", "&& !l.Lax {"},
	{"a login mode is auto or form", "tenant/client.go", `oneOf("x-login", c.Login, of, []string{"auto", "form"}),`, ""},
}

// TestEveryBehaviourIsHeld removes each of them and expects a test to fail. MUTANTS=all
// tries all of them; otherwise one does.
func TestEveryBehaviourIsHeld(t *testing.T) {
	for i, b := range behaviours {
		m, err := mutation.Replace(filepath.Join("../../pkg/mock", filepath.FromSlash(b.file)), b.old, b.new)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && os.Getenv("MUTANTS") != "all" && !wanted(m.Name) {
			continue
		}
		t.Run(b.what, func(t *testing.T) {
			test, err := m.CaughtBy(mockTests, contractTests, fileTests)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("caught by %s", test)
		})
	}
}

var (
	managementTests         = mutation.Tests{Args: []string{"-run", "^Test(Management|Export|State|Changes)", "../../pkg/mock"}}
	managementContractTests = mutation.Tests{Args: []string{"-run", "^TestManagementContract$", "."}}

	contractTests = mutation.Tests{Args: []string{"-run", "^TestContract$", "."}}
	fileTests     = mutation.Tests{Args: []string{"-run", "^Test", "../../internal/tenantfile"}}
	mockTests     = mutation.Tests{Args: []string{"-run", "^Test", "../../pkg/mock", "../../pkg/mock/tenant"}}
)

// wanted reports whether MUTANTS lists a part of a mutant's name, as in
// MUTANTS=organization.go,accessTokenType.
func wanted(name string) bool {
	return slices.ContainsFunc(strings.Split(os.Getenv("MUTANTS"), ","), func(part string) bool {
		return part != "" && strings.Contains(name, part)
	})
}

// TestEveryRefusalIsHeld takes the refusals of pkg/mock out, one at a time,
// and expects a test to fail by name: a documented case, or one of the mock's
// own tests. MUTANTS=all tries all of them (make mutants), MUTANTS=organization.go
// those with it in their name; otherwise it is a slice.
func TestEveryRefusalIsHeld(t *testing.T) {
	list, err := mutation.RefusalsIn("../../pkg/mock", refusers)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 80 {
		t.Fatalf("only %d refusals were found in pkg/mock", len(list))
	}
	for i, m := range list {
		switch os.Getenv("MUTANTS") {
		case "all":
		case "":
			if i%40 > 0 {
				continue
			}
		default:
			if !wanted(m.Name) {
				continue
			}
		}
		t.Run(m.Name, func(t *testing.T) {
			test, err := m.CaughtBy(contractTests, mockTests)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("caught by %s", test)
		})
	}
}

// TestEveryManagementRefusalIsHeld is the same for pkg/mock/management.
func TestEveryManagementRefusalIsHeld(t *testing.T) {
	list, err := mutation.RefusalsIn("../../pkg/mock/management", managementRefusers)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 120 {
		t.Fatalf("only %d refusals were found in pkg/mock/management", len(list))
	}
	for i, m := range list {
		if all := os.Getenv("MUTANTS"); all == "" && i%60 > 0 || all != "" && all != "all" && !wanted("management/"+m.Name) {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			test, err := m.CaughtBy(managementTests, managementContractTests)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("caught by %s", test)
		})
	}
}
