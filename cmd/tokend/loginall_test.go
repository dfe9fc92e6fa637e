package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tokend/internal/terminal"
	"example.com/tokend/pkg/tokend"
)

const loginPage = "https://tenant.example.com/authorize?response_type=code&client_id=demo&redirect_uri=http%3A%2F%2Flocalhost%3A8484%2Fcallback&state=abcdefghijklmnop"

// loginService is a service whose clients log in as their state says: at once without
// a person, otherwise after this number of requests for their state.
type loginService struct {
	*httptest.Server
	mu      sync.Mutex
	clients []tokend.Status
	polls   int
	expires int
	asked   []string // "NAME headless", "NAME person", in order
}

func newLoginService(t *testing.T, clients ...tokend.Status) *loginService {
	t.Helper()
	clean(t)
	s := &loginService{clients: append([]tokend.Status{}, clients...), polls: 2, expires: 600}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	setenv(t, "TOKEND_ADDR="+s.URL, "TOKEND_API_KEY="+canaryKey)
	return s
}

func (s *loginService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/clients/"), "/")
	for i := range s.clients {
		c := &s.clients[i]
		if c.Client != name {
			continue
		}
		if what == "login" {
			s.logIn(w, r, c)
			return
		}
		if c.State == "pending" {
			if s.polls--; s.polls <= 0 {
				c.State, c.LoggedIn = tokend.StateReady, noon
			}
		}
		_ = json.NewEncoder(w).Encode(c)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"clients": s.clients})
}

