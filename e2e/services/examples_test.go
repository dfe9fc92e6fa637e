package services_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// calls is what the mock's protected API answers to a good token.
const calls = `"sub":"auth0|`

// exchangeTenant has an application that may exchange tokens.
const exchangeTenant = `
clients:
  - name: Demo
    client_id: demo
    client_secret: demo-secret
    app_type: regular_web
    is_first_party: true
    token_endpoint_auth_method: client_secret_post
    grant_types: ['urn:ietf:params:oauth:grant-type:token-exchange', password, refresh_token]
    token_exchange: {allow_any_profile_of_type: [custom_authentication]}
roles:
  - name: agent
resourceServers:
  - name: Calls
    identifier: https://api.example.com/
    allow_offline_access: true
    scopes: [{value: 'read:calls'}]
users:
  - user_id: auth0|1
    email: agent@example.com
    password: password
    roles: [agent]
`

// refreshToken is a seed, as somebody takes it from a tenant for a pipeline.
func refreshToken(t *testing.T, issuer string) string {
	t.Helper()
	resp, err := http.PostForm(issuer+"oauth/token", url.Values{
		"grant_type": {"password"}, "client_id": {"demo"}, "client_secret": {"demo-secret"}, "username": {"agent@example.com"},
		"password": {"password"}, "scope": {"openid offline_access"}, "audience": {"https://api.example.com/"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.RefreshToken == "" {
		t.Fatalf("%d: no refresh token (%v)", resp.StatusCode, err)
	}
	return answer.RefreshToken
}

// variables are what a person sets in the settings of a repository.
func variables(issuer, seed string) map[string]string {
	return map[string]string{
		"vars.ISSUER": issuer, "vars.CLIENT_ID": "demo", "vars.API": issuer + "_mock/resource",
		"secrets.CLIENT_SECRET": "demo-secret", "secrets.REFRESH_TOKEN": seed,
	}
}

func TestGitHubActionsSeed(t *testing.T) {
	tool(t, "bash")
	tool(t, "curl")
	issuer := mockauth0(t)
	seed := refreshToken(t, issuer)
	w := parse[workflow](t, filepath.Join(root, "examples/github-actions/seed.yml"))
	j := newJob(t, variables(issuer, seed))
	if code := j.run(t, w.Jobs["deploy"].Steps, map[string]string{}, nil); code != 0 {
		t.Fatalf("the job failed with %d:\n%s", code, &j.log)
	}
	masked := j.secretive(t, seed, "demo-secret")
	if !slices.Contains(masked, seed) || !slices.ContainsFunc(masked, jwt.MatchString) {
		t.Errorf("not masked: seed or access token; masked are %d", len(masked))
	}
	if log := j.log.String(); !strings.Contains(log, calls) || !regexp.MustCompile(`good until \d{4}-\d\d-\d\dT`).MatchString(log) {
		t.Errorf("the log lacks the call or the expiry:\n%s", log)
	}
	leftNothing(t, j)
}

func TestGitHubActionsFederation(t *testing.T) {
	tool(t, "bash")
	tool(t, "curl")
	tenant := write(t, filepath.Join(folder(t), "tenant.yaml"), exchangeTenant, 0o600)
	issuer := mockauth0(t, "MOCKAUTH0_TENANT="+tenant)
	var asked url.Values
	github := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query()
		if !strings.EqualFold(r.Header.Get("Authorization"), "bearer of-the-job") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprint(w, `{"count":1,"value":"agent@example.com"}`) // whom the mock takes it for
	}))
	t.Cleanup(github.Close)
	w := parse[workflow](t, filepath.Join(root, "examples/github-actions/federation.yml"))
	if w.Permissions["id-token"] != "write" {
		t.Fatal("the job would have no ID token")
	}
	j := newJob(t, variables(issuer, ""))
	if code := j.run(t, w.Jobs["deploy"].Steps, map[string]string{}, nil); code == 0 {
		t.Error("the job runs without an ID token")
	}
	j = newJob(t, variables(issuer, ""))
	j.env["ACTIONS_ID_TOKEN_REQUEST_URL"], j.env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = github.URL+"/?api-version=2.0", "of-the-job"
	if code := j.run(t, w.Jobs["deploy"].Steps, map[string]string{}, nil); code != 0 {
		t.Fatalf("the job failed with %d:\n%s", code, &j.log)
	}
	if asked.Get("api-version") != "2.0" {
		t.Errorf("GitHub was asked with %v", asked)
	}
	if masked := j.secretive(t, "demo-secret", "of-the-job"); !slices.ContainsFunc(masked, jwt.MatchString) {
		t.Error("the access token is not masked")
	}
	if !strings.Contains(j.log.String(), calls) {
		t.Errorf("the API was not called:\n%s", &j.log)
	}
	leftNothing(t, j)
}

