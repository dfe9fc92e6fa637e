package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// output is what a run left.
type output struct {
	code           int
	stdout, stderr string
}

// service answers with the token of client demo, after delay.
func service(t *testing.T, delay <-chan struct{}) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/clients", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"clients":[{"client":"demo","state":"ready","hosts":["git.example.com","ada@registry.example.com"]}]}`)
	})
	mux.HandleFunc("GET /v1/clients/demo/token", func(w http.ResponseWriter, r *http.Request) {
		if delay != nil {
			select {
			case <-delay:
			case <-r.Context().Done():
			}
		}
		fmt.Fprint(w, `{"access_token":"the-token","token_type":"Bearer","expires_in":3600,"expires_at":"2030-01-02T03:04:05Z","client":"demo","min_validity_satisfied":true}`)
	})
	mux.HandleFunc("GET /v1/clients/short/token", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"access_token":"the-token","min_validity_satisfied":false}`)
	})
	mux.HandleFunc("GET /v1/clients/short", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"client":"short","failure":{"class":"idp_timeout","description":"red \u009b31m"}}`)
	})
	mux.HandleFunc("GET /v1/clients/odd/token", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"error":"login_required","error_description":"red \u009b31m","hint":"do this"}`)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func run(t *testing.T, addr, name, stdin string, args ...string) output {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := program{
		name: name, now: time.Now, stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr,
		getenv: func(v string) string { return map[string]string{"TOKEND_ADDR": addr, "TOKEND_API_KEY": "k"}[v] },
	}
	code := p.run(context.Background(), args)
	return output{code, stdout.String(), stderr.String()}
}

func TestName_SelectsTheHelper(t *testing.T) {
	addr := service(t, nil)
	for _, c := range []struct {
		name, stdin, want string
		args              []string
	}{
		{"docker-credential-tokend", "registry.example.com", `{"ServerURL":"registry.example.com","Username":"ada","Secret":"the-token"}` + "\n", []string{"get"}},
		{"docker-credential-tokend.exe", "git.example.com", `{"ServerURL":"git.example.com","Username":"oauth2","Secret":"the-token"}` + "\n", []string{"get"}},
		{"git-credential-tokend", "protocol=https\nhost=git.example.com\n", "username=oauth2\npassword=the-token\npassword_expiry_utc=1893553445\n", []string{"get"}},
		{"git-credential-tokend", "protocol=https\nhost=other.example.com\n", "", []string{"get"}},
		{"terraform-credentials-tokend", "", `{"token":"the-token"}` + "\n", []string{"get", "git.example.com"}},
		{"tokend-credential", "", "the-token\n", []string{"text", "demo"}},
		{"anything", "", "Authorization: Bearer the-token\n", []string{"header", "demo"}},
	} {
		if got := run(t, addr, c.name, c.stdin, c.args...); got != (output{stdout: c.want}) {
			t.Errorf("%s %q: %+v", c.name, c.args, got)
		}
	}
}

func TestFlags_StandAnywhere(t *testing.T) {
	addr := service(t, nil)
	for _, args := range []string{"env demo --env A", "env --env A demo", "env -env=A demo", "env --env A -- demo"} {
		if got := run(t, addr, "tokend-credential", "", strings.Fields(args)...); got.code != 0 || !strings.HasPrefix(got.stdout, "export A='the-token'\n") {
			t.Errorf("%s: %+v", args, got)
		}
	}
	if got := run(t, addr, "tokend-credential", "", "text", "--", "demo", "--env"); got.code != 64 || !strings.Contains(got.stderr, `unexpected argument "--env"`) {
		t.Errorf("%+v", got)
	}
}

func TestCommandLineErrors(t *testing.T) {
	for args, want := range map[string]string{
		"":                         "the name of a form is missing",
		"txt demo":                 `format "txt" is not one of text, json`,
		"text demo --nonsense":     "flag provided but not defined: -nonsense",
		"text demo --timeout -1s":  "--timeout -1s is negative",
		"text demo --min-validity": "flag needs an argument",
	} {
		got := run(t, "http://127.0.0.1:1", "tokend-credential", "", strings.Fields(args)...)
		if got.code != 64 || got.stdout != "" || !strings.HasPrefix(got.stderr, "error: "+want) || !strings.Contains(got.stderr, "\nhint: ") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

func TestHelp_ListsFormsAndNames(t *testing.T) {
	for _, args := range []string{"--help", "-h", "help", "text --help"} {
		got := run(t, "", "tokend-credential", "", strings.Fields(args)...)
		if got.code != 0 || got.stderr != "" || !strings.Contains(got.stdout, "exec-credential") || !strings.Contains(got.stdout, "  docker-credential-tokend\n") {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

func TestTimeout_EndsWaitingForServiceAndForInput(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	addr := service(t, never)
	want := "the command took longer than --timeout 20ms\nhint: try again, or give it more time\n"
	if got := run(t, addr, "tokend-credential", "", "text", "demo", "--timeout", "20ms"); got != (output{75, "", "error: " + want}) {
		t.Errorf("service: %+v", got)
	}
	if got := run(t, addr, "docker-credential-tokend", "git.example.com", "get", "--timeout", "20ms"); got != (output{1, want, ""}) {
		t.Errorf("docker: %+v", got)
	}
	silent, writer := io.Pipe()
	defer func() { _ = writer.Close() }()
	var stderr bytes.Buffer
	p := program{name: "git-credential-tokend", now: time.Now, stdin: silent, stdout: io.Discard, stderr: &stderr, getenv: func(string) string { return "" }}
	if code := p.run(t.Context(), []string{"get", "--timeout", "20ms"}); code != 75 || stderr.String() != "error: "+want {
		t.Errorf("input: exit %d, %s", code, stderr.String())
	}
}

// Errors and warnings may hold a provider's text.
func TestErrors_HaveNoControlCharacters(t *testing.T) {
	if got := run(t, service(t, nil), "tokend-credential", "", "text", "short", "--min-validity", "1h"); got.code != 0 || strings.ContainsRune(got.stderr, 0x9b) || !strings.HasPrefix(got.stderr, "warning: ") {
		t.Errorf("%+v", got)
	}
	if got := run(t, service(t, nil), "tokend-credential", "", "text\x1b", "demo"); got.code != 64 || strings.ContainsRune(got.stderr, 0x1b) {
		t.Errorf("%+v", got)
	}
	got := run(t, service(t, nil), "tokend-credential", "", "text", "odd")
	if got.code != 77 || strings.ContainsRune(got.stderr, 0x9b) || !strings.HasSuffix(got.stderr, "\nhint: do this\n") {
		t.Errorf("%+v", got)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestOutput_ThatCannotBeWritten(t *testing.T) {
	var stderr bytes.Buffer
	addr := service(t, nil)
	p := program{name: "x", now: time.Now, stdin: strings.NewReader(""), stdout: broken{}, stderr: &stderr, getenv: func(v string) string { return map[string]string{"TOKEND_ADDR": addr}[v] }}
	if code := p.run(t.Context(), []string{"text", "demo"}); code != 69 || !strings.Contains(stderr.String(), "closed pipe") {
		t.Errorf("exit %d, %s", code, stderr.String())
	}
}
