package e2e_test

import (
	"testing"

	"example.com/tokend/internal/store/postgres/pgtest"
)

// replicaSteps are what replicas on one PostgreSQL database rely on: the steps of the
// protocol, tested with two of them, and those of the store.
var replicaSteps = []step{
	// The protocol.
	{"the intent is stored before the request", "pkg/flow/exchange.go", "if err := x.c.save(ctx, x.l, g); err != nil {\n\t\treturn storeError(\"intent\", err)\n\t}", "", "TestPostgres_UsedTokenIsNotSentAgain"},
	{"the grant is loaded again under the lease", "pkg/flow/flight.go", "g, revision, e := c.load(ctx) // another process may have refreshed it since", "var revision int64\n\tif g != nil {\n\t\trevision = g.Revision\n\t}", "TestPostgres_AllRefreshAtOnce"},
	{"a lease excludes others", "internal/store/postgres/lease.go", "AND (g.owner IS NULL OR", "AND (true OR g.owner IS NULL OR", "TestPostgres_AllRefreshAtOnce"},
	{"the lease is checked before the first byte", "pkg/flow/exchange.go", "opts.checkLease = x.l.check", "opts.checkLease = nil", "TestPostgres_StoppedBetweenIntentAndPost"},
	{"one POST", "pkg/flow/send.go", "r, err = c.http.Do(req)", "if r, err = c.http.Do(req); err == nil && r.StatusCode == 503 {\n\t\treturn c.send(ctx, op, endpoint, form, opts)\n\t}", "TestPostgres_UsedTokenIsNotSentAgain"},
	{"nothing is served before it is durable", "pkg/flow/accept.go", "if e := c.persist(ctx, x.f, x.l, g); e != nil {", "c.setSnapshot(g)\n\tif e := c.persist(ctx, x.f, x.l, g); e != nil {", "TestPostgres_NothingIsServedBeforeItIsDurable"},
	{"a save is notified", "internal/store/postgres/grants.go", "SELECT saves, pg_notify(", "SELECT saves, concat(", "TestPostgres_Notified"},
	{"a replica listens", "internal/store/postgres/watch.go", "s.note(shard, saves)\n\tchanged(string(key))", "s.note(shard, saves)\n\t_ = key", "TestPostgres_Notified"},
	{"lost notifications are reported", "internal/store/postgres/watch.go", "s.watching.Store(&watchState{err: plain(err)})", "_ = plain(err)", "TestPostgres_Readiness"},
	{"replicas are listed", "internal/store/postgres/processes.go", `c.RuntimeParams["application_name"] = s.name`, "", "internal/store/postgres TestProcesses_Listed"},
	{"of this store only", "internal/store/postgres/processes.go", "starts_with(application_name, $1::text)", "$1::text <> ''", "internal/store/postgres TestProcesses_OfThisStore"},
	{"a logout is stored", "pkg/flow/forget.go", "t.State, t.LoggedIn = GrantLoggedOut, time.Time{}", "t.LoggedIn = time.Time{}", "TestPostgres_Logout"},
	{"pending logins are in the database", "cmd/tokend/reload.go", "Logins: s.grants, ", "", "TestPostgres_LoginFinishedElsewhere"},

	// Leases.
	{"a lease ends", "internal/store/postgres/lease.go", "OR g.ends <= clock.now OR", "OR", "internal/store/postgres TestStore"},
	{"by the database's clock", "internal/store/postgres/lease.go", "SELECT clock_timestamp() + make_interval(secs => $5::float8) AS now", "SELECT '`+time.Now().Format(time.RFC3339Nano)+`'::timestamptz + make_interval(secs => $5::float8) AS now", "internal/store/postgres TestLease_DatabaseHasTheClock"},
	{"and is renewed by it", "internal/store/postgres/lease.go", "SET ends = clock_timestamp() +", "SET ends = '`+time.Now().Format(time.RFC3339Nano)+`'::timestamptz +", "internal/store/postgres TestLease_DatabaseHasTheClock"},
	{"an impossible end counts as passed", "internal/store/postgres/lease.go", " OR g.ends > clock.now + 2 * g.ttl)", ")", "internal/store/postgres TestLease_ClockOfDatabase"},
	{"only its owner renews a lease", "internal/store/postgres/lease.go", "make_interval(secs => $3::float8) WHERE id = $1::bytea AND owner = $2::text", "make_interval(secs => $3::float8) WHERE id = $1::bytea AND $2::text <> ''", "internal/store/postgres TestStore"},
	{"only its owner releases it", "internal/store/postgres/lease.go", "SET owner = NULL WHERE id = $1::bytea AND owner = $2::text", "SET owner = NULL WHERE id = $1::bytea AND $2::text <> ''", "internal/store/postgres TestStore"},

	// Saves.
	{"a save needs the lease", "internal/store/postgres/grants.go", "AND g.owner = $4::text AND g.revision", "AND $4::text <> '' AND g.revision", "internal/store/postgres TestStore"},
	{"and the revision that it was made from", "internal/store/postgres/grants.go", "AND g.revision = $5::bigint AND", "AND $5::bigint >= 0 AND", "internal/store/postgres TestStore"},
	{"a save that was committed is not refused", "internal/store/postgres/grants.go", "case revision == w.revision && s.wrote(w, sealed):", "case false && s.wrote(w, sealed):", "internal/store/postgres TestLost_Save"},
	{"a lost connection is not an error", "internal/store/postgres/errors.go", "case !transient(err):", "case true:", "internal/store/postgres TestLost_EveryOperation"},
	{"a pending login is taken once", "internal/store/postgres/logins.go", "UPDATE tokend_logins SET taken = $2::text WHERE id = $1::bytea AND (taken IS NULL OR taken = $2::text)", "UPDATE tokend_logins SET taken = $2::text WHERE id = $1::bytea", "internal/store/postgres TestStore"},

	// The database.
	{"one process creates the tables", "internal/store/postgres/schema.go", "SELECT pg_advisory_xact_lock(hashtextextended(", "SELECT (hashtextextended(", "internal/store/postgres TestProcesses_NoLostUpdate|TestMigrate_Version1"},
	{"a server that accepts no writes is not used", "internal/store/postgres/dsn.go", "c.ValidateConnect = validate", "_ = validate", "internal/store/postgres TestFailover"},
	{"another store is noticed", "internal/store/postgres/age.go", "case store != s.id:", "case false:", "internal/store/postgres TestReplaced_WhileOpen"},
	{"an older copy is noticed", "internal/store/postgres/age.go", "case saves < seen:", "case false:", "internal/store/postgres TestRestored_WhileOpen"},
	{"after a restart, too", "internal/store/postgres/age.go", "_ = s.mark.raise(shard, saves)", "", "internal/store/postgres TestRestored_OlderCopy"},
	{"an older row is noticed", "internal/store/postgres/grants.go", "if *revision < known {", "if *revision < 0*known {", "internal/store/postgres TestRestored_OneRow"},
	{"its grants are marked for all replicas", "internal/store/postgres/age.go", "UPDATE tokend_grants SET restored = true WHERE shard", "UPDATE tokend_grants SET restored = false WHERE shard", "internal/store/postgres TestRestored_OlderCopy"},
	{"no revision is used twice", "internal/store/postgres/age.go", "UPDATE tokend_shards SET saves = $2::bigint WHERE", "UPDATE tokend_shards SET saves = saves + 0 * $2::bigint WHERE", "internal/store/postgres TestRestored_OlderCopy"},
	{"changes without a listener are read", "internal/store/postgres/watch.go", "changed(\"\") // changes before LISTEN were not notified", "", "internal/store/postgres TestWatch_ConnectionLost"},
}

// TestEveryStepOfTheReplicas removes the steps, one at a time. MUTANTS=all or
// MUTANTS=replicas tries all; otherwise it tries one.
func TestEveryStepOfTheReplicas(t *testing.T) {
	pgtest.Require(t)
	removeSteps(t, "replicas", replicaSteps)
}