// TestWorkflow runs the job that .github/workflows/examples.yml has for the action.
func TestWorkflow(t *testing.T) {
	tool(t, "bash")
	tool(t, "curl")
	w := parse[workflow](t, filepath.Join(root, ".github/workflows/examples.yml"))
	steps := slices.DeleteFunc(w.Jobs["action"].Steps, func(s step) bool { return strings.Contains(s.Run, "mockauth0 serve") })
	if len(steps) != len(w.Jobs["action"].Steps)-1 {
		t.Fatal("no step starts the tenant")
	}
	issuer := mockauth0(t)
	for i := range steps { // another test has the mock's port
		steps[i].Run = strings.ReplaceAll(steps[i].Run, "http://localhost:8400/", issuer)
		for name, value := range steps[i].With {
			steps[i].With[name] = strings.ReplaceAll(fmt.Sprint(value), "http://localhost:8400/", issuer)
		}
	}
	j := newJob(t, nil)
	j.env["API"] = issuer + "_mock/resource"
	if code := j.run(t, steps, map[string]string{}, nil); code != 0 {
		t.Fatalf("the job failed with %d:\n%s", code, &j.log)
	}
	j.secretive(t)
	if !strings.Contains(j.log.String(), calls) {
		t.Errorf("the API was not called:\n%s", &j.log)
	}
}

// Inputs that would set variables of the job, or that make no sense, are refused.
func TestActionRefuses(t *testing.T) {
	tool(t, "bash")
	good := map[string]any{"client": "demo", "issuer": "https://tenant.example.com/", "client-id": "demo"}
	for name, tt := range map[string]struct {
		with map[string]any
		want string
	}{
		"a line break":    {map[string]any{"audience": "x\nLD_PRELOAD=/tmp/evil"}, "holds a line break"},
		"no name":         {map[string]any{"client": "a b"}, "is not a name"},
		"neither":         {map[string]any{"federate": "yes"}, "neither true nor false"},
		"two ways":        {map[string]any{"federate": true, "refresh-token": "r"}, "exclude each other"},
		"no ID token":     {map[string]any{"federate": true}, "id-token: write"},
		"a wrong setting": {map[string]any{"issuer": "tenant.example.com"}, "hint: "},
	} {
		t.Run(name, func(t *testing.T) {
			s := step{Uses: "./", With: map[string]any{}}
			for _, from := range []map[string]any{good, tt.with} {
				for k, v := range from {
					s.With[k] = v
				}
			}
			j := newJob(t, nil)
			j.install(t)
			if code := j.run(t, []step{s}, map[string]string{}, nil); code != 78 || !strings.Contains(j.log.String(), tt.want) {
				t.Errorf("%d:\n%s", code, &j.log)
			}
			if _, set := j.env["LD_PRELOAD"]; set {
				t.Error("the input set a variable")
			}
		})
	}
}

