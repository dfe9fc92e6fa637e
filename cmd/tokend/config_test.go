package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tokend/internal/config"
)

var goodClient = []string{
	"TOKEND_CLIENTS=demo", "TOKEND_CLIENT_DEMO_ISSUER=https://acme.eu.auth0.com/",
	"TOKEND_CLIENT_DEMO_CLIENT_ID=id", "TOKEND_CLIENT_DEMO_CLIENT_SECRET=" + canarySecret,
}

const goodFile = "clients:\n  demo:\n    issuer: https://acme.eu.auth0.com/\n    client_id: id\n"

// A configuration with an error starts nothing, and each command reports all of it.
func TestB18_Faults(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string // in addition to goodClient, unless there is a file
		file string
		want []string // in stderr
	}{
		"nothing":     {env: []string{"TOKEND_CLIENTS="}, want: []string{"error: no client is configured; hint: set TOKEND_CLIENTS"}},
		"variables":   {env: []string{"TOKEND_LISTEN=0.0.0.0:8484", "TOKEND_CLIENT_DEMO_LEEWAY=30"}, want: []string{"error: TOKEND_LISTEN: address ", "\nerror: client demo: leeway "}},
		"file":        {file: goodFile + "    isuer: x\n", want: []string{"tokend.yaml:5: unknown key clients.demo.isuer; hint: did you mean issuer?"}},
		"secret file": {file: goodFile + "    client_secret_file: /nonexistent\n", want: []string{"client demo: client_secret_file: secret file /nonexistent"}},
	} {
		t.Run(name, func(t *testing.T) {
			home := clean(t)
			if c.file != "" {
				write(t, filepath.Join(home, ".config/tokend/tokend.yaml"), c.file, 0o600)
			} else {
				setenv(t, goodClient...)
			}
			setenv(t, c.env...)
			for _, args := range [][]string{{"config", "check"}, {"serve"}} {
				o := runTokend(t, args...)
				if o.code != 78 || o.stdout != "" {
					t.Fatalf("%v: exit %d, stdout %q", args, o.code, o.stdout) // what is right would be served
				}
				for _, want := range c.want {
					if !strings.Contains(o.stderr, want) {
						t.Errorf("%v: stderr lacks %q:\n%s", args, want, o.stderr)
					}
				}
				noCanary(t, "stderr", o.stderr)
			}
			if _, err := os.Stat(filepath.Join(home, ".local")); err == nil {
				t.Error("something was made although the configuration is wrong")
			}
		})
	}
}

func TestB18_AllFaultsTogether(t *testing.T) {
	clean(t)
	setenv(t, "TOKEND_CLIENTS=demo,ci", "TOKEND_TYPO=1", "TOKEND_CLIENT_DEMO_CLIENT_SECRET_FILE=/nonexistent", "TOKEND_LOG_LEVEL=x")
	o := runTokend(t, "config", "check")
	lines := strings.Split(strings.TrimSpace(o.stderr), "\n")
	if o.code != 78 || len(lines) != 7 {
		t.Errorf("exit %d, %d lines:\n%s", o.code, len(lines), o.stderr)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "error: ") {
			t.Errorf("line %q", line)
		}
	}
}

// The file says where the service listens, for the service and the other commands.
func TestServiceSettingsOfTheFile(t *testing.T) {
	home := clean(t)
	f := newTenant(t)
	path := filepath.Join(home, ".config/tokend/tokend.yaml")
	text := "listen: 127.0.0.1:0\nsocket: " + home + "/sockets/s\nstore: sqlite:" + home + "/db/tokend.db\napi_key_file: " + home + "/keys/api\nlog_format: json\n" +
		"clients:\n  demo: {issuer: '" + f.URL + "/', client_id: demo, client_secret: " + canarySecret + ", grant: client_credentials}\n"
	write(t, path, text, 0o600)
	s := serveWith(t, program{})
	for _, name := range []string{"sockets/s", "db/tokend.db", "db/keyset.json", "keys/api"} {
		if _, err := os.Stat(filepath.Join(home, name)); err != nil {
			t.Error(err)
		}
	}
	if !strings.HasPrefix(s.log.String(), "{") {
		t.Errorf("the log: %s", s.log)
	}
	if o := runTokend(t, "token", "demo"); o.code != 0 || o.stdout != canaryToken+"\n" {
		t.Errorf("by the socket: %+v", o)
	}
	setenv(t, "TOKEND_ADDR=http://"+s.tcp)
	if o := runTokend(t, "token", "demo"); o.code != 0 || o.stdout != canaryToken+"\n" {
		t.Errorf("by the listener and the key of the file: %+v", o)
	}
}

