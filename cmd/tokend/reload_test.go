package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// reloading is a service whose configuration file a test changes.
type reloading struct {
	*served
	signals chan os.Signal
	path    string
	tenant  *tenant
}

// serveFile runs "tokend serve" with a configuration file and further variables.
func serveFile(t *testing.T, f *tenant, text string, env ...string) *reloading {
	t.Helper()
	home := clean(t)
	r := &reloading{tenant: f, path: filepath.Join(home, "tokend.yaml"), signals: make(chan os.Signal, 1)}
	setenv(t, "TOKEND_CONFIG="+r.path, "TOKEND_LISTEN=127.0.0.1:0", "TOKEND_API_KEY_FILE="+write(t, filepath.Join(home, "api.key"), canaryKey, 0o600))
	setenv(t, env...)
	r.write(t, text)
	r.served = serveWith(t, program{hangups: hangups{c: r.signals}})
	return r
}

// write changes the file. ISSUER stands for the tenant's, HOME for its folder.
func (r *reloading) write(t *testing.T, text string) {
	t.Helper()
	write(t, r.path, strings.NewReplacer("ISSUER", r.tenant.URL+"/", "HOME", filepath.Dir(r.path)).Replace(text), 0o600)
}

// reload changes the file, sends SIGHUP and waits for the log line.
func (r *reloading) reload(t *testing.T, text, logged string) {
	t.Helper()
	r.write(t, text)
	before := strings.Count(r.log.String(), logged)
	r.signals <- syscall.SIGHUP
	until(t, func() error {
		if strings.Count(r.log.String(), logged) == before {
			return fmt.Errorf("the log lacks %q:\n%s", logged, r.log)
		}
		return nil
	})
}

