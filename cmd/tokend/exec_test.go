package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// became is the program that exec would have become.
type became struct {
	path      string
	args, env []string
}

func (b *became) replace(path string, args, env []string) error {
	b.path, b.args, b.env = path, args, env
	return nil
}

// execWith runs "tokend exec" in this process.
func execWith(t *testing.T, args ...string) (output, *became) {
	t.Helper()
	b := &became{}
	if os.Getenv("TOKEND_LISTEN") == "" {
		setenv(t, "TOKEND_LISTEN=127.0.0.1:0") // a service on the default port is not asked
	}
	o := tokendWith(t, program{stdin: strings.NewReader("from stdin\n"), replace: b.replace}, append([]string{"exec"}, args...)...)
	return o, b
}

// sh is a command whose script is given.
func sh(script string) []string { return []string{"--", "/bin/sh", "-c", script} }

// Both ways to have the tokens: the service that runs, or none.
var execModes = map[string]bool{"a service runs": true, "none runs": false}

// Every failure has its exit code and its hint in both modes; nothing is on
// stdout, and no command is started.
func TestExecFailures(t *testing.T) {
	for mode, running := range execModes {
		for name, c := range map[string]struct {
			env    []string // before the service starts
			later  []string // after
			args   []string
			spoil  func(f *tenant)
			code   int
			alone  int // exit code where no service runs; 0: code
			stderr string
		}{
			"unknown client":     {args: []string{"missing"}, code: 66, stderr: "unknown_client"},
			"one of two unknown": {args: []string{"demo", "missing"}, code: 66, stderr: "missing"},
			"login required":     {env: []string{"TOKEND_CLIENT_DEMO_GRANT=authorization_code"}, args: []string{"demo"}, code: 77, stderr: "login_required"},
			"provider down":      {args: []string{"demo"}, spoil: func(f *tenant) { f.CloseClientConnections(); f.Close() }, code: 75, stderr: "idp_unreachable"},
			"provider refuses":   {args: []string{"demo"}, spoil: func(f *tenant) { f.refuse(401, "invalid_client") }, code: 77, stderr: "client_rejected"},
			"provider raves":     {args: []string{"demo"}, spoil: func(f *tenant) { f.say(`{"access_token":`) }, code: 76, stderr: "idp_bad_response"},
			"newline in token":   {args: []string{"demo"}, spoil: func(f *tenant) { f.say(`{"access_token":"a\nb","token_type":"Bearer","expires_in":60}`) }, code: 76, stderr: "idp_bad_response"},
			"min-validity":       {args: []string{"demo", "--min-validity", "48h"}, code: 78, stderr: "not for 48h0m0s: the provider's tokens do not live longer\nhint: "},
			"wrong key":          {later: []string{"TOKEND_ADDR=TCP", "TOKEND_API_KEY=wrong-wrong-wrong-wrong"}, args: []string{"demo"}, code: 77, alone: 69, stderr: ""},
			"dead address":       {later: []string{"TOKEND_ADDR=unix:/nonexistent/s"}, args: []string{"demo"}, code: 69, stderr: "does not answer"},
			"bad address":        {later: []string{"TOKEND_ADDR=http://tokend.example:1"}, args: []string{"demo"}, code: 78, stderr: "TOKEND_ADDR"},
			"two in a variable":  {env: []string{"TOKEND_CLIENT_CI_ENV=T"}, args: []string{"demo", "ci", "--env", "demo=T"}, code: 64, stderr: "two tokens have the variable T"},
			"form is off":        {later: []string{"TOKEND_ADDR=TCP"}, args: []string{"demo", "--actions-id-token", "demo"}, code: 78, alone: 69, stderr: ""},
			"form needs TCP":     {later: []string{"TOKEND_ADDR=SOCKET"}, args: []string{"demo", "--actions-id-token", "demo"}, code: 78, alone: 69, stderr: ""},
		} {
			t.Run(mode+"/"+name, func(t *testing.T) {
				home := clean(t)
				f := newTenant(t)
				f.configure(t, "TOKEND_CLIENTS=demo,ci", "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENT_CI_ISSUER="+f.URL+"/",
					"TOKEND_CLIENT_CI_CLIENT_ID=ci", "TOKEND_CLIENT_CI_CLIENT_SECRET="+canarySecret, "TOKEND_CLIENT_CI_GRANT=client_credentials")
				setenv(t, c.env...)
				if c.spoil != nil {
					c.spoil(f)
				}
				code, tcp := c.code, "127.0.0.1:1"
				if running {
					tcp = serve(t).tcp
				} else if c.alone != 0 {
					code = c.alone
				}
				for _, kv := range c.later {
					kv = strings.ReplaceAll(kv, "=TCP", "=http://"+tcp)
					setenv(t, strings.ReplaceAll(kv, "=SOCKET", "=unix:"+filepath.Join(home, ".local/state/tokend/tokend.sock")))
				}
				started := filepath.Join(home, "started")
				o, b := execWith(t, append(c.args, sh("echo started; touch "+started)...)...)
				if o.code != code || o.stdout != "" || !strings.Contains(o.stderr, c.stderr) {
					t.Errorf("exit %d, want %d; stdout %q, stderr %q", o.code, code, o.stdout, o.stderr)
				}
				if !strings.HasPrefix(o.stderr, "error: ") || !strings.Contains(o.stderr, "\nhint: ") && code != 76 {
					t.Errorf("no error and hint: %q", o.stderr)
				}
				if _, err := os.Stat(started); err == nil || b.path != "" {
					t.Error("the command was started")
				}
				noCanary(t, "stderr", o.stderr)
			})
		}
	}
}

