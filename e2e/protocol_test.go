package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"example.com/tokend/internal/mutation"
)

// steps are the steps of the refresh protocol (docs/rotation.md). Each one is
// removed, and a test of the named package must fail then.
var steps = []struct {
	step, file, old, new, tests string
}{
	{"the intent is stored before the request", "pkg/flow/exchange.go", "if err := x.c.save(ctx, x.l, g); err != nil {\n\t\treturn storeError(\"intent\", err)\n\t}", "", "pkg/flow"},
	{"the grant is loaded again under the lease", "pkg/flow/flight.go", "g, revision, e := c.load(ctx) // another process may have refreshed it since", "var revision int64\n\tif g != nil {\n\t\trevision = g.Revision\n\t}", "pkg/flow"},
	{"an intent may be of a request in flight", "pkg/flow/flight.go", "d.why != nil && !c.mayBeInFlight(g) {", "d.why != nil {", "pkg/flow"},
	{"the lease is checked before the first byte", "pkg/flow/exchange.go", "opts.checkLease = x.l.check", "opts.checkLease = nil", "pkg/flow"},
	{"by the monotonic clock", "pkg/flow/lease.go", "time.Since(from.mono) < h.ttl && ", "", "pkg/flow"},
	{"by the wall clock", "pkg/flow/lease.go", " && wall < h.ttl && wall > -time.Second", " && wall < 24*h.ttl", "pkg/flow"},
	{"the lease is a third of the overlap", "pkg/flow/lease.go", "min(leaseMax, c.cfg.Leeway/3)", "3*leaseMax", "pkg/flow"},
	{"the lease is renewed", "pkg/flow/lease.go", "err := h.lease.Renew(opctx)", "err := opctx.Err()", "pkg/flow"},
	{"two replays fit into the overlap", "pkg/flow/decide.go", "min(postTimeout, c.cfg.Leeway/3)", "postTimeout", "pkg/flow"},
	{"a replay only inside the overlap", "pkg/flow/decide.go", "in.Replays < maxReplays && c.inLeeway(g, now)", "in.Replays < maxReplays", "pkg/flow"},
	{"at most two replays", "pkg/flow/decide.go", "in.Replays < maxReplays && c.inLeeway(g, now)", "c.inLeeway(g, now)", "pkg/flow"},
	{"past it not while a token is left", "pkg/flow/decide.go", "return now.Add(max(0, e.remaining(now)-mandatory))", "_ = mandatory\n\treturn now", "pkg/flow"},
	{"one POST", "pkg/flow/send.go", "r, err = c.http.Do(req)", "if r, err = c.http.Do(req); err == nil && r.StatusCode == 503 {\n\t\treturn c.send(ctx, op, endpoint, form, opts)\n\t}", "pkg/flow"},
	{"nothing is served before it is durable", "pkg/flow/accept.go", "if e := c.persist(ctx, x.f, x.l, g); e != nil {", "c.setSnapshot(g)\n\tif e := c.persist(ctx, x.f, x.l, g); e != nil {", "pkg/flow"},
	{"spilled after the first failed write", "pkg/flow/persist.go", "if c.spill(ctx, g) {\n\t\t\tc.log()", "if i == maxSaves-1 && c.spill(ctx, g) {\n\t\t\tc.log()", "pkg/flow"},
	{"a spilled grant is stored later", "pkg/flow/run.go", "w.flush = true", "", "pkg/flow"},
	{"a late answer is stored", "pkg/flow/persist.go", "return c.saveLate(ctx, f, g, l.replaces, err)", "return storeError(\"save\", err)", "pkg/flow"},
	{"a later grant is not overwritten", "pkg/flow/persist.go", "case s != nil && s.supersedes(g, replaces) && !(s.LoggedIn.Equal(g.LoggedIn) && s.RefreshToken == g.RefreshToken):", "case false:", "pkg/flow"},
	{"a late answer after a logout is revoked", "pkg/flow/persist.go", "case s != nil && s.State == GrantLoggedOut && s.supersedes(g, replaces):", "case false:", "pkg/flow"},
	{"a logout is stored", "pkg/flow/forget.go", "t.State, t.LoggedIn = GrantLoggedOut, time.Time{}", "t.LoggedIn = time.Time{}", "pkg/flow"},
	{"a logout is respected", "pkg/flow/decide.go", "case g != nil && g.State == GrantLoggedOut:", "case false:", "pkg/flow"},
	{"a rejection is stored", "pkg/flow/exchange.go", "c.reject(ctx, g, e, credential)\n\t\tc.saveBestEffort(ctx, x.l, g)", "c.reject(ctx, g, e, credential)", "pkg/flow"},
	{"a rejected client is probed", "pkg/flow/decide.go", "if left > 0 && left <= retryAfterMax && r.Credential", "if r.Credential", "pkg/flow"},
	{"and not before its time", "pkg/flow/decide.go", "if g != nil && g.Rejected != nil && !w.probe {", "if false {\n\t\tr := g.Rejected\n\t\t_ = r\n\t}\n\tif false {", "pkg/flow"},
	{"another secret is tried at once", "pkg/flow/decide.go", " && r.Credential == c.clientCredentialHash(ctx)", "", "pkg/flow"},
	{"a secret that has just changed", "pkg/flow/exchange.go", "c.clientCredentialHash(ctx) != credential {", "false {", "pkg/flow"},
	{"a rate limit is stored", "pkg/flow/decide.go", "if left := g.Held.Sub(now); left > 0", "if left := g.Held.Sub(now); false && left > 0", "pkg/flow"},
	{"a failed login changes no grant", "pkg/flow/headless.go", "if prior.exists() && prior.State != GrantDead && prior.RefreshToken != \"\" {", "if false {", "pkg/flow"},
	{"a restored grant is not used", "pkg/flow/decide.go", "case g.Restored && !c.rotationOff(g):", "case false:", "pkg/flow"},
	{"the former refresh token is kept", "pkg/flow/login.go", "keepRefreshToken(g, prior)", "_ = prior", "pkg/flow"},
	{"for the same subject", "pkg/flow/login.go", "g.Subject == \"\" || g.Subject != prior.Subject", "false", "pkg/flow"},
	{"the same text with a new life", "pkg/flow/snapshot.go", " && was.token.Expiry.Equal(t.Expiry)", "", "pkg/flow"},
	{"an invalid_grant loads again first", "pkg/flow/exchange.go", "err == nil && now != nil && now.RefreshToken != g.RefreshToken", "err == nil && now == nil", "pkg/flow"},
	{"a store that answers again is asked", "pkg/flow/failure.go", "case ClassStoreUnavailable, ClassStoreCorrupt:\n\t\tc.backOff(localBackoff, e)", "case ClassStoreUnavailable, ClassStoreCorrupt:\n\t\tc.backOff(\"\", e)", "pkg/flow"},
	{"and not all the time", "pkg/flow/flight.go", "return nil, false, c.failed(ctx, w, e)\n\t}\n\tdefer l.release()", "return nil, false, e\n\t}\n\tdefer l.release()", "pkg/flow"},
	{"another process's refresh ends a failure", "pkg/flow/persist.go", "c.othersSucceeded(g)", "", "pkg/flow"},
	{"a failed one does not", "pkg/flow/failure.go", "if g.Failure == nil && !slices", "if !slices", "pkg/flow"},
	{"nor one that is not verified", "pkg/flow/failure.go", " && !slices.ContainsFunc(g.Tokens, pending)", " && (true || slices.ContainsFunc(g.Tokens, pending))", "pkg/flow"},
	{"but not that of this machine", "pkg/flow/failure.go", "at = nil // no other", "_ = nil == at // no other", "pkg/flow"},
	{"a dead holder's lease is free", "internal/store/sqlite/lease.go", "if s.alive.ended(h.holder) {", "if false {", "internal/store/sqlite"},
	{"a clock that is set takes no lease", "internal/store/sqlite/lease.go", "(uptime.Seconds() >= h.uptime || !s.lives(h.holder))", "true", "internal/store/sqlite"},
	{"a stopped holder's lease runs out", "internal/store/sqlite/lease.go", "(uptime.Seconds() >= h.uptime || !s.lives(h.holder))", "!s.lives(h.holder)", "internal/store/sqlite"},
	{"a replaced file is noticed", "internal/store/sqlite/identity.go", "case !os.SameFile(fi, s.file):", "case false && !os.SameFile(fi, s.file):", "internal/store/sqlite"},
	{"an older copy is noticed", "internal/store/sqlite/identity.go", "UPDATE grants SET restored = 1", "UPDATE grants SET restored = 0", "internal/store/sqlite"},
	{"of each database with the keyset", "internal/store/sqlite/mark.go", "if v.Store == store {", "if true {", "internal/store/sqlite"},
	{"a spilled login after a logout counts", "internal/store/spill.go", "return !same && a.LoggedIn.After(b.Exchanged)", "return false", "internal/store"},
	{"a spilled refresh before it does not", "internal/store/spill.go", "return !same && a.LoggedIn.After(b.Exchanged)", "return true", "internal/store"},
	{"one process polls a device code", "pkg/flow/devicestore.go", "if p.lease == nil || took && !p.began {", "if false {", "pkg/flow"},
	{"its lease is checked before a poll", "pkg/flow/devicestore.go", "if p.lease != nil && p.lease.check() != nil {", "if false {", "pkg/flow"},
	{"another process finds the device login", "pkg/flow/devicestore.go", "ok && (p == nil ||", "ok && false && (p == nil ||", "pkg/flow"},
	{"a login elsewhere ends it", "pkg/flow/devicestore.go", "|| took && c.loggedInElsewhere(ctx, p)", "", "pkg/flow"},
	{"a logout elsewhere ends it", "pkg/flow/devicestore.go", "c.keeper() != nil && stored != nil", "false && stored != nil", "pkg/flow"},
	{"a logout drops pending logins", "pkg/flow/forget.go", "return k.DropLogins(ctx, c.key)", "return nil", "pkg/flow"},
	{"a moved grant is not used", "pkg/flow/decide.go", "case g.Moved:", "case false:", "pkg/flow"},
	{"a moved grant is not revoked", "pkg/flow/forget.go", " && !g.Moved", "", "pkg/flow"},
	{"a pending login is taken once", "internal/store/sqlite/logins.go", "`DELETE FROM logins WHERE id = ?1 AND ?2 IN (key, '') RETURNING key, expires, sealed`", "`SELECT key, expires, sealed FROM logins WHERE id = ?1 AND ?2 IN (key, '')`", "internal/store/sqlite"},
	{"the store says which key seals", "internal/store/sqlite/identity.go", "return s.followKey(p.check)", "return nil", "internal/store"},
	{"a key in use is not removed", "internal/store/rotate.go", "len(r.Kept) == 0 || len(count) > 0 || r.Shared || stay", "len(r.Kept) == 0 || r.Shared || stay", "internal/store"},
	{"a grant that is spilled then gets the new key", "internal/store/spill.go", "for err == nil && s.keys.Refresh() {", "for false {", "internal/store"},
	{"replicas seal with the key of their store", "internal/store/postgres/rotate.go", "AND key_id = $2::bigint `", "AND (key_id = $2::bigint OR true) `", "internal/store/postgres"},
	{"the lock of a shard orders save and rotation", "internal/store/postgres/rotate.go", "toUpdate = \"FOR NO KEY UPDATE\"", "toUpdate = \"\"", "internal/store/postgres"},
	{"a save that was sealed again is recognized", "internal/store/postgres/grants.go", "return err == nil && bytes.Equal(plain, w.plain)", "return err == nil && bytes.Equal(plain, w.plain) && false", "internal/store/postgres"},
	{"other machines keep the former key", "internal/store/rotate.go", "|| r.Shared || stay {", "|| r.Shared {", "internal/store"},
	{"a replica without the key stops its use", "internal/store/rotate.go", "if lacks {", "if lacks && false {", "internal/store"},
	{"a spilled grant without its key is an error", "internal/store/spill.go", "err != nil && ok && !keys.Knows(id)", "err != nil && ok && !keys.Knows(id) && false", "internal/store"},
	{"an export holds the grants", "internal/store/transfer.go", "g.Moved = moved", "_ = moved", "internal/store"},
	{"an import keeps later grants", "internal/store/transfer.go", "case !later(g, stored):", "case false:", "internal/store"},
}

// TestEveryStepOfTheProtocol removes the steps, one at a time. MUTANTS=all or
// MUTANTS=protocol tries all, MUTANTS=STEP one of them; otherwise it tries the first.
func TestEveryStepOfTheProtocol(t *testing.T) {
	for i, s := range steps {
		if wanted := os.Getenv("MUTANTS"); i > 0 && wanted != "all" && wanted != "protocol" && wanted != s.step {
			continue
		}
		t.Run(s.step, func(t *testing.T) {
			m, err := mutation.Replace(filepath.Join("..", filepath.FromSlash(s.file)), s.old, s.new)
			if err != nil {
				t.Fatal(err)
			}
			test, err := m.CaughtBy(own(s.tests)...)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("caught by %s", test)
		})
	}
}
