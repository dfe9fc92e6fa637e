package format

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/tokend"
)

// source is a service with clients demo and other. Its clock is that of the tests.
type source struct {
	token    tokend.Token
	status   tokend.Status
	refused  error // of Token
	unlisted error // of Clients and Status
	next     tokend.Secret
	asked    []tokend.TokenRequest
}

func (s *source) Token(_ context.Context, r tokend.TokenRequest) (*tokend.Token, error) {
	s.asked = append(s.asked, r)
	t := s.token
	return &t, s.refused
}

func (s *source) Clients(context.Context) ([]tokend.Status, error) {
	return []tokend.Status{s.status, {Client: "other", Hosts: []string{"twice.example.com"}}, {Client: "third", Hosts: []string{"twice.example.com"}}}, s.unlisted
}

func (s *source) Status(context.Context, string) (*tokend.Status, error) {
	st := s.status
	return &st, s.unlisted
}

func (s *source) Refresh(context.Context, tokend.RefreshRequest) (*tokend.Status, error) {
	if s.next == "" {
		return nil, errors.New("the refresh failed")
	}
	s.token.IDToken = s.next
	return &s.status, nil
}

var now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func newSource() *source {
	return &source{
		token: tokend.Token{
			AccessToken: "the-token", TokenType: "Bearer", ExpiresIn: 3600, ExpiresAt: now.Add(time.Hour), Client: "demo", Scope: "a b",
			MinValiditySatisfied: true,
		},
		status: tokend.Status{Client: "demo", Hosts: []string{"git.example.com", "ada@registry.example.com"}},
	}
}

// world is the process of a form.
type world struct {
	source   *source
	noDial   error
	stdin    string
	env      map[string]string
	warnings []string
	stdout   bytes.Buffer
}

func (w *world) process() Process {
	return Process{
		Connect: func(context.Context) (Source, error) { return w.source, w.noDial },
		Stdin:   strings.NewReader(w.stdin), Stdout: &w.stdout, Version: "v1",
		Getenv: func(name string) string { return w.env[name] },
		Now:    func() time.Time { return now },
		Warn:   func(err error) { w.warnings = append(w.warnings, err.Error()) },
		Report: func(err error) (int, string) { return 42, err.Error() },
	}
}

// run runs a form, or a helper by its name.
func run(t *testing.T, w *world, name string, o Options, operands ...string) (string, error) {
	t.Helper()
	f, helper := Helpers()[name]
	if !helper {
		var err error
		if f, err = Find(name); err != nil {
			return "", err
		}
	}
	r, err := f.Request(operands, o)
	if err != nil {
		return "", err
	}
	out, err := f.Run(t.Context(), w.process(), r)
	return string(out), err
}

