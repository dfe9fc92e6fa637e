package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var goodClient = []string{
	"TOKEND_CLIENTS=demo", "TOKEND_CLIENT_DEMO_ISSUER=https://acme.eu.auth0.com/",
	"TOKEND_CLIENT_DEMO_CLIENT_ID=id", "TOKEND_CLIENT_DEMO_CLIENT_SECRET=" + canarySecret,
}

const goodFile = "clients:\n  demo:\n    issuer: https://acme.eu.auth0.com/\n    client_id: id\n"

// A configuration with an error starts nothing, and each command reports all of it.
func TestB18_Faults(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string // beside goodClient, unless there is a file
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

// The file says where the service is, to the service and to the other commands.
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
