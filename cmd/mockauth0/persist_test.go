package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/tokend/internal/tenantfile"
	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// TestMain runs mockauth0 itself in the processes that a test kills.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_IS_MOCKAUTH0") != "" {
		os.Exit(run())
	}
	os.Exit(m.Run())
}

// namesIn returns the names of the clients and the e-mail addresses of the users of a
// tenant file.
func namesIn(t *testing.T, path string) []string {
	t.Helper()
	r, err := tenantfile.Load([]string{path}, tenantfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range r.Tenant.Clients {
		names = append(names, c.Name)
	}
	for _, u := range r.Tenant.Users {
		names = append(names, u.Email)
	}
	return names
}

// manager is a client of the Management API.
type manager struct {
	*localhost
	issuer, token string
}

func newManager(t *testing.T, issuer string) *manager {
	t.Helper()
	l := newLocalhost(t)
	_, _, body := l.do(t, "POST", issuer+"oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"management"}, "client_secret": {"management-secret"}, "audience": {issuer + "api/v2/"},
	})
	_, token, _ := strings.Cut(body, `"access_token":"`)
	token, _, _ = strings.Cut(token, `"`)
	return &manager{l, issuer, token}
}

func (m *manager) createClient(t *testing.T, name string) {
	t.Helper()
	if status, _, body := m.send(t, "POST", m.issuer+"api/v2/clients", `{"name":"`+name+`"}`, "Authorization", "Bearer "+m.token, "Content-Type", "application/json"); status != 201 {
		t.Fatalf("%d %s", status, body)
	}
}

// What the Management API creates and who signs up is there after a restart, in place of
// the objects of the tenant file. A login's session is not.
func TestPersist_KeepsObjectsOverARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.yaml")
	t.Run("first", func(t *testing.T) {
		r := start(t, 1, map[string]string{"MOCKAUTH0_PERSIST": file})
		m := newManager(t, r.issuers[0])
		m.createClient(t, "created")
		if status, _, body := m.do(t, "POST", m.issuer+"dbconnections/signup", url.Values{
			"client_id": {"demo"}, "email": {"new@example.com"}, "password": {"Password-1"}, "connection": {tenant.DefaultConnection},
		}); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
	})
	if got := namesIn(t, file); !slices.Contains(got, "created") || !slices.Contains(got, "new@example.com") {
		t.Fatalf("the file has %q", got)
	}
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	t.Run("second", func(t *testing.T) {
		r := start(t, 1, nil, "serve", "--persist", file)
		l := newLocalhost(t)
		if status, _, body := l.do(t, "POST", r.issuers[0]+"oauth/token", url.Values{
			"grant_type": {"password"}, "client_id": {"demo"}, "client_secret": {"demo-secret"}, "username": {"new@example.com"}, "password": {"Password-1"},
		}); status != 200 {
			t.Errorf("the user cannot log in: %d %s", status, body)
		}
		if _, _, body := l.do(t, "GET", r.issuers[0]+"_mock/clients", nil); !strings.Contains(body, `"created"`) {
			t.Errorf("the client is gone: %s", body)
		}
	})
}

