//go:build unix

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

// TestKill_AfterCommit_ReplaysInsideOverlap: tokend is killed while the answer of
// a committed refresh is on the network. The next start replays it inside the
// overlap.
//
// Row F27 of docs/guarantees.md.
func TestKill_AfterCommit_ReplaysInsideOverlap(t *testing.T) {
	t.Parallel()
	for _, overlap := range []int{10, 30} {
		t.Run(fmt.Sprintf("overlap %d s", overlap), func(t *testing.T) {
			t.Parallel()
			tenant := rotating(t, overlap, 86400)
			a := newAgent(t, tenant, fmt.Sprintf("TOKEND_CLIENT_DEMO_LEEWAY=%ds", overlap))
			a.start(t, "")
			a.loggedIn(t)
			answered := a.refreshCommitted(t, tenant, "2s")
			a.Kill()
			<-answered
			time.Sleep(200 * time.Millisecond)
			began := time.Now()
			a.start(t, "")
			a.refreshed(t, 30*time.Second)
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("the next token took %v after the restart", took)
			}
			oneLogin(t, tenant)
			if sent := postsPerToken(tenant); sent[0] != 2 {
				t.Errorf("POSTs per refresh token: %v; the lost answer was not replayed", sent)
			}
		})
	}
}

// TestStop_AnswerWaiting_IsUsed: tokend is stopped before the answer arrives, for
// longer than any of its deadlines. Then it reads the answer from the socket and
// uses it. Several processes are tried, because deadline and answer race when a
// process continues.
//
// Row F29 of docs/guarantees.md.
func TestStop_AnswerWaiting_IsUsed(t *testing.T) {
	t.Parallel()
	for _, pause := range []time.Duration{18 * time.Second, 25 * time.Second} {
		t.Run(pause.String(), func(t *testing.T) {
			t.Parallel()
			var paused []*pausedAgent
			for range 6 {
				paused = append(paused, newPausedAgent(t))
			}
			time.Sleep(pause)
			for _, p := range paused {
				p.usesTheAnswer(t)
			}
		})
	}
}

// pausedAgent is an agent that was stopped before an answer arrived.
type pausedAgent struct {
	*agent
	tenant   *mock.Tenant
	answered <-chan reply
}

func newPausedAgent(t *testing.T) *pausedAgent {
	t.Helper()
	p := &pausedAgent{tenant: rotating(t, 0, 86400)}
	p.agent = newAgent(t, p.tenant)
	p.start(t, "")
	p.loggedIn(t)
	p.answered = p.refreshCommitted(t, p.tenant, "500ms")
	p.signal(t, syscall.SIGSTOP)
	return p
}

// usesTheAnswer continues the agent. Its caller may have timed out.
func (p *pausedAgent) usesTheAnswer(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGCONT)
	<-p.answered
	if err := within(5*time.Second, func() error { return p.hasGeneration(2) }); err != nil {
		t.Errorf("%v\n%s", err, p.Log)
		return
	}
	if f := oneLogin(t, p.tenant); f.Generation != 2 || refreshes(p.tenant) != 1 {
		t.Errorf("generation %d after %d POSTs", f.Generation, refreshes(p.tenant))
	}
	p.refreshed(t, 10*time.Second) // sends the stored successor
	oneLogin(t, p.tenant)
}

// hasGeneration checks the generation of the refresh token.
func (a *agent) hasGeneration(want int) error {
	status, body := a.ask(context.Background(), "GET", "/v1/clients/demo")
	if !strings.Contains(body, fmt.Sprintf(`"generation":%d,`, want)) {
		return fmt.Errorf("not generation %d: %d %s", want, status, body)
	}
	return nil
}

// TestStore_Locked_GrantIsSpilled: another process holds the database's write
// lock when the answer arrives. The new token is soon in a spill file, and a kill
// loses nothing.
//
// Row F30 of docs/guarantees.md.
func TestStore_Locked_GrantIsSpilled(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	a := newAgent(t, tenant)
	a.start(t, "")
	a.loggedIn(t)
	answered := a.refreshCommitted(t, tenant, "1s")
	unlock := lockDatabase(t, a.database())
	time.Sleep(time.Second) // the answer arrives
	began := time.Now()
	spilled := within(40*time.Second, func() error {
		files, err := filepath.Glob(a.database() + ".spill/[^.]*") // complete ones
		if len(files) == 0 {
			return errors.Join(errors.New("no spill file"), err)
		}
		return nil
	})
	if took := time.Since(began); spilled != nil || took > 6*time.Second {
		t.Errorf("after %v: %v\n%s", took, spilled, a.Log)
	}
	a.Kill()
	<-answered
	unlock()
	a.start(t, "")
	a.refreshed(t, 60*time.Second) // with the spilled token
	if err := a.hasGeneration(2); err != nil {
		t.Error(err)
	}
	a.refreshed(t, 10*time.Second)
	if f := oneLogin(t, tenant); f.Generation != 3 || refreshes(tenant) != 2 {
		t.Errorf("generation %d after %d POSTs", f.Generation, refreshes(tenant))
	}
}