func until(t *testing.T, try func() error) {
	t.Helper()
	err := try()
	for end := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(end); err = try() {
		time.Sleep(2 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
}

const (
	oneClient  = "clients:\n  demo: {issuer: ISSUER, client_id: demo, client_secret: " + canarySecret + ", grant: client_credentials}\n"
	twoClients = oneClient + "  more: {issuer: ISSUER, client_id: more, client_secret: " + canarySecret + ", grant: client_credentials}\n"
)

func TestF35_Reload_SaysWhatHasChanged(t *testing.T) {
	r := serveFile(t, newTenant(t), twoClients)
	r.reload(t, strings.Replace(oneClient, "client_id: demo", "client_id: demo2", 1)+
		"  third: {issuer: ISSUER, client_id: third, client_secret: "+canarySecret+", grant: client_credentials}\n",
		`msg="configuration reloaded" added=third changed=demo removed=more unchanged=0`)
	if o := runTokend(t, "token", "more"); o.code != 66 {
		t.Errorf("a removed client: %+v", o)
	}
	if o := runTokend(t, "token", "third"); o.code != 0 {
		t.Errorf("a new client: %+v", o)
	}
	r.reload(t, oneClient, "added=\"\" changed=demo removed=third unchanged=0")
	r.reload(t, oneClient, "added=\"\" changed=\"\" removed=\"\" unchanged=1")
	noCanary(t, "log", r.log.String())
}

// Every fault is logged with its line and its hint, and nothing changes.
func TestF35_Reload_BrokenFile(t *testing.T) {
	r := serveFile(t, newTenant(t), oneClient)
	for name, tc := range map[string]struct{ text, logged string }{
		"no YAML":            {"clients: [", r.path + ":1"},
		"an unknown key":     {oneClient + "claws: 1\n", r.path + `:3: unknown key claws" hint="one of clients, keys, callers, files, `},
		"an empty file":      {"", `reason="no client is configured" hint="set TOKEND_CLIENTS=NAME and TOKEND_CLIENT_NAME_ISSUER, …, or write ` + r.path + `"`},
		"a second fault":     {oneClient + "claws: 1\nkees: 1\n", r.path + `:4: unknown key kees" hint="did you mean keys`},
		"a missing setting":  {oneClient + "  more: {client_id: more}\n", `client more: issuer is missing" hint="set clients.more.issuer`},
		"a missing secret":   {oneClient + "keys: {ci: {key_file: HOME/no, clients: [demo]}}\n", `HOME/no cannot be read: no such file or directory" hint="`},
		"a key that is used": {oneClient + "keys: {ci: {key: " + canaryKey + ", clients: [demo]}}\n", "keys.ci.key is the key of api_key"},
	} {
		t.Run(name, func(t *testing.T) {
			logged := strings.ReplaceAll(tc.logged, "HOME", filepath.Dir(r.path))
			r.reload(t, strings.Replace(tc.text, "client_id: demo", "client_id: other", 1), logged)
			if o := runTokend(t, "status"); o.code != 0 || strings.Contains(o.stdout, "more") {
				t.Errorf("%+v", o)
			}
			if !strings.Contains(r.log.String(), `level=ERROR msg="configuration not reloaded, the old one stays active"`) {
				t.Errorf("the log:\n%s", r.log)
			}
		})
	}
	noCanary(t, "log", r.log.String())
	r.reload(t, oneClient, `changed="" removed="" unchanged=1`) // the first configuration was active all the time
}

func TestF35_Reload_Keys(t *testing.T) {
	r := serveFile(t, newTenant(t), oneClient)
	home := filepath.Dir(r.path)
	write(t, filepath.Join(home, "ci.key"), "the-key-of-the-pipeline", 0o600)
	status := func(key string) int {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+r.tcp+"/v1/clients/demo/token", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		a, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = a.Body.Close() // only its status matters
		return a.StatusCode
	}
	if got := status("the-key-of-the-pipeline"); got != 401 {
		t.Errorf("a key that is not configured yet: %d", got)
	}
	const ci = "keys: {ci: {key_file: HOME/ci.key, clients: [demo]}}\n"
	r.reload(t, oneClient+ci, "unchanged=1")
	if got := status("the-key-of-the-pipeline"); got != 200 {
		t.Errorf("a new key: %d", got)
	}
	write(t, filepath.Join(home, "ci.key"), "another-key-of-the-pipeline", 0o600)
	write(t, filepath.Join(home, "api.key"), "another-key-of-the-machine", 0o600)
	r.reload(t, oneClient+ci, "unchanged=1")
	for key, want := range map[string]int{
		"the-key-of-the-pipeline": 401, "another-key-of-the-pipeline": 200, canaryKey: 401, "another-key-of-the-machine": 200,
	} {
		if got := status(key); got != want {
			t.Errorf("key %s: %d, not %d", key, got, want)
		}
	}
}

// A reload retries a client that the provider has rejected, even with the same settings:
// the provider's side may have been corrected.
func TestF35_Reload_RetriesRejectedClients(t *testing.T) {
	f := newTenant(t)
	f.refuse(401, "invalid_client")
	r := serveFile(t, f, oneClient)
	until(t, func() error {
		if o := runTokend(t, "status"); !strings.Contains(o.stdout, "client_rejected") {
			return fmt.Errorf("status: %+v", o)
		}
		return nil
	})
	f.mu.Lock()
	f.token = nil
	f.mu.Unlock()
	r.reload(t, oneClient, "unchanged=1")
	until(t, func() error {
		if o := runTokend(t, "status"); !strings.Contains(o.stdout, "ready") {
			return fmt.Errorf("status: %+v", o)
		}
		return nil
	})
}

// A reload does not replace a missing key file: the old key stays active.
func TestF35_Reload_WritesNothing(t *testing.T) {
	r := serveFile(t, newTenant(t), oneClient)
	key := filepath.Join(filepath.Dir(r.path), "api.key")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	r.reload(t, oneClient, "reloaded")
	if _, err := os.Lstat(key); err == nil {
		t.Error("the reload has made a key")
	}
	if want := "API key file " + key + ` does not exist" hint="restore it`; !strings.Contains(r.log.String(), want) {
		t.Errorf("the log lacks %q:\n%s", want, r.log)
	}
	setenv(t, "TOKEND_ADDR=http://"+r.tcp, "TOKEND_API_KEY="+canaryKey)
	unset(t, "TOKEND_API_KEY_FILE")
	if o := runTokend(t, "token", "demo"); o.code != 0 {
		t.Errorf("the key that callers have: %+v", o)
	}
}

// Files start and end with the configuration. A file that stays configured is not written
// again, and a file that is no longer configured stays on disk.
func TestF35_Reload_Files(t *testing.T) {
	f := newTenant(t)
	r := serveFile(t, f, oneClient+"files:\n  - {client: demo, path: HOME/stays}\n  - {client: demo, path: HOME/changes}\n  - {client: demo, path: HOME/goes}\n")
	home := filepath.Dir(r.path)
	holds := func(name, want string) {
		t.Helper()
		until(t, func() error {
			if b, err := os.ReadFile(filepath.Join(home, name)); err != nil || string(b) != want {
				return fmt.Errorf("%s holds %q: %w", name, b, err)
			}
			return nil
		})
	}
	for _, name := range []string{"stays", "changes", "goes"} {
		holds(name, canaryToken)
	}
	written := func(name string) int {
		return strings.Count(r.log.String(), `msg="token file written" client=demo file=`+filepath.Join(home, name)+" ")
	}
	r.reload(t, oneClient+"files:\n  - {client: demo, path: HOME/stays}\n  - {client: demo, path: HOME/changes, format: header}\n  - {client: demo, path: HOME/comes}\n",
		"changed=demo")
	holds("changes", "Authorization: Bearer "+canaryToken)
	holds("comes", canaryToken)
	if n := written("stays"); n != 1 {
		t.Errorf("the file that stays was written %d times", n)
	}
	if err := os.Remove(filepath.Join(home, "goes")); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(home, "comes")); err != nil {
		t.Error(err)
	}
	if o := runTokend(t, "refresh", "demo"); o.code != 0 { // wakes the files that run
		t.Fatalf("%+v", o)
	}
	holds("comes", canaryToken)
	if _, err := os.Stat(filepath.Join(home, "goes")); err == nil {
		t.Error("the removed file is still written")
	}
}

// A signal that comes before the service listens is handled when it does.
func TestF35_Reload_SignalDuringStart(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_LISTEN=127.0.0.1:0", "HOME="+home)
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGHUP
	s := serveWith(t, program{hangups: hangups{c: signals}})
	until(t, func() error {
		if !strings.Contains(s.log.String(), "configuration reloaded") {
			return fmt.Errorf("no reload:\n%s", s.log)
		}
		return nil
	})
}

// SIGHUP ends every command but serve, and "serve --once" too.
func TestF35_Hangup_EndsOtherCommands(t *testing.T) {
	for name, command := range map[string]func(p *program) *cobra.Command{
		"file": (*program).file, "proxy": (*program).proxy, "exec": (*program).exec, "login": (*program).login, "serve": (*program).serve,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p := &program{hangups: hangups{c: make(chan os.Signal, 1), stop: cancel}}
			cmd := command(p)
			cmd.SetContext(ctx)
			p.hangups.c <- syscall.SIGHUP
			p.hangups.end(cmd)
			if name == "serve" {
				if len(p.hangups.c) != 1 || ctx.Err() != nil {
					t.Error("the signal was taken")
				}
				p.hangups.endWith(ctx) // as --once does
			}
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Second):
				t.Error("the signal does not end it")
			}
		})
	}
}