// Somebody else's service at the default port is none.
func TestExecPassesOverAnotherUsersService(t *testing.T) {
	clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	other := serveAnswers(t, map[string]any{"status": "ok"})
	setenv(t, "TOKEND_LISTEN="+strings.TrimPrefix(other, "http://"))
	if o, _ := execWith(t, append([]string{"demo"}, sh("echo $DEMO_ACCESS_TOKEN")...)...); o.code != 0 || o.stdout != canaryToken+"\n" {
		t.Errorf("%+v", o)
	}
	unset(t, "TOKEND_CLIENTS")
	for _, name := range tokendVariables() {
		if strings.HasPrefix(name, "TOKEND_CLIENT_") {
			unset(t, name)
		}
	}
	if o, _ := execWith(t, "demo", "--", "true"); o.code != exitNoPerm || !strings.Contains(o.stderr, "there is no API key for the service at ") || !strings.Contains(o.stderr, ".local/state/tokend/api.key") {
		t.Errorf("%+v", o)
	}
}

// say makes the token endpoint answer 200 with a body.
func (f *tenant) say(body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}
}

func TestExecUsage(t *testing.T) {
	home := clean(t)
	text := write(t, filepath.Join(home, "text"), "no program", 0o600)
	odd := write(t, filepath.Join(home, "odd"), "\x7fno program", 0o700)
	for _, c := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{}, 64, "exec needs a client"},
		{[]string{"demo"}, 64, "exec needs -- before the command\nhint: tokend exec demo -- COMMAND\n"},
		{[]string{"demo", "--"}, 64, "exec needs a command after --\nhint: such as tokend exec demo -- terraform plan\n"},
		{[]string{"demo", "terraform", "plan"}, 64, "exec needs -- before the command\nhint: tokend exec demo -- terraform plan\n"},
		{[]string{"demo", "sh", "echo $TOKEN"}, 64, "hint: tokend exec demo -- sh 'echo $TOKEN'\n"},
		{[]string{"demo", "terraform", "-chdir=x", "plan"}, 64, "flags after -- are the command's\nhint: tokend exec demo -- terraform -chdir=x plan\n"},
		{[]string{"demo", "--min-validity", "30", "terraform"}, 64, "a number with its unit, such as 30s"},
		{[]string{"--nonsense", "demo", "terraform"}, 64, "unknown flag: --nonsense\nhint: tokend exec --help\n"},
		{[]string{"--", "true"}, 64, "exec needs a client"},
		{[]string{"demo", "demo", "--", "true"}, 64, `duplicate client "demo"`},
		{[]string{"demo", "--min-validity", "-1s", "--", "true"}, 64, "negative"},
		{[]string{"demo", "--env", "other=T", "--", "true"}, 64, "is not for one of the clients demo"},
		{[]string{"demo", "ci", "--env", "T", "--", "true"}, 64, "--env T does not say which of the clients demo, ci it is for\nhint: --env demo=T"},
		{[]string{"demo", "--env", "PATH", "--", "true"}, 64, `"PATH" is reserved by shells and loaders`},
		{[]string{"demo", "--env", "demo=LD_PRELOAD", "--", "true"}, 64, "is reserved by shells and loaders"},
		{[]string{"demo", "--env", "HOME", "--", "true"}, 64, "is reserved by shells and loaders"},
		{[]string{"demo", "--env", "demo=A B", "--", "true"}, 64, "is not a variable name"},
		{[]string{"demo", "--env", "demo=", "--", "true"}, 64, "is not a variable name"},
		{[]string{"demo", "--env", "TOKEND_API_KEY", "--", "true"}, 64, "is reserved by tokend"},
		{[]string{"demo", "--actions-id-token", "ci", "--", "true"}, 64, "is not one of the clients"},
		{[]string{"demo", "--nonsense", "--", "true"}, 64, "--nonsense"},
		{[]string{"demo", "--", "no-such-command"}, 127, `"no-such-command" is not found`},
		{[]string{"demo", "--", "/nonexistent/x"}, 127, "is not found"},
		{[]string{"demo", "--", text}, 126, "permission denied"},
		{[]string{"demo", "--", home}, 126, "cannot be run"},
		{[]string{"demo", "--", "true"}, 69, "no client is configured here\nhint: start it with tokend serve, or set TOKEND_CLIENTS=demo and TOKEND_CLIENT_DEMO_ISSUER"},
		{[]string{"demo", "--private", "--", "true"}, 69, "no client is configured"},
	} {
		o, b := execWith(t, c.args...)
		if o.code != c.code || o.stdout != "" || !strings.Contains(o.stderr, c.stderr) || !strings.Contains(o.stderr, "\nhint: ") || b.path != "" {
			t.Errorf("%q: exit %d, want %d; %q", c.args, o.code, c.code, o.stderr)
		}
	}
	setenv(t, "TOKEND_CLIENTS=demo,ci")
	if o, _ := execWith(t, "demo", "ci", "make"); o.code != 64 || !strings.HasSuffix(o.stderr, "hint: tokend exec demo ci -- make\n") {
		t.Errorf("two clients: %+v", o)
	}
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	if o, _ := execWith(t, "demo", "--", odd); o.code != 126 || !strings.Contains(o.stderr, "is not a program") {
		t.Errorf("no program: %+v", o)
	}
	setenv(t, "TOKEND_CLIENT_DEMO_ISSUER=", "TOKEND_LOG_LEVEL=loud")
	if o, _ := execWith(t, "demo", "--", "true"); o.code != 78 || strings.Count(o.stderr, "error: ") != 2 {
		t.Errorf("faults of the configuration: %+v", o)
	}
}

