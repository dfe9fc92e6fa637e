package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/postgres/pgtest"
	"example.com/tokend/internal/store/storetest"
)

// bounced returns the URL of a PgBouncer in transaction mode, with two connections to
// the database of a URL.
func bounced(t *testing.T, url string) string {
	t.Helper()
	at, err := cluster.Bouncer(t, pgtest.Database(t, url))
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") != "true" {
			t.Skipf("pgbouncer: %v", err)
		}
		t.Fatal(err)
	}
	return at
}

// TestPgBouncer: in transaction mode each statement may run on another connection.
// The listener has its own, to the database.
func TestPgBouncer(t *testing.T) {
	direct, o := cluster.URL(t), postgres.Options{Sealer: newKeys(t)}
	url := bounced(t, direct)
	host := net.JoinHostPort("127.0.0.1", strconv.Itoa(cluster.Port))
	s, other := open(t, url+"&listen="+host, o), open(t, url, o)
	h := watch(t, s)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 10 {
				storetest.Increment(t, []*postgres.Store{s, other}[i%2], fmt.Sprint("key", i/2))
			}
		})
	}
	wg.Wait()
	for i := range 4 {
		g, err := s.Load(t.Context(), fmt.Sprint("key", i))
		if err != nil || g.Generation != 20 {
			t.Errorf("Load = %+v, %v", g, err)
		}
	}
	put(t, other, "last", 1)
	h.await(t, "last")
	if found := ids(t, s); len(found) != 1 {
		t.Errorf("one process listens, and %d are listed", found)
	}
	if n := cluster.SQL(t, pgtest.Database(t, direct), "SELECT count(*) <= 4 FROM pg_stat_activity WHERE datname = current_database()"); n != "t" {
		t.Error("the statements did not go through PgBouncer")
	}
}

// TestPgBouncer_ListenerBehindIt: notifications do not arrive there, and the error
// says what to set. Any grant may have changed instead, from time to time.
func TestPgBouncer_ListenerBehindIt(t *testing.T) {
	s := open(t, bounced(t, cluster.URL(t)), postgres.Options{Sealer: newKeys(t)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	changed := make(chan string, 100)
	go func() { done <- s.Watch(ctx, func(key string) { changed <- key }) }()
	var err error
	for range 300 {
		if err = s.WatchError(); err != nil {
			break
		}
		time.Sleep(50 * time.Millisecond) // until the notification that is sent has not arrived
	}
	select {
	case key := <-changed:
		if key != "" {
			t.Errorf("changed(%q)", key)
		}
	case <-time.After(30 * time.Second):
		t.Error("no change is reported")
	}
	cancel()
	if e := <-done; e != nil {
		t.Error(e)
	}
	if err == nil || !strings.Contains(err.Error(), "listen=HOST:PORT") || errors.Is(err, postgres.ErrUnreachable) {
		t.Errorf("WatchError = %v", err)
	}
}