// TestRecovery_ReadyWithoutRestart: a transient error needs neither a restart nor
// a login, and only a failed refresh makes a client degraded.
//
// Row F33 of docs/guarantees.md.
func TestRecovery_ReadyWithoutRestart(t *testing.T) {
	t.Parallel()
	refresh := mock.Fault{Endpoint: "token", Grant: "refresh_token", Times: 1, Kind: mock.FaultStatus}
	for name, fault := range map[string]mock.Fault{
		"one 503":                withStatus(refresh, 503, ""),
		"one 401 invalid_client": withStatus(refresh, 401, `{"error":"invalid_client"}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, tenant := readyAgent(t)
			a.fail(t, tenant, fault)
			a.ask(t.Context(), "POST", "/v1/clients/demo/refresh")
			a.refreshed(t, 10*time.Second)
			a.isReady(t)
			oneLogin(t, tenant)
		})
	}
	page := mock.Fault{Endpoint: "authorize", Times: 1, Kind: mock.FaultStatus, Status: 403}
	code := withStatus(mock.Fault{Endpoint: "token", Grant: "authorization_code", Times: 1, Kind: mock.FaultStatus}, 403, `{"error":"invalid_grant"}`)
	for name, fault := range map[string]mock.Fault{"one 403 page at a second login": page, "a second login fails": code} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, tenant := readyAgent(t)
			a.fail(t, tenant, fault)
			if status, body := a.login(t.Context()); status == 200 {
				t.Fatalf("the login does not fail: %s", body)
			}
			a.isReady(t)
			a.refreshed(t, 10*time.Second)
			a.isReady(t)
			if families := tenant.Families(); len(families) != 1 || families[0].Revoked != "" {
				t.Errorf("families %+v", families)
			}
		})
	}
	t.Run("one 403 page at the first login", func(t *testing.T) {
		t.Parallel()
		tenant := rotating(t, 30, 86400)
		a := newAgent(t, tenant)
		a.fail(t, tenant, page)
		a.start(t, "")
		if err := within(20*time.Second, a.hasToken); err != nil {
			t.Error(err)
		}
		oneLogin(t, tenant)
	})
}

func withStatus(f mock.Fault, status int, body string) mock.Fault {
	f.Status, f.Body = status, body
	return f
}

// readyAgent returns an agent with a token, at a tenant with an overlap.
func readyAgent(t *testing.T) (*agent, *mock.Tenant) {
	t.Helper()
	tenant := rotating(t, 30, 86400)
	a := newAgent(t, tenant, "TOKEND_CLIENT_DEMO_LEEWAY=30s")
	a.start(t, "")
	a.loggedIn(t)
	return a, tenant
}

func (*agent) fail(t *testing.T, tenant *mock.Tenant, f mock.Fault) {
	t.Helper()
	if _, err := tenant.Fail(f); err != nil {
		t.Fatal(err)
	}
}

// reply is what the API answered.
type reply struct {
	status int
	body   string
}

// refreshCommitted forces a refresh whose answer is delayed, and returns after
// the tenant has committed it.
func (a *agent) refreshCommitted(t *testing.T, tenant *mock.Tenant, delay string) <-chan reply {
	t.Helper()
	before := tenant.Families()[0].Generation
	a.fail(t, tenant, mock.Fault{Endpoint: "token", Grant: "refresh_token", Times: 1, Kind: mock.FaultDelay, Delay: delay, AfterCommit: true})
	answered := a.refreshLater()
	eventually(t, func() error {
		if tenant.Families()[0].Generation == before {
			return errors.New("no refresh yet")
		}
		return nil
	})
	return answered
}

// refreshLater forces a refresh without waiting for it.
func (a *agent) refreshLater() <-chan reply {
	answered := make(chan reply, 1)
	go func() {
		status, body := a.ask(context.Background(), "POST", "/v1/clients/demo/refresh")
		answered <- reply{status, body}
	}()
	return answered
}

// refreshed forces refreshes until one succeeds.
func (a *agent) refreshed(t *testing.T, limit time.Duration) {
	t.Helper()
	err := within(limit, func() error {
		if status, body := a.ask(t.Context(), "POST", "/v1/clients/demo/refresh"); status != 200 {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("no refresh within %v: %v\n%s", limit, err, a.Log)
	}
}

func (a *agent) hasToken() error {
	if status, body := a.ask(context.Background(), "GET", "/v1/clients/demo/token"); status != 200 {
		return fmt.Errorf("no token: %d %s\n%s", status, body, a.Log)
	}
	return nil
}

func (a *agent) isReady(t *testing.T) {
	t.Helper()
	if status, body := a.ask(t.Context(), "GET", "/v1/clients/demo"); status != 200 || !strings.Contains(body, `"state":"ready"`) {
		t.Errorf("not ready: %d %s", status, body)
	}
	if err := a.hasToken(); err != nil {
		t.Error(err)
	}
}

// signal sends a signal that does not end the process.
func (a *agent) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := a.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// database is the agent's store.
func (a *agent) database() string { return filepath.Join(a.dir, "state", "tokend", "tokend.db") }

// within repeats try until it returns nil, and returns the last error.
func within(limit time.Duration, try func() error) error {
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		if err := try(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// postsPerToken returns how often each refresh token was sent, in the order of
// first use. The journal identifies a token by the call that issued it.
func postsPerToken(tenant *mock.Tenant) []int {
	place := map[string]int{}
	var sent []int
	for _, e := range tenant.Journal().Find(mock.Query{Endpoint: "token", Grant: "refresh_token"}) {
		i, ok := place[e.Parent]
		if !ok {
			i = len(sent)
			place[e.Parent], sent = i, append(sent, 0)
		}
		sent[i]++
	}
	return sent
}