// TestRefusals: each error of a form has its kind and says what to do. No token is
// printed.
func TestRefusals(t *testing.T) {
	const git, docker = "protocol=https\nhost=git.example.com\n", "registry.example.com"
	down, gone := errors.New("no service"), errors.New("no such client")
	type change = func(*world)
	stdin := func(s string) change { return func(w *world) { w.stdin = s } }
	env := func(name, value string) change { return func(w *world) { w.env = map[string]string{name: value} } }
	noDial := func(w *world) { w.noDial = down }
	refused := func(w *world) { w.source.refused = gone }
	unlisted := func(w *world) { w.source.unlisted = gone }
	both := func(a, b change) change { return func(w *world) { a(w); b(w) } }
	nothing := func(*world) {}
	idToken := env("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE", idTokenType)
	for _, c := range []struct {
		call   string
		o      Options
		change change
		kind   Kind
		text   string
	}{
		{"txt demo", Options{}, nothing, Usage, `format "txt" is not one of text`},
		{"text", Options{}, nothing, Usage, "the client's name is missing"},
		{"text demo more", Options{}, nothing, Usage, `unexpected argument "more"`},
		{"git-credential demo get more", Options{}, nothing, Usage, `unexpected argument "more"`},
		{"text demo", Options{MinValidity: -time.Second}, nothing, Usage, "--min-validity -1s is negative"},
		{"text demo", Options{Variable: "A"}, nothing, Usage, "--env has no effect with format text"},
		{"env demo", Options{Variable: "9A"}, nothing, Usage, `--env "9A" is not a variable name`},
		{"headers demo", Options{IDToken: true}, nothing, Usage, "--id-token has no effect"},
		{"docker-credential-tokend", Options{}, nothing, Usage, "takes one operation, not 0"},
		{"docker-credential-tokend get more", Options{}, nothing, Usage, "takes one operation, not 2"},
		{"git-credential-tokend", Options{}, nothing, Usage, "takes an operation"},
		{"git-credential-tokend a b c", Options{}, nothing, Usage, "takes an operation"},
		{"terraform-credentials-tokend get", Options{}, nothing, Usage, "an operation and a host, not 1"},

		{"text demo", Options{}, noDial, -1, "no service"},
		{"text demo", Options{}, refused, -1, "no such client"},
		{"text demo", Options{IDToken: true}, nothing, Configuration, "client demo has no ID token"},

		{"github demo", Options{}, nothing, Configuration, "GITHUB_OUTPUT is not set"},
		{"github demo", Options{Variable: "A"}, nothing, Configuration, "GITHUB_ENV is not set"},
		{"github demo", Options{}, env("GITHUB_OUTPUT", os.TempDir()), Unavailable, "GITHUB_OUTPUT: "},
		{"github demo", Options{}, both(env("GITHUB_OUTPUT", os.DevNull), refused), -1, "no such client"},

		{"external", Options{}, stdin(`{`), Usage, "the query is not a JSON object"},
		{"external", Options{}, stdin(`{"client":"demo"} {}`), Usage, "the query is not a JSON object"},
		{"external", Options{}, stdin(`{"x":"y"}`), Usage, `unknown member "x"`},
		{"external", Options{}, stdin(`{"client":"demo","min_validity":"soon"}`), Usage, `min_validity "soon"`},
		{"external", Options{}, stdin(`{"client":"demo","min_validity":"-1"}`), Usage, `min_validity "-1"`},
		{"external", Options{}, nothing, Usage, "the client's name is missing"},
		{"external demo", Options{}, noDial, -1, "no service"},
		{"external demo", Options{}, refused, -1, "no such client"},
		{"external demo", Options{MinValidity: 2 * time.Hour}, short(""), Configuration, "valid for 1h, not for 2h: the provider's tokens do not live longer"},
		{"external demo", Options{MinValidity: 2 * time.Hour}, short("idp_timeout"), Provider, "the refresh failed: idp_timeout: why"},

		{"exec-credential demo", Options{}, env("KUBERNETES_EXEC_INFO", "x"), Usage, "is not an ExecCredential"},
		{"exec-credential demo", Options{}, env("KUBERNETES_EXEC_INFO", `{"kind":"Pod"}`), Usage, "is not an ExecCredential"},
		{"exec-credential demo", Options{}, env("KUBERNETES_EXEC_INFO", `{"kind":"ExecCredential","apiVersion":"v0"}`), Usage, `wants apiVersion "v0"`},
		{"exec-credential demo", Options{}, refused, -1, "no such client"},

		{"git-credential demo get", Options{}, nothing, Usage, "names no protocol (http or https) and host"},
		{"git-credential demo get", Options{}, stdin("protocol=ssh\nhost=git.example.com\n"), Usage, "names no protocol"},
		{"git-credential demo get", Options{}, both(stdin(git), noDial), -1, "no service"},
		{"git-credential demo get", Options{}, both(stdin(git), unlisted), -1, "no such client"},
		{"git-credential demo get", Options{}, both(stdin(git), refused), -1, "no such client"},
		{"git-credential demo get", Options{}, stdin("protocol=https\nhost=evil.example\n"), Refused, "evil.example is not among the hosts of client demo"},
		{"git-credential demo get", Options{}, stdin("protocol=http\nhost=git.example.com\n"), Refused, "in the clear"},
		{"git-credential demo get", Options{}, both(stdin(git), func(w *world) { w.source.status.Hosts = nil }), Configuration, "client demo lists no host"},
		{"git-credential-tokend get", Options{}, both(stdin(git), unlisted), -1, "no such client"},
		{"git-credential-tokend get", Options{}, stdin("protocol=https\nhost=twice.example.com\n"), Configuration, "clients other and third both have host"},
		{"git-credential-tokend get", Options{}, stdin("protocol=http\nhost=git.example.com:443\n"), -2, ""},
		{"git-credential-tokend get", Options{}, stdin("protocol=http\nhost=git.example.com\n"), Refused, "in the clear"},

		{"docker-credential-tokend get", Options{}, nothing, Usage, "no server is named"},
		{"docker-credential-tokend get", Options{}, stdin("https://%zz"), Usage, "no server is named"},
		{"docker-credential-tokend get", Options{}, stdin("evil.example"), NoClient, notFound},
		{"docker-credential-tokend get", Options{}, both(stdin(docker), noDial), -1, "no service"},
		{"docker-credential-tokend get", Options{}, both(stdin(docker), unlisted), -1, "no such client"},
		{"docker-credential-tokend get", Options{}, both(stdin(docker), refused), -1, "no such client"},
		{"docker-credential-tokend list", Options{}, noDial, -1, "no service"},
		{"docker-credential-tokend list", Options{}, unlisted, -1, "no such client"},
		{"docker-credential-tokend store", Options{}, stdin("{}"), Usage, "keeps no password"},
		{"docker-credential-tokend x", Options{}, nothing, Usage, `operation "x" is not one of`},

		{"terraform-credentials-tokend store git.example.com", Options{}, nothing, Usage, "keeps no token"},
		{"terraform-credentials-tokend list git.example.com", Options{}, nothing, Usage, `operation "list" is not one of`},
		{"terraform-credentials-tokend get git.example.com", Options{}, noDial, -1, "no service"},
		{"terraform-credentials-tokend get git.example.com", Options{}, unlisted, -1, "no such client"},
		{"terraform-credentials-tokend get git.example.com", Options{}, refused, -1, "no such client"},
		{"terraform-credentials-tokend get twice.example.com", Options{}, nothing, Configuration, "both have host"},

		{"gcp-executable demo", Options{}, env("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE", "saml"), Configuration, `subject_token_type "saml" is not supported`},
		{"gcp-executable demo", Options{}, refused, -1, "no such client"},
		{"gcp-executable demo", Options{}, both(idToken, noDial), -1, "no service"},
		{"gcp-executable demo", Options{}, both(idToken, refused), -1, "no such client"},
		{"gcp-executable demo", Options{}, idToken, Configuration, "client demo has no ID token"},
		{"gcp-executable demo", Options{}, both(idToken, ids("opaque", "")), Protocol, "has no readable expiry"},
		{"gcp-executable demo", Options{}, both(idToken, ids(part(`{}`)+"."+part(`{"exp":1}`)+".x", "")), -1, "the refresh failed"},
		{"gcp-executable demo", Options{}, both(idToken, ids(part(`{}`)+"."+part(`{"exp":1}`)+".x", part(`{}`)+"."+part(`{"exp":2}`)+".x")), Configuration, "expires at 1970-01-01T00:00:02Z, too soon"},
	} {
		t.Run(c.call+" "+c.text, func(t *testing.T) {
			w := &world{source: newSource()}
			c.change(w)
			args := strings.Fields(c.call)
			var reported error
			p := args[0]
			out, err := run(t, w, p, c.o, args[1:]...)
			if strings.Contains(out, "the-token") || w.stdout.Len() > 0 {
				t.Errorf("printed %q, %q", out, w.stdout.String())
			}
			var told *Told
			switch {
			case strings.HasPrefix(p, "docker-") && errors.As(err, &told):
				reported = told.Err
				if out != reported.Error()+"\n" {
					t.Errorf("printed %q for %v", out, reported)
				}
			case p == "gcp-executable":
				if err != nil || !strings.Contains(out, `"code":"42"`) || !strings.Contains(out, `"success":false`) || !strings.Contains(out, strings.ReplaceAll(c.text, `"`, `\"`)) {
					t.Errorf("%q, %v", out, err)
				}
				return
			case c.kind == -2: // no answer
				if out != "" || err != nil {
					t.Errorf("%q, %v", out, err)
				}
				return
			default:
				reported = err
			}
			var e *Error
			if reported == nil || !strings.Contains(reported.Error(), c.text) {
				t.Fatalf("got %v, want %q", reported, c.text)
			}
			if errors.As(reported, &e) != (c.kind >= 0) || c.kind >= 0 && e.Kind != c.kind {
				t.Errorf("%v is of kind %+v, want %d", reported, e, c.kind)
			}
			if c.kind >= 0 && c.kind != NoClient && c.kind != Unavailable && c.kind != Protocol && hint.Of(reported) == "" {
				t.Errorf("%v has no hint", reported)
			}
		})
	}
}

