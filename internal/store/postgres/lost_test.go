package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/postgres/pgtest"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

// TestLost_Save: the connection is lost before a Save reaches the database, or after
// it was committed and before the answer. The grant is saved once, and Save says so.
func TestLost_Save(t *testing.T) {
	for name, where := range map[string]cut{"before": beforeStatement, "after the commit": afterAnswer} {
		t.Run(name, func(t *testing.T) {
			url := cluster.URL(t)
			w, through := newWire(t, url)
			s := open(t, through, postgres.Options{Sealer: newKeys(t)})
			l, err := s.Lock(t.Context(), "a", time.Minute)
			must(t, err)
			for i, times := range []int64{1, 3} {
				w.cutAt(where, "saved AS (", times)
				g := storetest.Grant()
				if i > 0 {
					g, err = s.Load(t.Context(), "a")
					must(t, err)
				}
				g.Generation = int64(i + 1)
				must(t, s.Save(t.Context(), l, g))
				if w.cuts.Load().left.Load() > 0 && where == beforeStatement {
					t.Error("the connection was not lost")
				}
				if got, err := s.Load(t.Context(), "a"); err != nil || got.Generation != g.Generation || got.Revision != g.Revision {
					t.Errorf("Load = %+v, %v", got, err)
				}
			}
			if n := cluster.SQL(t, pgtest.Database(t, url), "SELECT sum(saves) FROM tokend_shards"); n != "2" {
				t.Errorf("%s saves, want 2", n)
			}
		})
	}
}

// TestLost_EveryOperation: each operation succeeds although its connection is lost.
func TestLost_EveryOperation(t *testing.T) {
	w, through := newWire(t, cluster.URL(t))
	s := open(t, through, postgres.Options{Sealer: newKeys(t)})
	put(t, s, "a", 1)
	for name, where := range map[string]cut{"before": beforeStatement, "after the answer": afterAnswer} {
		t.Run(name, func(t *testing.T) {
			var l flow.Lease
			for _, op := range []struct {
				name, word string
				run        func(ctx context.Context) error
			}{
				{"Lock", "WITH clock AS", func(ctx context.Context) (err error) { l, err = s.Lock(ctx, "a", time.Minute); return err }},
				{"Load", "SELECT m.value, s.saves", func(ctx context.Context) error { _, err := s.Load(ctx, "a"); return err }},
				{"Renew", "SET ends = ", func(ctx context.Context) error { return l.Renew(ctx) }},
				{"Release", "SET owner = NULL", func(ctx context.Context) error { return l.Release(ctx) }},
				{"Delete", "deleted AS (", func(ctx context.Context) error { return s.Delete(ctx, "none") }},
				{"Ping", "'probe'", s.Ping},
			} {
				w.cutAt(where, op.word, 1)
				if err := op.run(t.Context()); err != nil || w.cuts.Load().left.Load() > 0 {
					t.Errorf("%s = %v, cut %t", op.name, err, w.cuts.Load().left.Load() == 0)
				}
			}
			if _, err := s.Lock(t.Context(), "a", time.Minute); err != nil {
				t.Errorf("Lock after Release = %v", err)
			}
			cluster.SQL(t, pgtest.Database(t, through), "UPDATE tokend_grants SET owner = NULL")
		})
	}
}

// TestDown: while the database is down, the error names the cause; when it is back,
// nothing needs a restart. Row F30 of docs/guarantees.md.
func TestDown(t *testing.T) {
	c := pgtest.New(t)
	s := open(t, c.URL(t), postgres.Options{Sealer: newKeys(t)})
	g := put(t, s, "a", 1)
	l, err := s.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	must(t, s.Save(t.Context(), l, g)) // as an intent: it makes the lease durable, too
	for _, atOnce := range []bool{true, false} {
		must(t, c.Halt(atOnce))
		start := time.Now()
		err := s.Save(t.Context(), l, g)
		if !errors.Is(err, postgres.ErrUnreachable) || !strings.Contains(err.Error(), "refused") || hint.Of(err) == "" || errors.Is(err, flow.ErrConflict) {
			t.Errorf("Save = %v", err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("Save took %v", d)
		}
		// Back while an operation waits for it.
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Save(t.Context(), l, g); err != nil {
				t.Errorf("Save during the restart = %v", err)
			}
		})
		must(t, c.Resume())
		wg.Wait()
		if got, err := s.Load(t.Context(), "a"); err != nil || got.Revision != g.Revision {
			t.Errorf("Load = %v, %v", got, err)
		}
	}
}

