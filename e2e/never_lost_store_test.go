//go:build unix

package e2e_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// TestLogout_Stays: a logout survives restarts and is respected by every process
// on the same store, for every grant, until a login.
//
// Row F31 of docs/guarantees.md.
func TestLogout_Stays(t *testing.T) {
	t.Parallel()
	t.Run("restart", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t, rotating(t, 0, 86400))
		a.start(t, "")
		a.loggedIn(t)
		a.logout(t)
		a.staysLoggedOut(t)
		a.End(t)
		a.start(t, "")
		a.staysLoggedOut(t)
		a.logsIn(t)
	})
	t.Run("second process", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t, rotating(t, 0, 86400))
		a.start(t, "")
		a.loggedIn(t)
		running := &agent{dir: t.TempDir(), env: a.env}
		running.start(t, "")
		running.loggedIn(t)
		a.logout(t)
		later := &agent{dir: t.TempDir(), env: a.env}
		later.start(t, "")
		later.staysLoggedOut(t)
		running.staysLoggedOut(t)
		a.logsIn(t)
		for _, other := range []*agent{running, later} {
			if err := within(5*time.Second, other.hasToken); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("client_credentials", func(t *testing.T) {
		t.Parallel()
		a := newAgent(t, rotating(t, 0, 86400))
		a.env = without(a.env, "TOKEND_CLIENT_DEMO_LOGIN", "TOKEND_CLIENT_DEMO_REDIRECT_URI", "TOKEND_CLIENT_DEMO_SCOPES")
		a.env = append(a.env, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
		a.start(t, "")
		a.loggedIn(t)
		a.logout(t)
		a.staysLoggedOut(t)
		a.End(t)
		a.start(t, "")
		a.staysLoggedOut(t)
		a.logsIn(t)
	})
}

func (a *agent) logout(t *testing.T) {
	t.Helper()
	if status, body := a.ask(t.Context(), "DELETE", "/v1/clients/demo/grant"); status != 200 {
		t.Fatalf("logout: %d %s", status, body)
	}
}

// staysLoggedOut requests tokens and refreshes for two seconds, without success.
// A process with a token in memory may serve it until it checks the store.
func (a *agent) staysLoggedOut(t *testing.T) {
	t.Helper()
	refused := func() error {
		for _, r := range [][2]string{{"POST", "/refresh"}, {"GET", "/token"}} {
			status, body := a.ask(t.Context(), r[0], "/v1/clients/demo"+r[1])
			if status != 409 || !strings.Contains(body, "login_required") {
				return fmt.Errorf("%s %s: %d %s", r[0], r[1], status, body)
			}
		}
		return nil
	}
	if err := within(time.Second, refused); err != nil {
		t.Errorf("not logged out: %v", err)
		return
	}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err := refused(); err != nil {
			t.Errorf("the logout was undone: %v\n%s", err, a.Log)
			return
		}
	}
}

// logsIn logs in after a logout.
func (a *agent) logsIn(t *testing.T) {
	t.Helper()
	if status, body := a.login(t.Context()); status != 200 {
		t.Errorf("login: %d %s", status, body)
	}
	if err := a.hasToken(); err != nil {
		t.Error(err)
	}
}

// login logs the client in without a person.
func (a *agent) login(ctx context.Context) (int, string) {
	req, err := http.NewRequestWithContext(ctx, "POST", a.url+"/v1/clients/demo/login", strings.NewReader(`{"headless":true}`))
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+agentKey)
	req.Header.Set("Content-Type", "application/json")
	r, err := a.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err.Error()
	}
	return r.StatusCode, string(b)
}

// without removes variables from an environment.
func without(env []string, names ...string) []string {
	var kept []string
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		drop := false
		for _, n := range names {
			drop = drop || n == name
		}
		if !drop {
			kept = append(kept, v)
		}
	}
	return kept
}

