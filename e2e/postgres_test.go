//go:build unix

package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/tokend/internal/store/postgres/pgtest"
	"example.com/tokend/pkg/mock"
)

// replicas are tokend processes on different "machines": each has a home directory
// of its own, and shares only the database and the store key with the others.
type replicas struct {
	*pgtest.Cluster

	url  string // of the store
	keys string // file of the store key
}

func newReplicas(t *testing.T, params ...string) *replicas {
	t.Helper()
	c := pgtest.New(t)
	return &replicas{Cluster: c, url: c.URL(t, params...), keys: filepath.Join(t.TempDir(), "keyset.json")}
}

// add prepares another replica. The first one that starts makes the store key.
func (r *replicas) add(t *testing.T, tenant *mock.Tenant, env ...string) *agent {
	t.Helper()
	a := newAgent(t, tenant, append(env, "TOKEND_STORE="+r.url, "TOKEND_STORE_KEY_FILE="+r.keys)...)
	a.pg, a.pgName = r.Cluster, pgtest.Database(t, r.url)
	return a
}

// started starts two replicas that have a token.
func (r *replicas) started(t *testing.T, tenant *mock.Tenant, env ...string) (one, two *agent) {
	t.Helper()
	one, two = r.add(t, tenant, env...), r.add(t, tenant, env...)
	for _, a := range []*agent{one, two} {
		a.start(t, "")
		a.loggedIn(t)
	}
	return one, two
}

// TestPostgres_OnePostPerExpiry: two replicas serve fresh tokens over several
// expiries, and each refresh token is sent once. Row F20 of docs/guarantees.md.
func TestPostgres_OnePostPerExpiry(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 4)
	one, two := newReplicas(t).started(t, tenant)
	end := time.Now().Add(20 * time.Second)
	var callers sync.WaitGroup
	for _, a := range []*agent{one, two} {
		for range 4 {
			callers.Go(func() {
				for time.Now().Before(end) {
					if status, body := a.ask(t.Context(), "GET", "/v1/clients/demo/token?min_validity=1s"); status != 200 {
						t.Errorf("%d %s", status, body)
						return
					}
					time.Sleep(50 * time.Millisecond)
				}
			})
		}
	}
	callers.Wait()
	f := oneLogin(t, tenant)
	if sent := postsPerToken(tenant); slices.Max(sent) != 1 || len(sent) < 4 {
		t.Errorf("POSTs per refresh token %v, generation %d", sent, f.Generation)
	}
}

// TestPostgres_KilledHolder: another replica takes over from one that was killed
// after the provider's commit, when the lease has ended, and replays the lost answer
// inside the overlap. Row F27 of docs/guarantees.md.
func TestPostgres_KilledHolder(t *testing.T) {
	t.Parallel()
	for _, overlap := range []int{10, 30} {
		t.Run(fmt.Sprintf("overlap %d s", overlap), func(t *testing.T) {
			t.Parallel()
			tenant := rotating(t, overlap, 86400)
			one, two := newReplicas(t).started(t, tenant, fmt.Sprintf("TOKEND_CLIENT_DEMO_LEEWAY=%ds", overlap))
			answered := one.refreshCommitted(t, tenant, "2s")
			one.Kill()
			<-answered
			began := time.Now()
			two.refreshed(t, 30*time.Second)
			lease := time.Duration(overlap) * time.Second / 3
			if took := time.Since(began); took > lease+3*time.Second {
				t.Errorf("the next token took %v, the lease is %v", took, lease)
			}
			oneLogin(t, tenant)
			if sent := postsPerToken(tenant); sent[0] != 2 {
				t.Errorf("POSTs per refresh token: %v; the lost answer was not replayed", sent)
			}
		})
	}
}

