package e2e_test

import "testing"

// dashboardSteps are what keeps others out of the dashboard, and a session to the rights
// of its caller.
var dashboardSteps = []step{
	{"a link works once", "internal/guard/session.go", "\tl.used = true\n", "", "internal/guard"},
	{"and for a minute", "internal/guard/session.go", "case l == nil || !s.now().Before(l.expires):", "case l == nil:", "internal/guard"},
	{"links are bounded", "internal/guard/session.go", "if len(s.links) >= maxLinks {", "if false {", "internal/guard"},
	{"a link of a removed caller opens nothing", "internal/guard/session.go", "if g.callerWith(l.of) == nil {", "if false {", "internal/guard"},
	{"a cookie has a MAC", "internal/guard/session.go", `if subtle.ConstantTimeCompare(b[payloadSize:], s.mac("session", b[:payloadSize])) != 1 {`, "if false {", "internal/guard"},
	{"sessions expire", "internal/guard/session.go", "if s.now().Before(v.began.Add(-time.Minute)) || !s.now().Before(v.ends) {", "if false {", "internal/guard"},
	{"with the token of an issuer", "internal/guard/session.go", "if !l.ends.IsZero() && l.ends.Before(v.ends) {", "if false {", "internal/guard"},
	{"whose expiry is read", "pkg/flow/verifier.go", `c.Expiry, _, _ = seconds(m, "exp")`, `_, _, _ = seconds(m, "exp")`, "pkg/flow TestVerifier"},
	{"whose expiry the guard gets", "internal/guard/token.go", "c.Subject, c.expires = shortened(id.Subject), id.Expiry", "c.Subject = shortened(id.Subject)", "internal/guard"},
	{"and an expired one opens none", "internal/guard/session.go", "\tif !s.now().Before(v.ends) {\n\t\treturn nil, noSession(\"the token", "\tif false {\n\t\treturn nil, noSession(\"the token", "internal/guard"},
	{"a closed session has ended", "internal/guard/session.go", "if _, ended := s.ended[v.id]; ended {", "if _, ended := s.ended[v.id]; ended && false {", "internal/guard"},
	{"sessions are bounded", "internal/guard/session.go", "!known && len(s.open) >= maxSessions", "!known && false", "internal/guard"},
	{"a key that has expired has no session", "internal/guard/session.go", "!of.expires.IsZero() && !g.now().Before(of.expires)", "false", "internal/guard"},
	{"a key that was replaced has none", "internal/guard/keys.go", `h.caller.id = idOf("key", k.Name, h.hash[:])`, `h.caller.id = idOf("key", k.Name, nil)`, "internal/guard"},
	{"other origins are refused", "internal/guard/session.go", "if origin != own {", "if origin != own && false {", "internal/guard"},
	{"and pages of others", "internal/guard/session.go", `if from != own && !strings.HasPrefix(from, own+"/") {`, `if from != own && !strings.HasPrefix(from, own+"/") && false {`, "internal/guard"},
	{"with the whole of their port", "internal/guard/session.go", `strings.HasPrefix(from, own+"/")`, "strings.HasPrefix(from, own)", "internal/guard"},
	{"and what a browser says is of another site", "internal/guard/session.go", `if site != "none" && site != "same-origin" {`, `if site == "" {`, "internal/guard"},
	{"a POST has the origin", "internal/guard/session.go", `if r.Header["Origin"] == nil {`, "if false {", "internal/guard"},
	{"and the CSRF token", "internal/guard/session.go", "if subtle.ConstantTimeCompare([]byte(r.Header.Get(CSRFHeader)), []byte(csrf)) != 1 {", "if false {", "internal/guard"},
	{"of this session", "internal/guard/session.go", `s.mac("csrf", v.payload())`, `s.mac("csrf", nil)`, "internal/guard"},
	{"a proxy in front is refused", "internal/guard/session.go", "if f := checkForwarded(r); f != nil || need == OwnPage {", "if need == OwnPage {\n\t\tf := (*Refusal)(nil)", "internal/guard"},
	{"a session has the rights of its caller", "internal/guard/session.go", "return caller, g.authorize(caller, as, client)", "_ = as\n\treturn caller, nil", "internal/guard"},
	{"and may manage if the caller may", "internal/guard/session.go", "\t\tas = Manages\n", "", "internal/guard"},
	{"a login is for those who manage", "internal/daemon/dashboard.go", `path: "/dashboard/clients/:client/login", access: guard.ActsAndManages`, `path: "/dashboard/clients/:client/login", access: guard.Acts`, "internal/daemon TestDashboard"},
	{"a logout, too", "internal/daemon/dashboard.go", `path: "/dashboard/clients/:client/logout", access: guard.ActsAndManages`, `path: "/dashboard/clients/:client/logout", access: guard.Acts`, "internal/daemon TestDashboard"},
	{"a token needs the CSRF token", "internal/daemon/dashboard.go", `path: "/dashboard/clients/:client/token", access: guard.Acts`, `path: "/dashboard/clients/:client/token", access: guard.Session`, "internal/daemon TestDashboard"},
	{"the list has the caller's clients", "internal/daemon/dashboard.go", "if caller.May(name) {", "if caller.May(name) || true {", "internal/daemon TestDashboard"},
	{"and the audit log their entries", "internal/daemon/dashboard.go", "|| !caller.May(e.Client) ||", "|| !caller.May(e.Client) && false ||", "internal/daemon TestDashboard"},
	{"the configuration is for callers with all rights", "internal/daemon/dashboard.go", "if !page.All || d.settings == nil {", "if d.settings == nil {", "internal/daemon TestDashboard"},
	{"no script reads the cookie", "internal/daemon/dashboard.go", "HttpOnly: true, SameSite: http.SameSiteStrictMode,\n", "SameSite: http.SameSiteStrictMode,\n", "internal/daemon TestDashboard"},
	{"no other site sends it", "internal/daemon/dashboard.go", "HttpOnly: true, SameSite: http.SameSiteStrictMode,\n", "HttpOnly: true,\n", "internal/daemon TestDashboard"},
	{"a page has a policy", "internal/daemon/dashboard.go", `h.Set("Content-Security-Policy", d.pages.Policy)`, "", "internal/daemon TestDashboard"},
	{"programs get JSON", "internal/daemon/dashboard.go", "if !wantsHTML(c.Request) {", "if false {", "internal/daemon TestDashboard"},
	{"the store is asked for a second at most", "internal/daemon/dashboard.go", "context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)", "context.WithCancel(context.WithoutCancel(ctx))", "internal/daemon TestDashboard_ListsProcesses"},
	{"a page has at most so many clients", "internal/dashboard/clients.go", "min(number*perPage, p.Matching)", "p.Matching", "internal/dashboard"},
	{"and a bounded text of each", "internal/dashboard/clients.go", "if len(s) <= maxNote {", "if true {", "internal/dashboard"},
}

// TestEveryRefusalOfTheDashboard removes the steps, one at a time. MUTANTS=all or
// MUTANTS=dashboard tries all; otherwise it tries one.
func TestEveryRefusalOfTheDashboard(t *testing.T) { removeSteps(t, "dashboard", dashboardSteps) }