func TestConfigShow(t *testing.T) {
	home := clean(t)
	path := write(t, filepath.Join(home, ".config/tokend/tokend.yaml"), goodFile+"    client_secret: "+canarySecret+"\n    scopes: [openid, email]\n", 0o600)
	setenv(t, "TOKEND_LOG_LEVEL=warn")
	o := runTokend(t, "config", "show")
	for _, want := range []string{
		"listen: \"127.0.0.1:8484\"  # default\n", "log_level: warn  # TOKEND_LOG_LEVEL\n", "clients.demo.client_id: id  # " + path + ":4\n",
		"clients.demo.client_secret: (secret)  # " + path + ":5\n", "clients.demo.scopes: [openid, email]  # " + path + ":6\n",
	} {
		if o.code != 0 || !strings.Contains(o.stdout, want) {
			t.Errorf("exit %d, stdout lacks %q:\n%s%s", o.code, want, o.stdout, o.stderr)
		}
	}
	noCanary(t, "show", o.stdout)
	o = runTokend(t, "config", "show", "--format", "json")
	var list []config.Shown
	if err := json.Unmarshal([]byte(o.stdout), &list); err != nil || len(list) < 10 || list[0].Setting != "listen" {
		t.Errorf("%v: %+v", err, o)
	}
	noCanary(t, "show", o.stdout)
	if o := runTokend(t, "config", "show", "--format", "xml"); o.code != 64 || o.stdout != "" {
		t.Errorf("%+v", o)
	}
	setenv(t, "TOKEND_LOG_LEVEL=loud")
	if o := runTokend(t, "config", "show"); o.code != 78 || o.stdout != "" || !strings.Contains(o.stderr, "TOKEND_LOG_LEVEL") {
		t.Errorf("%+v", o)
	}
}

func TestConfigInit(t *testing.T) {
	home := clean(t)
	path := filepath.Join(home, ".config/tokend/tokend.yaml")
	if o := runTokend(t, "config", "init"); o.code != 0 || o.stdout != path+"\n" {
		t.Fatalf("%+v", o)
	}
	if o := runTokend(t, "config", "check"); o.code != 78 || strings.Count(o.stderr, "error: ") != 2 || !strings.Contains(o.stderr, "client demo: issuer is missing; hint: set clients.demo.issuer") {
		t.Errorf("not filled in: %+v", o)
	}
	setenv(t, "TOKEND_CLIENT_DEMO_ISSUER=https://acme.eu.auth0.com/", "TOKEND_CLIENT_DEMO_CLIENT_ID=id")
	if o := runTokend(t, "config", "check"); o.code != 0 {
		t.Errorf("filled in: %+v", o)
	}
	if o := runTokend(t, "config", "init"); o.code != 78 || !strings.Contains(o.stderr, path+" exists already\nhint: ") {
		t.Errorf("again: %+v", o)
	}
	setenv(t, "TOKEND_CONFIG="+home+"/named.yaml")
	if o := runTokend(t, "config", "init"); o.code != 0 || o.stdout != home+"/named.yaml\n" {
		t.Errorf("the file of TOKEND_CONFIG: %+v", o)
	}
	if o := runTokend(t, "config", "init", home+"/other.yaml"); o.code != 0 || o.stdout != home+"/other.yaml\n" {
		t.Errorf("a path: %+v", o)
	}
	unset(t, "TOKEND_CONFIG")
	unset(t, "HOME")
	if o := runTokend(t, "config", "init"); o.code != 78 || !strings.Contains(o.stderr, "no default path") {
		t.Errorf("no home: %+v", o)
	}
}
