package e2e_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"example.com/tokend/e2e/internal/programs"
)

// TestScripts runs testdata/script/*.txtar, each with its own processes and
// directories.
func TestScripts(t *testing.T) {
	curls := curlFolder(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error { return setup(e, curls) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"up": up, "down": down, "curl": curl, "field": fieldCmd, "jwt": jwtCmd, "location": locationCmd, "until": until, "listen-again": listenAgain, "hup": hup,
			"relay": relay, "steadily": steadily,
		},
	})
}

// defaults returns the settings of a script in dir: free ports, and the client of
// most scripts. "up" sets its issuer.
func defaults(dir string) map[string]string {
	return map[string]string{
		"XDG_STATE_HOME":                   filepath.Join(dir, "state"),
		"XDG_RUNTIME_DIR":                  filepath.Join(dir, "run"),
		"XDG_CONFIG_HOME":                  filepath.Join(dir, "config"),
		"MOCKAUTH0_LISTEN":                 "127.0.0.1:0",
		"TOKEND_LISTEN":                    "127.0.0.1:0",
		"TOKEND_CLIENTS":                   "demo",
		"TOKEND_CLIENT_DEMO_CLIENT_ID":     "demo",
		"TOKEND_CLIENT_DEMO_CLIENT_SECRET": "demo-secret",
		"TOKEND_CLIENT_DEMO_REDIRECT_URI":  "http://localhost:8484/callback",
		"TOKEND_CLIENT_DEMO_SCOPES":        "openid,profile,email,offline_access",
		"TOKEND_CLIENT_DEMO_AUDIENCE":      "https://api.example.com/",
		"TOKEND_CLIENT_DEMO_LOGIN":         "headless",
	}
}

// setup prepares a script's directory and variables. curls is the folder with curl.
func setup(e *testscript.Env, curls string) error {
	for k, v := range defaults(e.WorkDir) {
		e.Setenv(k, v)
	}
	e.Setenv("PATH", strings.Join([]string{curls, bin, os.Getenv("PATH")}, string(os.PathListSeparator)))
	e.Setenv("HOME", e.WorkDir)
	e.Setenv("AUDIENCE", "https://api.example.com/")
	e.Setenv("CALLBACK", "http://localhost:8484/callback")
	e.Setenv("SCOPE", "openid profile email offline_access")
	e.Values[procsKey{}] = map[string]*process{}
	e.Values[relaysKey{}] = &relays{}
	e.Defer(func() {
		for _, p := range e.Values[procsKey{}].(map[string]*process) {
			p.kill()
		}
		if deviations := e.Values[relaysKey{}].(*relays).close(); deviations != nil {
			e.T().Fatal(strings.Join(deviations, "\n"))
		}
		if found := scan(e.WorkDir); found != nil {
			e.T().Fatal("secrets in logs: ", strings.Join(found, "; "))
		}
	})
	return os.Mkdir(filepath.Join(e.WorkDir, "run"), 0o700)
}

type (
	procsKey  struct{}
	relaysKey struct{}
)

// process is a server that a script started.
type process struct {
	cmd  *exec.Cmd
	log  string // file of its stderr
	done chan error
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// up starts mockauth0 or tokend and waits until it serves. Its stderr goes to
// NAME.log; $ISSUER and $TOKEND are set to the URLs. "! up" expects that it
// exits, and sets $STATUS to its exit code.
func up(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: up mockauth0|tokend [args]")
	}
	name := args[0]
	if name == "tokend" {
		args = append([]string{"tokend", "serve"}, args[1:]...)
		if iss := ts.Getenv("ISSUER"); iss != "" && ts.Getenv("TOKEND_CLIENT_DEMO_ISSUER") == "" {
			ts.Setenv("TOKEND_CLIENT_DEMO_ISSUER", iss)
		}
	}
	procs := ts.Value(procsKey{}).(map[string]*process)
	if procs[name] != nil {
		ts.Fatalf("%s is up already", name)
	}
	log := ts.MkAbs(name + ".log")
	f, err := os.OpenFile(log, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	ts.Check(err)
	cmd := exec.Command(filepath.Join(bin, args[0]), args[1:]...)
	cmd.Dir, cmd.Stderr, cmd.Stdout = ts.MkAbs("."), f, f
	cmd.Env = environ(ts)
	ts.Check(cmd.Start())
	ts.Check(f.Close())
	p := &process{cmd: cmd, log: log, done: make(chan error, 1)}
	go func() { p.done <- cmd.Wait() }()
	if neg {
		expectEnd(ts, p)
		return
	}
	procs[name] = p
	pattern, variable := programs.Issuer, "ISSUER"
	if name == "tokend" {
		pattern, variable = programs.Port, "TOKEND"
	}
	found := waitLog(ts, p, pattern)
	if name == "tokend" {
		all := ts.Value(relaysKey{}).(*relays)
		ts.Check(all.add(found))
		ts.Setenv(relayVariable, all.variable())
		found = "http://127.0.0.1:" + found
	}
	ts.Setenv(variable, found)
}

// settingNames finds the variables of our programs in a script: testscript
// returns the value of a variable, but not the list of variables.
var settingNames = regexp.MustCompile(`\b(?:TOKEND|MOCKAUTH0|XDG|AUTH0|ACTIONS)_[A-Z0-9_]+`)

func environ(ts *testscript.TestScript) []string {
	names := []string{"PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "CREDENTIALS_DIRECTORY"}
	for k := range defaults("") {
		names = append(names, k)
	}
	script, err := os.ReadFile(filepath.Join("testdata", "script", ts.Name()+".txtar"))
	ts.Check(err)
	names = append(names, settingNames.FindAllString(string(script), -1)...)
	names = append(names, "TOKEND_CLIENT_DEMO_ISSUER", "MOCKAUTH0_LISTEN")
	seen := map[string]bool{}
	var out []string
	for _, k := range names {
		if v := ts.Getenv(k); v != "" && !seen[k] {
			out = append(out, k+"="+v)
		}
		seen[k] = true
	}
	return out
}

// expectEnd waits for a process that must fail to start.
func expectEnd(ts *testscript.TestScript, p *process) {
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.kill()
		ts.Fatalf("it serves, but was expected to refuse")
	}
	b, err := os.ReadFile(p.log)
	ts.Check(err)
	ts.Logf("%s", b)
	ts.Setenv("STATUS", fmt.Sprint(p.cmd.ProcessState.ExitCode()))
}

// waitLog waits for a line of the process's log and returns its first group.
func waitLog(ts *testscript.TestScript, p *process, pattern *regexp.Regexp) string {
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		b, err := os.ReadFile(p.log)
		ts.Check(err)
		if m := pattern.FindSubmatch(b); m != nil {
			return string(m[1])
		}
		select {
		case err := <-p.done:
			p.done <- err
			ts.Fatalf("it ended: %v\n%s", err, b)
		case <-time.After(5 * time.Millisecond):
		}
	}
	ts.Fatalf("it does not serve")
	return ""
}