// TestPostgres_StoppedBetweenIntentAndPost: see [TestStop_BetweenIntentAndPost].
//
// Row F28 of docs/guarantees.md.
func TestPostgres_StoppedBetweenIntentAndPost(t *testing.T) {
	t.Parallel()
	tenant := countPosts(t, true)
	one, two := newReplicas(t).started(t, tenant.Tenant, "TOKEND_CLIENT_DEMO_LEEWAY=300s")
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
		t.Errorf("POSTs per refresh token %v: a used token was sent", sent)
	}
	oneLogin(t, tenant.Tenant)
	one.refreshed(t, 20*time.Second)
	two.refreshed(t, 20*time.Second)
	oneLogin(t, tenant.Tenant)
}

// TestPostgres_DatabaseDown: while the database is down, tokens in memory are served,
// nothing is sent, and the error names the cause. Afterwards nothing needs a restart.
// Row F30 of docs/guarantees.md.
func TestPostgres_DatabaseDown(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	r := newReplicas(t)
	one, two := r.started(t, tenant)
	must(t, r.Halt(true))
	for _, a := range []*agent{one, two} {
		if err := a.hasToken(); err != nil {
			t.Error(err)
		}
		status, body := a.ask(t.Context(), "POST", "/v1/clients/demo/refresh")
		if status == 200 || !strings.Contains(body, "store_unavailable") || !strings.Contains(body, "refused") || !strings.Contains(body, `"hint"`) {
			t.Errorf("refresh: %d %s", status, body)
		}
		if err := within(10*time.Second, a.isNotReady); err != nil {
			t.Error(err)
		}
	}
	if n := refreshes(tenant); n != 0 {
		t.Errorf("%d POSTs", n)
	}
	must(t, r.Resume())
	for _, a := range []*agent{one, two} {
		a.refreshed(t, 20*time.Second)
	}
	oneLogin(t, tenant)
}