// What a reload does not apply is logged, once.
func TestReload_SettingsThatNeedARestart(t *testing.T) {
	r := serveFile(t, newTenant(t), oneClient)
	r.reload(t, oneClient+"log_level: debug\nstore: 'sqlite::memory:'\n", "msg=\"configuration reloaded\"")
	if want := "msg=\"a reload does not apply these settings of the service\" settings=store,log_level hint=\"restart the service\""; !strings.Contains(r.log.String(), want) {
		t.Errorf("the log lacks %q:\n%s", want, r.log)
	}
	r.reload(t, oneClient+"log_level: debug\nstore: 'sqlite::memory:'\n# the same\n", "msg=\"configuration reloaded\"")
	if n := strings.Count(r.log.String(), "a reload does not apply"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, r.log)
	}
}

// A file of API keys that cannot be read is read again until it can be, and the log says
// why once. Its correction may change neither its size nor its time.
func TestReloadKeys_CorrectedWithoutAWrite(t *testing.T) {
	for name, c := range map[string]struct {
		broken, correct func(t *testing.T, file, text string) error
	}{
		"chmod": {
			func(t *testing.T, file, text string) error { write(t, file, text, 0o644); return nil },
			func(_ *testing.T, file, _ string) error { return os.Chmod(file, 0o600) },
		},
		"link": {
			func(t *testing.T, file, text string) error {
				return os.Symlink(write(t, file+".target", text, 0o600), file)
			},
			func(_ *testing.T, file, _ string) error { return os.Rename(file+".target", file) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := serveFile(t, newTenant(t), oneClient)
			made := filepath.Join(filepath.Dir(r.path), "made.json")
			t.Setenv("TOKEND_API_KEYS_FILE", made)
			if o := runTokend(t, "key", "add", "first", "--clients", "demo"); o.code != 0 {
				t.Fatalf("%+v", o)
			}
			text, err := os.ReadFile(made)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(filepath.Dir(r.path), ".local", "state", "tokend", "api-keys.json")
			if err := c.broken(t, file, string(text)); err != nil {
				t.Fatal(err)
			}
			const failed = "the API keys are not reloaded"
			until(t, r.logged(failed))
			if err := c.correct(t, file, string(text)); err != nil {
				t.Fatal(err)
			}
			until(t, r.logged("API keys reloaded"))
			if n := strings.Count(r.log.String(), failed); n != 1 {
				t.Errorf("%d lines %q", n, failed)
			}
		})
	}
}

func (r *reloading) logged(line string) func() error {
	return func() error {
		if !strings.Contains(r.log.String(), line) {
			return fmt.Errorf("the log lacks %q:\n%s", line, r.log)
		}
		return nil
	}
}

func TestKeyAdd_NegativeRate(t *testing.T) {
	newTenant(t).configure(t, "TOKEND_LISTEN=off")
	if o := runTokend(t, "key", "add", "slow", "--clients", "demo", "--rate-limit", "-1"); o.code != exitUsage || !strings.Contains(o.stderr, "--rate-limit -1 is negative\nhint: ") {
		t.Errorf("%+v", o)
	}
}
