package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

const reloaded = `msg="configuration reloaded"`

// newReloadable prepares an agent with a configuration file; variables describe
// client demo, except for settings in the file.
func newReloadable(t *testing.T, tenant *mock.Tenant, text string) *agent {
	t.Helper()
	a := newAgent(t, tenant)
	a.env = append(a.env, "TOKEND_CONFIG="+a.config())
	a.configure(t, tenant, text)
	return a
}

func (a *agent) config() string { return filepath.Join(a.dir, "tokend.yaml") }

// configure writes the configuration file; ISSUER is replaced by the tenant's
// issuer.
func (a *agent) configure(t *testing.T, tenant *mock.Tenant, text string) {
	t.Helper()
	if err := os.WriteFile(a.config(), []byte(strings.ReplaceAll(text, "ISSUER", tenant.Issuer())), 0o600); err != nil {
		t.Fatal(err)
	}
}

// hangup sends SIGHUP and waits until the log has the text once more.
func (a *agent) hangup(t *testing.T, logged string) {
	t.Helper()
	before := strings.Count(a.Log.String(), logged)
	if err := a.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if strings.Count(a.Log.String(), logged) == before {
			return fmt.Errorf("the log lacks %q:\n%s", logged, a.Log)
		}
		return nil
	})
}

// wants sends a request and checks the status.
func (a *agent) wants(t *testing.T, status int, method, path string) string {
	t.Helper()
	got, body := a.ask(t.Context(), method, path)
	if got != status {
		t.Errorf("%s %s: %d, not %d: %s\n%s", method, path, got, status, body, a.Log)
	}
	return body
}

const (
	noClients   = "clients: {}\n"
	ciClient    = "clients:\n  ci: {issuer: ISSUER, client_id: demo, client_secret: demo-secret, grant: client_credentials, audience: https://api.example.com/}\n"
	webClient   = "clients:\n  web: {issuer: ISSUER, client_id: demo, client_secret: demo-secret, login: browser, redirect_uri: 'http://localhost:8484/callback', scopes: [openid, offline_access]%s}\n"
	changedDemo = "clients:\n  demo: {refresh: {advisory: %ds}}\n"
)

// TestReload: new clients are served, removed ones are not, and an unchanged one
// keeps its token and needs no login.
//
// Row F35 of docs/guarantees.md.
func TestReload(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	a := newReloadable(t, tenant, noClients)
	a.start(t, "")
	a.loggedIn(t)
	token := func() string { return a.wants(t, 200, "GET", "/v1/clients/demo/token?format=text") }
	before := token()
	requests := tenant.Journal().Count(mock.Query{Endpoint: "token"})
	a.configure(t, tenant, ciClient)
	a.hangup(t, `added=ci changed="" removed="" unchanged=1`)
	a.wants(t, 200, "GET", "/v1/clients/ci/token")
	if token() != before {
		t.Error("the unchanged client has another token")
	}
	if n := tenant.Journal().Count(mock.Query{Endpoint: "token"}) - requests; n != 1 {
		t.Errorf("%d token requests, where only the new client needs one", n)
	}
	a.configure(t, tenant, noClients)
	a.hangup(t, `added="" changed="" removed=ci unchanged=1`)
	if body := a.wants(t, 404, "GET", "/v1/clients/ci/token"); !strings.Contains(body, "unknown_client") {
		t.Error(body)
	}
	if f := oneLogin(t, tenant); f.Generation != 1 {
		t.Errorf("generation %d", f.Generation)
	}
	a.End(t)
}

// TestReload_BrokenFile: nothing changes, although only one line of the file is
// wrong, and the log has the line number.
//
// Row F35 of docs/guarantees.md.
func TestReload_BrokenFile(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	a := newReloadable(t, tenant, ciClient)
	a.start(t, "")
	a.loggedIn(t)
	a.configure(t, tenant, strings.Replace(ciClient, "  ci:", "  more:", 1)+"kees: {}\n")
	a.hangup(t, "not reloaded")
	if log := a.Log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, a.config()+":3: unknown key kees") || !strings.Contains(log, "did you mean keys?") {
		t.Errorf("the log:\n%s", log)
	}
	a.wants(t, 200, "GET", "/v1/clients/ci/token")
	a.wants(t, 404, "GET", "/v1/clients/more")
	a.wants(t, 200, "GET", "/readyz")
	a.loggedIn(t)
	oneLogin(t, tenant)
}

// TestReload_RemovedKey tests row F35 of docs/guarantees.md.
func TestReload_RemovedKey(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	const key = "a-key-for-the-pipeline"
	a := newReloadable(t, tenant, "keys: {ci: {key: "+key+", clients: [demo]}}\n")
	a.start(t, "")
	a.loggedIn(t)
	status := func() int {
		req, err := http.NewRequestWithContext(t.Context(), "GET", a.url+"/v1/clients/demo/token", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		r, err := a.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close() // only the status is checked
		return r.StatusCode
	}
	if got := status(); got != 200 {
		t.Errorf("before: %d", got)
	}
	a.configure(t, tenant, noClients)
	a.hangup(t, reloaded)
	if got := status(); got != 401 {
		t.Errorf("after: %d", got)
	}
}

// TestReload_PendingLogin: a login that began before a reload is finished after
// it, whether or not other settings of the client have changed.
//
// Row F35 of docs/guarantees.md.
func TestReload_PendingLogin(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{"unchanged": "", "changed": ", refresh: {advisory: 5m}"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tenant := rotating(t, 0, 86400)
			a := newReloadable(t, tenant, fmt.Sprintf(webClient, ""))
			a.start(t, "")
			var login struct {
				URL string `json:"authorize_url"`
			}
			if err := json.Unmarshal([]byte(a.wants(t, 200, "POST", "/v1/clients/web/login")), &login); err != nil {
				t.Fatal(err)
			}
			a.configure(t, tenant, fmt.Sprintf(webClient, change))
			a.hangup(t, reloaded)
			a.wants(t, 200, "GET", "/callback?"+callbackOf(t, login.URL))
			a.wants(t, 200, "GET", "/v1/clients/web/token")
		})
	}
}

