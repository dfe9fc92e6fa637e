package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/tokend/internal/format"
)

// credentialProgram builds tokend-credential, with links of the helpers' names.
func credentialProgram(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "tokend-credential"), "../tokend-credential")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name := range format.Helpers() {
		if err := os.Symlink("tokend-credential", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runCredential runs a program of dir as another process.
func runCredential(t *testing.T, dir, name, stdin string, args ...string) output {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, name), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	code := 0
	var exit *exec.ExitError
	switch err := cmd.Run(); {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return output{code, stdout.String(), stderr.String()}
}

// formCall is one command line of both programs.
type formCall struct {
	what   string
	env    []string
	helper string   // the name that both are called by; "": their own
	args   []string // after "tokend token --format FORM" or "tokend-credential FORM"
	form   string
	stdin  string
}

// formCalls are the calls of every form and of every helper's name.
func formCalls(t *testing.T, up, down, odd string) []formCall {
	t.Helper()
	states := []struct {
		what, client string
		env          []string
	}{
		{"success", "ci", []string{up}},
		{"service down", "ci", []string{down}},
		{"wrong key", "ci", []string{up, "TOKEND_API_KEY=wrong-wrong-wrong-wrong"}},
		{"key file missing", "ci", []string{up, "TOKEND_API_KEY_FILE=/nonexistent/key"}},
		{"address of another machine", "ci", []string{"TOKEND_ADDR=http://example.com:8484"}},
		{"listener of another machine", "ci", []string{"TOKEND_ADDR=", "TOKEND_SOCKET=off", "TOKEND_LISTEN=0.0.0.0:8484"}},
		{"unknown client", "missing", []string{up}},
		{"login required", "new", []string{up}},
		{"provider down", "down", []string{up}},
		{"line break in the provider's token", "broken", []string{up}},
		{"line break in the service's token", "demo", []string{odd}},
		{"Google wants the ID token", "ci", []string{up, "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=urn:ietf:params:oauth:token-type:id_token"}},
		{"kubectl wants another version", "ci", []string{up, `KUBERNETES_EXEC_INFO={"apiVersion":"client.authentication.k8s.io/v1alpha1","kind":"ExecCredential"}`}},
	}
	var calls []formCall
	for _, name := range append(format.Names(), slices.Sorted(maps.Keys(format.Helpers()))...) {
		for _, s := range states {
			c := formCall{what: s.what, env: s.env, form: name, args: []string{s.client}}
			host := s.client + ".example.com"
			if _, helper := format.Helpers()[name]; helper {
				c.helper, c.form, c.args = name, "", []string{"get"}
			}
			switch name {
			case "git-credential", "git-credential-tokend":
				c.stdin = "protocol=https\nhost=" + host + "\n"
			case "docker-credential", "docker-credential-tokend":
				c.stdin = host
			case "terraform-credentials", "terraform-credentials-tokend":
				c.args = []string{"get", host}
			}
			calls = append(calls, c)
		}
		if !slices.Contains([]string{"docker-credential-tokend", "git-credential-tokend"}, name) {
			continue
		}
		for _, operation := range []string{"list", "store", "erase", "version", "encrypt"} {
			calls = append(calls, formCall{what: operation, env: []string{up}, helper: name, args: []string{operation}, stdin: "protocol=https\nhost=ci.example.com\n"})
		}
	}
	for _, c := range []formCall{
		{what: "no name", form: "text"},
		{what: "two names", form: "text", args: []string{"ci", "new"}},
		{what: "longer than the provider's tokens live", form: "text", args: []string{"ci", "--min-validity", "48h"}},
		{what: "longer than the provider's tokens live", form: "external", args: []string{"ci", "--min-validity", "48h"}},
		{what: "negative", form: "text", args: []string{"ci", "--min-validity", "-1s"}},
		{what: "scopes", form: "json", args: []string{"ci", "--scope", "a b", "--audience", "https://api.example.com/"}},
		{what: "variable", form: "env", args: []string{"ci", "--env", "API_TOKEN"}},
		{what: "no variable name", form: "env", args: []string{"ci", "--env", "A-B"}},
		{what: "variable without effect", form: "text", args: []string{"ci", "--env", "A"}},
		{what: "no ID token", form: "header", args: []string{"ci", "--id-token"}},
		{what: "ID token without effect", form: "env", args: []string{"ci", "--id-token"}},
		{what: "query", form: "external", stdin: `{"client":"ci","min_validity":"10m"}`},
		{what: "bad query", form: "external", stdin: `{"clint":"ci"}`},
		{what: "operation", form: "terraform-credentials", args: []string{"list", "ci.example.com"}},
		{what: "no host", helper: "terraform-credentials-tokend", args: []string{"get"}},
		{what: "no operation", helper: "docker-credential-tokend"},
		{what: "no operation", helper: "git-credential-tokend"},
		{what: "client's name", helper: "git-credential-tokend", args: []string{"ci", "--min-validity", "10m", "get"}, stdin: "protocol=https\nhost=ci.example.com\n"},
		{what: "host of another client", helper: "git-credential-tokend", args: []string{"ci", "get"}, stdin: "protocol=https\nhost=down.example.com\n"},
	} {
		c.env = []string{up}
		calls = append(calls, c)
	}
	return calls
}

// TestCredentialProgram_EveryForm_AnswersAsTokendToken compares what both programs
// print, and their exit codes, byte for byte except for times and random parts.
func TestCredentialProgram_EveryForm_AnswersAsTokendToken(t *testing.T) {
	dir := credentialProgram(t) // before HOME, and with it the build cache, is another
	clean(t)
	s, odd := failing(t), newStub(t)
	odd.token, odd.hosts = "canary\naccess-token", `["demo.example.com"]`
	key, err := os.ReadFile(filepath.Join(os.Getenv("HOME"), ".local", "state", "tokend", "api.key"))
	if err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	succeeded := map[string]bool{}
	for _, c := range formCalls(t, "TOKEND_ADDR=http://"+s.tcp, "TOKEND_ADDR="+refused(t), "TOKEND_ADDR="+odd.URL) {
		t.Run(strings.TrimSpace(c.form+c.helper+" "+c.what), func(t *testing.T) {
			setenv(t, c.env...)
			if !slices.ContainsFunc(c.env, func(kv string) bool { return strings.HasPrefix(kv, "TOKEND_API_KEY") }) {
				setenv(t, "TOKEND_API_KEY="+strings.TrimSpace(string(key)))
			}
			p, full, small := in(c.stdin), c.args, c.args
			name := "tokend-credential"
			if c.helper != "" {
				p.name, name = c.helper, c.helper
			} else {
				full = append([]string{"token", "--format", c.form}, c.args...)
				small = append([]string{c.form}, c.args...)
			}
			written := func(program string) string {
				b, err := os.ReadFile(filepath.Join(files, program))
				if err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
				return string(b)
			}
			setenv(t, "GITHUB_OUTPUT="+filepath.Join(files, "tokend"))
			want := tokendWith(t, p, full...)
			setenv(t, "GITHUB_OUTPUT="+filepath.Join(files, "credential"))
			got := runCredential(t, dir, name, c.stdin, small...)
			if c.args != nil && c.args[0] == "version" { // of two builds
				want.stdout, got.stdout = strings.Fields(want.stdout + " -")[0], strings.Fields(got.stdout + " -")[0]
			}
			if a, b := still(fmt.Sprintf("%+v", got)), still(fmt.Sprintf("%+v", want)); a != b {
				t.Errorf("tokend-credential %q: %s\ntokend: %s", small, a, b)
			}
			if a, b := still(written("credential")), still(written("tokend")); a != b {
				t.Errorf("tokend-credential wrote %q, tokend %q", a, b)
			}
			succeeded[c.form+c.helper] = succeeded[c.form+c.helper] || want.code == 0 && strings.Contains(want.stdout, canaryToken)
		})
	}
	for name, ok := range succeeded {
		if !ok {
			t.Errorf("%s: no call got the token", name)
		}
	}
}
