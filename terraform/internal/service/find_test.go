package service

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// vars is an environment.
type vars map[string]string

func (v vars) get(name string) string { return v[name] }

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

func TestFindWhere(t *testing.T) {
	tests := []struct {
		name, endpoint string
		env            vars
		where          string // or a part of the error
	}{
		{"nothing is set", "", vars{"XDG_RUNTIME_DIR": "/run/user/7"}, "unix:/run/user/7/tokend/tokend.sock or http://127.0.0.1:8484"},
		{"no session manager", "", vars{"HOME": "/home/a"}, "unix:/home/a/.local/state/tokend/tokend.sock or http://127.0.0.1:8484"},
		{"state home", "", vars{"HOME": "/home/a", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "relative"}, "unix:/s/tokend/tokend.sock or http://127.0.0.1:8484"},
		{"no home", "", nil, "http://127.0.0.1:8484"},
		{"listener", "", vars{"TOKEND_LISTEN": "[::1]:9000", "TOKEND_SOCKET": "off"}, "http://[::1]:9000"},
		{"socket", "", vars{"TOKEND_LISTEN": "off", "TOKEND_SOCKET": "/s.sock"}, "unix:/s.sock"},
		{"both off", "", vars{"TOKEND_LISTEN": "off", "TOKEND_SOCKET": "off"}, "endpoint is not set, and TOKEND_LISTEN and TOKEND_SOCKET leave no default; hint: set endpoint"},
		{"listener elsewhere", "", vars{"TOKEND_LISTEN": "0.0.0.0:8484"}, "TOKEND_LISTEN names 0.0.0.0, which is not this machine"},
		{"listener chosen by the system", "", vars{"TOKEND_LISTEN": "127.0.0.1:0"}, "TOKEND_LISTEN has port 0"},

		{"address", "", vars{"TOKEND_ADDR": "http://localhost:9001/"}, "http://localhost:9001"},
		{"address of a socket", "", vars{"TOKEND_ADDR": "unix:///s.sock"}, "unix:/s.sock"},
		{"endpoint before address", "http://127.0.0.1:9002", vars{"TOKEND_ADDR": "unix:/s.sock"}, "http://127.0.0.1:9002"},
		{"endpoint of a socket", "unix:/e.sock", vars{"TOKEND_ADDR": "http://127.0.0.1:1"}, "unix:/e.sock"},
		{"default port", "http://[::1]", nil, "http://[::1]"},

		{"TLS", "https://tokend.example.com/", nil, "https://tokend.example.com"},
		{"TLS with a path", "https://tokend.example.com/v1", nil, "endpoint is not http://HOST:PORT, https://HOST:PORT or unix:/path"},
		{"relative socket", "unix:tokend.sock", nil, `endpoint is "unix:tokend.sock": the path of a socket must be absolute`},
		{"no scheme", "127.0.0.1:8484", nil, "is not http://HOST:PORT"},
		{"path", "http://127.0.0.1:8484/v1", nil, "is not http://HOST:PORT"},
		{"query", "http://127.0.0.1:8484?a", nil, "is not http://HOST:PORT"},
		{"fragment", "http://127.0.0.1:8484#a", nil, "is not http://HOST:PORT"},
		{"another machine", "http://10.0.0.1:8484", nil, "endpoint names 10.0.0.1"},
		{"a name that only looks local", "http://localhost.example.com:8484", nil, "names localhost.example.com"},
		{"another loopback address", "http://127.0.0.2:8484", nil, "names 127.0.0.2"},
		{"port", "http://127.0.0.1:70000", nil, "has port 70000"},
		{"address elsewhere", "", vars{"TOKEND_ADDR": "http://tokend.example.com"}, "TOKEND_ADDR names tokend.example.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Find(Options{Endpoint: tt.endpoint, Getenv: tt.env.get})
			if f := (*Fault)(nil); err != nil && (!errors.As(err, &f) || !strings.Contains(f.Error(), tt.where) || f.Hint == "") {
				t.Errorf("%v, want %q", err, tt.where)
			}
			if err == nil && s.Where != tt.where {
				t.Errorf("at %s, want %q", s.Where, tt.where)
			}
		})
	}
}

