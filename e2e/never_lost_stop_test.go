//go:build unix

package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

// TestStop_BetweenIntentAndPost: a process is stopped after its intent is stored
// and before its request is sent, and continues after another one has rotated
// twice. It must not send its refresh token, which is used by then.
//
// Row F28 of docs/guarantees.md.
func TestStop_BetweenIntentAndPost(t *testing.T) {
	t.Parallel()
	for _, connection := range []string{"kept", "kept too", "dialed"} {
		t.Run(connection, func(t *testing.T) {
			t.Parallel()
			stoppedBetween(t, connection != "dialed")
		})
	}
}

func stoppedBetween(t *testing.T, keepAlive bool) {
	tenant := countPosts(t, keepAlive)
	one := newAgent(t, tenant.Tenant, "TOKEND_CLIENT_DEMO_LEEWAY=300s")
	one.start(t, "")
	one.loggedIn(t)
	two := &agent{dir: t.TempDir(), env: one.env}
	two.start(t, "")
	two.loggedIn(t)
	answered := one.stopBeforePost(t, tenant)
	before := tenant.Families()[0].Generation
	err := within(90*time.Second, func() error {
		status, body := two.ask(t.Context(), "POST", "/v1/clients/demo/refresh")
		if tenant.Families()[0].Generation < before+2 {
			return fmt.Errorf("not rotated twice: %d %s", status, body)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	one.signal(t, syscall.SIGCONT)
	r := <-answered
	t.Logf("the process that was stopped answers %d %s", r.status, r.body)
	time.Sleep(time.Second) // for a late request
	if sent := postsPerToken(tenant.Tenant); slices.Max(sent) > 1 {
		t.Errorf("POSTs per refresh token %v: a spent token was sent", sent)
	}
	oneLogin(t, tenant.Tenant)
	one.refreshed(t, 10*time.Second)
	two.refreshed(t, 10*time.Second)
	oneLogin(t, tenant.Tenant)
}

// countedTenant counts its token requests as soon as they arrive.
type countedTenant struct {
	*mock.Tenant
	posts atomic.Int64
}

func countPosts(t *testing.T, keepAlive bool) *countedTenant {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	e := rotatingTenant(300, 86400)
	tenant, err := mock.New(mock.Config{Tenant: e, Issuer: "http://" + l.Addr().String() + "/"})
	must(t, err)
	c := &countedTenant{Tenant: tenant}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			c.posts.Add(1)
		}
		tenant.ServeHTTP(w, r)
	})}
	srv.SetKeepAlivesEnabled(keepAlive)
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return c
}

// stopBeforePost forces refreshes and runs the process in slices of some
// microseconds until it is stopped between intent and request.
func (a *agent) stopBeforePost(t *testing.T, tenant *countedTenant) <-chan reply {
	t.Helper()
	for attempt := range 200 {
		posts, revision := tenant.posts.Load(), a.revision(t)
		answered := a.refreshLater()
		for tenant.posts.Load() == posts && len(answered) == 0 {
			time.Sleep(time.Duration(20+10*(attempt%5)) * time.Microsecond)
			a.signal(t, syscall.SIGSTOP)
			a.hasStopped(t)
			time.Sleep(2 * time.Millisecond) // for a sent request to arrive
			if tenant.posts.Load() == posts && a.databaseFree(t) && a.revision(t) != revision {
				t.Logf("stopped in attempt %d", attempt+1)
				return answered
			}
			a.signal(t, syscall.SIGCONT)
		}
		// databaseFree may hold the lock while the process wants it: an error without a POST.
		if r := <-answered; r.status != 200 && (r.status != 503 || tenant.posts.Load() != posts) {
			t.Fatalf("refresh: %d %s", r.status, r.body)
		}
	}
	t.Fatal("the process was never stopped between intent and request")
	return nil
}

// hasStopped waits until every thread has stopped, which takes a while on a busy
// machine.
func (a *agent) hasStopped(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/proc/self/task"); err != nil {
		time.Sleep(50 * time.Millisecond)
		return
	}
	eventually(t, func() error {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", a.Process.Pid))
		for _, name := range threads {
			stat, err := os.ReadFile(name)
			if err != nil || !strings.Contains(string(stat), ") T ") {
				return fmt.Errorf("not stopped: %q, %w", stat, err)
			}
		}
		return err
	})
}

// revision returns the revision of the stored grant; storing an intent increments
// it.
func (a *agent) revision(t *testing.T) (n int64) {
	t.Helper()
	if a.pg != nil {
		n, err := strconv.ParseInt(a.pg.SQL(t, a.pgName, "SELECT max(revision) FROM tokend_grants"), 10, 64)
		must(t, err)
		return n
	}
	db := openDatabase(t, a.database())
	must(t, db.QueryRowContext(t.Context(), "SELECT max(revision) FROM grants").Scan(&n))
	must(t, db.Close())
	return n
}

// databaseFree reports whether the stopped process holds no lock on the database,
// which would block the other one, too.
func (a *agent) databaseFree(t *testing.T) bool {
	t.Helper()
	if a.pg != nil {
		return true // the server completes each statement by itself
	}
	db := openDatabase(t, a.database())
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), "PRAGMA busy_timeout = 0"); err != nil {
		return false
	}
	if _, err := db.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		return false
	}
	_, err := db.ExecContext(t.Context(), "ROLLBACK")
	return err == nil
}
