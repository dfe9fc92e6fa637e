package postgres_test

import (
	"errors"
	"testing"
	"time"

	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/postgres/pgtest"
	"example.com/tokend/pkg/flow"
)

// ownClock gives a database a clock of its own: a function that is found before that
// of PostgreSQL, and adds what the table has.
const ownClock = `
	CREATE SCHEMA clock;
	CREATE TABLE clock.set (ahead interval NOT NULL);
	INSERT INTO clock.set VALUES ('1 hour');
	CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT pg_catalog.clock_timestamp() + ahead FROM clock.set'`

// TestLease_DatabaseHasTheClock: a lease is taken, kept by its renewal and lost by the
// database's clock. That of this machine, an hour behind, does not matter.
func TestLease_DatabaseHasTheClock(t *testing.T) {
	url, o := cluster.URL(t), postgres.Options{Sealer: newKeys(t)}
	db := pgtest.Database(t, url)
	cluster.SQL(t, db, ownClock)
	url += "&search_path=clock,pg_catalog,public"
	one, two := open(t, url, o), open(t, url, o)
	pass := func(d string) { cluster.SQL(t, db, "UPDATE clock.set SET ahead = ahead + interval '"+d+"'") }
	l, err := one.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	held := func(after string) {
		t.Helper()
		pass(after)
		if _, err := two.Lock(t.Context(), "a", time.Minute); !errors.Is(err, flow.ErrLocked) {
			t.Errorf("Lock after %s = %v, want ErrLocked", after, err)
		}
	}
	held("40 s")
	must(t, l.Renew(t.Context()))
	held("40 s")
	pass("21 s")
	if _, err := two.Lock(t.Context(), "a", time.Minute); err != nil {
		t.Errorf("Lock after the ttl = %v", err)
	}
	if err := l.Renew(t.Context()); !errors.Is(err, flow.ErrConflict) {
		t.Errorf("Renew = %v, want ErrConflict", err)
	}
}
