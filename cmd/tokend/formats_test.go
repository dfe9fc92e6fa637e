package main

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "update testdata")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		write(t, path, got, 0o600)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n got: %s\nwant: %s", path, got, want)
	}
}

// stub answers as the service does, with the same token each time. It has
// clients demo and other.
type stub struct {
	*httptest.Server
	token   string // of demo
	idToken string
	next    string // the ID token after a refresh
	left    int    // seconds
	short   bool   // shorter than min_validity
	hosts   string // of demo, a JSON list
	queries []string
}

func newStub(t *testing.T) *stub {
	s := &stub{token: canaryToken, left: 3600, hosts: `["git.example.com","git.example.com:8443","ada@registry.example.com","localhost:5000"]`}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"ok"}`) })
	mux.HandleFunc("GET /v1/clients", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"clients":[{"client":"demo","state":"ready","hosts":%s},{"client":"other","state":"ready","hosts":["twice.example.com"]},{"client":"third","hosts":["twice.example.com"]}]}`, s.hosts)
	})
	mux.HandleFunc("GET /v1/clients/{client}", func(w http.ResponseWriter, r *http.Request) {
		hosts := s.hosts
		if r.PathValue("client") != "demo" {
			hosts = "null"
		}
		fmt.Fprintf(w, `{"client":%q,"state":"ready","hosts":%s,"upstreams":["https://api.example.com/"]}`, r.PathValue("client"), hosts)
	})
	mux.HandleFunc("POST /v1/clients/demo/refresh", func(w http.ResponseWriter, _ *http.Request) {
		s.idToken = s.next
		fmt.Fprint(w, `{"client":"demo","state":"ready"}`)
	})
	mux.HandleFunc("GET /v1/clients/demo/token", func(w http.ResponseWriter, r *http.Request) {
		s.queries = append(s.queries, r.URL.Query().Encode())
		a := map[string]any{
			"access_token": s.token, "token_type": "Bearer", "expires_in": s.left, "expires_at": "2030-01-02T03:04:05Z",
			"scope": "read:calls", "audience": "https://api.example.com/", "client": "demo", "min_validity_satisfied": !s.short,
		}
		if r.URL.Query().Get("id_token") == "true" && s.idToken != "" {
			a["id_token"] = s.idToken
		}
		_ = json.NewEncoder(w).Encode(a)
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	t.Setenv("TOKEND_ADDR", s.URL)
	return s
}

// transcript runs a command and returns its input and output as text.
func transcript(t *testing.T, b *strings.Builder, p program, args ...string) output {
	t.Helper()
	stdin := ""
	if p.stdin != nil {
		in, err := io.ReadAll(p.stdin)
		if err != nil {
			t.Fatal(err)
		}
		stdin = string(in)
	}
	p.stdin = strings.NewReader(stdin)
	o := tokendWith(t, p, args...)
	fmt.Fprintf(b, "$ %s", strings.Join(append([]string{cmp.Or(p.name, "tokend")}, args...), " "))
	if stdin != "" {
		fmt.Fprintf(b, " <<%q", stdin)
	}
	fmt.Fprintf(b, "\n%s", o.stdout)
	if o.stderr != "" {
		fmt.Fprintf(b, "stderr: %s", o.stderr)
	}
	if o.code != 0 {
		fmt.Fprintf(b, "exit %d\n", o.code)
	}
	b.WriteString("\n")
	return o
}

// in is a program with something on standard input.
func in(stdin string) program { return program{stdin: strings.NewReader(stdin)} }

func TestPlainFormats(t *testing.T) {
	clean(t)
	s := newStub(t)
	var b strings.Builder
	for _, format := range []string{"text", "header", "headers", "env"} {
		transcript(t, &b, in(""), "token", "demo", "--format", format)
	}
	transcript(t, &b, in(""), "token", "demo", "--format", "env", "--env", "AUTH0_API_TOKEN")
	s.token = "it's $(not) `run`"
	transcript(t, &b, in(""), "token", "demo", "--format", "env")
	s.token = canaryToken
	for _, args := range []string{"--env A", "--format json --env A", "--format env --env A-B", "--format env --env 9", "--format env --env A=B"} {
		transcript(t, &b, in(""), append([]string{"token", "demo"}, strings.Fields(args)...)...)
	}
	golden(t, "format_plain", b.String())

	o := runTokend(t, "token", "demo", "--format", "json", "--audience", "urn:a b", "--scope", "x y", "--min-validity", "90s")
	if !json.Valid([]byte(o.stdout)) || !strings.HasSuffix(o.stdout, "\n") || s.queries[len(s.queries)-1] != "audience=urn%3Aa+b&min_validity=1m30s&scope=x+y" {
		t.Errorf("json: %+v, asked %q", o, s.queries)
	}
}

func TestGitHub(t *testing.T) {
	clean(t)
	s := newStub(t)
	dir := t.TempDir()
	out, env := write(t, dir+"/output", "before=1\n", 0o600), dir+"/env" // the runner may not have made it
	var b strings.Builder
	transcript(t, &b, in(""), "token", "demo", "--format", "github")
	setenv(t, "GITHUB_OUTPUT="+out, "GITHUB_ENV="+env)
	transcript(t, &b, in(""), "token", "demo", "--format", "github")
	transcript(t, &b, in(""), "token", "demo", "--format", "github", "--env", "API_TOKEN")
	for _, f := range []string{out, env} {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s:\n%s\n", filepath.Base(f), text)
	}
	s.token = "100%25"
	transcript(t, &b, in(""), "token", "demo", "--format", "github")
	golden(t, "format_github", b.String())

	// The mask is in the log before the token is written anywhere.
	setenv(t, "GITHUB_OUTPUT="+dir+"/late")
	watch := &watcher{file: dir + "/late"}
	code := (&program{stdin: strings.NewReader(""), stdout: watch, stderr: io.Discard}).run(t.Context(), []string{"token", "demo", "--format", "github"})
	if code != 0 || !strings.HasPrefix(watch.first, "::add-mask::") || watch.held != "" {
		t.Errorf("exit %d, first line %q, the file then held %q", code, watch.first, watch.held)
	}

	// A file that cannot be written: the output has no token to mask.
	setenv(t, "GITHUB_OUTPUT="+dir)
	if o := runTokend(t, "token", "demo", "--format", "github"); o.code != 69 || o.stdout != "" {
		t.Errorf("%+v", o)
	}
}

// watcher is an output that reads a file at the first write.
type watcher struct{ file, first, held string }

func (w *watcher) Write(p []byte) (int, error) {
	if w.first == "" {
		b, _ := os.ReadFile(w.file)
		w.first, w.held = string(p), string(b)
	}
	return len(p), nil
}

func TestExternal(t *testing.T) {
	clean(t)
	s := newStub(t)
	var b strings.Builder
	external := func(stdin string, args ...string) output {
		return transcript(t, &b, in(stdin), append([]string{"token", "--format", "external"}, args...)...)
	}
	o := external(`{"client":"demo","min_validity":"30m","audience":"a","scope":"x y"}`)
	var flat map[string]string
	if err := json.Unmarshal([]byte(o.stdout), &flat); err != nil || flat["access_token"] != canaryToken {
		t.Errorf("no flat object of strings: %v", err)
	}
	external(`{"min_validity":"1800"}`, "demo")
	external("", "demo")
	external(`{"client":"demo","min_validity":"","audience":"","scope":""}`)
	for _, bad := range []string{
		"", `{}`, `[]`, `{"client":1}`, `{"client":"demo"} x`, `{"client":"demo","min_validty":"1h"}`,
		`{"client":"demo","min_validity":"soon"}`, `{"client":"demo","min_validity":"-1h"}`,
	} {
		if o := external(bad); o.stdout != "" || o.code != 64 {
			t.Errorf("%s: %+v", bad, o)
		}
	}
	s.short = true
	if o := external(`{"client":"demo","min_validity":"3h"}`); o.stdout != "" || o.code != 78 {
		t.Errorf("a token that lives too short: %+v", o)
	}
	golden(t, "format_external", b.String())
	want := "audience=a&min_validity=30m0s&scope=x+y,min_validity=30m0s,,,min_validity=3h0m0s"
	if got := strings.Join(s.queries, ","); got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func TestExecCredential(t *testing.T) {
	clean(t)
	s := newStub(t)
	var b strings.Builder
	run := func() output { return transcript(t, &b, in(""), "token", "demo", "--format", "exec-credential") }
	unset(t, "KUBERNETES_EXEC_INFO")
	run()
	for _, info := range []string{
		`{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":false}}`,
		`{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","spec":{}}`,
		`{"apiVersion":"client.authentication.k8s.io/v1alpha1","kind":"ExecCredential"}`,
		`{"apiVersion":"client.authentication.k8s.io/v1","kind":"Pod"}`,
		"yes",
	} {
		t.Setenv("KUBERNETES_EXEC_INFO", info)
		fmt.Fprintf(&b, "KUBERNETES_EXEC_INFO=%s\n", info)
		run()
	}
	unset(t, "KUBERNETES_EXEC_INFO")
	s.left = 20 // a margin of 30 s would have expired before it came
	fmt.Fprintf(&b, "expires_in: %d\n", s.left)
	run()
	golden(t, "format_exec_credential", b.String())
}

// jwt is an unsigned token that ends at exp.
func jwt(exp time.Time) string {
	return "e30." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, exp.Unix())) + ".sig"
}

