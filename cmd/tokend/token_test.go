package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// alone is a client in the environment, and no service at any address.
func alone(t *testing.T) *tenant {
	t.Helper()
	clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_LISTEN="+strings.TrimPrefix(refused(t), "http://"))
	return f
}

func TestToken_NoService_StartsTheClientHere(t *testing.T) {
	alone(t)
	for format, want := range map[string]string{"text": canaryToken + "\n", "header": "Authorization: Bearer " + canaryToken + "\n", "headers": `{"Authorization":"Bearer ` + canaryToken + `"}` + "\n"} {
		if o := runTokend(t, "token", "demo", "--format", format); o != (output{stdout: want}) {
			t.Errorf("%s: %+v", format, o)
		}
	}
	if o := runTokend(t, "inspect", "demo"); o.code != 0 || !strings.Contains(o.stdout, "opaque") {
		t.Errorf("inspect: %+v", o)
	}
	if o := runTokend(t, "token", "dmo"); o.code != 66 || o.stdout != "" {
		t.Errorf("unknown client: %+v", o)
	}
	if o := runTokend(t, "token", "demo", "--min-validity", "48h"); o.code != 0 || o.stdout != canaryToken+"\n" || !strings.HasPrefix(o.stderr, "warning: the token is valid for 24h, not for 48h") {
		t.Errorf("min-validity: %+v", o)
	}
}

// Helpers run for every request: without a service they say so.
func TestToken_NoService_HelperFormsSayHowToStartOne(t *testing.T) {
	alone(t)
	for _, format := range []string{"exec-credential", "git-credential", "docker-credential", "terraform-credentials", "external", "gcp-executable"} {
		p, args := request(format, "demo")
		o := tokendWith(t, p, args...)
		if o.code == 0 && format != "gcp-executable" || !strings.Contains(o.stdout+o.stderr, "hint: start it with tokend serve") || strings.Contains(o.stdout, canaryToken) {
			t.Errorf("%s: %+v", format, o)
		}
		if o := tokendWith(t, p, append(args, "--private")...); o.code != 64 || !strings.Contains(o.stderr, "--private has no effect with format "+format) {
			t.Errorf("%s --private: %+v", format, o)
		}
	}
}

func TestToken_NamedServiceDown_StartsNothing(t *testing.T) {
	f := alone(t)
	t.Setenv("TOKEND_ADDR", refused(t))
	if o := runTokend(t, "token", "demo"); o.code != 69 || o.stdout != "" || !strings.Contains(o.stderr, "tokend does not answer") {
		t.Errorf("%+v", o)
	}
	if f.exchanged() != 0 {
		t.Error("a token was requested")
	}
}

// A job that starts together with the service must not start the client a second time.
func TestToken_Wait_WaitsForTheService(t *testing.T) {
	alone(t)
	o := runTokend(t, "token", "demo", "--wait", "--timeout", "50ms")
	if o.code != 69 || o.stdout != "" || !strings.HasPrefix(o.stderr, "error: waited 50ms: tokend does not answer") {
		t.Errorf("%+v", o)
	}
}

func TestToken_NothingConfigured_SaysBothWays(t *testing.T) {
	clean(t)
	t.Setenv("TOKEND_LISTEN", strings.TrimPrefix(refused(t), "http://"))
	o := runTokend(t, "token", "demo")
	if o.code != 69 || !strings.Contains(o.stderr, "no client is configured here\nhint: start it with tokend serve, or set TOKEND_CLIENTS=demo") {
		t.Errorf("%+v", o)
	}
}

func TestToken_NoService_LoginRequired_SaysHowToLogIn(t *testing.T) {
	alone(t)
	t.Setenv("TOKEND_CLIENT_DEMO_GRANT", "authorization_code")
	t.Setenv("TOKEND_CLIENT_DEMO_LOGIN", "browser")
	o := runTokend(t, "token", "demo")
	if o.code != 77 || o.stdout != "" || !strings.Contains(o.stderr, "hint: run tokend serve and tokend login demo --browser once") {
		t.Errorf("%+v", o)
	}
}

