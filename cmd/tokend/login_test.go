package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestLoginHeadlessAtStart(t *testing.T) {
	clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENT_DEMO_LOGIN=headless")
	s := serve(t)
	deadline := time.Now().Add(10 * time.Second)
	for f.exchanged() == 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond) // it happens in another goroutine, without a person
	}
	if o := runTokend(t, "token", "demo"); o.code != 0 || o.stdout != canaryToken+"\n" {
		t.Fatalf("%+v\n%s", o, s.log)
	}
	// After a restart the grant is there: no login.
	if code := s.stop(); code != 0 {
		t.Fatalf("serve ended with %d:\n%s", code, s.log)
	}
	again := serve(t)
	if o := runTokend(t, "token", "demo"); o.code != 0 || o.stdout != canaryToken+"\n" {
		t.Errorf("after a restart: %+v\n%s", o, again.log)
	}
	if n := f.exchanged(); n != 1 {
		t.Errorf("%d codes exchanged", n)
	}
	if o := runTokend(t, "refresh", "demo"); o.code != 0 || !strings.HasPrefix(o.stdout, "demo: refreshed, token until ") {
		t.Errorf("refresh: %+v", o)
	}
	if o := runTokend(t, "logout", "demo"); o.code != 0 || o.stdout != "demo: logged out\n" {
		t.Errorf("logout: %+v", o)
	}
	if o := runTokend(t, "login", "demo"); o.code != 0 || !strings.HasPrefix(o.stdout, "demo: logged in") {
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
	if o := runTokend(t, "login", "demo", "--paste"); o.code != 64 || o.stdout != "" {
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

// A device client without a person: the login starts, and the command does not wait.
func TestLoginDeviceWithoutInput(t *testing.T) {
	clean(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			fmt.Fprint(w, `{"client":"tv","login":"device"}`)
			return
		}
		fmt.Fprint(w, `{"client":"tv","verification_uri_complete":"https://tenant.example.com/activate?user_code=QTZL-MCBW",`+
			`"verification_uri":"https://tenant.example.com/activate","user_code":"QTZL-MCBW","expires_in":900}`)
	}))
	defer s.Close()
	t.Setenv("TOKEND_ADDR", s.URL)
	o := runTokend(t, "login", "tv", "--no-input")
	if o.code != 77 || o.stdout != "" || !strings.Contains(o.stderr, "needs a person") ||
		!strings.Contains(o.stderr, "hint: confirm the code QTZL-MCBW at https://tenant.example.com/activate?user_code=QTZL-MCBW") {
		t.Errorf("%+v", o)
	}
	if o := runTokend(t, "login", "tv", "--paste"); o.code != 64 || !strings.Contains(o.stderr, "nothing to paste") {
		t.Errorf("paste: %+v", o)
	}
}