// A reset returns to the tenant file, and the file of --persist follows.
func TestPersist_ResetReturnsToTheTenantFile(t *testing.T) {
	dir := t.TempDir()
	file, given := filepath.Join(dir, "state.yaml"), filepath.Join(dir, "tenant.yaml")
	if err := os.WriteFile(given, []byte(clientOfTenants), 0o600); err != nil {
		t.Fatal(err)
	}
	arguments := []string{"serve", "--persist", file, "--tenant", given}
	t.Run("changed", func(t *testing.T) {
		r := start(t, 1, nil, arguments...)
		l := newLocalhost(t)
		if status, _, body := l.send(t, "POST", r.issuers[0]+"_mock/clients", `{"name":"added"}`, "Content-Type", "application/json"); status != 200 {
			t.Fatal(body)
		}
	})
	t.Run("reset", func(t *testing.T) {
		r := start(t, 1, nil, arguments...)
		l := newLocalhost(t)
		if _, _, body := l.do(t, "GET", r.issuers[0]+"_mock/clients", nil); !strings.Contains(body, `"added"`) {
			t.Fatalf("the file does not win over the tenant file: %s", body)
		}
		l.do(t, "POST", r.issuers[0]+"_mock/reset", nil)
		if _, _, body := l.do(t, "GET", r.issuers[0]+"_mock/clients", nil); strings.Contains(body, `"added"`) || !strings.Contains(body, `"App"`) {
			t.Errorf("after a reset: %s", body)
		}
	})
	if got := namesIn(t, file); !slices.Equal(got, []string{"App", "ann@example.com"}) {
		t.Errorf("the file has %q", got)
	}
}

// Without a tenant file, a reset returns to the default tenant, and the log says so.
func TestPersist_LogSaysWhatAResetReturnsTo(t *testing.T) {
	dir := t.TempDir()
	given := filepath.Join(dir, "tenant.yaml")
	if err := os.WriteFile(given, []byte(clientOfTenants), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, more := range map[string][]string{"the default tenant": nil, "the tenant file": {"--tenant", given}} {
		arguments := append([]string{"serve", "--persist", filepath.Join(dir, want)}, more...)
		t.Run(want, func(t *testing.T) { start(t, 1, nil, arguments...) })
		t.Run(want+" again", func(t *testing.T) {
			if r := start(t, 1, nil, arguments...); !slices.ContainsFunc(r.log, func(line string) bool { return strings.HasSuffix(line, "; a reset returns to "+want) }) {
				t.Errorf("log:\n%q", r.log)
			}
		})
	}
}

// A process that is killed leaves a whole file, with every change but those of the last
// moment.
func TestPersist_KilledProcessLeavesAWholeFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.yaml")
	for round := range 3 {
		issuer, kill := startProcess(t, file)
		m := newManager(t, issuer)
		for i := range 5 {
			m.createClient(t, fmt.Sprintf("client %d-%d", round, i))
		}
		until(t, func() bool { return slices.Contains(namesIn(t, file), fmt.Sprintf("client %d-4", round)) })
		m.createClient(t, fmt.Sprintf("late %d", round))
		kill()
		names := namesIn(t, file) // fails if the file is not whole
		for r := range round + 1 {
			for i := range 5 {
				if name := fmt.Sprintf("client %d-%d", r, i); !slices.Contains(names, name) {
					t.Errorf("round %d: %s is lost", round, name)
				}
			}
		}
	}
}

// startProcess runs mockauth0 as a process of its own. kill ends it by SIGKILL.
func startProcess(t *testing.T, file string) (issuer string, kill func()) {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], "serve", "--persist", file) //nolint:gosec // this test
	c.Env = append(os.Environ(), "TEST_IS_MOCKAUTH0=1", "MOCKAUTH0_LISTEN=127.0.0.1:0")
	log, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(log); issuer == "" && lines.Scan(); {
		if _, rest, found := strings.Cut(lines.Text(), "issuer "); found {
			issuer, _, _ = strings.Cut(rest, ",")
		}
	}
	return issuer, func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
}

// until waits for a change that another process makes to a file.
func until(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(time.Minute); !done(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it did not happen within a minute")
		}
	}
}

