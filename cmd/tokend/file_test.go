package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/tokend"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// eventually waits for a condition of a background goroutine.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("%s: not in 20 s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestFileOnce(t *testing.T) {
	for mode, running := range execModes {
		t.Run(mode, func(t *testing.T) {
			home := clean(t)
			newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_LISTEN=127.0.0.1:0")
			if running {
				serve(t)
			}
			path, ran := filepath.Join(home, "run/token"), filepath.Join(home, "ran")
			for format, want := range map[string]string{
				"text":   canaryToken,
				"header": "Authorization: Bearer " + canaryToken,
				"env":    "DEMO_ACCESS_TOKEN=" + canaryToken + "\nDEMO_ACCESS_TOKEN_EXPIRES_AT=2",
				"json":   `{"access_token":"` + canaryToken + `","token_type":"Bearer","expires_at":"2`,
			} {
				o := runTokend(t, "file", "demo", "--to", path, "--once", "--format", format, "--mode", "0640",
					"--", "/bin/sh", "-c", `env | grep -c -e TOKEND -e canary >`+ran+"; true")
				if o.code != 0 || o.stdout != "" || o.stderr != "" || !strings.HasPrefix(readFile(t, path), want) {
					t.Errorf("%s: %+v", format, o)
				}
				if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o640 {
					t.Errorf("%s: %v %v", format, fi, err)
				}
				if got := readFile(t, ran); got != "0\n" {
					t.Errorf("the hook saw %s settings or tokens", got)
				}
			}
		})
	}
}

func TestFileFailures(t *testing.T) {
	home := clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_LISTEN=127.0.0.1:0")
	open := filepath.Join(home, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(home, "link")
	if err := os.Symlink(filepath.Join(home, "elsewhere"), link); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(home, "good")
	for _, c := range []struct {
		args   string
		code   int
		stderr string
	}{
		{"demo", 64, "--to PATH"},
		{"--to " + good, 64, "needs one client, not 0"},
		{"demo ci --to " + good, 64, "needs one client, not 2"},
		{"demo --to " + good + " --format xml", 64, `format "xml"`},
		{"demo --to " + good + " --mode 0666", 64, "mode 0666"},
		{"demo --to " + good + " --mode rw", 64, `mode "rw"`},
		{"demo --to " + good + " --min-validity -1s", 64, "negative"},
		{"demo --to " + good + " -- no-such-hook", 127, "no-such-hook"},
		{"missing --to " + good, 66, "unknown_client"},
		{"demo --to " + good + " --min-validity 48h", 78, "the provider's tokens do not live longer"},
		{"demo --to " + link, 78, "is a symbolic link"},
		{"demo --to " + open + "/token", 78, "can be written by others (mode 0777)"},
		{"demo --to " + open, 78, "is not a regular file"},
		{"demo --to /nonexistent/dir/token", 69, "directory /nonexistent/dir cannot be used"},
		{"demo --once --to " + good + " -- /bin/false", 69, "hook failed"},
	} {
		o := runTokend(t, append([]string{"file"}, strings.Fields(c.args)...)...)
		if o.code != c.code || o.stdout != "" || !strings.Contains(o.stderr, c.stderr) {
			t.Errorf("%s: %+v", c.args, o)
		}
		noCanary(t, "stderr", o.stderr)
	}
	setenv(t, "TOKEND_STORE=sqlite::memory:")
	f.refuse(503, "temporarily_unavailable")
	if o := runTokend(t, "file", "demo", "--to", filepath.Join(home, "none")); o.code != 75 || !strings.Contains(o.stderr, "idp_unreachable") {
		t.Errorf("provider down: %+v", o)
	}
}

// If a service runs, its refusals end the command, too, and no file is created.
func TestFileFailuresOfTheService(t *testing.T) {
	home := clean(t)
	s := failing(t)
	up := "TOKEND_ADDR=http://" + s.tcp
	for what, c := range map[string]struct {
		client string
		env    []string
		code   int
		stderr string
	}{
		"service down":                       {"ci", []string{"TOKEND_ADDR=" + refused(t)}, 69, "does not answer"},
		"wrong key":                          {"ci", []string{up, "TOKEND_API_KEY=wrong-wrong-wrong-wrong"}, 77, "unauthorized"},
		"unknown client":                     {"missing", []string{up}, 66, "unknown_client"},
		"login required":                     {"new", []string{up}, 77, "login_required"},
		"provider down":                      {"down", []string{up}, 75, "idp_unreachable"},
		"line break in the provider's token": {"broken", []string{up}, 76, "idp_bad_response"},
		"min-validity beyond the provider's": {"ci --min-validity 48h", []string{up}, 78, "the provider's tokens do not live longer"},
		"a format that no file has":          {"ci --format external", []string{up}, 64, `format "external"`},
	} {
		setenv(t, append([]string{"TOKEND_API_KEY="}, c.env...)...)
		path := filepath.Join(home, "token")
		o := runTokend(t, append([]string{"file", "--to", path}, strings.Fields(c.client)...)...)
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: there is a file", what)
		}
		if o.code != c.code || o.stdout != "" || !strings.Contains(o.stderr, c.stderr) || !strings.Contains(o.stderr, "hint: ") {
			t.Errorf("%s: %+v", what, o)
		}
		noCanary(t, "stderr", o.stderr)
	}
}

