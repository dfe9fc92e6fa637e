package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/store"
)

func TestTokenFormats(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	s := serve(t)
	for _, door := range [][]string{
		nil, // the default socket
		{"TOKEND_ADDR=unix:" + filepath.Join(home, ".local/state/tokend/tokend.sock")},
		{"TOKEND_ADDR=http://" + s.tcp},
		{"TOKEND_ADDR=http://" + s.tcp + "/", "TOKEND_API_KEY_FILE=" + filepath.Join(home, ".local/state/tokend/api.key")},
		{"TOKEND_ADDR=", "TOKEND_SOCKET=/nonexistent", "TOKEND_LISTEN=" + s.tcp}, // the default listener
	} {
		setenv(t, door...)
		for format, want := range map[string]string{
			"text":   canaryToken + "\n",
			"header": "Authorization: Bearer " + canaryToken + "\n",
			"json":   `{"access_token":"` + canaryToken + `","token_type":"Bearer","expires_in":`,
			"env":    "export ACCESS_TOKEN='" + canaryToken + "'\nexport ACCESS_TOKEN_EXPIRES_AT='2",
		} {
			o := tokend(t, "token", "demo", "--format", format)
			if o.code != 0 || !strings.HasPrefix(o.stdout, want) || o.stderr != "" || !strings.HasSuffix(o.stdout, "\n") {
				t.Errorf("%v %s: exit %d, stdout %q, stderr %q", door, format, o.code, o.stdout, o.stderr)
			}
		}
	}
	if o := tokend(t, "token", "demo", "--min-validity", "48h"); o.code != 0 || !strings.Contains(o.stderr, "warning:") || o.stdout != canaryToken+"\n" {
		t.Errorf("beyond the provider's maximum: %+v", o)
	}
	key, err := os.ReadFile(filepath.Join(home, ".local/state/tokend/api.key"))
	if err != nil || len(strings.TrimSpace(string(key))) != 43 {
		t.Fatalf("API key of %d characters: %v", len(key), err)
	}
	noCanary(t, "log", s.log.String())
	if strings.Contains(s.log.String(), strings.TrimSpace(string(key))) {
		t.Error("the API key is in the log")
	}
}

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

func TestExitCodes(t *testing.T) {
	clean(t)
	f := newTenant(t)
	f.configure(t)
	s := serve(t)
	setenv(t, "TOKEND_ADDR=http://"+s.tcp)
	for _, c := range []struct {
		args   string
		env    string
		code   int
		stderr string
	}{
		{"token", "", 64, "hint: tokend --help"},
		{"token demo extra", "", 64, ""},
		{"token demo --format xml", "", 64, `format "xml"`},
		{"token demo --min-validity soon", "", 64, "min-validity"},
		{"token demo --min-validity -1s", "", 64, "negative"},
		{"token demo --nonsense", "", 64, "--nonsense"},
		{"nonsense", "", 64, "nonsense"},
		{"status --format xml", "", 64, `format "xml"`},
		{"login demo --browser --paste", "", 64, "browser"},
		{"token nobody", "", 66, "unknown_client"},
		{"login nobody", "", 66, "unknown_client"},
		{"logout nobody", "", 66, "unknown_client"},
		{"refresh nobody", "", 66, "unknown_client"},
		{"token demo", "", 77, "hint: tokend login demo --browser"},
		{"login demo", "", 77, "login_required"},
		{"token demo", "TOKEND_API_KEY=wrong-wrong-wrong-wrong", 77, "unauthorized"},
		{"token demo", "TOKEND_ADDR=unix:/nonexistent/s", 69, "hint: start it with tokend serve"},
		{"healthcheck", "TOKEND_ADDR=unix:/nonexistent/s", 69, "does not answer"},
		{"token demo", "TOKEND_ADDR=http://tokend.example:8484", 78, "TOKEND_ADDR"},
		{"token demo", "TOKEND_ADDR=https://127.0.0.1:8484", 78, "TOKEND_ADDR"},
		{"token demo", "TOKEND_API_KEY_FILE=/nonexistent", 78, "/nonexistent cannot be read"},
		{"config check", "TOKEND_CLIENT_DEMO_ISSUER=", 78, "issuer is missing"},
		{"healthcheck", "", 0, ""},
		{"status", "", 0, ""},
		{"version", "", 0, ""},
		{"config check", "", 0, ""},
		{"--help", "", 0, ""},
		{"", "", 0, ""},
	} {
		t.Run(strings.TrimSpace(c.args+" "+c.env), func(t *testing.T) {
			if c.env != "" {
				setenv(t, c.env)
			}
			o := tokend(t, strings.Fields(c.args)...)
			if o.code != c.code || !strings.Contains(o.stderr, c.stderr) {
				t.Errorf("exit %d, want %d; stderr %q", o.code, c.code, o.stderr)
			}
			if (o.stdout == "") != (o.code != 0) {
				t.Errorf("exit %d with stdout %q", o.code, o.stdout)
			}
			if o.code != 0 && (!strings.HasPrefix(o.stderr, "error: ") || strings.Count(o.stderr, "\n") > 2) {
				t.Errorf("stderr is not an error and a hint: %q", o.stderr)
			}
			noCanary(t, "stderr", o.stderr)
		})
	}
}