// TestHangs: a database that keeps the connection and does not answer costs an
// operation at most its deadline.
func TestHangs(t *testing.T) {
	c := pgtest.New(t)
	s := open(t, c.URL(t), postgres.Options{Sealer: newKeys(t)})
	put(t, s, "a", 1)
	resume, err := c.Pause()
	must(t, err)
	start := time.Now()
	_, err = s.Load(t.Context(), "a")
	if !errors.Is(err, postgres.ErrUnreachable) || hint.Of(err) == "" {
		t.Errorf("Load = %v", err)
	}
	if d := time.Since(start); d > 6*time.Second {
		t.Errorf("Load took %v", d)
	}
	must(t, resume())
	if _, err := s.Load(t.Context(), "a"); err != nil {
		t.Errorf("Load afterwards = %v", err)
	}
}

// TestSynchronousStandby_DoesNotAnswer: a save that only the primary has fails, because a
// failover would lose it.
func TestSynchronousStandby_DoesNotAnswer(t *testing.T) {
	c := pgtest.New(t)
	s := open(t, c.URL(t), postgres.Options{Sealer: newKeys(t)})
	put(t, s, "a", 1)
	l, err := s.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	g, err := s.Load(t.Context(), "a")
	must(t, err)
	c.SQL(t, "postgres", "ALTER SYSTEM SET synchronous_standby_names = 'absent'")
	c.SQL(t, "postgres", "SELECT pg_reload_conf()")
	for c.SQL(t, "postgres", "SHOW synchronous_standby_names") != "absent" {
		t.Log("the setting is not active yet")
	}
	if err := s.Save(t.Context(), l, g); !errors.Is(err, postgres.ErrUnreachable) {
		t.Errorf("Save = %v", err)
	}
	c.SQL(t, "postgres", "ALTER SYSTEM RESET synchronous_standby_names")
	c.SQL(t, "postgres", "SELECT pg_reload_conf()")
	put(t, s, "b", 1)
}

// TestPoolExhausted: statements that wait for a lock use all connections. The error
// of the next operation says so, and not that the database is down.
func TestPoolExhausted(t *testing.T) {
	url := cluster.URL(t, "pool_max_conns=2")
	s := open(t, url, postgres.Options{Sealer: newKeys(t)})
	put(t, s, "a", 1)
	ctx, cancel := context.WithCancel(t.Context())
	locked := make(chan error, 1)
	go func() {
		_, err := cluster.Psql(ctx, pgtest.Database(t, url), "BEGIN; LOCK TABLE tokend_grants; SELECT 1 FROM pg_sleep(60)")
		locked <- err
	}()
	awaitSQL(t, url, "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'tokend_grants'::regclass", "1")
	var wg sync.WaitGroup
	texts := make(chan string, 3)
	for range 3 {
		wg.Go(func() {
			_, err := s.Load(t.Context(), "a")
			texts <- err.Error() + " hint: " + hint.Of(err)
		})
	}
	wg.Wait()
	cancel()
	<-locked
	close(texts)
	counted := map[bool]int{}
	for text := range texts {
		exhausted := strings.Contains(text, "all 2 connections of the pool were in use") && strings.Contains(text, "pool_max_conns")
		if !exhausted && !strings.Contains(text, "no answer for 4s") {
			t.Error(text)
		}
		counted[exhausted]++
	}
	if counted[true] == 0 {
		t.Errorf("%v: no error named the pool", counted)
	}
	cluster.SQL(t, pgtest.Database(t, url), "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'tokend_grants'::regclass")
	if _, err := s.Load(t.Context(), "a"); err != nil {
		t.Errorf("Load afterwards = %v", err)
	}
}

// awaitSQL waits until a query has that result.
func awaitSQL(t *testing.T, url, query, want string) {
	t.Helper()
	got := ""
	for range 200 {
		if got = cluster.SQL(t, pgtest.Database(t, url), query); got == want {
			return
		}
		time.Sleep(20 * time.Millisecond) // the condition is another process's
	}
	t.Fatalf("%s: %s, want %s", query, got, want)
}

func TestSave_Canceled_ChangesNothing(t *testing.T) {
	s := open(t, cluster.URL(t), postgres.Options{Sealer: newKeys(t)})
	g := put(t, s, "a", 1)
	l, err := s.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.Generation = 2
	if err := s.Save(ctx, l, g); !errors.Is(err, context.Canceled) || errors.Is(err, postgres.ErrUnreachable) {
		t.Errorf("Save = %v, want context.Canceled alone", err)
	}
	if got, err := s.Load(t.Context(), "a"); err != nil || got.Generation != 1 {
		t.Errorf("Load = %v, %v; want generation 1", got, err)
	}
	if err := s.Save(t.Context(), l, g); err != nil {
		t.Errorf("Save afterwards = %v", err)
	}
}
