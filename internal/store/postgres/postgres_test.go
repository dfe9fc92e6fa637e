package postgres_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/postgres/pgtest"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

// cluster is the server of this package's tests.
var cluster *pgtest.Cluster

func TestMain(m *testing.M) {
	childMain()
	os.Exit(pgtest.Main(m, func(c *pgtest.Cluster) { cluster = c }))
}

func newKeys(t testing.TB) *seal.Keyset {
	t.Helper()
	k, err := seal.New()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, url string, o postgres.Options) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// put saves a grant with a generation.
func put(t testing.TB, s *postgres.Store, key string, generation int64) *flow.Grant {
	t.Helper()
	l, err := s.Lock(t.Context(), key, time.Minute)
	must(t, err)
	g, err := s.Load(t.Context(), key)
	if errors.Is(err, flow.ErrNotFound) {
		g, err = storetest.Grant(), nil
	}
	must(t, err)
	g.Generation = generation
	must(t, s.Save(t.Context(), l, g))
	must(t, l.Release(t.Context()))
	return g
}

func TestStore(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	storetest.Run(t, func(t testing.TB) storetest.Opened {
		var skew atomic.Int64
		o := postgres.Options{Sealer: newKeys(t), Skew: func() time.Duration { return time.Duration(skew.Load()) }}
		url := cluster.URL(t)
		o.MarkFiles = []string{filepath.Join(t.TempDir(), "mark")}
		db := pgtest.Database(t, url)
		return storetest.Opened{
			Store: open(t, url, o), Other: open(t, url, o),
			Advance: func(d time.Duration) { skew.Add(int64(d)) },
			Raw: func(t testing.TB) []byte {
				return []byte(cluster.SQL(t, db, "SELECT encode(key, 'escape'), encode(sealed, 'escape'), r::text FROM tokend_grants r") +
					cluster.SQL(t, db, "SELECT encode(key, 'escape'), encode(sealed, 'escape'), r::text FROM tokend_logins r"))
			},
			Swap: func(t testing.TB) {
				for _, table := range []string{"tokend_grants", "tokend_logins"} {
					cluster.SQL(t, db, "UPDATE "+table+" a SET sealed = b.sealed FROM "+table+" b WHERE a.id <> b.id")
				}
			},
			Snapshot: func(t testing.TB) func(testing.TB) flow.Store {
				cluster.SQL(t, db, backup)
				return func(t testing.TB) flow.Store {
					cluster.SQL(t, db, goBack)
					return open(t, url, o)
				}
			},
		}
	})
}