// short makes the token valid for less than requested, because of class.
func short(class string) func(*world) {
	return func(w *world) {
		w.source.token.MinValiditySatisfied = false
		if class != "" {
			w.source.status.Failure = &tokend.Failure{Class: class, Description: "why"}
		}
	}
}

// ids sets the ID token, and the one after a refresh.
func ids(first, next string) func(*world) {
	return func(w *world) { w.source.token.IDToken, w.source.next = tokend.Secret(first), tokend.Secret(next) }
}

func TestForms_ShortTokenAndMissingScopes_WarnAndPrint(t *testing.T) {
	w := &world{source: newSource()}
	short(tokend.CodeLoginRequired)(w)
	out, err := run(t, w, "text", Options{MinValidity: 2 * time.Hour, Scope: "a c"}, "demo")
	if err != nil || out != "the-token\n" || len(w.warnings) != 2 || !strings.Contains(w.warnings[0], `does not have the scopes "c"; it has "a b"`) || !strings.Contains(w.warnings[1], "valid for 1h, not for 2h") {
		t.Errorf("%q, %v, %q", out, err, w.warnings)
	}
}

func TestGitHub_OutputThatCannotBePrinted_WritesNoToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "output")
	w := &world{source: newSource(), env: map[string]string{"GITHUB_OUTPUT": file}}
	p := w.process()
	p.Stdout = closed{}
	f, _ := Find("github")
	r, _ := f.Request([]string{"demo"}, Options{})
	_, err := f.Run(t.Context(), p, r)
	var e *Error
	if !errors.As(err, &e) || e.Kind != Unavailable {
		t.Errorf("%v", err)
	}
	if b, err := os.ReadFile(file); err != nil || len(b) != 0 {
		t.Errorf("the file holds %q, %v", b, err)
	}
}