// TestStore_DeletedOrReplaced: if the store is not the opened one any more, or an
// older copy of it, nothing is sent.
//
// Row F32 of docs/guarantees.md.
func TestStore_DeletedOrReplaced(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *agent){
		"deleted":  func(t *testing.T, a *agent) { must(t, os.RemoveAll(filepath.Dir(a.database()))) },
		"replaced": func(t *testing.T, a *agent) { copyDatabase(t, a.database(), a.database()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tenant := rotating(t, 0, 86400)
			a := newAgent(t, tenant)
			a.start(t, "")
			a.loggedIn(t)
			change(t, a)
			if err := within(5*time.Second, a.isNotReady); err != nil {
				t.Error(err)
			}
			for range 3 {
				if status, body := a.ask(t.Context(), "POST", "/v1/clients/demo/refresh"); status == 200 || !strings.Contains(body, "store_unavailable") {
					t.Errorf("refresh: %d %s", status, body)
				}
			}
			if n := refreshes(tenant); n != 0 {
				t.Errorf("%d POSTs", n)
			}
			oneLogin(t, tenant)
		})
	}
	t.Run("older copy", olderCopy)
}

// olderCopy restores the database of the previous refresh. The overlap still
// accepts its refresh token, so that resuming can be tested.
func olderCopy(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 300, 86400)
	a := newAgent(t, tenant)
	a.start(t, "")
	a.loggedIn(t)
	backup := filepath.Join(t.TempDir(), "backup.db")
	a.End(t)
	copyDatabase(t, a.database(), backup)
	a.start(t, "")
	a.refreshed(t, 5*time.Second)
	a.End(t)
	copyDatabase(t, backup, a.database())
	a.start(t, "")
	for range 3 {
		if status, body := a.ask(t.Context(), "POST", "/v1/clients/demo/refresh"); status == 200 {
			t.Errorf("refreshed from the older copy: %s", body)
		}
	}
	if n := refreshes(tenant); n != 1 {
		t.Fatalf("%d POSTs, 1 of them before the copy was restored", n)
	}
	oneLogin(t, tenant)
	if log := a.Log.String(); strings.Count(log, "an older copy of the store was put back, or its grants were exported: nothing is sent for these clients") != 1 || !strings.Contains(log, "clients=1 first=demo") || !strings.Contains(log, `hint="tokend resume demo`) {
		t.Errorf("the log:\n%s", log)
	}
	a.env = append(a.env, "TOKEND_ADDR="+a.url)
	if out, code := a.run(t, "resume", "demo"); code != 0 {
		t.Fatalf("tokend resume demo: exit %d: %s", code, out)
	}
	a.refreshed(t, 5*time.Second)
	if n := refreshes(tenant); n != 2 {
		t.Errorf("%d POSTs after resuming", n)
	}
	oneLogin(t, tenant)
}

func (a *agent) isNotReady() error {
	if status, body := a.ask(context.Background(), "GET", "/readyz"); status != 503 {
		return fmt.Errorf("/readyz: %d %s", status, body)
	}
	return nil
}

// copyDatabase writes a complete copy of a database, with a new inode, in place
// of another one.
func copyDatabase(t *testing.T, from, to string) {
	t.Helper()
	db := openDatabase(t, from)
	fresh := filepath.Join(t.TempDir(), "copy.db")
	_, err := db.ExecContext(t.Context(), "VACUUM INTO ?", fresh)
	must(t, err)
	must(t, db.Close())
	b, err := os.ReadFile(fresh)
	must(t, err)
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(to + end); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	must(t, os.WriteFile(to, b, 0o600))
}

func openDatabase(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=rw&_pragma=busy_timeout(2000)")
	must(t, err)
	db.SetMaxOpenConns(1)
	return db
}

// lockDatabase holds the write lock, like another program, until unlock.
func lockDatabase(t *testing.T, path string) (unlock func()) {
	t.Helper()
	db := openDatabase(t, path)
	_, err := db.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	must(t, err)
	return func() {
		_, err := db.ExecContext(context.Background(), "ROLLBACK")
		must(t, err)
		must(t, db.Close())
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