func TestToken_Private_LeavesTheRunningServiceAlone(t *testing.T) {
	home := clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	serve(t)
	other := newTenant(t)
	t.Setenv("TOKEND_CLIENT_DEMO_ISSUER", other.URL+"/")
	t.Setenv("TOKEND_STORE", "sqlite:"+home+"/other.db")
	o := runTokend(t, "token", "demo")
	if o.code != 0 || !strings.HasPrefix(o.stderr, "warning: client demo is that of the running service") {
		t.Errorf("%+v", o)
	}
	other.say(`{"access_token":"other-token","token_type":"Bearer","expires_in":3600}`)
	if o := runTokend(t, "token", "demo", "--private", "--format", "json"); o.code != 0 || !json.Valid([]byte(o.stdout)) || !strings.Contains(o.stdout, "other-token") {
		t.Errorf("%+v", o)
	}
}

func TestGitHelper_WithoutClient_ChoosesByHost(t *testing.T) {
	clean(t)
	newStub(t)
	p := func(stdin string) program { p := in(stdin); p.name = "git-credential-tokend"; return p }
	o := tokendWith(t, p("protocol=https\nhost=registry.example.com\n"), "get")
	if o.code != 0 || !strings.HasPrefix(o.stdout, "username=ada\npassword="+canaryToken+"\n") {
		t.Errorf("%+v", o)
	}
	if o := tokendWith(t, p("protocol=https\nhost=evil.example\n"), "get"); o != (output{}) {
		t.Errorf("a host of no client: %+v", o)
	}
	if o := tokendWith(t, p("protocol=https\nhost=twice.example.com\n"), "get"); o.code != 78 || o.stdout != "" {
		t.Errorf("a host of two clients: %+v", o)
	}
	if o := tokendWith(t, p("protocol=http\nhost=registry.example.com\n"), "get"); o.code != 77 || o.stdout != "" {
		t.Errorf("plain http: %+v", o)
	}
	if o := tokendWith(t, p("protocol=https\nhost=registry.example.com\n"), "demo", "get"); o.code != 0 || !strings.HasPrefix(o.stdout, "username=ada\n") {
		t.Errorf("%+v", o)
	}
	if o := tokendWith(t, p(""), "a", "b", "get"); o.code != 64 {
		t.Errorf("%+v", o)
	}
}

// When the directory of the store and the key is deleted, commands lead to the service
// that has lost it, and make no second store in its place.
func TestStoreDeletedInUse_CommandsSayToRestart(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENTS=demo")
	s := serve(t)
	t.Setenv("TOKEND_LISTEN", s.tcp)
	state := filepath.Join(home, ".local", "state", "tokend")
	if err := os.RemoveAll(state); err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, args ...string) {
		t.Helper()
		o := runTokend(t, args...)
		if o.code != exitUnavailable || !strings.Contains(o.stderr+o.stdout, "the store was deleted or replaced while it was in use") || !strings.Contains(o.stderr+o.stdout, "hint: restart tokend") {
			t.Errorf("%v: %+v", args, o)
		}
		if _, err := os.Stat(filepath.Join(state, "tokend.db")); err == nil {
			t.Errorf("%v made a second store", args)
		}
	}
	check(t, "token", "demo")
	check(t, "status")
	check(t, "doctor")
	for _, name := range tokendVariables() {
		unset(t, name)
	}
	t.Setenv("TOKEND_LISTEN", s.tcp)
	check(t, "token", "demo")
	check(t, "status", "demo")
	check(t, "doctor")
}

// Without a key, token and status say the same, and where it is by default.
func TestNoKey_TokenAndStatusSayTheSame(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENTS=demo")
	s := serve(t)
	for _, name := range tokendVariables() {
		unset(t, name)
	}
	t.Setenv("HOME", filepath.Join(home, "other"))
	t.Setenv("TOKEND_LISTEN", s.tcp)
	for _, args := range [][]string{{"token", "demo"}, {"status"}, {"status", "demo"}} {
		o := runTokend(t, args...)
		if o.code != exitNoPerm || !strings.Contains(o.stderr, "unauthorized: there is no API key for the service at http://"+s.tcp) || !strings.Contains(o.stderr, "by default in ~/.local/state/tokend/api.key") {
			t.Errorf("%v: %+v", args, o)
		}
	}
}