// Each answer of the service has its code; none reaches stdout.
func TestExitCodeOfAnswers(t *testing.T) {
	clean(t)
	for _, c := range []struct {
		status int
		code   string
		want   int
	}{
		{400, "invalid_request", 64}, {401, "unauthorized", 77}, {403, "client_forbidden", 77}, {404, "unknown_client", 66},
		{404, "not_found", 64}, {409, "login_required", 77}, {409, "client_rejected", 77}, {409, "invalid_configuration", 78},
		{400, "invalid_state", 77}, {502, "idp_bad_response", 76}, {502, "idp_redirect", 76}, {503, "idp_unreachable", 75},
		{503, "idp_timeout", 75}, {503, "idp_rate_limited", 75}, {503, "lease_busy", 75}, {500, "store_unavailable", 75},
		{500, "store_corrupt", 78}, {500, "internal", 76}, {302, "", 76}, {200, "", 76},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(c.status)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": c.code, "error_description": "text; hint: do", "client": "demo"})
		}))
		t.Setenv("TOKEND_ADDR", s.URL)
		o := tokend(t, "token", "demo")
		s.Close()
		if o.code != c.want || o.stdout != "" {
			t.Errorf("%d %s: exit %d, want %d: %q %q", c.status, c.code, o.code, c.want, o.stdout, o.stderr)
		}
		hint := "do"
		if c.code == "login_required" {
			hint = "tokend login demo"
		}
		if c.code != "" && o.stderr != "error: "+c.code+": text\nhint: "+hint+"\n" {
			t.Errorf("%d %s: %q", c.status, c.code, o.stderr)
		}
	}
}

func TestX29_NoProxyForLoopback(t *testing.T) {
	clean(t)
	proxied := make(chan string, 9)
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { proxied <- r.URL.String() }))
	defer proxy.Close()
	setenv(t, "http_proxy="+proxy.URL, "HTTP_PROXY="+proxy.URL, "ALL_PROXY="+proxy.URL, "no_proxy=", "NO_PROXY=")
	h := newHTTP(nil)
	if tr, ok := h.Transport.(*http.Transport); !ok || tr.Proxy != nil {
		t.Error("the transport asks for a proxy")
	}
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	s := serve(t)
	setenv(t, "TOKEND_ADDR=http://"+s.tcp)
	if o := tokend(t, "token", "demo"); o.code != 0 {
		t.Errorf("exit %d: %s", o.code, o.stderr)
	}
	select {
	case u := <-proxied:
		t.Errorf("went through the proxy: %s", u)
	default:
	}
}

