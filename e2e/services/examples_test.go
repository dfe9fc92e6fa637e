package services_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/tokend/e2e/internal/programs"
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
	programs.Tool(t, "bash")
	programs.Tool(t, "curl")
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
	programs.Tool(t, "bash")
	programs.Tool(t, "curl")
	tenant := write(t, filepath.Join(programs.Folder(t), "tenant.yaml"), exchangeTenant, 0o600)
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
	programs.Tool(t, "bash")
	programs.Tool(t, "curl")
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
	programs.Tool(t, "bash")
	good := map[string]any{"client": "demo", "issuer": "https://tenant.example.com/", "client-id": "demo"}
	for name, tt := range map[string]struct {
		with map[string]any
		want string
	}{
		"a line break":    {map[string]any{"audience": "x\nLD_PRELOAD=/tmp/evil"}, "contains a line break"},
		"no name":         {map[string]any{"client": "a b"}, "is not a name"},
		"neither":         {map[string]any{"federate": "yes"}, "neither true nor false"},
		"two ways":        {map[string]any{"federate": true, "refresh-token": "r"}, "exclude each other"},
		"no ID token":     {map[string]any{"federate": true, "subject-token-type": "urn:x"}, "id-token: write"},
		"no type":         {map[string]any{"federate": true}, "federate needs subject-token-type"},
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

// What the login of the action fails of is its exit code, with a hint in the log.
func TestActionFailures(t *testing.T) {
	programs.Tool(t, "bash")
	issuer := mockauth0(t)
	for name, tt := range map[string]struct {
		with map[string]any
		code int
		want string
	}{
		"provider down": {map[string]any{"issuer": "http://127.0.0.1:1/"}, 75, "idp_unreachable"},
		"wrong secret":  {map[string]any{"client-secret": "canary-secret"}, 77, "client_rejected"},
		"a spent seed":  {map[string]any{"refresh-token": "canary-seed"}, 77, "login_required"},
	} {
		t.Run(name, func(t *testing.T) {
			s := step{Uses: "./", With: map[string]any{
				"client": "demo", "issuer": issuer, "client-id": "demo", "client-secret": "demo-secret", "audience": "https://api.example.com/",
			}}
			for k, v := range tt.with {
				s.With[k] = v
			}
			j := newJob(t, nil)
			j.install(t)
			code := j.run(t, []step{s}, map[string]string{}, nil)
			if log := j.log.String(); code != tt.code || !strings.Contains(log, tt.want) || !strings.Contains(log, "hint: ") {
				t.Errorf("%d:\n%s", code, log)
			}
			j.secretive(t)
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
