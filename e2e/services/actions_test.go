package services_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"example.com/tokend/e2e/internal/programs"
)

// The parts of a workflow and of a composite action that the examples use.
type workflow struct {
	Permissions map[string]string `yaml:"permissions"`
	Jobs        map[string]struct {
		Steps []step `yaml:"steps"`
	} `yaml:"jobs"`
}

type step struct {
	ID    string         `yaml:"id"`
	If    string         `yaml:"if"`
	Uses  string         `yaml:"uses"`
	Run   string         `yaml:"run"`
	Shell string         `yaml:"shell"`
	With  map[string]any `yaml:"with"`
	Env   map[string]any `yaml:"env"`
}

type action struct {
	Inputs map[string]struct {
		Required bool   `yaml:"required"`
		Default  string `yaml:"default"`
	} `yaml:"inputs"`
	Outputs map[string]struct {
		Value string `yaml:"value"`
	} `yaml:"outputs"`
	Runs struct {
		Using string `yaml:"using"`
		Steps []step `yaml:"steps"`
	} `yaml:"runs"`
}

func parse[T any](t *testing.T, file string) T {
	t.Helper()
	var v T
	if err := yaml.Unmarshal([]byte(read(t, file)), &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

// job plays GitHub's runner: its steps share variables, a PATH, a folder for
// temporary files and a log, and tell the runner things in files.
type job struct {
	root, temp string
	env        map[string]string
	contexts   map[string]string // "secrets.NAME", "vars.NAME"
	path       []string
	installed  bool
	log        bytes.Buffer
}

// install puts the programs where the actions' own steps would have built them.
func (j *job) install(t *testing.T) {
	t.Helper()
	for _, action := range []string{"tokend", "mockauth0"} {
		dir := filepath.Join(j.env["RUNNER_TEMP"], action)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(bin, filepath.Join(dir, "bin")); err != nil {
			t.Fatal(err)
		}
	}
	j.installed = true
}

// newJob is a job that was checked out.
func newJob(t *testing.T, contexts map[string]string) *job {
	t.Helper()
	checkout, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	j := &job{root: checkout, temp: programs.Folder(t), env: map[string]string{}, contexts: contexts, path: []string{os.Getenv("PATH")}}
	for _, kv := range os.Environ() {
		if name, value, _ := strings.Cut(kv, "="); !strings.HasPrefix(name, "TOKEND_") && !strings.HasPrefix(name, "ACTIONS_") && !strings.HasPrefix(name, "XDG_") {
			j.env[name] = value
		}
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOENV"} { // not those of the job's home
		j.env[name] = strings.TrimSpace(output(t, os.Environ(), "go", "env", name))
	}
	for name, sub := range map[string]string{"RUNNER_TEMP": "runner", "HOME": "home", "XDG_RUNTIME_DIR": "run"} {
		j.env[name] = filepath.Join(j.temp, sub)
		if err := os.Mkdir(j.env[name], 0o700); err != nil {
			t.Fatal(err)
		}
	}
	j.env["CI"], j.env["GITHUB_ACTIONS"] = "true", "true"
	return j
}

var expression = regexp.MustCompile(`\$\{\{ *([^} ]+) *\}\}`)

// expand puts the values of expressions into a text. One without a value is a
// mistake here, while GitHub has an empty string.
func (j *job) expand(t *testing.T, text string, scope map[string]string) string {
	t.Helper()
	return expression.ReplaceAllStringFunc(text, func(e string) string {
		name := expression.FindStringSubmatch(e)[1]
		if value, found := scope[name]; found {
			return value
		}
		if value, found := j.contexts[name]; found {
			return value
		}
		t.Errorf("%s has no value", name)
		return ""
	})
}

// run runs steps, of the workflow or of an action, which have their own scope of
// inputs and outputs. It stops at the first that fails.
func (j *job) run(t *testing.T, steps []step, scope, env map[string]string) (code int) {
	t.Helper()
	for _, s := range steps {
		if s.If == "failure()" { // no step before it has failed
			continue
		}
		var outputs map[string]string
		switch uses, _, _ := strings.Cut(s.Uses, "@"); uses {
		case "actions/checkout", "actions/setup-go":
			continue
		case "./", "example/tokend":
			outputs, code = j.use(t, ".", s, scope)
		case "./mock", "example/tokend/mock":
			outputs, code = j.use(t, "mock", s, scope)
		case "":
			outputs, code = j.shell(t, s, scope, env)
		default:
			t.Fatalf("the test does not know %s", s.Uses)
		}
		if code != 0 {
			return code
		}
		for name, value := range outputs {
			scope["steps."+s.ID+".outputs."+name] = value
		}
	}
	return 0
}

// use runs the action in a folder of the repository.
func (j *job) use(t *testing.T, folder string, s step, scope map[string]string) (outputs map[string]string, code int) {
	t.Helper()
	a, path := parse[action](t, filepath.Join(root, folder, "action.yml")), filepath.Join(j.root, folder)
	inner := map[string]string{"github.action_path": path}
	for name, input := range a.Inputs {
		inner["inputs."+name] = input.Default
		if _, given := s.With[name]; input.Required && !given {
			t.Fatalf("input %s is required", name)
		}
	}
	for name, value := range s.With {
		if _, known := a.Inputs[name]; !known {
			t.Fatalf("the action has no input %s", name)
		}
		inner["inputs."+name] = j.expand(t, fmt.Sprint(value), scope)
	}
	if a.Runs.Using != "composite" {
		t.Fatalf("the action is %s", a.Runs.Using)
	}
	for _, s := range a.Runs.Steps {
		if s.Run != "" && s.Shell == "" {
			t.Errorf("a step of the action has no shell, which GitHub refuses")
		}
	}
	if j.installed {
		a.Runs.Steps = slices.DeleteFunc(a.Runs.Steps, func(s step) bool { return strings.Contains(s.Run, "go -C") })
	}
	if code = j.run(t, a.Runs.Steps, inner, map[string]string{"GITHUB_ACTION_PATH": path}); code != 0 {
		return nil, code
	}
	outputs = map[string]string{}
	for name, o := range a.Outputs {
		outputs[name] = j.expand(t, o.Value, inner)
	}
	return outputs, 0
}

// shell runs one "run:" as the runner does.
func (j *job) shell(t *testing.T, s step, scope, more map[string]string) (outputs map[string]string, code int) {
	t.Helper()
	dir := programs.Folder(t)
	env := maps.Clone(j.env)
	maps.Copy(env, more)
	for name, value := range s.Env {
		env[name] = j.expand(t, fmt.Sprint(value), scope)
	}
	env["PATH"] = strings.Join(j.path, string(os.PathListSeparator))
	for _, name := range []string{"GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH"} {
		env[name] = write(t, filepath.Join(dir, name), "", 0o600)
	}
	script := write(t, filepath.Join(dir, "step.sh"), j.expand(t, s.Run, scope), 0o600)
	args := []string{"bash", "-e", script}
	if s.Shell == "bash" {
		args = []string{"bash", "--noprofile", "--norc", "-eo", "pipefail", script}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = j.root, &j.log, &j.log
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if err := cmd.Run(); err != nil {
		return nil, cmd.ProcessState.ExitCode()
	}
	maps.Copy(j.env, told(t, env["GITHUB_ENV"]))
	for line := range strings.Lines(read(t, env["GITHUB_PATH"])) {
		j.path = slices.Insert(j.path, 0, strings.TrimSpace(line))
	}
	return told(t, env["GITHUB_OUTPUT"]), 0
}

// told are the lines NAME=VALUE of a file that a step wrote for the runner.
func told(t *testing.T, file string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(read(t, file)) {
		name, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !found {
			t.Errorf("%s: %q is not NAME=VALUE", filepath.Base(file), line)
		}
		all[name] = value
	}
	return all
}

var jwt = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`)

// secretive: what a person sees of the job's log has no token and no secret; what
// was masked is known to the runner.
func (j *job) secretive(t *testing.T, secrets ...string) (masked []string) {
	t.Helper()
	for line := range strings.Lines(j.log.String()) {
		line = strings.TrimSuffix(line, "\n")
		if mask, is := strings.CutPrefix(line, "::add-mask::"); is {
			masked = append(masked, mask)
			continue
		}
		if jwt.MatchString(line) {
			t.Errorf("the log has a token: %s", line)
		}
		for _, s := range secrets {
			if s != "" && strings.Contains(line, s) {
				t.Errorf("the log has a secret: %s", line)
			}
		}
	}
	return masked
}