// down ends a process: by SIGTERM, with exit code 0, or by -9.
func down(ts *testscript.TestScript, _ bool, args []string) {
	procs := ts.Value(procsKey{}).(map[string]*process)
	hard := len(args) == 2 && args[0] == "-9"
	name := args[len(args)-1]
	p := procs[name]
	if p == nil {
		ts.Fatalf("%s is not up", name)
	}
	delete(procs, name)
	if hard {
		p.kill()
		return
	}
	ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-p.done:
		if err != nil {
			b, _ := os.ReadFile(p.log)
			ts.Fatalf("%s ended with %v\n%s", name, err, b)
		}
	case <-time.After(20 * time.Second):
		p.kill()
		ts.Fatalf("%s did not end on SIGTERM", name)
	}
}

// curl runs curl without a proxy and without .curlrc.
func curl(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec("curl", append([]string{"-q", "--noproxy", "*", "-sS", "--max-time", "20"}, args...)...)
	if (err != nil) != neg {
		ts.Fatalf("curl: %v", err)
	}
}

// field VAR FILE KEY sets $VAR to a member of a JSON file ("stdout" is the last output).
func fieldCmd(ts *testscript.TestScript, _ bool, args []string) {
	var o map[string]any
	if err := json.Unmarshal([]byte(ts.ReadFile(args[1])), &o); err != nil {
		ts.Fatalf("%s: %v", args[1], err)
	}
	v, found := o[args[2]]
	if !found {
		ts.Fatalf("%s has no %q", args[1], args[2])
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// jwt TOKEN prints the header and the claims, one a line.
func jwtCmd(ts *testscript.TestScript, _ bool, args []string) {
	parts := strings.Split(args[0], ".")
	if len(parts) != 3 {
		ts.Fatalf("a JWT has three parts, not %d", len(parts))
	}
	for _, p := range parts[:2] {
		b, err := base64.RawURLEncoding.DecodeString(p)
		ts.Check(err)
		_, err = fmt.Fprintln(ts.Stdout(), string(b))
		ts.Check(err)
	}
}

// location FILE sets $CODE and $STATE from the Location header in a file of
// response headers, without decoding.
func locationCmd(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv("CODE", "")
	ts.Setenv("STATE", "")
	s := bufio.NewScanner(strings.NewReader(ts.ReadFile(args[0])))
	for s.Scan() {
		value, found := strings.CutPrefix(s.Text(), "Location: ")
		if !found {
			continue
		}
		ts.Setenv("LOCATION", value)
		_, query, _ := strings.Cut(value, "?")
		for kv := range strings.SplitSeq(query, "&") {
			k, v, _ := strings.Cut(kv, "=")
			switch k {
			case "code":
				ts.Setenv("CODE", v)
			case "state":
				ts.Setenv("STATE", v)
			}
		}
		return
	}
	ts.Fatalf("no Location in %s", args[0])
}

// until PATTERN COMMAND… repeats a command until its output matches, for
// asynchronous results.
func until(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var last string
	for ctx.Err() == nil {
		_ = ts.Exec(args[1], args[2:]...)
		last = ts.ReadFile("stdout") + ts.ReadFile("stderr")
		if pattern.MatchString(last) {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	ts.Fatalf("%q did not come; last:\n%s", args[0], last)
}

// listen-again makes the next mockauth0 listen at the address of the current one.
func listenAgain(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Setenv("MOCKAUTH0_LISTEN", "127.0.0.1:"+strings.TrimSuffix(ts.Getenv("ISSUER")[strings.LastIndex(ts.Getenv("ISSUER"), ":")+1:], "/"))
}

// hup NAME PATTERN sends SIGHUP and waits for a new line of the log.
func hup(ts *testscript.TestScript, _ bool, args []string) {
	p := ts.Value(procsKey{}).(map[string]*process)[args[0]]
	if p == nil {
		ts.Fatalf("%s is not up", args[0])
	}
	ts.Check(p.cmd.Process.Signal(syscall.SIGHUP))
	waitLog(ts, p, regexp.MustCompile("("+args[1]+")"))
}
