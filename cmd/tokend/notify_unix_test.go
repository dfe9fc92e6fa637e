//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/systemd/systemdtest"
)

func TestNotifiesTheServiceManager(t *testing.T) {
	clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	m := systemdtest.NewManager(t)
	setenv(t, "WATCHDOG_USEC=40000")
	s := serve(t)
	if first := m.Until(t, ""); !strings.HasPrefix(first, "READY=1\nSTATUS=") {
		t.Errorf("the first word is %q", first)
	}
	m.Until(t, "STATUS=1 of 1 clients ready")
	m.Until(t, "WATCHDOG=1\n")
	if code := s.stop(); code != 0 {
		t.Errorf("ended with %d", code)
	}
	m.Until(t, "STOPPING=1")
}

// A tenant that is down does not delay the start.
func TestReadyWithoutTenant(t *testing.T) {
	clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	f.Close()
	m := systemdtest.NewManager(t)
	serve(t)
	if first := m.Until(t, ""); !strings.HasPrefix(first, "READY=1\n") {
		t.Errorf("the first word is %q", first)
	}
	m.Until(t, "STATUS=0 of 1 clients ready; demo: unavailable")
}

func TestDirectoriesOfTheUnit(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t)
	state, run := filepath.Join(home, "state"), filepath.Join(home, "run")
	for _, dir := range []string{state, run} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	setenv(t, "STATE_DIRECTORY="+state+":/var/lib/other", "RUNTIME_DIRECTORY="+run, "CONFIGURATION_DIRECTORY="+home)
	write(t, filepath.Join(home, "tokend.yaml"), "keys: {ci: {key: "+canaryKey+", clients: [demo]}}\n", 0o600)
	s := serve(t)
	for _, path := range []string{state + "/tokend.db", state + "/keyset.json", state + "/api.key", run + "/tokend.sock"} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(home, ".local")); err == nil {
		t.Error("the home was used all the same")
	}
	// A command does not use another unit's directories.
	setenv(t, "TOKEND_ADDR=http://"+s.tcp)
	if o := runTokend(t, "status"); o.code != 77 {
		t.Errorf("status took the key of the unit's directory: %+v", o)
	}
	setenv(t, "TOKEND_API_KEY="+canaryKey)
	if o := runTokend(t, "status"); o.code != 0 || !strings.Contains(o.stdout, "demo") {
		t.Errorf("the key of the unit's configuration: %+v", o)
	}
	setenv(t, "STATE_DIRECTORY=relative")
	if got, want := config.ServicePaths(config.OS()).Store, config.DefaultPaths(config.OS()).Store; got != want {
		t.Errorf("a relative directory: %s", got)
	}
}

// A reload is reported, and the clients that it has removed are no longer shown.
func TestF35_NotifiesReload(t *testing.T) {
	m := systemdtest.NewManager(t)
	r := serveFile(t, newTenant(t), twoClients, "NOTIFY_SOCKET="+os.Getenv("NOTIFY_SOCKET"))
	m.Until(t, "STATUS=2 of 2 clients ready")
	r.reload(t, oneClient, "removed=more")
	m.Until(t, "RELOADING=1\nMONOTONIC_USEC=")
	m.Until(t, "READY=1\nSTATUS=1 of 1 clients ready")
	r.reload(t, "clients: [", "not reloaded")
	m.Until(t, "RELOADING=1\n")
	m.Until(t, "READY=1\nSTATUS=1 of 1 clients ready")
}
