package postgres_test

import (
	"strconv"
	"sync"
	"testing"

	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/postgres/pgtest"
)

// Undo the migrations after a version.
const (
	toVersion2 = "ALTER TABLE tokend_shards DROP COLUMN key_id; UPDATE tokend_meta SET value = '2' WHERE name = 'schema';"
	toVersion1 = toVersion2 + "DROP TABLE tokend_logins; UPDATE tokend_meta SET value = '1' WHERE name = 'schema'"
)

// TestMigrate: an older schema is brought to the newest once, by one of the processes
// that start, and keeps its grants and the key that seals. Check does not change it.
func TestMigrate(t *testing.T) {
	for version, undo := range map[string]string{"1": toVersion1, "2": toVersion2} {
		t.Run("version "+version, func(t *testing.T) { testMigrate(t, undo) })
	}
}

func testMigrate(t *testing.T, undo string) {
	url, o := cluster.URL(t), postgres.Options{Sealer: newKeys(t)}
	s, err := postgres.Open(t.Context(), url, o)
	must(t, err)
	put(t, s, "a", 7)
	must(t, s.Close())
	db := pgtest.Database(t, url)
	cluster.SQL(t, db, undo)
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
	if v := cluster.SQL(t, db, "SELECT value FROM tokend_meta WHERE name = 'schema'"); v != "3" {
		t.Errorf("schema version %s", v)
	}
	s = open(t, url, o)
	put(t, s, "a", 8)
	in, err := s.SealingKey(t.Context())
	must(t, err)
	if ids := cluster.SQL(t, db, "SELECT DISTINCT key_id FROM tokend_shards"); ids != strconv.FormatUint(uint64(in), 10) {
		t.Errorf("keys of the shards: %s, want %d", ids, in)
	}
}
