//go:build unix

package e2e_test

import (
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

// TestPostgres_UsedTokenIsNotSentAgain: without an overlap the outcome of a lost answer
// is known to all replicas. None of them sends the used token while the access token is
// valid, also after the one that sent it was killed.
func TestPostgres_UsedTokenIsNotSentAgain(t *testing.T) {
	t.Parallel()
	t.Run("kill -9 after the commit", func(t *testing.T) {
		t.Parallel()
		tenant := rotating(t, 0, 86400)
		one, two := newReplicas(t).started(t, tenant)
		answered := one.refreshCommitted(t, tenant, "2s")
		one.Kill()
		<-answered
		two.sendsNothing(t, tenant)
	})
	t.Run("503 after the commit", func(t *testing.T) {
		t.Parallel()
		tenant := rotating(t, 0, 86400)
		one, two := newReplicas(t).started(t, tenant)
		_, err := tenant.Fail(mock.Fault{Endpoint: "token", Grant: "refresh_token", Times: 1, Kind: mock.FaultStatus, Status: 503, AfterCommit: true})
		must(t, err)
		one.ask(t.Context(), "POST", "/v1/clients/demo/refresh")
		one.sendsNothing(t, tenant)
		two.sendsNothing(t, tenant)
	})
}

// sendsNothing lets a replica refresh after a lost answer, until the leases of others
// have ended.
func (a *agent) sendsNothing(t *testing.T, tenant *mock.Tenant) {
	t.Helper()
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		if status, body := a.ask(t.Context(), "POST", "/v1/clients/demo/refresh"); status == 200 {
			t.Fatalf("a fresh token: %s", body)
		}
	}
	if err := a.hasToken(); err != nil {
		t.Error(err)
	}
	oneLogin(t, tenant)
	if n := refreshes(tenant); n != 1 {
		t.Errorf("%d POSTs", n)
	}
}

// TestPostgres_AllRefreshAtOnce: callers of several replicas that want a fresh token at
// the same time all get one, and each refresh token is sent once.
func TestPostgres_AllRefreshAtOnce(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	r := newReplicas(t)
	one, two := r.started(t, tenant)
	three := r.add(t, tenant)
	three.start(t, "")
	three.loggedIn(t)
	for range 10 {
		var asked sync.WaitGroup
		for _, a := range []*agent{one, two, three} {
			asked.Go(func() {
				if status, body := a.ask(t.Context(), "POST", "/v1/clients/demo/refresh"); status != 200 {
					t.Errorf("%d %s", status, body)
				}
			})
		}
		asked.Wait()
	}
	oneLogin(t, tenant)
	if sent := postsPerToken(tenant); slices.Max(sent) != 1 {
		t.Errorf("POSTs per refresh token %v", sent)
	}
}

// TestPostgres_NothingIsServedBeforeItIsDurable: while the database cannot write the
// row, the token of the answer is served only once it is spilled.
func TestPostgres_NothingIsServedBeforeItIsDurable(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	r := newReplicas(t)
	one, _ := r.started(t, tenant, "TOKEND_CLIENT_DEMO_SCOPES=offline_access") // no ID token, whose check comes later
	former := tokenOf(t, one)
	answered := one.refreshCommitted(t, tenant, "2s")
	locked := make(chan error, 1)
	go func() {
		_, err := r.Psql(t.Context(), one.pgName, "BEGIN; LOCK TABLE tokend_grants; SELECT 1 FROM pg_sleep(60)")
		locked <- err
	}()
	spilled := func() bool {
		found, err := filepath.Glob(filepath.Join(one.dir, "state", "tokend", "postgres.spill", "[^.]*"))
		must(t, err)
		return len(found) > 0
	}
	if spilled() {
		t.Fatal("there is a spilled grant before the answer")
	}
	err := within(30*time.Second, func() error {
		if tokenOf(t, one) == former {
			return errors.New("the fresh token is not served")
		}
		return nil
	})
	if !spilled() {
		t.Error("a token is served that is neither in the database nor spilled")
	}
	must(t, err)
	_, err = r.Psql(t.Context(), one.pgName, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK TABLE%'")
	must(t, err)
	<-locked // it was terminated
	<-answered
	one.refreshed(t, 20*time.Second)
	oneLogin(t, tenant)
}