func TestLoginHeadlessAtStart(t *testing.T) {
	clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENT_DEMO_LOGIN=headless")
	s := serve(t)
	deadline := time.Now().Add(10 * time.Second)
	for f.exchanged() == 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond) // it happens in another goroutine and asks nobody
	}
	if o := tokend(t, "token", "demo"); o.code != 0 || o.stdout != canaryToken+"\n" {
		t.Fatalf("%+v\n%s", o, s.log)
	}
	// After a restart the grant is there: no login.
	if code := s.stop(); code != 0 {
		t.Fatalf("serve ended with %d:\n%s", code, s.log)
	}
	again := serve(t)
	if o := tokend(t, "token", "demo"); o.code != 0 || o.stdout != canaryToken+"\n" {
		t.Errorf("after a restart: %+v\n%s", o, again.log)
	}
	if n := f.exchanged(); n != 1 {
		t.Errorf("%d codes exchanged", n)
	}
	if o := tokend(t, "refresh", "demo"); o.code != 0 || !strings.HasPrefix(o.stdout, "demo: refreshed, token until ") {
		t.Errorf("refresh: %+v", o)
	}
	if o := tokend(t, "logout", "demo"); o.code != 0 || o.stdout != "demo: logged out\n" {
		t.Errorf("logout: %+v", o)
	}
	if o := tokend(t, "login", "demo"); o.code != 0 || !strings.HasPrefix(o.stdout, "demo: logged in") {
		t.Errorf("login: %+v", o)
	}
	noCanary(t, "log", s.log.String()+again.log.String())
}

func TestLoginByPaste(t *testing.T) {
	clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_LOGIN=paste")
	s := serve(t)
	p := &person{}
	var stdout bytes.Buffer
	code := (&program{stdin: p, stdout: &stdout, stderr: p}).run(t.Context(), []string{"login", "demo", "--paste"})
	if code != 0 || !strings.HasPrefix(stdout.String(), "demo: logged in") {
		t.Errorf("address: exit %d, %q, %q", code, stdout.String(), p.seen.String())
	}
	p = &person{code: true}
	if code := (&program{stdin: p, stdout: &stdout, stderr: p}).run(t.Context(), []string{"login", "demo", "--paste"}); code != 0 {
		t.Errorf("code: exit %d, %q", code, p.seen.String())
	}
	if o := tokend(t, "login", "demo", "--paste"); o.code != 64 || o.stdout != "" {
		t.Errorf("nothing pasted: %+v", o)
	}
	o := tokendWith(t, program{stdin: strings.NewReader("http://localhost/callback?code=x&state=unknown\n")}, "login", "demo", "--paste")
	if o.code != 77 || !strings.Contains(o.stderr, "invalid_state") {
		t.Errorf("unknown state: %+v", o)
	}
	noCanary(t, "log", s.log.String())
}

// person reads the address on stderr and pastes what a browser would end on.
type person struct {
	seen   bytes.Buffer
	code   bool // paste the code alone
	answer *strings.Reader
}

func (p *person) Write(b []byte) (int, error) { return p.seen.Write(b) }

func (p *person) Read(b []byte) (int, error) {
	if p.answer == nil {
		_, rest, _ := strings.Cut(p.seen.String(), "http")
		line, _, _ := strings.Cut("http"+rest, "\n")
		u, err := url.Parse(line)
		if err != nil {
			return 0, err
		}
		text := u.Query().Get("redirect_uri") + "?code=c&state=" + u.Query().Get("state")
		if p.code {
			text = "c"
		}
		p.answer = strings.NewReader(text + "\n")
	}
	return p.answer.Read(b)
}

