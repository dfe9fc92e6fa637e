package services_test

import (
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"example.com/tokend/e2e/internal/programs"
)

// endTenant ends the tenant of a job, as the runner does when the job is over.
func endTenant(t *testing.T, scope map[string]string) {
	t.Helper()
	pid, err := strconv.Atoi(scope["steps.mock.outputs.pid"])
	if err != nil {
		t.Errorf("pid: %v", err)
		return
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}

// freePort returns a port of 127.0.0.1 that is free now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// TestMockAction runs the jobs that use the action, whose tenant runs for the steps that
// follow. Its port is one that is free. The step that builds mockauth0 runs too.
func TestMockAction(t *testing.T) {
	programs.Tool(t, "bash")
	programs.Tool(t, "curl")
	for name, at := range map[string]struct{ file, job string }{
		"example":  {"examples/github-actions/mock.yml", "test"},
		"workflow": {".github/workflows/examples.yml", "mock"},
	} {
		t.Run(name, func(t *testing.T) {
			steps, port, used := parse[workflow](t, filepath.Join(root, at.file)).Jobs[at.job].Steps, freePort(t), 0
			for i := range steps {
				if strings.HasPrefix(steps[i].Uses, "example/tokend/mock@") || steps[i].Uses == "./mock" {
					steps[i].With = maps.Collect(maps.All(steps[i].With))
					steps[i].With["port"] = port
					used++
				}
			}
			if used != 1 {
				t.Fatalf("the job uses the action %d times", used)
			}
			j, scope := newJob(t, nil), map[string]string{}
			if code := j.run(t, steps, scope, nil); code != 0 {
				t.Fatalf("the job failed with %d:\n%s", code, &j.log)
			}
			defer endTenant(t, scope)
			issuer := scope["steps.mock.outputs.issuer"]
			if want := "http://localhost:" + port + "/"; issuer != want || !strings.Contains(j.log.String(), `"issuer":"`+want+`"`) {
				t.Errorf("the issuer is %q:\n%s", issuer, &j.log)
			}
			if log := read(t, scope["steps.mock.outputs.log"]); !strings.Contains(log, "mockauth0: issuer "+issuer) {
				t.Errorf("the tenant's log is %q", log)
			}
		})
	}
}

// The inputs reach the tenant.
func TestMockAction_Inputs(t *testing.T) {
	programs.Tool(t, "bash")
	j, scope := newJob(t, nil), map[string]string{}
	j.install(t)
	s := step{ID: "mock", Uses: "./mock", With: map[string]any{"port": freePort(t), "login": "form"}}
	if code := j.run(t, []step{s}, scope, nil); code != 0 {
		t.Fatalf("the job failed with %d:\n%s", code, &j.log)
	}
	defer endTenant(t, scope)
	once := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := once.Get(scope["steps.mock.outputs.issuer"] + //nolint:noctx // answered at once
		"authorize?response_type=code&client_id=demo&redirect_uri=http://localhost:3000/callback&state=xyzABC123")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if to := res.Header.Get("Location"); !strings.HasPrefix(to, "/u/login?") {
		t.Errorf("it leads to %q and not to the login page", to)
	}
}

// A tenant that does not start fails the step, and the log says why.
func TestMockActionRefuses(t *testing.T) {
	programs.Tool(t, "bash")
	busy := strings.TrimSuffix(mockauth0(t)[len("http://localhost:"):], "/")
	lax := write(t, filepath.Join(programs.Folder(t), "tenant.yaml"), "clients: [{name: App}]\ntenant: {mtls: {enable_endpoint_aliases: true}}\n", 0o600)
	for name, tt := range map[string]struct {
		with map[string]any
		want string
	}{
		"a line break":      {map[string]any{"tenant": "x\nissuer=http://evil.example/"}, "contains a line break"},
		"no port":           {map[string]any{"port": "http"}, "port is not a number"},
		"neither":           {map[string]any{"lax": "yes"}, "neither true nor false"},
		"a port in use":     {map[string]any{"port": busy}, "127.0.0.1:" + busy + " is in use"},
		"an unknown login":  {map[string]any{"login": "magic"}, "MOCKAUTH0_LOGIN"},
		"a missing tenant":  {map[string]any{"tenant": "nowhere.yaml"}, "nowhere.yaml: no such file"},
		"a refused setting": {map[string]any{"tenant": lax}, "mtls"},
	} {
		t.Run(name, func(t *testing.T) {
			s := step{ID: "mock", Uses: "./mock", With: map[string]any{"port": freePort(t)}}
			for k, v := range tt.with {
				s.With[k] = v
			}
			j, scope := newJob(t, nil), map[string]string{}
			j.install(t)
			if code := j.run(t, []step{s}, scope, nil); code != 78 || !strings.Contains(j.log.String(), tt.want) {
				t.Errorf("%d:\n%s", code, &j.log)
			}
			if issuer, set := scope["steps.mock.outputs.issuer"]; set {
				t.Errorf("the step has the issuer %q", issuer)
			}
		})
	}
	t.Run("lax", func(t *testing.T) {
		j, scope := newJob(t, nil), map[string]string{}
		j.install(t)
		s := step{ID: "mock", Uses: "./mock", With: map[string]any{"port": freePort(t), "tenant": lax, "lax": true}}
		if code := j.run(t, []step{s}, scope, nil); code != 0 {
			t.Fatalf("the job failed with %d:\n%s", code, &j.log)
		}
		endTenant(t, scope)
	})
}
