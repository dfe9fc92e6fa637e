package postgres_test

import (
	"testing"
	"time"

	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/postgres/pgtest"
	"example.com/tokend/internal/store/storetest"
)

// TestLease_IsNotSynced: a save waits until its commit is durable, here on a standby that
// there is not. A lease is taken and released without waiting.
func TestLease_IsNotSynced(t *testing.T) {
	c := pgtest.New(t)
	url := c.URL(t)
	s := open(t, url, postgres.Options{Sealer: newKeys(t)})
	c.SQL(t, "postgres", "ALTER SYSTEM SET synchronous_standby_names = 'none'")
	c.SQL(t, "postgres", "SELECT pg_reload_conf()")
	for c.SQL(t, "postgres", "SHOW synchronous_standby_names") != "none" {
		time.Sleep(10 * time.Millisecond) // the server reads its file
	}
	began := time.Now()
	l, err := s.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	must(t, l.Release(t.Context()))
	l, err = s.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	if took := time.Since(began); took > waits {
		t.Errorf("the lease took %v", took)
	}
	// The wait ends at the deadline of the operation; the server has written the row.
	began = time.Now()
	err = s.Save(t.Context(), l, storetest.Grant())
	if took := time.Since(began); took < waits {
		t.Errorf("Save = %v after %v, without the standby", err, took)
	}
}

// waits is less than the deadline of an operation.
const waits = 3 * time.Second
