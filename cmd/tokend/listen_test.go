package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tokend/internal/hint"
)

// A refused listener has its exit code and its hint.
func TestListenRefuses(t *testing.T) {
	dir, err := os.MkdirTemp("", "tokend") // short: a socket's path is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file := write(t, filepath.Join(dir, "file"), "", 0o600)
	datagrams := filepath.Join(dir, "datagrams")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: datagrams, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for name, c := range map[string]struct {
		path string
		code int
		says string
	}{
		"beneath a file": {filepath.Join(file, "s", "sock"), exitConfig, "directory of the socket: "},
		"long":           {filepath.Join(dir, strings.Repeat("x", 120)), exitConfig, "at most 100 characters"},
		"of datagrams":   {datagrams, exitUnavailable, "hint: remove " + datagrams + " if no program uses it"},
		"a file":         {file, exitConfig, "is not a socket"},
	} {
		got, err := listenSocket(t.Context(), "TOKEND_SOCKET", c.path, false)
		if got != nil || exitCode(err) != c.code || !strings.Contains(report(err), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := listenTCP(t.Context(), "TOKEND_LISTEN", "0.0.0.0:0"); exitCode(err) != exitConfig || !strings.Contains(report(err), "hint: 127.0.0.1:0") {
		t.Errorf("every address: %v", err)
	}
}

func TestAnswerThatBreaksOff(t *testing.T) {
	clean(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"access_token":"x"`))
	}))
	defer s.Close()
	setenv(t, "TOKEND_ADDR="+s.URL)
	if o := runTokend(t, "token", "demo"); o.code != exitUnavailable || o.stdout != "" || !strings.Contains(o.stderr, "tokend does not answer: unexpected EOF") {
		t.Errorf("%+v", o)
	}
}

// The error of a key that cannot be created has a hint with another path.
func TestKeyThatCannotBeMade(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "file"), "", 0o600)
	if _, _, err := readOrCreateKey(filepath.Join(file, "api.key")); err == nil || strings.Contains(err.Error(), "cannot create") {
		t.Errorf("beneath a file: %v", err)
	}
	if _, _, err := readOrCreateKey("/proc/api.key"); err == nil || !strings.Contains(err.Error(), "cannot create") || !strings.HasPrefix(hint.Of(err), "set TOKEND_API_KEY_FILE") {
		t.Errorf("in /proc: %v", err)
	}
}

func TestOnlyKnowsItsClients(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t)
	setenv(t, "TOKEND_LISTEN=127.0.0.1:1", "HOME="+home)
	if o := runTokend(t, "exec", "missing", "--", "/bin/true"); o.code != exitNoClient || !strings.Contains(o.stderr, `no client "missing" is configured`) || !strings.Contains(o.stderr, "hint: the clients are demo") {
		t.Errorf("%+v", o)
	}
}

// GitHub's form needs TCP, so a command that has only the socket cannot pass it to its
// child.
func TestActionsFormNeedsTCP(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENT_DEMO_ACTIONS_ID_TOKEN=true")
	serve(t)
	socket := filepath.Join(home, ".local/state/tokend/tokend.sock")
	for setting, says := range map[string]string{
		"TOKEND_ADDR=unix:" + socket: "only its socket is known",
		"TOKEND_LISTEN=127.0.0.1:1":  "the service does not answer at http://127.0.0.1:1, as GitHub's form",
	} {
		t.Run(setting[:13], func(t *testing.T) {
			setenv(t, setting)
			o, _ := execWith(t, "demo", "--actions-id-token", "demo", "--", "/bin/true")
			if o.code != exitConfig || !strings.Contains(o.stderr, says) || !strings.Contains(o.stderr, "\nhint: ") {
				t.Errorf("%+v", o)
			}
		})
	}
}
