package config

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestShow(t *testing.T) {
	home, path := homeWith(t, "log_level: debug\n"+goodFile+"    client_secret: "+canarySecret+"\n    scopes: [openid]\n    refresh: {advisory: 5m}\n    audience: of-the-file\n"+
		"  machine:\n    issuer: https://acme.eu.auth0.com/\n    client_id: m\n    grant: client_credentials\n    token_params: {key: "+canaryFresh+"}\n    client_secret: "+canarySecret+"\n"+
		"keys:\n  ci: {key: "+canaryKey+", clients: [demo]}\nfiles:\n- {client: demo, path: /x/y, mode: '0640'}\n")
	env := environ(t, "HOME="+home, "TOKEND_CLIENT_DEMO_AUDIENCE=of-the-variable", "TOKEND_API_KEY="+canaryKey+"2", "TOKEND_SOCKET=off")
	list, faults := Show(env, DefaultPaths(env))
	if faults != nil {
		t.Fatal(faults)
	}
	got := map[string]string{}
	for _, s := range list {
		got[s.Setting] = fmt.Sprint(s.Value) + " " + strings.TrimPrefix(s.Source, path)
	}
	for setting, want := range map[string]string{
		"listen": "127.0.0.1:8484 default", "socket": "off TOKEND_SOCKET", "log_level": "debug :1", "log_format": "text default",
		"store": "sqlite:" + filepath.Join(home, ".local/state/tokend/tokend.db") + " default", "api_key": "(secret) TOKEND_API_KEY", "api_key_file": "",
		"clients.demo.issuer": "https://acme.eu.auth0.com/ :4", "clients.demo.client_secret": "(secret) :6", "clients.demo.scopes": "[openid] :7",
		"clients.demo.refresh.advisory": "5m :8", "clients.demo.refresh.mandatory": "1m default", "clients.demo.audience": "of-the-variable TOKEND_CLIENT_DEMO_AUDIENCE",
		"clients.demo.idle": "720h default", "clients.demo.par": "false default", "clients.demo.realm": "",
		"clients.machine.grant": "client_credentials :13", "clients.machine.token_params": "(secret) :14", "clients.machine.idle": "", "clients.machine.lifetime": "5m default",
		"keys.ci.key": "(secret) :17", "keys.ci.clients": "[demo] :17", "files[0].mode": "0640 :19", "files[0].format": "text default",
	} {
		if got[setting] != want {
			t.Errorf("%s is %q, not %q", setting, got[setting], want)
		}
	}
	b, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, canary := range []string{canarySecret, canaryFresh, canaryKey} {
		if strings.Contains(string(b), canary) {
			t.Errorf("it shows %q: %s", canary, b)
		}
	}
}

func TestShow_Faults(t *testing.T) {
	home, _ := homeWith(t, goodFile+"    leeway: x\n")
	env := environ(t, "HOME="+home)
	if list, faults := Show(env, DefaultPaths(env)); list != nil || len(faults) != 1 {
		t.Errorf("%v, %v", list, faults)
	}
}

func TestRedacted(t *testing.T) {
	for store, want := range map[string]string{
		"sqlite:/a": "sqlite:/a", "postgres://user:" + canarySecret + "@h/db": "postgres://user:xxxxx@h/db", ":": "",
	} {
		if got := redacted(store); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}