// A file that cannot be used ends the start with a hint, and is not changed.
func TestPersist_RefusesAFileThatIsNotATenant(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ content, problem string }{
		"empty":              {"", "the file is empty"},
		"half":               {"clients:\n  - {name: App", "could not find flow mapping end token"},
		"a wrong type":       {"clients:\n  - {name: App, client_id: 1}\n", "client_id must be a string"},
		"an unknown role":    {"clients: [{name: App}]\nusers: [{email: a@example.com, roles: [x]}]\n", `the role "x"`},
		"an unknown kind":    {"clients: [{name: App}]\nx-management: {documents: [{kind: session, id: a, body: {a: 1}}]}\n", `"session" has no documents`},
		"a document of text": {"clients: [{name: App}]\nx-management: {documents: [{kind: rule, id: a, body: text}]}\n", "needs an id and members"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".yaml")
			if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("MOCKAUTH0_LISTEN", "127.0.0.1:0")
			code, _, stderr := execute(t, "serve", "--persist", file)
			if code != exitConfig || !strings.Contains(stderr, c.problem) || !strings.Contains(stderr, "hint: correct the file, or move it away") {
				t.Errorf("exit code %d\n%s", code, stderr)
			}
			if b, err := os.ReadFile(file); err != nil || string(b) != c.content {
				t.Errorf("the file is now %q, %v", b, err)
			}
		})
	}
}

func TestPersist_RefusesWhatItCannotWrite(t *testing.T) {
	t.Setenv("MOCKAUTH0_LISTEN", "127.0.0.1:0")
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, problem string }{
		"no directory": {filepath.Join(dir, "absent", "f.yaml"), "cannot write the file"},
		"a directory":  {dir, "is not a regular file"},
		"in a file":    {filepath.Join(plain, "f.yaml"), "not a directory"},
	} {
		if code, _, stderr := execute(t, "serve", "--persist", c.file); code != exitConfig || !strings.Contains(stderr, c.problem) || !strings.Contains(stderr, "hint: ") {
			t.Errorf("%s: exit code %d\n%s", name, code, stderr)
		}
	}
	t.Setenv("MOCKAUTH0_TENANTS", "a="+filepath.Join(dir, "a.yaml"))
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(clientOfTenants), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := execute(t, "serve", "--persist", filepath.Join(dir, "f.yaml")); code != exitConfig || !strings.Contains(stderr, "--persist is for one tenant") {
		t.Errorf("several tenants: exit code %d\n%s", code, stderr)
	}
}

// A file that a person has edited stays as it is until an object changes. Then it is
// replaced as a whole, at the end of a link if it is one.
func TestPersister_ReplacesTheFileAfterAChange(t *testing.T) {
	dir := t.TempDir()
	file, link, before := filepath.Join(dir, "state.yaml"), filepath.Join(dir, "link.yaml"), filepath.Join(dir, "before.yaml")
	edited := []byte("clients: [{name: App}] # mine\n")
	if err := errors.Join(os.WriteFile(file, edited, 0o600), os.Symlink("state.yaml", link)); err != nil {
		t.Fatal(err)
	}
	p := &program{stdout: io.Discard, stderr: io.Discard}
	loaded, err := p.loadPersisted(link)
	if err != nil {
		t.Fatal(err)
	}
	tn, err := mock.New(mock.Config{State: loaded.Tenant})
	if err != nil {
		t.Fatal(err)
	}
	k, err := p.persist(link, tn, true)
	if err == nil {
		err = k.save()
	}
	if b, readErr := os.ReadFile(file); err != nil || readErr != nil || !bytes.Equal(b, edited) {
		t.Fatalf("without a change the file is %q, %v, %v", b, err, readErr)
	}
	if err := os.Link(file, before); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(tn.Reload(&tenant.File{Clients: []tenant.Client{{Name: "Other"}}}), k.save()); err != nil {
		t.Fatal(err)
	}
	if got := namesIn(t, file); !slices.Equal(got, []string{"Other"}) {
		t.Errorf("after a change the file has %q", got)
	}
	if b, err := os.ReadFile(before); err != nil || !bytes.Equal(b, edited) {
		t.Errorf("it was written in place: %q, %v", b, err)
	}
	if to, err := os.Readlink(link); err != nil || to != "state.yaml" {
		t.Errorf("the link is %q, %v", to, err)
	}
}

