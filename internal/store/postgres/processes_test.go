package postgres_test

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/postgres/pgtest"
	"example.com/tokend/pkg/flow"
)

// ids are the process ids of those that have a store open, the own one negative.
func ids(t *testing.T, s *postgres.Store) (found []int) {
	t.Helper()
	list, err := s.Processes(t.Context())
	must(t, err)
	for _, p := range list {
		if host, _ := os.Hostname(); p.Host != host || time.Since(p.Since).Abs() > time.Minute {
			t.Errorf("a process on %q since %s", p.Host, p.Since)
		}
		if p.Own {
			p.ID = -p.ID
		}
		found = append(found, p.ID)
	}
	slices.Sort(found)
	return found
}

// Each process that listens is listed, by a user of the database without further rights,
// and no longer when it has ended.
func TestProcesses_Listed(t *testing.T) {
	url, keys := cluster.URL(t), newKeys(t)
	cluster.SQL(t, "postgres", "CREATE ROLE plain LOGIN; ALTER DATABASE "+pgtest.Database(t, url)+" OWNER TO plain")
	url = as(url, "plain")
	s := open(t, url, postgres.Options{Sealer: keys})
	if found := ids(t, s); len(found) != 0 {
		t.Errorf("before anybody listens: %d", found)
	}
	watch(t, s)
	cmd, out := child(t, childTask{URL: url, Keys: keysText(t, keys), Watch: true})
	if line, err := out.ReadString('\n'); err != nil {
		t.Fatalf("child: %q, %v", line, err)
	}
	if found, want := ids(t, s), []int{-os.Getpid(), cmd.Process.Pid}; !slices.Equal(found, want) {
		t.Errorf("two processes listen: %d, want %d", found, want)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()                                                                     // it was killed
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) { // until the server notices
		found := ids(t, s)
		if slices.Equal(found, []int{-os.Getpid()}) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("after one was killed: %d", found)
		}
	}
}

// Another store in the database is of other processes.
func TestProcesses_OfThisStore(t *testing.T) {
	url, o := cluster.URL(t), postgres.Options{Sealer: newKeys(t)}
	cluster.SQL(t, pgtest.Database(t, url), "CREATE SCHEMA other")
	s, other := open(t, url, o), open(t, url+"&search_path=other", o)
	watch(t, other)
	if found := ids(t, s); len(found) != 0 {
		t.Errorf("of another store: %d", found)
	}
	if found := ids(t, other); !slices.Equal(found, []int{-os.Getpid()}) {
		t.Errorf("%d", found)
	}
}

// A database that does not answer costs as long as the caller allows.
func TestProcesses_DatabaseStopped(t *testing.T) {
	c := pgtest.New(t)
	s := open(t, c.URL(t), postgres.Options{Sealer: newKeys(t)})
	resume, err := c.Pause()
	must(t, err)
	defer func() { must(t, resume()) }()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if found, err := s.Processes(ctx); err == nil || time.Since(began) > 3*time.Second {
		t.Errorf("%v, %v after %s", found, err, time.Since(began))
	}
}

var _ flow.ProcessLister = (*postgres.Store)(nil)