// Without a service: tokens, the way back and nothing else of tokend is in the
// command's environment; stdin, stdout, stderr and the exit code are its own.
func TestExecWithoutService(t *testing.T) {
	home := clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_STORE_KEY_FILE="+filepath.Join(home, "keyset.json"),
		"TOKEND_API_KEY="+canaryKey, "DEMO_ACCESS_TOKEN=old", "KEPT=1")
	dump := filepath.Join(home, "env")
	script := "cat; echo err >&2; env >" + dump + "; exit 42"
	o, b := execWith(t, append([]string{"demo"}, sh(script)...)...)
	if o.code != 42 || o.stdout != "from stdin\n" || o.stderr != "err\n" || b.path != "" {
		t.Errorf("%+v", o)
	}
	env := variablesIn(t, dump)
	if env["DEMO_ACCESS_TOKEN"] != canaryToken || env["KEPT"] != "1" {
		t.Errorf("environment: %v", env)
	}
	if !strings.HasPrefix(env["TOKEND_ADDR"], "http://127.0.0.1:") || len(env["TOKEND_API_KEY"]) < 26 || env["TOKEND_API_KEY"] == canaryKey {
		t.Errorf("the way back: %q", env["TOKEND_ADDR"])
	}
	for name, value := range env {
		if strings.HasPrefix(name, "TOKEND_") && name != "TOKEND_ADDR" && name != "TOKEND_API_KEY" || value == canarySecret {
			t.Errorf("%s is in the command's environment", name)
		}
	}
	if _, err := os.Stat(filepath.Join(home, ".local/state/tokend/tokend.sock")); err == nil {
		t.Error("a socket was made")
	}
	if _, err := http.Get(env["TOKEND_ADDR"] + "/healthz"); err == nil { //nolint:bodyclose // it fails
		t.Error("it answers still")
	}
}

func variablesIn(t *testing.T, path string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return variablesOf(strings.Split(string(b), "\n"))
}