func TestLoginByBrowser(t *testing.T) {
	clean(t)
	newTenant(t).configure(t)
	s := serve(t)
	browse := func(ctx context.Context, page string) error {
		req, err := http.NewRequestWithContext(ctx, "GET", page, nil)
		if err != nil {
			return err
		}
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	o := tokendWith(t, program{openURL: browse}, "login", "demo", "--browser")
	if o.code != 0 || !strings.HasPrefix(o.stdout, "demo: logged in") {
		t.Errorf("%+v\n%s", o, s.log)
	}
	refused := func(_ context.Context, page string) error {
		u, err := url.Parse(page)
		if err != nil {
			return err
		}
		q := url.Values{"state": {u.Query().Get("state")}, "error": {"access_denied"}, "error_description": {"the person said no"}}
		return browse(context.Background(), u.Query().Get("redirect_uri")+"?"+q.Encode())
	}
	o = tokendWith(t, program{openURL: refused}, "login", "demo", "--browser")
	if o.code != 77 || !strings.Contains(o.stderr, "access_denied") {
		t.Errorf("refused: %+v", o)
	}
	noCanary(t, "log", s.log.String())
}

func TestStatus(t *testing.T) {
	clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENTS=ci,demo", "TOKEND_CLIENT_CI_ISSUER="+f.URL+"/", "TOKEND_CLIENT_CI_CLIENT_ID=ci",
		"TOKEND_CLIENT_CI_CLIENT_SECRET="+canarySecret, "TOKEND_CLIENT_CI_GRANT=client_credentials")
	serve(t)
	if o := tokend(t, "token", "ci"); o.code != 0 {
		t.Errorf("a client beside one that needs a login: %+v", o)
	}
	tokend(t, "token", "demo")
	o := tokend(t, "status")
	for _, want := range []string{"CLIENT  STATE", "ci      ready", "demo    login_required", "tokend login demo --browser or --paste, or open " + f.URL + "/authorize?"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("table lacks %q:\n%s", want, o.stdout)
		}
	}
	o = tokend(t, "status", "--format", "json")
	if !json.Valid([]byte(o.stdout)) || !strings.Contains(o.stdout, `"authorize_url":"`) {
		t.Errorf("%+v", o)
	}
	noCanary(t, "status", o.stdout)
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
	o := tokend(t, "serve")
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
	if o := tokend(t, "serve"); o.code != 78 || !strings.Contains(o.stderr, "is not a socket") {
		t.Errorf("a file: %+v", o)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if o := tokend(t, "serve"); o.code != 78 || !strings.Contains(o.stderr, "hint: chmod 700") {
		t.Errorf("an open directory: %+v", o)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	if o := tokend(t, "serve"); o.code != 69 || !strings.Contains(o.stderr, "another process answers") {
		t.Errorf("a live socket: %+v", o)
	}
	l.SetUnlinkOnClose(false) // as after kill -9
	_ = l.Close()
	serve(t)
	if o := tokend(t, "healthcheck"); o.code != 0 {
		t.Errorf("a stale socket was not replaced: %+v", o)
	}
}

func TestStoreOfOtherKeyIsLeftAlone(t *testing.T) {
	home := clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_LISTEN=127.0.0.1:0")
	state := filepath.Join(home, ".local/state/tokend")
	keys, err := store.LoadOrCreateKeyset(filepath.Join(home, "other.json"), "sqlite:"+filepath.Join(state, "tokend.db"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(state, "tokend.db"), keys)
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(state, "tokend.db"))
	if err != nil {
		t.Fatal(err)
	}
	if o := tokend(t, "serve"); o.code != 78 || !strings.Contains(o.stderr, "keyset") {
		t.Errorf("no keyset: %+v", o)
	}
	setenv(t, "TOKEND_STORE_KEY_FILE="+filepath.Join(home, "third.json"))
	if _, err := store.LoadOrCreateKeyset(filepath.Join(home, "third.json"), "sqlite::memory:"); err != nil {
		t.Fatal(err)
	}
	if o := tokend(t, "serve"); o.code != 78 || !strings.HasPrefix(o.stderr, "error: ") {
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
	if o := tokend(t, "token", "demo"); o.code != 75 || !strings.Contains(o.stderr, "idp_unreachable") {
		t.Errorf("token: %+v", o)
	}
	if o := tokend(t, "status"); o.code != 0 || !strings.Contains(o.stdout, "unavailable") {
		t.Errorf("status: %+v", o)
	}
}

func TestWrongSecret(t *testing.T) {
	clean(t)
	f := newTenant(t)
	f.refuse(401, "invalid_client")
	f.configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	s := serve(t)
	o := tokend(t, "token", "demo")
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

func TestShellQuoted(t *testing.T) {
	for in, want := range map[string]string{"a": "'a'", "it's $(x)": `'it'\''s $(x)'`} {
		if got := shellQuoted(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