// TestFindShowsNoPassword: the URL may contain one.
func TestFindShowsNoPassword(t *testing.T) {
	_, err := Find(Options{Endpoint: "http://user:hunter2@127.0.0.1:8484", Getenv: vars{}.get})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

func TestFindKey(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "key"), " from-a-file-0123\n", 0o600)
	made := write(t, filepath.Join(dir, "state", "tokend", "api.key"), "made-by-tokend-01\n", 0o600)
	credential := write(t, filepath.Join(dir, "cred", "TOKEND_API_KEY"), "a-credential-0123", 0o440)
	open := write(t, filepath.Join(dir, "open"), "x", 0o644)
	empty := write(t, filepath.Join(dir, "empty"), " \n", 0o600)
	two := write(t, filepath.Join(dir, "two"), "a\nb", 0o600)
	large := write(t, filepath.Join(dir, "large"), strings.Repeat("x", maxSecret+1), 0o600)
	state := filepath.Join(dir, "state")

	tests := []struct {
		name, configured string
		env              vars
		key, source      string // or a part of the error
	}{
		{"none", "", nil, "", ""},
		{"configured", "c", vars{"TOKEND_API_KEY": "v", "TOKEND_API_KEY_FILE": "both would be an error"}, "c", "api_key of the provider's configuration"},
		{"variable", "", vars{"TOKEND_API_KEY": "v", "XDG_STATE_HOME": state}, "v", "TOKEND_API_KEY"},
		{"file", "", vars{"TOKEND_API_KEY_FILE": file, "XDG_STATE_HOME": state}, "from-a-file-0123", file},
		{"credential", "", vars{"CREDENTIALS_DIRECTORY": filepath.Dir(credential), "XDG_STATE_HOME": state}, "a-credential-0123", credential},
		{"made by tokend", "", vars{"CREDENTIALS_DIRECTORY": dir, "XDG_STATE_HOME": state}, "made-by-tokend-01", made},
		{"made, not there", "", vars{"XDG_STATE_HOME": dir}, "", ""},

		{"both", "", vars{"TOKEND_API_KEY": "v", "TOKEND_API_KEY_FILE": file}, "", "TOKEND_API_KEY and TOKEND_API_KEY_FILE are both set"},
		{"missing file", "", vars{"TOKEND_API_KEY_FILE": dir + "/none", "XDG_STATE_HOME": state}, "", "none, which cannot be read: no such file"},
		{"folder", "", vars{"TOKEND_API_KEY_FILE": dir}, "", "not a regular file"},
		{"open to everyone", "", vars{"TOKEND_API_KEY_FILE": open}, "", "open to everyone (mode 0644)"},
		{"empty", "", vars{"TOKEND_API_KEY_FILE": empty}, "", "which is empty"},
		{"two lines", "", vars{"TOKEND_API_KEY_FILE": two}, "", "a header cannot carry"},
		{"large", "", vars{"TOKEND_API_KEY_FILE": large}, "", "larger than 64 KiB"},
		{"newline", "a\nX-Evil: 1", nil, "", "api_key contains"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Find(Options{Endpoint: "http://127.0.0.1:8484", APIKey: Secret(tt.configured), Getenv: tt.env.get})
			switch f := (*Fault)(nil); {
			case err == nil && (s.key.Reveal() != tt.key || s.KeySource != tt.source):
				t.Errorf("key %q from %q, want %q from %q", s.key.Reveal(), s.KeySource, tt.key, tt.source)
			case err != nil && (!errors.As(err, &f) || tt.key != "" || tt.source == "" || !strings.Contains(f.Error(), tt.source) || f.Hint == ""):
				t.Errorf("%v, want %q", err, tt.source)
			}
		})
	}
}

// TestSocketNeedsNoKey: a named socket gets no key, so a broken key file does not matter.
func TestSocketNeedsNoKey(t *testing.T) {
	for _, o := range []Options{
		{Endpoint: "unix:/s.sock", APIKey: "k", Getenv: vars{"TOKEND_API_KEY_FILE": "/none"}.get},
		{Getenv: vars{"TOKEND_ADDR": "unix:/s.sock", "TOKEND_API_KEY_FILE": "/none"}.get},
	} {
		if s, err := Find(o); err != nil || s.key != "" {
			t.Errorf("%v, %v", s, err)
		}
	}
}
