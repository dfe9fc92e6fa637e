//go:build unix

package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/config"
	"example.com/tokend/pkg/flow"
)

// notified is the service manager's end of NOTIFY_SOCKET.
type notified struct{ *net.UnixConn }

func serviceManager(t *testing.T) notified {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "n")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return notified{c}
}

// until returns the first message that holds all of the texts.
func (n notified) until(t *testing.T, texts ...string) string {
	t.Helper()
	if err := n.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf, seen := make([]byte, 4096), []string{}
next:
	for {
		k, err := n.Read(buf)
		if err != nil {
			t.Fatalf("%q did not come, but: %q", texts, seen)
		}
		msg := string(buf[:k])
		seen = append(seen, msg)
		for _, text := range texts {
			if !strings.Contains(msg, text) {
				continue next
			}
		}
		return msg
	}
}

func TestNotifiesTheServiceManager(t *testing.T) {
	clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	n := serviceManager(t)
	setenv(t, "WATCHDOG_USEC=40000")
	s := serve(t)
	if first := n.until(t, ""); !strings.HasPrefix(first, "READY=1\nSTATUS=") {
		t.Errorf("the first word is %q", first)
	}
	n.until(t, "STATUS=1 of 1 clients ready")
	n.until(t, "WATCHDOG=1\n")
	if code := s.stop(); code != 0 {
		t.Errorf("ended with %d", code)
	}
	n.until(t, "STOPPING=1")
}

// A tenant that is down does not delay the start.
func TestReadyWithoutTenant(t *testing.T) {
	clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	f.Close()
	n := serviceManager(t)
	serve(t)
	if first := n.until(t, ""); !strings.HasPrefix(first, "READY=1\n") {
		t.Errorf("the first word is %q", first)
	}
	n.until(t, "STATUS=0 of 1 clients ready; demo: unavailable")
}

func TestWatchdogFollowsTheStore(t *testing.T) {
	n := serviceManager(t)
	m := newManager([]config.Client{{Config: flow.Config{Name: "demo"}}}, slog.New(slog.DiscardHandler))
	m.every = 10 * time.Millisecond
	m.alive(t.Context(), func(context.Context) error { return errors.New("disk full") })
	n.until(t, "WATCHDOG=1", "STATUS=the store fails", "demo: starting")
	m.alive(t.Context(), func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	m.alive(t.Context(), func(context.Context) error { return nil })
	if next := n.until(t, ""); next != "WATCHDOG=1\nSTATUS=0 of 1 clients ready; demo: starting" {
		t.Errorf("after a store that hung came %q", next)
	}
}

// The watchdog is fed while draining: systemd must not kill a process that finishes a
// refresh.
func TestWatchdogWhileDraining(t *testing.T) {
	n := serviceManager(t)
	m := newManager(nil, slog.New(slog.DiscardHandler))
	m.every = 5 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	leave := m.attend(ctx, func(ctx context.Context) error { return ctx.Err() })
	n.until(t, "READY=1")
	cancel()
	n.until(t, "STOPPING=1")
	n.until(t, "WATCHDOG=1")
	leave()
}

func TestNoServiceManager(t *testing.T) {
	clean(t)
	m := newManager(nil, slog.New(slog.DiscardHandler))
	m.attend(t.Context(), nil)() // nothing runs, nothing is waited for
	setenv(t, "NOTIFY_SOCKET="+filepath.Join(t.TempDir(), "missing"), "WATCHDOG_USEC=soon")
	var log syncBuffer
	m = newManager(nil, slog.New(slog.NewTextHandler(&log, nil)))
	m.attend(t.Context(), nil)()
	for _, want := range []string{"no watchdog", "reason=", "hint=\"check WatchdogSec= of the unit", "cannot notify the service manager", "hint=\"check NOTIFY_SOCKET"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
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
	n := serviceManager(t)
	r := serveFile(t, newTenant(t), twoClients, "NOTIFY_SOCKET="+os.Getenv("NOTIFY_SOCKET"))
	n.until(t, "STATUS=2 of 2 clients ready")
	r.reload(t, oneClient, "removed=more")
	n.until(t, "RELOADING=1\nMONOTONIC_USEC=")
	n.until(t, "READY=1\nSTATUS=1 of 1 clients ready")
	r.reload(t, "clients: [", "not reloaded")
	n.until(t, "RELOADING=1\n")
	n.until(t, "READY=1\nSTATUS=1 of 1 clients ready")
}