// TestPostgres_Readiness: /readyz tells a database that does not answer from
// notifications that do not arrive. Without them the replica is ready, and has the
// other's token when its own has expired.
func TestPostgres_Readiness(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 4)
	r := newReplicas(t)
	one := r.add(t, tenant)
	r.url = strings.Replace(r.url, "sslmode", "listen=127.0.0.1:1&sslmode", 1) // where nothing listens
	two := r.add(t, tenant)
	for _, a := range []*agent{one, two} {
		a.start(t, "")
		a.loggedIn(t)
	}
	ready := func(a *agent, notifications string) error {
		return within(10*time.Second, func() error {
			if status, body := a.ask(t.Context(), "GET", "/readyz"); status != 200 || !strings.Contains(body, `"notifications":"`+notifications+`"`) {
				return fmt.Errorf("/readyz: %d %s; want %s", status, body, notifications)
			}
			return nil
		})
	}
	if err := errors.Join(ready(one, "ok"), ready(two, "lost")); err != nil {
		t.Error(err)
	}
	if err := within(10*time.Second, func() error { // the log comes through a pipe
		if log := two.Log.String(); !strings.Contains(log, "notifications are lost") || !strings.Contains(log, "refused") {
			return fmt.Errorf("the log does not say why: %s", log)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	for range 20 {
		for _, a := range []*agent{one, two} {
			if status, body := a.ask(t.Context(), "GET", "/v1/clients/demo/token?min_validity=1s"); status != 200 {
				t.Errorf("%d %s", status, body)
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
	oneLogin(t, tenant)
	if sent := postsPerToken(tenant); slices.Max(sent) != 1 {
		t.Errorf("POSTs per refresh token %v", sent)
	}
	must(t, r.Halt(true))
	for _, a := range []*agent{one, two} {
		if err := within(10*time.Second, a.isNotReady); err != nil {
			t.Error(err)
		}
	}
	must(t, r.Resume())
	if err := errors.Join(ready(one, "ok"), ready(two, "lost")); err != nil {
		t.Error(err)
	}
}

// TestPostgres_Notified: the other replica serves a new token at once, which
// no lifetime that ends makes it read.
func TestPostgres_Notified(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	one, two := newReplicas(t).started(t, tenant)
	for range 5 {
		status, fresh := one.ask(t.Context(), "POST", "/v1/clients/demo/refresh")
		if status != 200 {
			t.Fatalf("%d %s", status, fresh)
		}
		want := generationOf(t, one) // the token is the same text if it was issued in the same second
		err := within(3*time.Second, func() error {
			if got := generationOf(t, two); got != want {
				return fmt.Errorf("the other replica has generation %d, want %d", got, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	oneLogin(t, tenant)
}

// generationOf returns the generation of the grant that a replica has.
func generationOf(t *testing.T, a *agent) (generation int64) {
	t.Helper()
	status, body := a.ask(t.Context(), "GET", "/v1/clients/demo")
	v := struct{ Generation *int64 }{&generation}
	if err := json.Unmarshal([]byte(body), &v); status != 200 || err != nil {
		t.Fatalf("%d %s %v", status, body, err)
	}
	return generation
}

// tokenOf returns the access token that a replica serves.
func tokenOf(t *testing.T, a *agent) string {
	t.Helper()
	status, body := a.ask(t.Context(), "GET", "/v1/clients/demo/token")
	var v struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &v); status != 200 || err != nil || v.AccessToken == "" {
		t.Fatalf("%d %s %v", status, body, err)
	}
	return v.AccessToken
}

// TestPostgres_RestartsDuringRefreshes: the database is restarted, and crashes,
// during refreshes of both replicas. None is lost and none is sent twice.
func TestPostgres_RestartsDuringRefreshes(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	r := newReplicas(t)
	one, two := r.started(t, tenant)
	done := make(chan struct{})
	var callers sync.WaitGroup
	for _, a := range []*agent{one, two} {
		callers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					a.ask(t.Context(), "POST", "/v1/clients/demo/refresh")
				}
			}
		})
	}
	for i := range 6 {
		time.Sleep(time.Second) // refreshes
		must(t, r.Halt(i%2 == 0))
		must(t, r.Resume())
	}
	close(done)
	callers.Wait()
	one.refreshed(t, 30*time.Second)
	two.refreshed(t, 30*time.Second)
	f := oneLogin(t, tenant)
	if sent := postsPerToken(tenant); slices.Max(sent) != 1 {
		t.Errorf("POSTs per refresh token %v", sent)
	}
	t.Logf("%d generations", f.Generation)
}

// TestPostgres_LockedTable: statements that wait for a lock use up the pool. Tokens
// in memory are served, and the error says what there is to do.
func TestPostgres_LockedTable(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	r := newReplicas(t, "pool_max_conns=1")
	one, _ := r.started(t, tenant)
	locked := make(chan error, 1)
	go func() {
		_, err := r.Psql(t.Context(), one.pgName, "BEGIN; LOCK TABLE tokend_grants; SELECT 1 FROM pg_sleep(10)")
		locked <- err
	}()
	err := within(10*time.Second, func() error {
		out, err := r.Psql(t.Context(), one.pgName, "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'tokend_grants'::regclass")
		if out != "1" {
			return errors.Join(errors.New("not locked"), err)
		}
		return nil
	})
	must(t, err)
	if err := one.hasToken(); err != nil {
		t.Error(err)
	}
	status, body := one.ask(t.Context(), "POST", "/v1/clients/demo/refresh")
	if status == 200 || !strings.Contains(body, "store_unavailable") || !strings.Contains(body, "no answer for") && !strings.Contains(body, "all 1 connections") {
		t.Errorf("refresh: %d %s", status, body)
	}
	must(t, <-locked)
	one.refreshed(t, 20*time.Second)
	oneLogin(t, tenant)
}

// TestPostgres_OtherStoreKey: a replica with another store key, and one without, end
// with 78 and change nothing; one without a database ends with 75.
func TestPostgres_OtherStoreKey(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	r := newReplicas(t)
	one, two := r.started(t, tenant)
	for _, c := range []struct {
		name, want, env string
		code            int
	}{
		{"another key", "sealed with another keyset", "", 78},
		{"no key", "there is no keyset file", "", 78},
		{"no database", "connection refused", "TOKEND_STORE=postgres://u@127.0.0.1:1/db", 75},
	} {
		keys := filepath.Join(t.TempDir(), "keyset.json")
		a := r.add(t, tenant)
		a.env = append(a.env, "TOKEND_STORE_KEY_FILE="+keys)
		if c.env != "" {
			a.env = append(a.env, c.env)
		}
		if c.name == "another key" {
			other := newAgent(t, tenant, "TOKEND_STORE_KEY_FILE="+keys)
			other.start(t, "")
			other.loggedIn(t)
			other.End(t)
		}
		for _, command := range []string{"serve", "doctor"} {
			out, code := a.run(t, command)
			if code != c.code || !strings.Contains(out, c.want) || !strings.Contains(out, "hint: ") {
				t.Errorf("%s: %s: exit %d: %s", c.name, command, code, out)
			}
		}
		if _, err := os.Stat(keys); c.name == "no key" && err == nil {
			t.Error("a store key was made that cannot open the store")
		}
	}
	one.refreshed(t, 10*time.Second)
	two.refreshed(t, 10*time.Second)
}

// TestPostgres_RotateStoreKey: the store key is replaced twice, step by step, while two
// replicas with a keyset file each refresh. None of them needs a restart.
func TestPostgres_RotateStoreKey(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	r := newReplicas(t)
	one, two := r.add(t, tenant), r.add(t, tenant)
	one.start(t, "")
	one.loggedIn(t)
	keys := filepath.Join(t.TempDir(), "keyset.json")
	two.env = append(two.env, "TOKEND_STORE_KEY_FILE="+keys)
	copyKeys := func(from, to string) {
		b, err := os.ReadFile(from)
		must(t, errors.Join(err, os.WriteFile(to+".new", b, 0o600), os.Rename(to+".new", to)))
	}
	copyKeys(r.keys, keys)
	two.start(t, "")
	two.loggedIn(t)
	done := make(chan struct{})
	var callers sync.WaitGroup
	for _, a := range []*agent{one, two} {
		callers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				// A refresh that the other replica has begun is unknown to this one.
				if status, body := a.ask(t.Context(), "POST", "/v1/clients/demo/refresh"); status != 200 && !strings.Contains(body, "idp_timeout") {
					t.Errorf("refresh: %d %s", status, body)
					return
				}
			}
		})
	}
	wants := func(a *agent, code int, text string, args ...string) {
		t.Helper()
		out, got := a.run(t, append([]string{"key"}, args...)...)
		if got != code || !strings.Contains(out, text) {
			t.Errorf("tokend key %v: exit %d, want %d with %q:\n%s", args, got, code, text, out)
		}
	}
	for round := range 2 {
		sent := refreshes(tenant)
		wants(one, 78, "tokend key rotate --add-only", "rotate")
		wants(one, 0, "which the store does not use yet", "rotate", "--add-only")
		wants(one, 78, "a running replica does not have the new store key", "rotate")
		copyKeys(r.keys, keys)
		wants(one, 0, "the store is sealed with a new key", "rotate")
		wants(one, 0, "1  seals new values")
		wants(two, 0, "0  not used")
		out := filepath.Join(t.TempDir(), "keyset.json")
		wants(two, 0, "removed from "+out, "rotate", "--retire", "--output", out)
		copyKeys(out, keys)
		copyKeys(out, r.keys)
		if n := refreshes(tenant) - sent; n < 2 {
			t.Errorf("round %d: %d refreshes", round, n)
		}
	}
	close(done)
	callers.Wait()
	one.refreshed(t, 10*time.Second)
	two.refreshed(t, 10*time.Second)
	oneLogin(t, tenant)
	if sent := postsPerToken(tenant); slices.Max(sent) != 1 {
		t.Errorf("POSTs per refresh token %v", sent)
	}
	for _, a := range []*agent{one, two} {
		if log := a.Log.String(); strings.Contains(log, "level=ERROR") {
			t.Errorf("log: %s", log)
		}
	}
	wants(two, 0, "1  seals new values")
	wants(two, 64, "--output: this step", "rotate", "--output", "-")
}

// TestPostgres_MoveGrants: all grants move from a file to PostgreSQL, and back, with
// one login.
func TestPostgres_MoveGrants(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	r := newReplicas(t)
	file, replica := newAgent(t, tenant), r.add(t, tenant)
	fileKeys := filepath.Join(file.dir, "state", "tokend", "keyset.json")
	file.start(t, "")
	file.loggedIn(t)
	move := func(from, to *agent, keyset string) {
		t.Helper()
		grants := filepath.Join(t.TempDir(), "grants")
		if out, code := from.run(t, "store", "export", grants); code != 0 || !strings.Contains(out, "exported 1 grant") {
			t.Fatalf("export: exit %d: %s", code, out)
		}
		if out, code := to.run(t, "store", "import", "--keyset", keyset, grants); code != 0 || !strings.Contains(out, "imported 1 grant") {
			t.Fatalf("import: exit %d: %s", code, out)
		}
		if status, body := from.ask(t.Context(), "POST", "/v1/clients/demo/refresh"); status == 200 || !strings.Contains(body, "was exported") {
			t.Errorf("refresh by the store that was exported: %d %s", status, body)
		}
	}
	move(file, replica, fileKeys)
	replica.start(t, "")
	replica.loggedIn(t)
	replica.refreshed(t, 10*time.Second)
	move(replica, file, r.keys)
	file.refreshed(t, 10*time.Second)
	oneLogin(t, tenant)
	if sent := postsPerToken(tenant); slices.Max(sent) != 1 {
		t.Errorf("POSTs per refresh token %v", sent)
	}
}

// TestPostgres_PasswordInURL: it is warned of, in the log and by doctor, and is in
// neither.
func TestPostgres_PasswordInURL(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	r := newReplicas(t)
	r.url = strings.Replace(r.url, "postgres@", "postgres:canary-password@", 1)
	a := r.add(t, tenant)
	a.start(t, "")
	a.loggedIn(t)
	out, _ := a.run(t, "doctor")
	show, _ := a.run(t, "config", "show")
	for name, text := range map[string]string{"log": a.Log.String(), "doctor": out, "config show": show} {
		if strings.Contains(text, "canary-password") {
			t.Errorf("%s has the password: %s", name, text)
		}
		if name != "config show" && (!strings.Contains(text, "the store's URL has a password") || !strings.Contains(text, "TOKEND_STORE_PASSWORD_FILE")) {
			t.Errorf("%s does not warn: %s", name, text)
		}
	}
}

// TestRun_Postgres: "make run STORE=postgres" shows two tokend with one token, and
// ends its server.
func TestRun_Postgres(t *testing.T) {
	pgtest.New(t) // skips without a server
	cmd := makeRun(t, "ONCE=1", "STORE=postgres")
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "a second tokend:") || !strings.Contains(string(out), "it serves the same token") {
		t.Fatalf("%v\n%s%s", err, out, cmd.Stderr)
	}
	_, socket, _ := strings.Cut(string(out), "host=")
	socket, _, _ = strings.Cut(socket, " ")
	if _, err := os.Stat(socket); err == nil || socket == "" {
		t.Errorf("%q is still there", socket)
	}
	other := makeRun(t, "STORE=redis")
	if err := other.Run(); err == nil || !strings.Contains(fmt.Sprint(other.Stderr), "hint: sqlite or postgres") {
		t.Errorf("%v, %s", err, other.Stderr)
	}
}
