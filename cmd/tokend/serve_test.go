package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"example.com/tokend/internal/store"
)

func TestStartMakesFilesForItsUserAlone(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t)
	serve(t)
	state := filepath.Join(home, ".local/state/tokend")
	for name, want := range map[string]os.FileMode{"": 0o700, "api.key": 0o600, "keyset.json": 0o600, "tokend.db": 0o600, "tokend.sock": 0o600} {
		fi, err := os.Stat(filepath.Join(state, name))
		if err != nil || fi.Mode().Perm() != want {
			t.Errorf("%q: %v %v", name, fi, err)
		}
	}
}

func TestBusyPort(t *testing.T) {
	clean(t)
	newTenant(t).configure(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	port := strconv.Itoa(tcpPort(l))
	setenv(t, "TOKEND_LISTEN=127.0.0.1:"+port)
	o := runTokend(t, "serve")
	if o.code != 69 || !strings.Contains(o.stderr, "port "+port+" is in use") || !strings.Contains(o.stderr, "hint: ") || strings.Count(o.stderr, "\n") != 2 {
		t.Errorf("%+v", o)
	}
}

func TestBothLoopbacks(t *testing.T) {
	clean(t)
	newTenant(t).configure(t)
	s := serve(t)
	_, port, _ := net.SplitHostPort(s.tcp)
	c, err := net.Dial("tcp", "[::1]:"+port)
	if err != nil {
		if _, nerr := net.Listen("tcp", "[::1]:0"); nerr != nil {
			t.Skip("no IPv6 here")
		}
		t.Fatal(err)
	}
	_ = c.Close()
}

func TestSocket(t *testing.T) {
	home := clean(t)
	f := newTenant(t)
	f.configure(t)
	dir := filepath.Join(home, "run")
	path := filepath.Join(dir, "s")
	setenv(t, "TOKEND_LISTEN=127.0.0.1:0", "TOKEND_SOCKET="+path)

	write(t, path, "a file", 0o600)
	if o := runTokend(t, "serve"); o.code != 78 || !strings.Contains(o.stderr, "is not a socket") {
		t.Errorf("a file: %+v", o)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if o := runTokend(t, "serve"); o.code != 78 || !strings.Contains(o.stderr, "hint: chmod 700") {
		t.Errorf("an open directory: %+v", o)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	if o := runTokend(t, "serve"); o.code != 69 || !strings.Contains(o.stderr, "another process answers") {
		t.Errorf("a live socket: %+v", o)
	}
	l.SetUnlinkOnClose(false) // as after kill -9
	_ = l.Close()
	serve(t)
	if o := runTokend(t, "healthcheck"); o.code != 0 {
		t.Errorf("a stale socket was not replaced: %+v", o)
	}
}

func TestStoreOfOtherKeyIsLeftAlone(t *testing.T) {
	home := clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_LISTEN=127.0.0.1:0")
	state := filepath.Join(home, ".local/state/tokend")
	keys, err := store.LoadOrCreateKeyset(t.Context(), filepath.Join(home, "other.json"), "sqlite:"+filepath.Join(state, "tokend.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(state, "tokend.db"), store.Options{Keys: keys})
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(state, "tokend.db"))
	if err != nil {
		t.Fatal(err)
	}
	if o := runTokend(t, "serve"); o.code != 78 || !strings.Contains(o.stderr, "keyset") {
		t.Errorf("no keyset: %+v", o)
	}
	setenv(t, "TOKEND_STORE_KEY_FILE="+filepath.Join(home, "third.json"))
	if _, err := store.LoadOrCreateKeyset(t.Context(), filepath.Join(home, "third.json"), "sqlite::memory:", store.Options{}); err != nil {
		t.Fatal(err)
	}
	if o := runTokend(t, "serve"); o.code != 78 || !strings.HasPrefix(o.stderr, "error: ") {
		t.Errorf("another keyset: %+v", o)
	}
	after, err := os.ReadFile(filepath.Join(state, "tokend.db"))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the store was changed (%v)", err)
	}
}

func TestTenantDownAtStart(t *testing.T) {
	clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	f.Close()
	serve(t)
	if o := runTokend(t, "token", "demo"); o.code != 75 || !strings.Contains(o.stderr, "idp_unreachable") {
		t.Errorf("token: %+v", o)
	}
	if o := runTokend(t, "status"); o.code != 0 || !strings.Contains(o.stdout, "unavailable") {
		t.Errorf("status: %+v", o)
	}
}

func TestWrongSecret(t *testing.T) {
	clean(t)
	f := newTenant(t)
	f.refuse(401, "invalid_client")
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	s := serve(t)
	o := runTokend(t, "token", "demo")
	if o.code != 77 || !strings.Contains(o.stderr, "client_rejected") || !strings.Contains(o.stderr, "hint: ") {
		t.Errorf("%+v", o)
	}
	noCanary(t, "log", s.log.String())
}

func TestOneKeyForConcurrentStarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "api.key")
	keys := make(chan string, 8)
	for range cap(keys) {
		go func() {
			k, _, err := readOrCreateKey(path)
			if err != nil {
				t.Error(err)
			}
			keys <- k.Reveal()
		}()
	}
	first := <-keys
	for range cap(keys) - 1 {
		if k := <-keys; k != first || len(k) != 43 {
			t.Errorf("two keys, or one of %d characters", len(k))
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left over: %v %v", left, err)
	}
}

// A service that is stopped while it starts exits with 0 and prints nothing.
func TestStopDuringStart(t *testing.T) {
	clean(t)
	newTenant(t).configure(t, "TOKEND_LISTEN=127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	p := program{stdin: strings.NewReader(""), stdout: &out, stderr: &out}
	if code := p.run(ctx, []string{"serve"}); code != 0 || strings.Contains(out.String(), "error") {
		t.Errorf("exit %d: %s", code, out.String())
	}
	out.Reset()
	if code := p.run(ctx, []string{"serve", "--once"}); code == 0 { // its work is not done
		t.Errorf("serve --once: exit %d: %s", code, out.String())
	}
}

// Where the log is JSON, what ends the service is a line of it; else the error is for
// a person.
func TestServe_FailureInAJSONLog(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t)
	setenv(t, "TOKEND_LISTEN=127.0.0.1:0", "TOKEND_STORE=sqlite:"+home, "TOKEND_STORE_KEY_FILE="+home+"/keyset.json", "TOKEND_LOG_FORMAT=json")
	for _, args := range [][]string{{"serve"}, {"serve", "--once"}} {
		o := runTokend(t, args...)
		var line struct{ Level, Msg, Reason, Hint string }
		if err := json.Unmarshal([]byte(o.stderr), &line); err != nil || o.code != 78 || line.Level != "ERROR" || line.Msg != "the service has failed" || line.Reason == "" || line.Hint == "" {
			t.Errorf("%q: %v, %+v", args, err, o)
		}
	}
	setenv(t, "TOKEND_LISTN=x", "TOKEND_CLIENT_DEMO_ISSUER=ftp://x")
	o := runTokend(t, "serve")
	if lines := strings.Split(strings.TrimSpace(o.stderr), "\n"); o.code != 78 || len(lines) != 2 || !strings.Contains(lines[0], `"hint":"`) || !json.Valid([]byte(lines[1])) {
		t.Errorf("%+v", o)
	}
	setenv(t, "TOKEND_LOG_FORMAT=text")
	if o := runTokend(t, "serve"); o.code != 78 || !strings.HasPrefix(o.stderr, "error: ") {
		t.Errorf("text: %+v", o)
	}
}

// TestServe_WarnsOfPasswordGrant: the log of a start says it once for each client.
func TestServe_WarnsOfPasswordGrant(t *testing.T) {
	clean(t)
	newTenant(t).configure(t)
	setenv(t, "TOKEND_CLIENTS=demo,old", "TOKEND_CLIENT_OLD_ISSUER="+os.Getenv("TOKEND_CLIENT_DEMO_ISSUER"), "TOKEND_CLIENT_OLD_CLIENT_ID=old",
		"TOKEND_CLIENT_OLD_GRANT=password", "TOKEND_CLIENT_OLD_USERNAME=agent@example.com", "TOKEND_CLIENT_OLD_PASSWORD=the-password")
	s := serve(t)
	if log := s.log.String(); strings.Count(log, "RFC 9700 forbids") != 1 || !strings.Contains(log, "client=old") || strings.Contains(log, "the-password") {
		t.Errorf("log:\n%s", log)
	}
}

func TestCollectingLess_WhileTheConfigurationIsRead(t *testing.T) {
	percent := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	before := percent()
	for gogc, want := range map[string]int{"": 200, "50": before} {
		t.Setenv("GOGC", gogc)
		during := 0
		if _, err := collectingLess(func() (settings, error) { during = percent(); return settings{}, nil }); err != nil || during != want {
			t.Errorf("GOGC=%q: %d while it is read, want %d; %v", gogc, during, want, err)
		}
		if after := percent(); after != before {
			t.Errorf("GOGC=%q: %d afterwards, want %d", gogc, after, before)
		}
	}
}