type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestInput_ErrorOrEndOfContext(t *testing.T) {
	p := (&world{source: newSource()}).process()
	f, _ := Find("git-credential")
	r, _ := f.Request([]string{"demo", "get"}, Options{})
	p.Stdin = io.MultiReader(strings.NewReader("protocol=https\n"), failing{})
	var e *Error
	if _, err := f.Run(t.Context(), p, r); !errors.As(err, &e) || e.Kind != Usage || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
	silent, writer := io.Pipe()
	defer func() { _ = writer.Close() }()
	p.Stdin = silent
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Run(ctx, p, r); !errors.As(err, &e) || e.Kind != Unavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestDial_NamesTheVariable(t *testing.T) {
	for addr, want := range map[string]string{"http://10.0.0.1:1": "TOKEND_ADDR: host", "": "TOKEND_LISTEN: host"} {
		_, err := Dial(func(name string) string {
			return map[string]string{"TOKEND_ADDR": addr, "TOKEND_LISTEN": "0.0.0.0:1", "TOKEND_SOCKET": "off"}[name]
		})
		var e *Error
		if !errors.As(err, &e) || e.Kind != Configuration || !strings.HasPrefix(err.Error(), want) || hint.Of(err) == "" {
			t.Errorf("%q: %v", addr, err)
		}
	}
	if _, err := Dial(func(name string) string {
		return map[string]string{"TOKEND_API_KEY": "a", "TOKEND_API_KEY_FILE": "b"}[name]
	}); err == nil || !strings.Contains(err.Error(), "both TOKEND_API_KEY") {
		t.Errorf("two keys: %v", err)
	}
	file := map[string]string{"TOKEND_ADDR": "http://127.0.0.1:1", "TOKEND_API_KEY_FILE": "/nonexistent/key"}
	if _, err := Dial(func(name string) string { return file[name] }); err == nil || !strings.Contains(err.Error(), "cannot read key file") {
		t.Errorf("no key: %v", err)
	}
	file["TOKEND_ADDR"] = "unix:/run/tokend.sock"
	if _, err := Dial(func(name string) string { return file[name] }); err != nil {
		t.Errorf("a socket needs no key: %v", err)
	}
}
