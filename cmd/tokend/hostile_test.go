package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// hostile answers in place of tokend: each of its texts is an attack.
func hostile(t *testing.T, env, hosts string) {
	t.Helper()
	const escape = `\u001b]0;owned\u0007\u009b31m`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz", "/readyz":
			fmt.Fprint(w, `{"status":"ok"}`)
		case "/v1/clients":
			fmt.Fprintf(w, `{"clients":[{"client":"demo","state":"ready%s","failure":{"class":"x%s","description":"y%s"}}]}`, escape, escape, escape)
		case "/v1/clients/demo":
			fmt.Fprintf(w, `{"client":"demo","state":"ready","env":%s,"hosts":%s}`, env, hosts)
		case "/v1/clients/demo/token":
			fmt.Fprint(w, `{"access_token":"`+canaryToken+`","token_type":"Bearer","expires_in":3600,"expires_at":"2030-01-01T00:00:00Z","min_validity_satisfied":true}`)
		case "/v1/clients/demo/login":
			fmt.Fprintf(w, `{"authorize_url":"http://localhost/%s","state":"s","expires_in":600}`, escape)
		default:
			w.WriteHeader(409)
			fmt.Fprintf(w, `{"error":"login_required%s","error_description":"no%s","hint":"do%s"}`, escape, escape, escape)
		}
	}))
	t.Cleanup(s.Close)
	t.Setenv("TOKEND_ADDR", s.URL)
}

// Output has no control sequences for a terminal.
func TestHostileEscapes(t *testing.T) {
	clean(t)
	hostile(t, "null", "null")
	for _, args := range []string{"token missing", "status", "refresh missing", "login demo --paste", "login missing", "doctor"} {
		o := tokendWith(t, in("none\n"), strings.Fields(args)...)
		if text := o.stdout + o.stderr; strings.ContainsAny(text, "\x1b\x07\u009b") || text == "" {
			t.Errorf("%s: %q", args, text)
		}
	}
}

// The error names the address of a server that answers in place of tokend.
func TestForeignIsNamed(t *testing.T) {
	clean(t)
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	t.Setenv("TOKEND_ADDR", s.URL)
	o := runTokend(t, "token", "demo")
	if want := "error: the program at " + s.URL + " is not tokend: it answered with status 404 and no error body\nhint: check TOKEND_ADDR"; o.code != 76 || !strings.HasPrefix(o.stderr, want) {
		t.Errorf("%+v", o)
	}
}

// A service cannot set variables that a command's loader and shell use.
func TestHostileVariables(t *testing.T) {
	clean(t)
	for _, name := range []string{"LD_PRELOAD", "PATH", "BASH_ENV", "TOKEND_ADDR", "A=B", ""} {
		hostile(t, fmt.Sprintf("[%q]", name), "null")
		b := &became{}
		o := tokendWith(t, program{stdin: strings.NewReader(""), replace: b.replace}, "exec", "demo", "--", "true")
		if o.code != 78 || !strings.Contains(o.stderr, "hint: choose another variable with --env") || b.path != "" {
			t.Errorf("%q: %+v, ran %q", name, o, b.path)
		}
	}
}

// An entry of hosts cannot add lines to a credential.
func TestHostileHosts(t *testing.T) {
	clean(t)
	for _, entry := range []string{`x\nhost=evil.example\nquit=1@git.example.com`, `a b@git.example.com`, `git.example.com\n`} {
		hostile(t, "null", `["`+entry+`"]`)
		o := tokendWith(t, in("protocol=https\nhost=git.example.com\n"), "token", "demo", "--format", "git-credential", "get")
		if o.code == 0 || o.stdout != "" {
			t.Errorf("%q: %+v", entry, o)
		}
	}
}

// An earlier step of a job may have left its last line open.
func TestGitHubFileWithoutNewline(t *testing.T) {
	clean(t)
	newStub(t)
	for before, want := range map[string]string{"": "", "before=1": "before=1\n", "before=1\n": "before=1\n"} {
		path := write(t, t.TempDir()+"/output", before, 0o600)
		setenv(t, "GITHUB_OUTPUT="+path)
		if o := runTokend(t, "token", "demo", "--format", "github"); o.code != 0 {
			t.Fatalf("%+v", o)
		}
		if got, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(got), want+"access_token=") {
			t.Errorf("%q became %q, %v", before, got, err)
		}
	}
}

// --timeout also ends a command that runs until a signal, with its exit code.
func TestTimeoutOfWhatRuns(t *testing.T) {
	clean(t)
	newStub(t)
	t.Setenv("TOKEND_API_KEY", "0123456789abcdefghijklmnop")
	setenv(t, "TOKEND_CLIENTS=demo", "TOKEND_CLIENT_DEMO_ISSUER=http://127.0.0.1:1/", "TOKEND_CLIENT_DEMO_CLIENT_ID=x",
		"TOKEND_CLIENT_DEMO_CLIENT_SECRET=x", "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_LISTEN=127.0.0.1:0", "TOKEND_SOCKET=off")
	for _, args := range []string{
		"serve",
		"file demo --to " + t.TempDir() + "/token",
		"proxy demo --upstream https://api.example.com/v2",
	} {
		o := runTokend(t, append(strings.Fields(args), "--timeout", "300ms")...)
		if o.code != 75 || !strings.Contains(o.stderr, "took longer than --timeout 300ms") {
			t.Errorf("%s: %+v", args, o)
		}
	}
}