// leftNothing: what a job had is in the folder that the runner empties.
func leftNothing(t *testing.T, j *job) {
	t.Helper()
	for _, dir := range []string{j.env["HOME"], j.env["XDG_RUNTIME_DIR"]} {
		left, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range left {
			if e.Name() != ".config" { // of the go command, which counts what it does
				t.Errorf("the job left %s", filepath.Join(dir, e.Name()))
			}
		}
	}
	err := filepath.WalkDir(j.env["RUNNER_TEMP"], func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "/bin/") {
			return err
		}
		fi, err := d.Info()
		if err == nil && fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others (mode %#o)", path, fi.Mode().Perm())
		}
		if jwt.MatchString(read(t, path)) {
			t.Errorf("%s has a token in the clear", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// pipeline is where the other examples run: a job that has both programs and no
// tenant of its own. The mock listens on a port that is free now, instead of
// 8400, where a neighbour may be.
type pipeline struct {
	port string
	env  []string
}

func newPipeline(t *testing.T) pipeline {
	t.Helper()
	tool(t, "curl")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	dir := folder(t)
	return pipeline{port: port, env: []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "CI=true",
		"MOCKAUTH0_LISTEN=127.0.0.1:" + port, "TOKEND_LISTEN=off",
	}}
}

// run runs a script in a checkout.
func (p pipeline) run(t *testing.T, env []string, script string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-e", write(t, filepath.Join(folder(t), "job"), script, 0o600))
	cmd.Dir, cmd.Env = root, append(slices.Clone(p.env), env...)
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// succeeds runs a script in a checkout, calls the API and tells no secret.
func (p pipeline) succeeds(t *testing.T, env []string, script string) {
	t.Helper()
	out, err := p.run(t, env, script)
	if err != nil || !strings.Contains(out, calls) {
		t.Errorf("%v\n%s", err, out)
	}
	if jwt.MatchString(out) || strings.Contains(out, "demo-secret") {
		t.Errorf("the log has a secret:\n%s", out)
	}
	if l, err := net.Listen("tcp", "127.0.0.1:"+p.port); err != nil {
		t.Errorf("the mock was left behind: %v", err)
	} else {
		_ = l.Close()
	}
}

// fails runs a script that says why it cannot go on, and does not call the API.
func (p pipeline) fails(t *testing.T, script, want string) {
	t.Helper()
	out, err := p.run(t, nil, script)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 69 || !strings.Contains(out, want) {
		t.Errorf("%v\n%s", err, out)
	}
	if strings.Contains(out, calls) || strings.Contains(out, "No such process") {
		t.Errorf("it goes on:\n%s", out)
	}
}

func TestShell(t *testing.T) {
	for _, script := range []string{"exec examples/shell/pipeline.sh", "exec examples/shell/service.sh"} {
		t.Run(script, func(t *testing.T) {
			newPipeline(t).succeeds(t, nil, script)
			issuer := mockauth0(t)
			newPipeline(t).succeeds(t, append(demo(issuer), "TOKEND_CLIENTS=", "API="+issuer+"_mock/resource"), script)

			p := newPipeline(t)
			p.env = append(p.env, "PATH="+withoutPrograms(t))
			p.fails(t, script, "error: tokend is not on PATH; hint: ")

			p = newPipeline(t)
			l, err := net.Listen("tcp", "127.0.0.1:"+p.port)
			if err != nil {
				t.Fatal(err)
			}
			foreign := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.NotFoundHandler()}}
			foreign.Start()
			defer foreign.Close()
			p.fails(t, script, "error: mockauth0 has ended, its error is above")

			other, err := url.Parse(issuer)
			if err != nil {
				t.Fatal(err)
			}
			p = newPipeline(t)
			p.env = append(p.env, "MOCKAUTH0_LISTEN=127.0.0.1:"+other.Port())
			p.fails(t, script, "error: something answers already where mockauth0 would; hint: ")
		})
	}
}

// withoutPrograms is a PATH that has what the scripts call, but for this project's.
func withoutPrograms(t *testing.T) string {
	t.Helper()
	dir := folder(t)
	for _, name := range []string{"sh", "dirname", "curl", "sleep"} {
		if err := os.Symlink(tool(t, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// demo are the settings of a client of the mock's default tenant.
func demo(issuer string) []string {
	return []string{
		"TOKEND_CLIENTS=demo", "TOKEND_CLIENT_DEMO_ISSUER=" + issuer, "TOKEND_CLIENT_DEMO_CLIENT_ID=demo",
		"TOKEND_CLIENT_DEMO_CLIENT_SECRET=demo-secret", "TOKEND_CLIENT_DEMO_AUDIENCE=https://api.example.com/",
		"TOKEND_CLIENT_DEMO_SCOPES=openid,offline_access", "TOKEND_CLIENT_DEMO_LOGIN=headless",
		"TOKEND_CLIENT_DEMO_REDIRECT_URI=http://localhost:8484/callback",
	}
}

func TestGitLab(t *testing.T) {
	var file struct {
		Deploy struct {
			Before []string `yaml:"before_script"`
			Script []string `yaml:"script"`
		} `yaml:"deploy"`
	}
	text := read(t, filepath.Join(root, "examples/gitlab/.gitlab-ci.yml"))
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	newPipeline(t).succeeds(t, nil, strings.Join(slices.Concat(file.Deploy.Before, file.Deploy.Script), "\n")+"\n")
}

func TestJenkins(t *testing.T) {
	text := read(t, filepath.Join(root, "examples/jenkins/Jenkinsfile"))
	steps := regexp.MustCompile(`(?s)\bsh \'\'\'(.*?)\'\'\'`).FindAllStringSubmatch(text, -1)
	if len(steps) != 1 {
		t.Fatal("the Jenkinsfile has another form than the test knows")
	}
	newPipeline(t).succeeds(t, nil, steps[0][1])
}

// TestDeployPage runs the blocks of docs/deploy.md that are marked sh.
func TestDeployPage(t *testing.T) {
	issuer := mockauth0(t)
	blocks := regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(read(t, filepath.Join(root, "docs/deploy.md")), -1)
	ran := 0
	for _, b := range blocks {
		switch b[1] {
		case "console":
			continue
		case "sh":
		default:
			t.Errorf("a block is marked %q", b[1])
		}
		ran++
		p := newPipeline(t)
		cmd := exec.Command("sh", "-euc", b[2])
		cmd.Dir, cmd.Env = root, append(append(p.env, demo(issuer)...), "API="+issuer+"_mock/resource")
		if out, err := cmd.CombinedOutput(); err != nil || jwt.Match(out) {
			t.Errorf("%v\n%s\nprinted:\n%s", err, b[2], out)
		}
	}
	if ran == 0 {
		t.Error("no block is run")
	}
}

// A secret of several lines, as a file that was pasted, is masked line by line:
// the runner takes a line for a command or prints it.
func TestActionMasksEveryLine(t *testing.T) {
	tool(t, "bash")
	j := newJob(t, nil)
	j.install(t)
	s := step{Uses: "./", With: map[string]any{
		"client": "demo", "issuer": mockauth0(t), "client-id": "demo", "client-secret": "canary-one\r\ncanary%0Atwo\n::set-env::canary-three\n",
	}}
	if code := j.run(t, []step{s}, map[string]string{}, nil); code == 0 {
		t.Error("the secret is good")
	}
	masked := j.secretive(t, "canary-one", "canary%0Atwo", "canary-three")
	for _, want := range []string{"canary-one", "canary%250Atwo", "::set-env::canary-three"} {
		if !slices.Contains(masked, want) {
			t.Errorf("%s is not masked: %q", want, masked)
		}
	}
}