func (s *loginService) logIn(w http.ResponseWriter, r *http.Request, c *tokend.Status) {
	body, _ := io.ReadAll(r.Body)
	if strings.Contains(string(body), "headless") {
		s.asked = append(s.asked, c.Client+" headless")
		if c.Login == "browser" || c.Login == "paste" {
			w.WriteHeader(http.StatusConflict)
			fmt.Fprintf(w, `{"error":"login_required","error_description":"a person must log in","hint":"tokend login %s --browser"}`, c.Client)
			return
		}
		if c.Login == "down" {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"error":"idp_unreachable","error_description":"down","hint":"try again"}`)
			return
		}
		c.State, c.LoggedIn, c.Subject, c.Expiry = tokend.StateReady, noon, "auth0|1", noon.Add(23*time.Hour)
		_ = json.NewEncoder(w).Encode(c)
		return
	}
	s.asked = append(s.asked, c.Client+" person")
	c.State = "pending"
	answer := map[string]any{"client": c.Client, "expires_in": s.expires}
	if c.Login == "device" {
		answer["user_code"], answer["verification_uri"] = "QTZL-MCBW", "https://tenant.example.com/activate"
		answer["verification_uri_complete"] = "https://tenant.example.com/activate?user_code=QTZL-MCBW"
	} else {
		answer["authorize_url"], answer["state"] = loginPage, "s"
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func TestLoginWithoutName_LogsInEveryClientThatNeedsIt(t *testing.T) {
	s := newLoginService(
		t,
		tokend.Status{Client: "ready", State: tokend.StateReady},
		tokend.Status{Client: "machine", State: tokend.StateLoginRequired, Login: "headless"},
		tokend.Status{Client: "down", State: tokend.StateLoginRequired, Login: "down"},
		tokend.Status{Client: "web", State: tokend.StateLoginRequired, Login: "browser"},
		tokend.Status{Client: "old", State: tokend.StateRestored, Login: "headless"},
		tokend.Status{Client: "seed", State: tokend.StateLoginRequired, Failure: &tokend.Failure{Class: "login_required", Description: "the provider has refused this seed", Hint: "give a new refresh token", Remedy: tokend.RemedySetting}},
		tokend.Status{Client: "wrong", State: tokend.StateClientRejected},
	)
	o := runTokend(t, "login")
	if o.code != 77 || o.stdout != "machine: logged in as auth0|1, token until 2026-08-02T11:00:00Z\n"+
		"old: logged in as auth0|1, token until 2026-08-02T11:00:00Z\n2 of 5 clients logged in\n" {
		t.Errorf("exit %d, stdout %q", o.code, o.stdout)
	}
	if got := strings.Join(s.asked, ", "); got != "machine headless, down headless, web headless, old headless" {
		t.Errorf("asked %s", got)
	}
	for _, want := range []string{
		"client machine (1 of 5)\n",
		"error: client down: idp_unreachable: down; hint: try again\n",
		"error: client web: login_required: a person must log in; hint: tokend login web --browser\n",
		"error: client seed: login_required: the provider has refused this seed; hint: give a new refresh token\n",
	} {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("stderr lacks %q: %q", want, o.stderr)
		}
	}
}

func TestLoginWithoutName_ExitCodeIsThatOfTheWorst(t *testing.T) {
	for _, c := range []struct {
		clients []tokend.Status
		code    int
		stdout  string
	}{
		{nil, 0, "no client needs a login\n"},
		{[]tokend.Status{{Client: "a", State: tokend.StateReady}, {Client: "b", State: tokend.StateClientRejected}}, 0, "no client needs a login\n"},
		{[]tokend.Status{{Client: "a", State: tokend.StateLoginRequired, Login: "down"}}, 75, "0 of 1 client logged in\n"},
		{[]tokend.Status{{Client: "a", State: tokend.StateLoginRequired, Login: "down"}, {Client: "b", State: tokend.StateLoginRequired, Login: "paste"}}, 77, "0 of 2 clients logged in\n"},
	} {
		newLoginService(t, c.clients...)
		if o := runTokend(t, "login"); o.code != c.code || !strings.HasSuffix(o.stdout, c.stdout) {
			t.Errorf("%+v: %+v", c.clients, o)
		}
	}
	newLoginService(t, tokend.Status{Client: "a", State: tokend.StateLoginRequired, Login: "paste"})
	if o := runTokend(t, "login", "--paste"); o.code != 64 || !strings.Contains(o.stderr, "nothing was pasted") {
		t.Errorf("nothing pasted: %+v", o)
	}
}

// On a terminal the setting login: says what happens, with the time that is left, and
// the page as a QR code. In a pipe nothing of it is printed.
func TestLogin_OnATerminal(t *testing.T) {
	opened := ""
	p := onTerminal(120, noon)
	p.openURL = func(_ context.Context, page string) error { opened = page; return nil }

	newLoginService(t, tokend.Status{Client: "web", State: tokend.StateLoginRequired, Login: "browser"})
	o := tokendWith(t, p, "login", "web")
	if o.code != 0 || opened != loginPage || !strings.HasPrefix(o.stderr, "log in at\n"+loginPage+"\n") || !strings.Contains(o.stderr, "\r\x1b[Kwaiting, 10m0s left") || !strings.HasSuffix(o.stderr, "\r\x1b[K") {
		t.Errorf("browser: %+v, opened %q", o, opened)
	}

	newLoginService(t, tokend.Status{Client: "tv", State: tokend.StateLoginRequired, Login: "device"})
	const page = "https://tenant.example.com/activate?user_code=QTZL-MCBW"
	o = tokendWith(t, p, "login", "tv")
	if o.code != 0 || !strings.HasPrefix(o.stderr, "open\n"+page+"\nand confirm the code QTZL-MCBW, or type it at\nhttps://tenant.example.com/activate\n") ||
		!strings.Contains(o.stderr, (terminal.Screen{Width: 120, Height: 50, Colours: true}).QRCode(page)) || !strings.Contains(o.stderr, " left") {
		t.Errorf("device: %+v", o)
	}

	newLoginService(t, tokend.Status{Client: "met", State: tokend.StateLoginRequired, Login: "headless", Failure: &tokend.Failure{Class: "login_required", Remedy: tokend.RemedyBrowser}})
	if opened = ""; tokendWith(t, p, "login", "met").code != 0 || opened != loginPage {
		t.Errorf("a login that met a page: opened %q", opened)
	}

	newLoginService(t, tokend.Status{Client: "tv", State: tokend.StateLoginRequired, Login: "device"})
	if o = runTokend(t, "login", "tv"); o.code != 0 || o.stderr != "open "+page+"\nand confirm the code QTZL-MCBW, or type it at https://tenant.example.com/activate\n" {
		t.Errorf("device in a pipe: %+v", o)
	}

	newLoginService(t, tokend.Status{Client: "machine", State: tokend.StateLoginRequired, Login: "headless"})
	if o = tokendWith(t, p, "login", "machine"); o.stdout != "machine: logged in as auth0|1, token until 2026-08-02T11:00:00Z (in 23h)\n" {
		t.Errorf("headless: %+v", o)
	}
}

// silentInput is a standard input on which nothing is typed.
func silentInput(t *testing.T) io.Reader {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	return r
}

func TestLoginPaste_EndsWhenTheBrowserCameBack(t *testing.T) {
	newLoginService(t, tokend.Status{Client: "web", State: tokend.StateLoginRequired, Login: "paste"})
	o := tokendWith(t, program{stdin: silentInput(t)}, "login", "web", "--paste")
	if o.code != 0 || !strings.HasPrefix(o.stdout, "web: logged in") || o.stderr != "log in at\n  "+loginPage+"\nthen paste the address that the browser ends on, or the code:\n" {
		t.Errorf("%+v", o)
	}
	p := onTerminal(120, noon)
	p.stdin = silentInput(t)
	newLoginService(t, tokend.Status{Client: "web", State: tokend.StateLoginRequired, Login: "paste"})
	o = tokendWith(t, p, "login")
	if o.code != 0 || !strings.Contains(o.stderr, "log in at\n"+loginPage+"\n") || !strings.Contains(o.stderr, "or the code, within 10m:\n") ||
		!strings.Contains(o.stderr, (terminal.Screen{Width: 120, Height: 50, Colours: true}).QRCode(loginPage)) {
		t.Errorf("on a terminal: %+v", o)
	}
}

func TestLoginPaste_EndsWithTheLogin(t *testing.T) {
	s := newLoginService(t, tokend.Status{Client: "web", State: tokend.StateLoginRequired, Login: "paste"})
	s.expires, s.polls = 0, 1000
	if o := tokendWith(t, program{stdin: silentInput(t)}, "login", "web", "--paste"); o.code != 77 || !strings.Contains(o.stderr, "the login was not completed") {
		t.Errorf("expired: %+v", o)
	}
	s.expires = 600
	if o := tokendWith(t, program{stdin: silentInput(t)}, "login", "web", "--paste", "--timeout", "20ms"); o.code != 75 || !strings.Contains(o.stderr, "longer than --timeout") {
		t.Errorf("--timeout: %+v", o)
	}
}