// A file with changes of others is not replaced, so that neither the changes of a
// person nor those of a second process are lost. One that is moved away is written again.
func TestPersister_KeepsChangesOfOthers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.yaml")
	p := &program{stdout: io.Discard, stderr: io.Discard}
	tenants := make([]*mock.Tenant, 2)
	keepers := make([]*persister, 2)
	for i := range tenants {
		loaded, err := p.loadPersisted(file)
		if err != nil {
			t.Fatal(err)
		}
		var c mock.Config
		if loaded != nil {
			c.State = loaded.Tenant
		}
		if tenants[i], err = mock.New(c); err == nil {
			keepers[i], err = p.persist(file, tenants[i], loaded != nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []error{nil, errChanged} {
		if err := tenants[i].Reload(&tenant.File{Clients: []tenant.Client{{Name: fmt.Sprintf("App %d", i)}}}); err != nil {
			t.Fatal(err)
		}
		if err := keepers[i].save(); !errors.Is(err, want) {
			t.Fatalf("process %d: %v, want %v", i, err, want)
		}
		if got := namesIn(t, file); !slices.Equal(got, []string{"App 0"}) {
			t.Fatalf("the file has %q", got)
		}
	}
	if err := keepers[1].end(); !errors.Is(err, errChanged) || !strings.Contains(err.Error(), file+".unsaved") {
		t.Errorf("at the end: %v", err)
	}
	if got := namesIn(t, file+".unsaved"); !slices.Equal(got, []string{"App 1"}) {
		t.Errorf("the second file has %q", got)
	}
	if err := errors.Join(os.Rename(file, file+".other"), keepers[1].save()); err != nil {
		t.Fatal(err)
	}
	if got := namesIn(t, file); !slices.Equal(got, []string{"App 1"}) {
		t.Errorf("after the move the file has %q", got)
	}
}

// Changes are in the file a moment after them, together; a file that cannot be written
// is tried again, and a tenant that does not change is not written.
func TestPersister_WritesAMomentAfterAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		file := filepath.Join(dir, "sub", "state.yaml")
		if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		tn, err := mock.New(mock.Config{})
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		p := &program{stdout: io.Discard, stderr: &log}
		k, err := p.persist(file, tn, false)
		if err != nil {
			t.Fatal(err)
		}
		change := func(name string) {
			if err := tn.Reload(&tenant.File{Clients: []tenant.Client{{Name: name}}}); err != nil {
				t.Fatal(err)
			}
		}
		signUp := url.Values{"client_id": {"demo"}, "email": {"new@example.com"}, "password": {"Password-1"}, "connection": {tenant.DefaultConnection}}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/dbconnections/signup", strings.NewReader(signUp.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer := httptest.NewRecorder()
		if tn.ServeHTTP(answer, req); answer.Code != http.StatusOK { // before run begins
			t.Fatal(answer.Body)
		}
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- k.run(ctx) }()
		synctest.Wait()
		has := func(text string) bool {
			b, _ := os.ReadFile(file)
			return bytes.Contains(b, []byte(text+"\n"))
		}
		time.Sleep(persistDelay - time.Millisecond)
		synctest.Wait()
		if has("new@example.com") {
			t.Error("it is written before the delay")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if !has("new@example.com") {
			t.Error("it is not written after the delay")
		}
		if err := os.Rename(filepath.Dir(file), filepath.Join(dir, "away")); err != nil {
			t.Fatal(err)
		}
		change("two")
		time.Sleep(2 * persistDelay)
		synctest.Wait()
		if !strings.Contains(log.String(), "cannot write") {
			t.Errorf("the error is not logged: %s", &log)
		}
		if err := os.Rename(filepath.Join(dir, "away"), filepath.Dir(file)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(persistRetry)
		synctest.Wait()
		if !has("- name: two") {
			t.Error("it is not tried again")
		}
		before, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		change("two")
		time.Sleep(2 * persistDelay)
		synctest.Wait()
		if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) {
			t.Errorf("the same objects are written again: %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
