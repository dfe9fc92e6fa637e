package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tokend/e2e/internal/programs"
	"example.com/tokend/pkg/mock"
)

// kills is the number of kills.
const kills = 50

// TestKill_AtAnyMoment kills tokend at a random moment of a refresh, before or
// after the tenant has rotated, each time with a store of its own. Within the
// overlap the next start has a grant, once the dead process's lease has expired.
// Without an overlap a token that may be used is not sent again while an access
// token is left: each kill costs one login, and no family is revoked.
//
// Row F16 of docs/guarantees.md.
func TestKill_AtAnyMoment(t *testing.T) {
	t.Parallel()
	t.Run("overlap", func(t *testing.T) {
		t.Parallel()
		killed(t, 300, func(status int, _ string) bool { return status == 200 })
	})
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		killed(t, 0, func(_ int, body string) bool { return !strings.Contains(body, "lease_busy") })
	})
}

// killed kills agents at a tenant with an overlap in seconds; good reports
// whether the result of a forced refresh after the restart is right.
func killed(t *testing.T, overlap int, good func(status int, body string) bool) {
	tenant := rotating(t, overlap, 86400)
	fault, err := tenant.Fail(mock.Fault{Endpoint: "token", Grant: "refresh_token", Kind: mock.FaultDelay, Delay: "15ms", AfterCommit: true})
	if err != nil {
		t.Fatal(err)
	}
	var dead []*agent
	for seed := range uint64(kills) {
		a := newAgent(t, tenant, fmt.Sprintf("TOKEND_CLIENT_DEMO_LEEWAY=%ds", overlap))
		a.start(t, "")
		a.loggedIn(t)
		a.killedDuringARefresh(rand.New(rand.NewPCG(seed, 0)))
		dead = append(dead, a)
	}
	fault.Disarm()
	sent := refreshes(tenant)
	for seed, a := range dead {
		a.start(t, "")
		a.loggedIn(t)
		eventually(t, func() error {
			if status, body := a.ask(t.Context(), "POST", "/v1/clients/demo/refresh"); !good(status, body) {
				return fmt.Errorf("seed %d: %d %s", seed, status, body)
			}
			return nil
		})
		a.End(t)
	}
	for _, f := range tenant.Families() {
		if f.Revoked != "" {
			t.Errorf("family %+v", f)
		}
	}
	if n := tenant.Journal().Count(mock.Query{Endpoint: "token", Grant: "authorization_code"}); n != kills || len(tenant.Families()) != kills {
		t.Errorf("%d logins, %d families", n, len(tenant.Families()))
	}
	t.Logf("%d of %d kills came after the request was sent", sent, kills)
	if sent == 0 || sent == kills {
		t.Error("the moments are not spread out")
	}
}

// killedDuringARefresh kills the agent up to 40 ms after a refresh has begun.
func (a *agent) killedDuringARefresh(rng *rand.Rand) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.ask(context.Background(), "POST", "/v1/clients/demo/refresh")
	}()
	latest := []int{4_000, 40_000}[rng.IntN(2)] // half of them before or just after the request
	time.Sleep(time.Duration(rng.IntN(latest)) * time.Microsecond)
	a.Kill()
	<-ended
}

// TestServe_DirectoryNotWritable: the start fails at once with an error that says
// why.
//
// Row F18 of docs/guarantees.md.
func TestServe_DirectoryNotWritable(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // modes do not restrict root
		dir = "/proc/tokend"
		if _, err := os.Stat("/proc/self"); err != nil {
			t.Skip("root can write everywhere here")
		}
	}
	a := newAgent(t, rotating(t, 0, 0), "TOKEND_STORE=sqlite:"+dir+"/tokend.db")
	began := time.Now()
	out, code := a.run(t, "serve")
	if took := time.Since(began); code != 78 || !strings.Contains(out, "state directory "+dir+" not writable") || took > 10*time.Second {
		t.Errorf("exit %d after %v: %s", code, took, out)
	}
}