func TestGCPExecutable(t *testing.T) {
	clean(t)
	s := newStub(t)
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var b strings.Builder
	run := func() output {
		p := in("")
		p.now = func() time.Time { return now }
		o := transcript(t, &b, p, "token", "demo", "--format", "gcp-executable")
		if o.code != 0 || o.stderr != "" {
			t.Errorf("a failure is an answer, too: %+v", o)
		}
		return o
	}
	const idToken = "urn:ietf:params:oauth:token-type:id_token"
	for _, kind := range []string{"", "urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:saml2"} {
		t.Setenv("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE", kind)
		fmt.Fprintf(&b, "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=%s\n", kind)
		run()
	}
	t.Setenv("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE", idToken)
	for _, c := range []struct{ what, now, next string }{
		{"none", "", ""},
		{"good", jwt(now.Add(time.Hour)), ""},
		{"too old, refreshed", jwt(now.Add(30 * time.Second)), jwt(now.Add(2 * time.Hour))},
		{"too old, and after a refresh", jwt(now.Add(-time.Hour)), jwt(now.Add(time.Second))},
		{"no JWT", "opaque", ""},
	} {
		s.idToken, s.next = c.now, c.next
		fmt.Fprintf(&b, "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=%s, ID token: %s\n", idToken, c.what)
		run()
	}
	golden(t, "format_gcp_executable", b.String())
}

// Every format warns on stderr of scopes that were not granted.
func TestScopesThatAreLacking(t *testing.T) {
	clean(t)
	f := newTenant(t)
	f.say(`{"access_token":"` + canaryToken + `","token_type":"Bearer","expires_in":3600,"scope":"openid"}`)
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	serve(t)
	for scope, want := range map[string]string{
		"openid":           "",
		"openid admin x:y": "warning: the token does not have the scopes \"admin x:y\"; it has \"openid\"\n",
	} {
		for _, format := range []string{"text", "json", "exec-credential"} {
			if o := runTokend(t, "token", "demo", "--scope", scope, "--format", format); o.code != 0 || o.stderr != want || !strings.Contains(o.stdout, canaryToken) {
				t.Errorf("%s %s: %+v", scope, format, o)
			}
		}
	}
	if o := runTokend(t, "token", "demo", "--scope", "admin", "--format", "json"); !strings.Contains(o.stdout, `"scope":"openid"`) {
		t.Errorf("%+v", o)
	}
}
