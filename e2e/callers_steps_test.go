package e2e_test

import "testing"

// callerSteps are what callers may do, and what the audit log promises.
var callerSteps = []step{
	{"an entry is written before the answer", "internal/daemon/audit.go", "func (r *record) Write(b []byte) (int, error) {\n\tr.write(r.Status())", "func (r *record) Write(b []byte) (int, error) {", "internal/daemon"},
	{"an upgrade has an entry", "internal/daemon/audit.go", "r.write(http.StatusSwitchingProtocols)", "r.done = true", "internal/daemon"},
	{"unknown callers fill nothing", "internal/daemon/audit.go", "|| caller.Name == \"\" && action != actionCallback", "", "internal/daemon"},
	{"nor do callbacks of no login", "internal/daemon/audit.go", "if r.entry.Action == actionCallback && r.entry.Client == \"\" {", "if false {", "internal/daemon"},
	{"no query in an entry", "internal/daemon/audit.go", "u.Host, u.EscapedPath()", "u.Host, u.RequestURI()", "internal/daemon"},
	{"readyz says degraded", "internal/daemon/routes.go", "if ready.Audit != nil {", "if false {", "internal/daemon"},
	{"an entry that is not written is logged", "internal/audit/audit.go", "l.log.Error(\"an audit entry is here only\"", "l.log.Debug(\"an audit entry is here only\"", "internal/audit"},
	{"a gap is in the file", "internal/audit/audit.go", "b = appendGap(b, l.now(), missing)", "", "internal/audit"},
	{"a hanging disk stops one request", "internal/audit/audit.go", "case <-t.C:\n\t\treturn false", "case l.turn <- struct{}{}:\n\t\treturn true", "internal/audit"},
	{"a line that was cut ends", "internal/audit/audit.go", "b = append(b, '\\n')\n\t}\n\tmissing", "}\n\tmissing", "internal/audit"},
	{"one process renames the file", "internal/audit/rotate.go", "return l.reopen() // the other process was first", "_ = open", "internal/audit"},
	{"a file that was renamed is left", "internal/audit/rotate.go", "if named, err := os.Lstat(l.path); err != nil || !os.SameFile(open, named) {\n\t\treturn l.reopen()\n\t}\n\treturn nil", "return nil", "internal/audit"},
	{"no more files than said", "internal/audit/rotate.go", "for n := l.keep; n > 0; n-- {", "for n := l.keep + 1; n > 0; n-- {", "internal/audit"},
	{"the audit file is its user's alone", "internal/durable/append.go", "err = checkSecret(path, fi, Private, uid)", "_ = fi", "internal/audit"},
	{"and in a directory of its user", "internal/durable/append.go", "if err := checkDir(dir, fi, Written, instead, uid); err != nil {", "if false {", "internal/audit"},
	{"a key is a hash in the file", "internal/apikey/apikey.go", "return key, sha256.Sum256([]byte(key)), nil", "copy(hash[:], b)\n\treturn key, hash, nil", "internal/apikey"},
	{"two processes lose no key", "internal/apikey/apikey.go", "durable.Lock(lock)", "", "internal/apikey"},
	{"an expired key is refused", "internal/guard/guard.go", "if !caller.expires.IsZero() && !g.now().Before(caller.expires) {", "if false {", "internal/guard"},
	{"a reader changes nothing", "internal/guard/guard.go", "if need == Manages && !caller.MayManage() {", "if false {", "internal/daemon"},
	{"a login is for callers that manage", "internal/daemon/routes.go", `path: "/v1/clients/:client/login", access: guard.Manages`, `path: "/v1/clients/:client/login", access: guard.NeedsKey`, "internal/daemon"},
	{"a logout, too", "internal/daemon/routes.go", `path: "/v1/clients/:client/grant", access: guard.Manages`, `path: "/v1/clients/:client/grant", access: guard.NeedsKey`, "internal/daemon"},
	{"a reader sees no login page", "internal/daemon/errors.go", "if guard.CallerOf(c.Request.Context()).MayManage() {", "if true {", "internal/daemon"},
	{"nor in a state", "internal/daemon/clients.go", "if manages && (v.State", "if true && (v.State", "internal/daemon"},
	{"audiences hold for tokens in memory", "internal/daemon/token.go", "if p != nil || cl.refuses(caller, q) != nil {", "if p != nil {", "internal/daemon"},
	{"and for ID tokens", "internal/daemon/token.go", "if q.idToken && !caller.MayHave(cl.ClientID) {", "if false {", "internal/daemon"},
	{"and for proxied requests", "internal/daemon/proxy.go", `cl.refusesAudience(guard.CallerOf(c.Request.Context()), ""); p != nil`, `cl.refusesAudience(guard.CallerOf(c.Request.Context()), ""); false`, "internal/daemon"},
	{"a rate is bounded", "internal/guard/guard.go", "if wait := caller.limit.take(g.now()); wait > 0 {", "if wait := caller.limit.take(g.now()); false {", "internal/guard"},
	{"also over a reload", "internal/daemon/state.go", "Limits: &d.limits, ", "", "internal/daemon"},
	{"a revoked key is refused by a running service", "cmd/tokend/reload.go", "s.reloadKeys(ctx)\n", "", "TestScripts/key_callers"},
	{"other users are refused", "internal/guard/keyless.go", "return p.UID == g.keyless.own || g.keyless.peer(p) != nil", "return true", "internal/guard"},
	{"and have their own rights", "internal/guard/keyless.go", "if p == nil || p.UID == g.keyless.own {", "if true {", "internal/guard"},
	{"a certificate needs a name of a caller", "internal/guard/keyless.go", "if c := g.keyless.certificates[name]; c != nil {", "for _, c := range g.keyless.certificates {\n\t\t\t_ = name", "cmd/tokend"},
	{"a certificate is verified", "cmd/tokend/listen_tls.go", "tls.VerifyClientCertIfGiven, true", "tls.RequestClientCert, true", "cmd/tokend"},
	{"the socket stays private without other users", "cmd/tokend/listen.go", "if shared {\n\t\tdirMode", "if true {\n\t\tdirMode", "cmd/tokend"},
}

// TestEveryRightOfCallers removes the steps, one at a time. MUTANTS=all or
// MUTANTS=callers tries all; otherwise it tries one.
func TestEveryRightOfCallers(t *testing.T) { removeSteps(t, "callers", callerSteps) }