// callbackOf opens the login page and returns the query of the redirect to the
// callback.
func callbackOf(t *testing.T, page string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", page, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := h.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close() // only the URL is checked
	u, err := url.Parse(r.Header.Get("Location"))
	if err != nil || u.Query().Get("code") == "" {
		t.Fatalf("%d to %q: no code", r.StatusCode, r.Header.Get("Location"))
	}
	return u.RawQuery
}

// TestReload_DuringRefresh: the client changes after the provider has rotated its
// token and before it has answered. The waiting caller gets the answer, and the
// new client uses the rotated token.
//
// Row F35 of docs/guarantees.md.
func TestReload_DuringRefresh(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	a := newReloadable(t, tenant, fmt.Sprintf(changedDemo, 60))
	a.start(t, "")
	a.loggedIn(t)
	answered := a.slowRefresh(t, tenant)
	a.configure(t, tenant, fmt.Sprintf(changedDemo, 120))
	a.hangup(t, `changed=demo`)
	if len(answered) != 0 {
		t.Error("the refresh was over before the reload, or the reload has waited for it")
	}
	if status := <-answered; status != 200 {
		t.Errorf("the caller that waited got %d", status)
	}
	a.wants(t, 200, "POST", "/v1/clients/demo/refresh") // loads the grant that the old client has stored
	a.wants(t, 200, "POST", "/v1/clients/demo/refresh")
	if f := oneLogin(t, tenant); f.Generation != 3 || refreshes(tenant) != 2 {
		t.Errorf("generation %d after %d refreshes", f.Generation, refreshes(tenant))
	}
	a.End(t)
}

// slowRefresh begins a refresh that the provider answers a second after it has
// rotated the token, and returns when it has begun.
func (a *agent) slowRefresh(t *testing.T, tenant *mock.Tenant) (answered chan int) {
	t.Helper()
	fault, err := tenant.Fail(mock.Fault{Endpoint: "token", Grant: "refresh_token", Times: 1, Kind: mock.FaultDelay, Delay: "1s", AfterCommit: true})
	if err != nil {
		t.Fatal(err)
	}
	answered = make(chan int, 1)
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
	return answered
}

// TestReload_UnderLoad: 100 reloads that change client demo while its tokens
// expire and callers read them. No request fails, and each generation of the
// grant is requested once.
//
// Row F35 of docs/guarantees.md.
func TestReload_UnderLoad(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 2)
	a := newReloadable(t, tenant, fmt.Sprintf(changedDemo, 60))
	a.start(t, "")
	a.loggedIn(t)
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	var requests atomic.Int64
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if status, body := a.ask(t.Context(), "GET", "/v1/clients/demo/token"); status != 200 {
					t.Errorf("%d %s", status, body)
				}
				requests.Add(1)
			}
		})
	}
	for i := range 100 {
		a.configure(t, tenant, fmt.Sprintf(changedDemo, 61+i))
		a.hangup(t, "changed=demo")
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	readers.Wait()
	a.End(t)
	if f := oneLogin(t, tenant); refreshes(tenant) != f.Generation-1 || f.Generation < 2 {
		t.Errorf("%d refreshes for %d generations", refreshes(tenant), f.Generation)
	}
	t.Logf("%d requests, %d refreshes", requests.Load(), refreshes(tenant))
}

// TestReload_Killed: tokend is killed at a random moment of a reload, or as soon
// as the reload is logged; the next start has the grant.
//
// Row F35 of docs/guarantees.md.
func TestReload_Killed(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	a := newReloadable(t, tenant, fmt.Sprintf(changedDemo, 60))
	for seed := range uint64(10) {
		a.start(t, "")
		a.loggedIn(t)
		a.configure(t, tenant, fmt.Sprintf(changedDemo, 61+seed))
		if seed%5 == 4 {
			a.hangup(t, reloaded)
		} else {
			a.signal(t, syscall.SIGHUP)
			time.Sleep(time.Duration(rand.New(rand.NewPCG(seed, 0)).IntN(8_000)) * time.Microsecond)
		}
		a.Kill()
	}
	a.start(t, "")
	a.loggedIn(t)
	a.wants(t, 200, "POST", "/v1/clients/demo/refresh")
	oneLogin(t, tenant)
	a.End(t)
}

// TestReload_ThenTerminated: SIGHUP during a refresh does not end tokend, and a
// second one while it ends is ignored.
//
// Row F35 of docs/guarantees.md.
func TestReload_ThenTerminated(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	a := newReloadable(t, tenant, noClients)
	a.start(t, "")
	a.loggedIn(t)
	answered := a.slowRefresh(t, tenant)
	a.hangup(t, reloaded)
	a.wants(t, 200, "GET", "/readyz")
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		if err := a.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // so that the signals arrive one by one
	}
	if code := a.Wait(t); code != 0 {
		t.Errorf("ended with %d\n%s", code, a.Log)
	}
	if status := <-answered; status != 200 {
		t.Errorf("the caller that waited got %d", status)
	}
	if n := strings.Count(a.Log.String(), reloaded); n != 1 {
		t.Errorf("%d reloads", n)
	}
}