// TestRefresh_TwoProcessesOneStore: two processes refresh one grant over many
// expiries; each generation is requested once, and both always have a token.
//
// Row F20 of docs/guarantees.md.
func TestRefresh_TwoProcessesOneStore(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 2)
	one := newAgent(t, tenant)
	one.start(t, "")
	one.loggedIn(t)
	two := &agent{dir: t.TempDir(), env: one.env}
	two.start(t, "")
	ctx, stop := context.WithTimeout(t.Context(), 8*time.Second)
	defer stop()
	var readers sync.WaitGroup
	for _, a := range []*agent{one, two, one, two} {
		readers.Go(func() {
			for ctx.Err() == nil {
				status, body := a.ask(t.Context(), "GET", "/v1/clients/demo/token")
				if status != 200 {
					t.Errorf("%d %s", status, body)
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	readers.Wait()
	one.End(t)
	two.End(t)
	f := oneLogin(t, tenant)
	if n := refreshes(tenant); n != f.Generation-1 || n < 4 {
		t.Errorf("%d refreshes for %d generations", n, f.Generation)
	}
	t.Logf("%d refreshes", f.Generation-1)
}

// TestServe_FileLimit: with at most 64 files, 200 callers wait or are
// disconnected; tokend continues, and stores a refresh afterwards.
//
// Row F25 of docs/guarantees.md.
func TestServe_FileLimit(t *testing.T) {
	t.Parallel()
	programs.Tool(t, "sh")
	tenant := rotating(t, 0, 86400)
	a := newAgent(t, tenant, "TOKEND_LOG_LEVEL=debug")
	a.start(t, "ulimit -n 64")
	a.loggedIn(t)
	var callers []net.Conn
	for range 200 {
		c, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
		if err != nil {
			break // the queue is full, too
		}
		_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\n")
		callers = append(callers, c)
	}
	if len(callers) < 100 {
		t.Fatalf("only %d callers", len(callers))
	}
	eventually(t, func() error { // before the first connection times out
		if !strings.Contains(a.Log.String(), "too many open files") {
			return errors.New("the limit was not reached")
		}
		return nil
	})
	for _, c := range callers {
		_ = c.Close()
	}
	eventually(t, func() error {
		if status, body := a.ask(t.Context(), "POST", "/v1/clients/demo/refresh"); status != 200 {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	if log := a.Log.String(); strings.Contains(log, "store_") || strings.Contains(log, "spill") {
		t.Errorf("the store has failed:\n%s", log)
	}
	a.End(t)
	a.start(t, "") // the stored grant is complete
	a.loggedIn(t)
	oneLogin(t, tenant)
}

// TestTerminate_DuringRefresh: SIGTERM waits for the refresh in flight, and the
// exit code is 0; the next start has the grant. For SIGHUP see
// TestReload_ThenTerminated.
//
// Row F26 of docs/guarantees.md.
func TestTerminate_DuringRefresh(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	a := newAgent(t, tenant)
	a.start(t, "")
	a.loggedIn(t)
	fault, err := tenant.Fail(mock.Fault{Endpoint: "token", Grant: "refresh_token", Times: 1, Kind: mock.FaultDelay, Delay: "500ms", AfterCommit: true})
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan int, 1)
	go func() {
		status, _ := a.ask(context.Background(), "POST", "/v1/clients/demo/refresh")
		answered <- status
	}()
	eventually(t, func() error {
		if fault.Count() == 0 {
			return errors.New("no refresh yet")
		}
		return nil
	})
	began := time.Now()
	a.End(t)
	if took := time.Since(began); took > 15*time.Second || took < 100*time.Millisecond {
		t.Errorf("it took %v to end", took)
	}
	if status := <-answered; status != 200 {
		t.Errorf("the caller that waited got %d", status)
	}
	a.start(t, "")
	a.loggedIn(t)
	if status, body := a.ask(t.Context(), "POST", "/v1/clients/demo/refresh"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	if f := oneLogin(t, tenant); f.Generation != 3 || refreshes(tenant) != 2 {
		t.Errorf("generation %d after %d refreshes", f.Generation, refreshes(tenant))
	}
}

// eventually repeats try until it returns nil, for asynchronous results.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatal(err)
}
