package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tokend/internal/terminal"
)

// tokend dashboard prints a link that opens a session, and on a terminal opens it in the
// browser of the person.
func TestDashboard_OpensTheLinkOnATerminal(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENTS=demo")
	serve(t)
	for _, tt := range []struct {
		name     string
		args     []string
		terminal bool
		opens    bool
	}{
		{"terminal", []string{"dashboard"}, true, true},
		{"pipe", []string{"dashboard"}, false, false},
		{"--print", []string{"dashboard", "--print"}, true, false},
		{"--no-input", []string{"dashboard", "--no-input"}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var opened string
			var stdout, stderr bytes.Buffer
			p := &program{
				stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
				screen:  func(io.Writer) terminal.Screen { return terminal.Screen{Width: map[bool]int{true: 80}[tt.terminal]} },
				openURL: func(_ context.Context, url string) error { opened = url; return nil },
			}
			if code := p.run(t.Context(), tt.args); code != 0 {
				t.Fatalf("exit code %d: %s", code, &stderr)
			}
			link := strings.TrimSpace(stdout.String())
			if !strings.HasPrefix(link, "http://127.0.0.1:") || !strings.Contains(link, "/dashboard/open?link=") {
				t.Fatalf("it printed %q", link)
			}
			if (opened == link) != tt.opens || !tt.opens && opened != "" {
				t.Errorf("it opened %q", opened)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK || len(res.Cookies()) != 1 {
				t.Errorf("the link answers %s", res.Status)
			}
		})
	}
	var keys []string
	_ = filepath.WalkDir(home, func(path string, _ os.DirEntry, _ error) error {
		if filepath.Base(path) == "dashboard.key" {
			keys = append(keys, path)
		}
		return nil
	})
	if len(keys) != 1 {
		t.Fatalf("the key of the sessions: %q", keys)
	}
	if fi, err := os.Stat(keys[0]); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("its mode: %v, %v", fi, err)
	}
}

// An API key that is set is the caller, although the unix socket answers without one.
func TestDashboard_KeyIsSet_NotTheSocketsRights(t *testing.T) {
	clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENTS=demo")
	added := runTokend(t, "key", "add", "reader", "--clients", "demo")
	key := strings.TrimSpace(added.stdout)
	if key == "" {
		t.Fatalf("%+v", added)
	}
	s := serve(t)
	other := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(other, []byte("another-key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, variable, value, listen string
		code                          int
		says                          string
	}{
		{"its key", "TOKEND_API_KEY", key, s.tcp, 0, ""},
		{"unknown key", "TOKEND_API_KEY", "another-key", s.tcp, exitNoPerm, "unknown API key"},
		{"unknown key in a file", "TOKEND_API_KEY_FILE", other, s.tcp, exitNoPerm, "unknown API key"},
		{"listener elsewhere", "TOKEND_API_KEY", key, "127.0.0.1:" + freePort(t), exitUnavailable, "the session of TOKEND_API_KEY needs the TCP listener"},
		{"socket only", "TOKEND_API_KEY", key, "off", exitConfig, "where the key has no effect"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("TOKEND_LISTEN", tt.listen)
			t.Setenv(tt.variable, tt.value)
			if o := runTokend(t, "dashboard", "--print"); o.code != tt.code || !strings.Contains(o.stderr, tt.says) || (o.stdout == "") != (tt.code != 0) {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestDashboard_NeedsATCPListener(t *testing.T) {
	clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENTS=demo")
	serveAt(t, "off")
	if o := runTokend(t, "dashboard"); o.code != exitConfig || !strings.Contains(o.stderr, "TOKEND_LISTEN") {
		t.Errorf("%+v", o)
	}
}

func TestDashboard_WithoutAKeyFile_SealsWithARandomKey(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "dashboard.key"), 0o700); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	s := serving{port: 8484, log: slog.New(slog.NewTextHandler(&log, nil))}
	s.settings.APIKeysFile = filepath.Join(dir, "api-keys.json")
	if key := s.sessionKey(); key != nil || !strings.Contains(log.String(), "sessions of the dashboard end with the service") {
		t.Errorf("%d bytes\n%s", len(key), log.String())
	}
}
