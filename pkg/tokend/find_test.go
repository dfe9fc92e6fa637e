package tokend

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	credential := filepath.Join(dir, "TOKEND_API_KEY")
	if err := os.WriteFile(credential, []byte("k"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		env   map[string]string
		addrs string
		want  Service
	}{
		"home":        {map[string]string{"HOME": "/h"}, "unix:/h/.local/state/tokend/tokend.sock http://127.0.0.1:8484", Service{KeyFile: "/h/.local/state/tokend/api.key", KeyFileOptional: true, OwnOnly: true}},
		"xdg":         {map[string]string{"HOME": "/h", "XDG_RUNTIME_DIR": "/r", "XDG_STATE_HOME": "/s"}, "unix:/r/tokend/tokend.sock http://127.0.0.1:8484", Service{KeyFile: "/s/tokend/api.key", KeyFileOptional: true, OwnOnly: true}},
		"relative":    {map[string]string{"HOME": "/h", "XDG_RUNTIME_DIR": "r", "XDG_STATE_HOME": "s"}, "unix:/h/.local/state/tokend/tokend.sock http://127.0.0.1:8484", Service{KeyFile: "/h/.local/state/tokend/api.key", KeyFileOptional: true, OwnOnly: true}},
		"no home":     {map[string]string{}, "http://127.0.0.1:8484", Service{KeyFileOptional: true, OwnOnly: true}},
		"settings":    {map[string]string{"TOKEND_SOCKET": "/a/s", "TOKEND_LISTEN": "[::1]:1"}, "unix:/a/s http://[::1]:1", Service{KeyFileOptional: true, OwnOnly: true}},
		"socket only": {map[string]string{"HOME": "/h", "TOKEND_LISTEN": "off", "TOKEND_API_KEY": "k"}, "unix:/h/.local/state/tokend/tokend.sock", Service{Key: "k", OwnOnly: true}},
		"named":       {map[string]string{"HOME": "/h", "TOKEND_ADDR": "http://localhost:1", "TOKEND_API_KEY_FILE": "/f"}, "http://localhost:1", Service{KeyFile: "/f"}},
		"credential":  {map[string]string{"CREDENTIALS_DIRECTORY": dir, "TOKEND_SOCKET": "off"}, "http://127.0.0.1:8484", Service{KeyFile: credential, OwnOnly: true}},
	} {
		got, err := Find(func(variable string) string { return tt.env[variable] })
		addrs := strings.Join(got.Addrs, " ")
		got.Addrs = nil
		if err != nil || addrs != tt.addrs || got.Key != tt.want.Key || got.KeyFile != tt.want.KeyFile || got.KeyFileOptional != tt.want.KeyFileOptional || got.OwnOnly != tt.want.OwnOnly {
			t.Errorf("%s: %s %+v, %v", name, addrs, got, err)
		}
	}
	for name, env := range map[string]map[string]string{
		"two keys":  {"TOKEND_API_KEY": "CANARY", "TOKEND_API_KEY_FILE": "/f"},
		"all off":   {"TOKEND_SOCKET": "off", "TOKEND_LISTEN": "off"},
		"none left": {"TOKEND_LISTEN": "off"},
	} {
		_, err := Find(func(variable string) string { return env[variable] })
		if e := wantError(t, err, CodeAddress, "hint: "); strings.Contains(e.Error(), "CANARY") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeyFile_IsReadAgainAfter401(t *testing.T) {
	file := filepath.Join(t.TempDir(), "api.key")
	s := &fakeService{}
	want := "Bearer one"
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != want {
			reply(w, 401, map[string]string{"error": "unauthorized", "error_description": "wrong key", "hint": "set it"})
			return
		}
		reply(w, 200, map[string]any{"clients": []any{}})
	}
	c := s.dial(t, nil)
	c.key = &apiKey{file: file, optional: true}
	_, err := c.Clients(t.Context())
	if e := wantError(t, err, CodeUnauthorized, "wrong key"); e.Hint != "set it" {
		t.Errorf("without a key the hint is %q", e.Hint)
	}
	for _, key := range []string{"one", "two"} { // made by the service since, then replaced
		if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		want = "Bearer " + key
		if _, err := c.Clients(t.Context()); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	if err := os.WriteFile(file, []byte("three\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want = "Bearer four"
	_, err = c.Clients(t.Context())
	e := wantError(t, err, CodeUnauthorized, "wrong key") // asked twice, and no more
	if e.Hint != "set it; the key sent is that of "+file {
		t.Errorf("the hint is %q", e.Hint)
	}
}

// TestRefusedKey_IsNamedBySource: the hint says where the key is from, and no key.
func TestRefusedKey_IsNamedBySource(t *testing.T) {
	for name, tt := range map[string]struct {
		variable, key string
		want          string
	}{
		"of the variable":                     {"CANARY-one", "CANARY-one", "set it; the key sent is that of TOKEND_API_KEY"},
		"with white space around it":          {" CANARY-one\n", "CANARY-one", "set it; the key sent is that of TOKEND_API_KEY"},
		"of the program":                      {"", "CANARY-one", "set it"},
		"of the program, not of the variable": {"CANARY-two", "CANARY-one", "set it"},
		"none":                                {"CANARY-one", "", "set it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TOKEND_API_KEY", tt.variable)
			s := &fakeService{answer: func(w http.ResponseWriter, _ *http.Request) {
				reply(w, 401, map[string]string{"error": "unauthorized", "error_description": "wrong key", "hint": "set it"})
			}}
			c := s.dial(t, nil)
			c.key = &apiKey{value: Secret(tt.key), read: true}
			_, err := c.Clients(t.Context())
			if e := wantError(t, err, CodeUnauthorized, "wrong key"); e.Hint != tt.want || strings.Contains(e.Error(), "CANARY") {
				t.Errorf("the hint is %q, want %q", e.Hint, tt.want)
			}
		})
	}
}

func TestKeyFile_Refused(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ path, part string }{
		"absent":     {filepath.Join(dir, "none"), "no such file"},
		"directory":  {dir, "not a regular file"},
		"fifo":       {fifo, "not a regular file"},
		"open":       {file("open", "CANARY", 0o644), "open to everyone (mode 0644)"},
		"empty":      {file("empty", " \n", 0o600), "is empty"},
		"large":      {file("large", strings.Repeat("CANARY", 11000), 0o600), "larger than 64 KiB"},
		"two lines":  {file("lines", "CANARY\nCANARY\n", 0o600), "more than one line"},
		"no ASCII":   {file("utf8", "CANARYé", 0o600), "characters that a key cannot have"},
		"with space": {file("space", "CANARY CANARY", 0o600), "characters that a key cannot have"},
	} {
		c, err := New(Service{Addrs: []string{"http://127.0.0.1:1"}, KeyFile: tt.path})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Key()
		if e := wantError(t, err, CodeAddress, tt.part); strings.Contains(e.Error(), "CANARY") {
			t.Errorf("%s: %v", name, e)
		}
		if _, err := c.Clients(t.Context()); err == nil {
			t.Errorf("%s: a request was sent", name)
		}
	}
}
