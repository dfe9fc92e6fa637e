package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/postgres/pgtest"
	"example.com/tokend/pkg/flow"
)

// pair is a primary with a standby, and the URL that names both, the standby first.
func pair(t *testing.T) (primary, standby *pgtest.Cluster, url, standbyURL string) {
	t.Helper()
	primary = pgtest.New(t)
	url = primary.URL(t)
	standby = primary.Standby(t)
	old, both := fmt.Sprintf("127.0.0.1:%d", primary.Port), fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", standby.Port, primary.Port)
	standbyURL = strings.Replace(url, old, fmt.Sprintf("127.0.0.1:%d", standby.Port), 1)
	return primary, standby, strings.Replace(url, old, both, 1), standbyURL
}

// awaitStandby waits until the standby has replayed everything.
func awaitStandby(t *testing.T, primary *pgtest.Cluster) {
	t.Helper()
	for range 500 {
		if primary.SQL(t, "postgres", "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_insert_lsn()") == "1" {
			return
		}
	}
	t.Fatal("the standby does not follow")
}

// TestFailover: of several hosts the one that accepts writes is used, and after a
// failover the other one, without a restart.
func TestFailover(t *testing.T) {
	primary, standby, url, standbyURL := pair(t)
	o := postgres.Options{Sealer: newKeys(t)}
	s := open(t, url, o)
	h := watch(t, s)
	put(t, s, "a", 1)
	_, err := postgres.Open(t.Context(), standbyURL, o)
	if err == nil || !strings.Contains(err.Error(), "the database is read-only") || !strings.Contains(hint.Of(err), "primary") || errors.Is(err, postgres.ErrUnreachable) {
		t.Errorf("Open of the standby = %v", err)
	}
	awaitStandby(t, primary)
	must(t, primary.Halt(true))
	if err := s.Ping(t.Context()); !errors.Is(err, postgres.ErrUnreachable) && !strings.Contains(fmt.Sprint(err), "read-only") {
		t.Errorf("Ping without a primary = %v", err)
	}
	standby.Promote(t)
	put(t, s, "a", 2)
	if g, err := s.Load(t.Context(), "a"); err != nil || g.Generation != 2 || g.Restored {
		t.Errorf("Load = %+v, %v", g, err)
	}
	h.await(t, "")
	put(t, s, "b", 1)
	h.await(t, "b")
}

// TestFailover_LateStandby: a standby that has not received the last saves is an
// older copy: the grants are marked, and nothing of them is sent.
func TestFailover_LateStandby(t *testing.T) {
	primary, standby, url, _ := pair(t)
	o := postgres.Options{Sealer: newKeys(t)}
	s := open(t, url, o)
	put(t, s, "a", 1)
	awaitStandby(t, primary)
	standby.SQL(t, "postgres", "ALTER SYSTEM SET primary_conninfo = ''")
	standby.SQL(t, "postgres", "SELECT pg_reload_conf()")
	for standby.SQL(t, "postgres", "SELECT count(*) FROM pg_stat_wal_receiver") != "0" {
		t.Log("the standby still receives")
	}
	lost := put(t, s, "a", 2)
	must(t, primary.Halt(true))
	standby.Promote(t)
	_, err := s.Load(t.Context(), "a")
	if !errors.Is(err, flow.ErrReplaced) || !strings.Contains(err.Error(), "was restored to an older state") {
		t.Errorf("Load = %v", err)
	}
	restored(t, s, "a", true)
	restored(t, open(t, url, o), "a", true)
	if g := put(t, s, "a", 3); g.Revision <= lost.Revision {
		t.Errorf("revision %d, %d was lost", g.Revision, lost.Revision)
	}
}

// TestReadOnlyWhileOpen: a database that becomes read-only costs no grant, and is
// used again when it accepts writes.
func TestReadOnlyWhileOpen(t *testing.T) {
	c := pgtest.New(t)
	s := open(t, c.URL(t), postgres.Options{Sealer: newKeys(t)})
	put(t, s, "a", 1)
	set := func(value string) {
		c.SQL(t, "postgres", "ALTER SYSTEM SET default_transaction_read_only = "+value)
		c.SQL(t, "postgres", "SELECT pg_reload_conf()")
	}
	set("on")
	for range 100 {
		if c.SQL(t, "postgres", "SHOW default_transaction_read_only") == "on" {
			break
		}
	}
	err := s.Ping(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the database is read-only") || strings.Contains(err.Error(), "does not answer") || errors.Is(err, flow.ErrReplaced) || !strings.Contains(hint.Of(err), "name the primary") {
		t.Errorf("Ping = %v (%s)", err, hint.Of(err))
	}
	c.SQL(t, "postgres", "ALTER SYSTEM RESET default_transaction_read_only")
	c.SQL(t, "postgres", "SELECT pg_reload_conf()")
	put(t, s, "a", 2)
}
