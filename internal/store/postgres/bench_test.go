package postgres_test

import (
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/postgres/pgtest"
)

// BenchmarkRefresh measures the store's part of a refresh: lease, load, intent, save,
// release. It alternates with a pair of UPDATEs of a row of the same size; pairs is the
// time of the refresh in such pairs. The server syncs what it commits. statements,
// rows, syncs and bytes of the log are those of one refresh, which no load changes.
func BenchmarkRefresh(b *testing.B) {
	c := pgtest.New(b, "fsync=on")
	url := c.URL(b)
	db := pgtest.Database(b, url)
	o := postgres.Options{Sealer: newKeys(b)}
	s := open(b, url, o)
	put(b, s, "a", 1)
	c.SQL(b, db, "CREATE TABLE pair AS SELECT id, sealed, 0 AS n FROM tokend_grants; ALTER TABLE pair ADD PRIMARY KEY (id)")
	conn, err := pgx.Connect(b.Context(), url)
	must(b, err)
	defer func() { _ = conn.Close(b.Context()) }()
	var refreshes, pairs []time.Duration
	for b.Loop() {
		began := time.Now()
		refresh(b, s, "a")
		refreshes = append(refreshes, time.Since(began))
		began = time.Now()
		updateTwice(b, conn)
		pairs = append(pairs, time.Since(began))
	}
	slices.Sort(refreshes)
	slices.Sort(pairs)
	middle := len(pairs) / 2
	b.ReportMetric(float64(refreshes[middle])/float64(pairs[middle]), "pairs")
	b.ReportMetric(float64(pairs[middle].Microseconds()), "pair-µs")

	count(b, c, db, "", func(n int) {
		s := open(b, url, o)
		for range n {
			refresh(b, s, "a")
		}
		must(b, s.Close())
	})
	count(b, c, db, "pair-", func(n int) {
		conn, err := pgx.Connect(b.Context(), url)
		must(b, err)
		for range n {
			updateTwice(b, conn)
		}
		must(b, conn.Close(b.Context()))
	})
}

// updateTwice updates a row twice, each time in a transaction of its own.
func updateTwice(b *testing.B, conn *pgx.Conn) {
	b.Helper()
	for range 2 {
		sealed := make([]byte, 1000) // about as much as a grant
		_, _ = rand.Read(sealed)     // never fails
		_, err := conn.Exec(b.Context(), "UPDATE pair SET n = n + 1, sealed = $1::bytea", pgx.QueryExecModeExec, sealed)
		must(b, err)
	}
}

// count reports what the server counts of one operation: of 100 more of them. Each
// statement is committed by itself.
func count(b *testing.B, c *pgtest.Cluster, db, prefix string, run func(n int)) {
	b.Helper()
	const n = 100
	var of [3][4]float64 // before, after 0 operations, after n
	of[0] = counters(b, c, db)
	run(0)
	of[1] = counters(b, c, db)
	run(n)
	of[2] = counters(b, c, db)
	for i, name := range []string{"statements", "rows-written", "syncs", "wal-B"} {
		b.ReportMetric((of[2][i]-of[1][i]-(of[1][i]-of[0][i]))/n, prefix+name)
	}
}

// counters reads the counts of all sessions, which have ended: others report them late.
func counters(b *testing.B, c *pgtest.Cluster, db string) (n [4]float64) {
	b.Helper()
	time.Sleep(500 * time.Millisecond) // a session reports at its end, which nothing waits for
	out := c.SQL(b, db, `SELECT xact_commit, tup_inserted + tup_updated + tup_deleted, wal_sync, wal_bytes::bigint
		FROM pg_stat_database, pg_stat_wal WHERE datname = current_database()`)
	for i, text := range strings.Split(out, "|") {
		var err error
		n[i], err = strconv.ParseFloat(text, 64)
		must(b, err)
	}
	return n
}

// refresh makes the calls that a refresh makes.
func refresh(b *testing.B, s *postgres.Store, key string) {
	b.Helper()
	l, err := s.Lock(b.Context(), key, time.Minute)
	must(b, err)
	g, err := s.Load(b.Context(), key)
	must(b, err)
	must(b, s.Save(b.Context(), l, g)) // the intent
	must(b, s.Save(b.Context(), l, g))
	must(b, l.Release(b.Context()))
}