// It keeps the file until a signal ends it, and does not remove the file.
func TestFileIsKept(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_LISTEN=127.0.0.1:0")
	path := filepath.Join(home, "token")
	ctx, cancel := context.WithCancel(t.Context())
	log := &syncBuffer{}
	p := program{stdin: strings.NewReader(""), stdout: log, stderr: log}
	ended := make(chan int, 1)
	go func() { ended <- p.run(ctx, []string{"file", "demo", "--to", path}) }()
	eventually(t, "a file", func() bool { b, err := os.ReadFile(path); return err == nil && string(b) == canaryToken })
	cancel()
	if code := <-ended; code != 0 || log.String() != "" || readFile(t, path) != canaryToken {
		t.Errorf("exit %d: %s", code, log)
	}
}

// A file must know how long the tokens of a service live, to request the next one in time
// and not too early.
func TestFileKnowsHowLongTokensLive(t *testing.T) {
	for mode, running := range execModes {
		clean(t)
		newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_LISTEN=127.0.0.1:0")
		if running {
			serve(t)
		}
		p := program{stdin: strings.NewReader(""), stdout: &syncBuffer{}, stderr: &syncBuffer{}}
		r, err := p.reachOrKeep(t.Context(), []string{"demo"}, reachFlags{})
		if err != nil {
			t.Fatal(err)
		}
		source := &answers{reached: r, name: "demo"}
		for range 2 {
			token, err := source.Get(t.Context(), flow.Request{})
			if err != nil || token.Expiry.Sub(token.Obtained).Round(time.Minute) != 24*time.Hour {
				t.Errorf("%s: %v %v", mode, token, err)
			}
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
	}
}

const filesConfig = `
clients:
  demo:
    env: [TF_VAR_token]
files:
  - {client: demo, path: HOME/run/token, min_validity: 10m, mode: "0640", hook: [/bin/sh, -c, "echo >>HOME/ran"]}
  - {client: demo, path: HOME/run/token.env, format: env}
  - {client: demo, path: HOME/open/token}
`

// The service keeps the configured files, shows those that it cannot, and
// writes a new token at once.
func TestServeKeepsFiles(t *testing.T) {
	home := clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENT_DEMO_FILE="+filepath.Join(home, "plain"))
	write(t, filepath.Join(home, ".config/tokend/tokend.yaml"), strings.ReplaceAll(filesConfig, "HOME", home), 0o600)
	if err := os.Mkdir(filepath.Join(home, "open"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(home, "open"), 0o777); err != nil {
		t.Fatal(err)
	}
	s := serve(t)
	holds := func(path, want string) func() bool {
		return func() bool { b, _ := os.ReadFile(filepath.Join(home, path)); return strings.HasPrefix(string(b), want) }
	}
	eventually(t, "token", holds("run/token", canaryToken))
	eventually(t, "token.env", holds("run/token.env", "TF_VAR_token="+canaryToken+"\n"))
	eventually(t, "plain", holds("plain", canaryToken))
	eventually(t, "a hook", holds("ran", "\n"))
	var shown string
	eventually(t, "a failure in the status", func() bool {
		shown = runTokend(t, "status").stdout
		return strings.Contains(shown, "demo: file "+filepath.Join(home, "open/token")+": refused: directory")
	})
	if strings.Count(shown, "demo: file") != 1 {
		t.Error(shown)
	}
	var all struct{ Clients []tokend.Status }
	if o := runTokend(t, "status", "--format", "json"); json.Unmarshal([]byte(o.stdout), &all) != nil || len(all.Clients[0].Files) != 4 {
		t.Error(o.stdout)
	}
	f.say(`{"access_token":"another-token","token_type":"Bearer","expires_in":86400}`)
	if o := runTokend(t, "refresh", "demo"); o.code != 0 {
		t.Errorf("%+v", o)
	}
	refreshed := time.Now()
	eventually(t, "the new token", holds("run/token", "another-token"))
	if took := time.Since(refreshed); took > 5*time.Second {
		t.Errorf("the new token came after %s, not at once", took)
	}
	eventually(t, "another hook", holds("ran", "\n\n"))
	if code := s.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if !holds("run/token", "another-token")() {
		t.Error("the file did not stay")
	}
	noCanary(t, "log", s.log.String())
}

func TestServeOnce(t *testing.T) {
	home := clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENT_DEMO_FILE="+filepath.Join(home, "demo"), "TOKEND_LOG_LEVEL=error")
	o := runTokend(t, "serve", "--once")
	if o.code != 0 || o.stdout != "" || o.stderr != "" || readFile(t, filepath.Join(home, "demo")) != canaryToken {
		t.Errorf("%+v", o)
	}
	for _, made := range []string{"tokend.sock", "api.key"} {
		if _, err := os.Stat(filepath.Join(home, ".local/state/tokend", made)); err == nil {
			t.Errorf("%s was made, although the service does not listen", made)
		}
	}
	setenv(t, "TOKEND_CLIENTS=demo,one,two,three", "TOKEND_CLIENT_ONE_ISSUER="+f.URL+"/", "TOKEND_CLIENT_ONE_CLIENT_ID=one",
		"TOKEND_CLIENT_TWO_ISSUER="+f.URL+"/", "TOKEND_CLIENT_TWO_CLIENT_ID=two", "TOKEND_CLIENT_TWO_FILE="+filepath.Join(home, "two"),
		"TOKEND_CLIENT_THREE_ISSUER="+f.URL+"/", "TOKEND_CLIENT_THREE_CLIENT_ID=three", "TOKEND_CLIENT_THREE_LOGIN=headless", "TOKEND_CLIENT_THREE_SCOPES=offline_access")
	o = runTokend(t, "serve", "--once")
	if o.code != 77 || o.stdout != "" || strings.Count(o.stderr, "error: client ") != 2 || f.exchanged() != 1 {
		t.Errorf("two need a person, one logs in by itself (%d): %+v", f.exchanged(), o)
	}
	for _, name := range []string{"one", "two"} {
		if !strings.Contains(o.stderr, "error: client "+name+": ") || !strings.Contains(o.stderr, "; hint: run tokend serve and tokend login "+name+" --browser once") {
			t.Errorf("%s is not named: %s", name, o.stderr)
		}
	}
	setenv(t, "TOKEND_CLIENTS=demo", "TOKEND_CLIENT_DEMO_FILE="+home)
	for _, name := range []string{"ONE", "TWO", "THREE"} {
		for _, v := range tokendVariables() {
			if strings.HasPrefix(v, "TOKEND_CLIENT_"+name+"_") {
				unset(t, v)
			}
		}
	}
	if o = runTokend(t, "serve", "--once"); o.code != 78 || !strings.Contains(o.stderr, "error: file "+home+": refused: ") {
		t.Errorf("a file that cannot be: %+v", o)
	}
	setenv(t, "TOKEND_CLIENT_DEMO_FILE="+filepath.Join(home, "demo"), "TOKEND_STORE=sqlite::memory:")
	f.Close()
	if o = runTokend(t, "serve", "--once"); o.code != 75 || strings.Count(o.stderr, "error: ") != 1 || !strings.Contains(o.stderr, "idp_unreachable") {
		t.Errorf("provider down: %+v", o)
	}
}

// A hook that failed is not forgotten by the next run with --once.
func TestFileOnceRunsItsHookAlways(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_LISTEN=127.0.0.1:0")
	path := filepath.Join(home, "token")
	for range 2 {
		if o := runTokend(t, "file", "demo", "--to", path, "--once", "--", "/bin/sh", "-c", "exit 4"); o.code != 69 || !strings.Contains(o.stderr, "exit status 4") {
			t.Errorf("%+v", o)
		}
	}
	config := write(t, filepath.Join(home, "c.yaml"), "files: [{client: demo, path: "+path+", hook: [/bin/sh, -c, exit 5]}]", 0o600)
	setenv(t, "TOKEND_CONFIG="+config)
	for range 2 {
		if o := runTokend(t, "serve", "--once"); o.code != 69 || !strings.Contains(o.stderr, "exit status 5") {
			t.Errorf("serve: %+v", o)
		}
	}
}
