package postgres_test

import (
	"sync"
	"testing"

	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/postgres/pgtest"
)

// toVersion1 undoes migration 2.
const toVersion1 = "DROP TABLE tokend_logins; UPDATE tokend_meta SET value = '1' WHERE name = 'schema'"

// TestMigrate_Version1: an older schema is brought to the newest once, by one of the
// processes that start, and keeps its grants. Check does not change it.
func TestMigrate_Version1(t *testing.T) {
	url, o := cluster.URL(t), postgres.Options{Sealer: newKeys(t)}
	s, err := postgres.Open(t.Context(), url, o)
	must(t, err)
	put(t, s, "a", 7)
	must(t, s.Close())
	db := pgtest.Database(t, url)
	cluster.SQL(t, db, toVersion1)
	before := content(t, url)
	if made, err := postgres.Check(t.Context(), url, o); !made || err != nil {
		t.Errorf("Check = %v, %v", made, err)
	}
	if after := content(t, url); after != before {
		t.Errorf("Check changed the database: was %s\nis  %s", before, after)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := postgres.Open(t.Context(), url, o)
			if err != nil {
				t.Error(err)
				return
			}
			if g, err := s.Load(t.Context(), "a"); err != nil || g.Generation != 7 {
				t.Errorf("Load = %+v, %v", g, err)
			}
			if list, err := s.PendingLogins(t.Context(), "a"); err != nil || list != nil {
				t.Errorf("PendingLogins = %v, %v", list, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if v := cluster.SQL(t, db, "SELECT value FROM tokend_meta WHERE name = 'schema'"); v != "2" {
		t.Errorf("schema version %s", v)
	}
}
