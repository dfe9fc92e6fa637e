package referees_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// unmet are tests of go-auth0 that the mock does not pass, with the reason.
var unmet = map[string]string{
	"TestClient_CIMDFields":                   "POST /clients/cimd/register fetches the client's metadata from the internet",
	"TestResourceServer_ACR":                  "the API https://DOMAIN/me/ is a built-in one at Auth0",
	"TestResourceServer_ExpressConfiguration": "needs Okta's built-in API urn:auth0:express-configure",
}

// TestRefereeGoAuth0: the live tests of Auth0's Go SDK, unmodified, find the mock to be
// a tenant. Each runs as a process of its own, because a nil dereference in one would
// end the others.
func TestRefereeGoAuth0(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "management.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", program, "github.com/auth0/go-auth0/management")
	build.Dir = "goauth0"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building go-auth0's tests: %v\n%s", err, out)
	}
	file, err := filepath.Abs(filepath.Join("testdata", "go-auth0.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tenants := make(chan []string, 2) // the tests use the same names, so that each needs a tenant for itself
	for range cap(tenants) {
		ten := startTenant(t, "MOCKAUTH0_TENANT="+file)
		tenants <- append(clean(), "SSL_CERT_FILE="+ten.ca, "AUTH0_DOMAIN="+strings.TrimSuffix(strings.TrimPrefix(ten.https, "https://"), "/"),
			"AUTH0_CLIENT_ID=management", "AUTH0_CLIENT_SECRET=management-secret")
	}
	names := namesIn(t, filepath.Join("testdata", "go-auth0.txt"))
	failures := runEach(t.Context(), program, t.TempDir(), tenants, names)
	passed := 0
	for _, name := range names {
		output, failed := failures[name]
		reason := unmet[name]
		switch {
		case failed && reason == "":
			t.Errorf("%s:\n%s", name, output)
		case !failed && reason != "":
			t.Errorf("%s passes now: take it off the list of unmet tests (%s)", name, reason)
		case !failed:
			passed++
		}
	}
	t.Logf("%d of %d tests of go-auth0 pass", passed, len(names))
	for name := range unmet {
		if _, failed := failures[name]; !failed {
			t.Errorf("%s is not among the tests that ran", name)
		}
	}
}

// namesIn reads a list of names, without comments.
func namesIn(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// runEach runs tests by name, one at a time in each environment, and returns the output
// of those that fail. A test that was not run fails.
func runEach(ctx context.Context, program, dir string, environments chan []string, names []string) map[string]string {
	failures := map[string]string{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, name := range names {
		env := <-environments
		all.Go(func() {
			defer func() { environments <- env }()
			out, passed := runOne(ctx, program, dir, env, name)
			if !passed && bytes.Contains(out, []byte("with this name already exists")) {
				out, passed = runOne(ctx, program, dir, env, name) // it names objects by random numbers below 999, some of them twice
			}
			if !passed {
				mu.Lock()
				failures[name] = string(out[:min(len(out), 3000)])
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return failures
}

// runOne runs a test, and returns its output and whether it passed.
func runOne(ctx context.Context, program, dir string, env []string, name string) ([]byte, bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-test.v", "-test.run", "^"+name+"$")
	cmd.Env, cmd.Dir = env, dir
	out, err := cmd.CombinedOutput()
	return out, err == nil && bytes.Contains(out, []byte("--- PASS: "+name))
}
