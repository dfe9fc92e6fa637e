package e2e_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"example.com/tokend/e2e/internal/programs"
	"example.com/tokend/internal/store/postgres/pgtest"
	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// rotating returns a tenant whose client demo rotates its refresh tokens, with an
// overlap and an access token lifetime in seconds.
func rotating(t *testing.T, overlap, lifetime int) *mock.Tenant {
	t.Helper()
	return mock.Start(t, mock.Config{Tenant: rotatingTenant(overlap, lifetime)})
}

// rotatingTenant returns the description of such a tenant.
func rotatingTenant(overlap, lifetime int) *tenant.File {
	e := tenant.Default()
	e.Clients[0].RefreshToken = &tenant.RefreshPolicy{
		RotationType: "rotating", ExpirationType: "expiring", TokenLifetime: 2592000, IdleTokenLifetime: 2592000, Leeway: overlap,
	}
	e.ResourceServers[0].TokenLifetime = lifetime
	return e
}

// agent is a tokend process with client demo at a tenant.
type agent struct {
	*programs.Program

	dir string // its home directory, with its store
	env []string
	url string

	http *http.Client // of its API

	pg     *pgtest.Cluster // of its store; nil: the store is a file
	pgName string          // of its database there
}

// newAgent prepares an agent in a directory of its own; env overrides its
// settings.
func newAgent(t *testing.T, tenant *mock.Tenant, env ...string) *agent {
	t.Helper()
	a := &agent{dir: t.TempDir()}
	vars := defaults(a.dir)
	vars["TOKEND_CLIENT_DEMO_ISSUER"] = tenant.Issuer()
	vars["TOKEND_SOCKET"], vars["TOKEND_API_KEY"], vars["HOME"] = "off", agentKey, a.dir
	for name, value := range vars {
		a.env = append(a.env, name+"="+value)
	}
	a.env = append(append(a.env, "PATH="+os.Getenv("PATH")), env...)
	return a
}

const agentKey = "an-api-key-of-the-tests"

// start starts the process and waits until it listens. A shell runs line first,
// if there is one.
func (a *agent) start(t *testing.T, line string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "tokend"), "serve")
	if line != "" {
		cmd = exec.Command("/bin/sh", "-c", line+`; exec "$0" serve`, filepath.Join(bin, "tokend"))
	}
	cmd.Env, cmd.Dir = a.env, a.dir
	a.Program = programs.Start(t, cmd)
	log := a.Log
	t.Cleanup(func() {
		if kinds := leaks(log.String()); kinds != nil {
			t.Errorf("%v in the log:\n%s", kinds, log)
		}
	})
	a.listens(t)
}

// listens waits until the process listens.
func (a *agent) listens(t *testing.T) {
	t.Helper()
	a.url, a.http = "http://127.0.0.1:"+a.WaitFor(t, programs.Port), compared(t)
}

// ask sends a request and returns status and body; status 0 without an answer.
func (a *agent) ask(ctx context.Context, method, path string) (int, string) {
	req, err := http.NewRequestWithContext(ctx, method, a.url+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+agentKey)
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

// loggedIn waits for the first token.
func (a *agent) loggedIn(t *testing.T) {
	t.Helper()
	if status, body := a.ask(t.Context(), "GET", "/v1/clients/demo/token"); status != 200 {
		t.Fatalf("no token: %d %s\n%s", status, body, a.Log)
	}
}

// oneLogin checks for a single family, not revoked, that came from a single code.
func oneLogin(t *testing.T, tenant *mock.Tenant) mock.FamilyState {
	t.Helper()
	families := tenant.Families()
	if len(families) != 1 || families[0].Revoked != "" {
		t.Fatalf("families %+v", families)
	}
	if n := tenant.Journal().Count(mock.Query{Endpoint: "token", Grant: "authorization_code"}); n != 1 {
		t.Fatalf("%d logins", n)
	}
	return families[0]
}

// refreshes returns the number of refresh requests that the tenant got.
func refreshes(tenant *mock.Tenant) int {
	return tenant.Journal().Count(mock.Query{Endpoint: "token", Grant: "refresh_token"})
}

// run runs tokend to its end, in the agent's environment.
func (a *agent) run(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "tokend"), args...)
	cmd.Env, cmd.Dir = a.env, a.dir
	b, err := cmd.CombinedOutput()
	if e := (*exec.ExitError)(nil); err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}