func variablesOf(environ []string) map[string]string {
	env := map[string]string{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	return env
}

// The names of the variables: by default, by the configuration, by --env.
func TestExecVariables(t *testing.T) {
	for mode, running := range execModes {
		for name, c := range map[string]struct {
			env  []string
			args []string
			want []string
		}{
			"default":           {nil, nil, []string{"DEMO_ACCESS_TOKEN"}},
			"configured":        {[]string{"TOKEND_CLIENT_DEMO_ENV=AUTH0_API_TOKEN,TF_VAR_token"}, nil, []string{"AUTH0_API_TOKEN", "TF_VAR_token"}},
			"given":             {[]string{"TOKEND_CLIENT_DEMO_ENV=AUTH0_API_TOKEN"}, []string{"--env", "demo=A", "--env", "demo=B"}, []string{"A", "B"}},
			"given, one client": {nil, []string{"--env", "A"}, []string{"A"}},
		} {
			t.Run(mode+"/"+name, func(t *testing.T) {
				home := clean(t)
				newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
				setenv(t, c.env...)
				dump := filepath.Join(home, "env")
				if running {
					serve(t)
				}
				o, b := execWith(t, slices.Concat([]string{"demo"}, c.args, sh("env >"+dump))...)
				if o.code != 0 || o.stdout != "" || o.stderr != "" {
					t.Fatalf("%+v", o)
				}
				env := variablesOf(b.env)
				if !running {
					env = variablesIn(t, dump)
				}
				var got []string
				for name, value := range env {
					if value == canaryToken {
						got = append(got, name)
					}
				}
				slices.Sort(got)
				if !slices.Equal(got, c.want) {
					t.Errorf("the token is in %q, want %q", got, c.want)
				}
			})
		}
	}
}

// With a service tokend becomes the command, which reaches the service as
// tokend did.
func TestExecWithService(t *testing.T) {
	home := clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENT_DEMO_ACTIONS_ID_TOKEN=true")
	s := serve(t)
	socket := "unix:" + filepath.Join(home, ".local/state/tokend/tokend.sock")
	key, err := os.ReadFile(filepath.Join(home, ".local/state/tokend/api.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		env       []string
		addr, key string
	}{
		{nil, socket, ""},
		{[]string{"TOKEND_ADDR=" + socket}, socket, ""},
		{[]string{"TOKEND_ADDR=http://" + s.tcp}, "http://" + s.tcp, strings.TrimSpace(string(key))},
	} {
		setenv(t, c.env...)
		o, b := execWith(t, "demo", "--", "/bin/echo", "-n", "--", "x")
		env := variablesOf(b.env)
		if o.code != 0 || o.stdout != "" || o.stderr != "" || b.path != "/bin/echo" || !slices.Equal(b.args, []string{"/bin/echo", "-n", "--", "x"}) {
			t.Errorf("%v: %+v became %s %q", c.env, o, b.path, b.args)
		}
		if env["TOKEND_ADDR"] != c.addr || env["TOKEND_API_KEY"] != c.key || env["DEMO_ACCESS_TOKEN"] != canaryToken {
			t.Errorf("%v: %q", c.env, env["TOKEND_ADDR"])
		}
		if _, has := env["TOKEND_CLIENT_DEMO_CLIENT_SECRET"]; has {
			t.Error("a secret is in the environment")
		}
	}
	o, b := execWith(t, "demo", "--actions-id-token", "demo", "--", "/bin/true")
	env := variablesOf(b.env)
	if o.code != 0 || env["ACTIONS_ID_TOKEN_REQUEST_URL"] != "http://"+s.tcp+"/v1/clients/demo/actions-id-token?api-version=2.0" || env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] == "" {
		t.Errorf("%+v %q", o, env["ACTIONS_ID_TOKEN_REQUEST_URL"])
	}
}

// A warning names the settings here that the running service does not use.
func TestExecWithOtherSettingsHere(t *testing.T) {
	clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	serve(t)
	if o, _ := execWith(t, "demo", "--", "/bin/true"); o.code != 0 || o.stderr != "" {
		t.Errorf("the same settings: %+v", o)
	}
	setenv(t, "TOKEND_CLIENTS=demo,mine", "TOKEND_CLIENT_DEMO_ISSUER=https://other.example.com/", "TOKEND_CLIENT_MINE_ISSUER="+f.URL+"/",
		"TOKEND_CLIENT_MINE_CLIENT_ID=mine", "TOKEND_CLIENT_MINE_CLIENT_SECRET="+canarySecret, "TOKEND_CLIENT_MINE_GRANT=client_credentials")
	want := "warning: client demo is that of the running service, of " + f.URL + "/, not that of TOKEND_CLIENT_DEMO_ISSUER; --private uses the settings here\n"
	if o, b := execWith(t, "demo", "--", "/bin/true"); o.code != 0 || o.stderr != want || b.path == "" {
		t.Errorf("another issuer: %+v", o)
	}
	if o, _ := execWith(t, "mine", "--", "/bin/true"); o.code != 66 || !strings.Contains(o.stderr, "unknown_client") || !strings.Contains(o.stderr, "--private uses them") {
		t.Errorf("a client that the service does not have: %+v", o)
	}
	if o, _ := execWith(t, append([]string{"mine", "--private"}, sh("echo $MINE_ACCESS_TOKEN")...)...); o.code != 0 || o.stdout != canaryToken+"\n" || o.stderr != "" {
		t.Errorf("--private: %+v", o)
	}
	if o, _ := execWith(t, "missing", "--", "/bin/true"); o.code != 66 || strings.Contains(o.stderr, "--private") {
		t.Errorf("an unknown client: %+v", o)
	}
}

// A token that is served although it could not be replaced is too short for a
// reason that goes away, or that a person must fix.
func TestExecMinValidityWhileTheProviderFails(t *testing.T) {
	for class, c := range map[string]struct {
		status int
		err    string
		code   int
	}{
		"idp_unreachable": {503, "temporarily_unavailable", 75},
		"client_rejected": {401, "invalid_client", 77},
	} {
		clean(t)
		f := newTenant(t)
		f.say(`{"access_token":"` + canaryToken + `","token_type":"Bearer","expires_in":600}`)
		f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENT_DEMO_REFRESH_ADVISORY=1s", "TOKEND_CLIENT_DEMO_REFRESH_MANDATORY=1s")
		s := serve(t)
		if o := runTokend(t, "token", "demo"); o.code != 0 {
			t.Fatalf("%+v", o)
		}
		f.refuse(c.status, c.err)
		runTokend(t, "refresh", "demo") // fails; the token is served still
		o, b := execWith(t, "demo", "--min-validity", "11m", "--", "true")
		if o.code != c.code || !strings.Contains(o.stderr, "and the refresh failed: ") || b.path != "" || o.stdout != "" {
			t.Errorf("%s: %+v", class, o)
		}
		s.stop()
	}
}

// A private service offers no login page: its callback would not be served.
func TestPrivateServiceOffersNoLogin(t *testing.T) {
	clean(t)
	newTenant(t).configure(t)
	p := program{stdin: strings.NewReader(""), stdout: &syncBuffer{}, stderr: &syncBuffer{}}
	r, err := p.reachOrKeep(t.Context(), []string{"demo"}, reachFlags{private: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.tokenFor(t.Context(), "demo", 0); exitCode(err) != exitNoPerm {
		t.Errorf("got %v", err)
	}
	c, err := r.status(t.Context(), "demo")
	if err != nil || c.State != "login_required" || c.AuthorizeURL != "" {
		t.Errorf("%+v %v", c, err)
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

// A service that is not ours may answer anything.
func TestExecTakesNoLineBreak(t *testing.T) {
	clean(t)
	s := serveAnswers(t, map[string]any{"status": "ok", "access_token": "a\nLD_PRELOAD=x", "min_validity_satisfied": true})
	setenv(t, "TOKEND_ADDR="+s)
	o, b := execWith(t, "demo", "--", "true")
	if o.code != 76 || !strings.Contains(o.stderr, "control character") || strings.Contains(o.stderr, "LD_PRELOAD") || b.path != "" {
		t.Errorf("%+v", o)
	}
}

// The private service keeps quiet, unless it is asked to speak.
func TestExecVerbose(t *testing.T) {
	clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	for _, c := range []struct {
		flag string
		want bool
	}{{"--verbose=false", false}, {"-v", true}} {
		o, _ := execWith(t, "demo", c.flag, "--", "/bin/true")
		if o.code != 0 || o.stdout != "" || strings.Contains(o.stderr, "level=INFO") != c.want {
			t.Errorf("%s: %+v", c.flag, o)
		}
		noCanary(t, "log", o.stderr)
	}
}

func serveAnswers(t *testing.T, answer map[string]any) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(answer) })
	return serveHandler(t, mux)
}
