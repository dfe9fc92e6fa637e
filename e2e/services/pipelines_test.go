package services_test

import (
	"context"
	"errors"
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

	"example.com/tokend/e2e/internal/programs"
)

// pipeline is where the other examples run: a job that has both programs and no
// tenant of its own. The mock listens on a port that is free now, instead of
// 8400, where a neighbour may be.
type pipeline struct {
	port string
	env  []string
}

func newPipeline(t *testing.T) pipeline {
	t.Helper()
	programs.Tool(t, "curl")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	dir := programs.Folder(t)
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
	cmd := exec.CommandContext(ctx, "sh", "-e", write(t, filepath.Join(programs.Folder(t), "job"), script, 0o600))
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
		t.Errorf("it continues:\n%s", out)
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

// withoutPrograms is a PATH that has what the scripts call, except this project's.
func withoutPrograms(t *testing.T) string {
	t.Helper()
	dir := programs.Folder(t)
	for _, name := range []string{"sh", "dirname", "curl", "sleep"} {
		if err := os.Symlink(programs.Tool(t, name), filepath.Join(dir, name)); err != nil {
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

// TestDeployPage runs the blocks of docs/deploy.md that are marked sh, and parses those of
// YAML. internal/config reads the one that configures callers.
func TestDeployPage(t *testing.T) {
	issuer := mockauth0(t)
	blocks := regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(read(t, filepath.Join(root, "docs/deploy.md")), -1)
	ran := 0
	for _, b := range blocks {
		switch b[1] {
		case "console":
			continue
		case "yaml":
			var parsed any
			if err := yaml.Unmarshal([]byte(b[2]), &parsed); err != nil {
				t.Errorf("%v\n%s", err, b[2])
			}
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
	programs.Tool(t, "bash")
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
