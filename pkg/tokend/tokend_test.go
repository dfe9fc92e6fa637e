package tokend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/oauth2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeService answers as tokend does, with numbered tokens.
type fakeService struct {
	mu        sync.Mutex
	n         int
	expiresIn int
	gets      []string // queries
	refreshes []string // bodies
	auth      string
	answer    http.HandlerFunc // instead, when set
}

func (s *fakeService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	s.auth = r.Header.Get("Authorization")
	switch {
	case s.answer != nil:
		s.answer(w, r)
	case r.Method == http.MethodGet && r.URL.Path == "/v1/clients/demo/token":
		s.gets = append(s.gets, r.URL.RawQuery)
		reply(w, 200, map[string]any{
			"access_token": fmt.Sprint("token-", s.n), "token_type": "Bearer", "expires_in": s.expiresIn, "scope": "read", "client": "demo", "min_validity_satisfied": true,
		})
	case r.Method == http.MethodPost && r.URL.Path == "/v1/clients/demo/refresh":
		var in map[string]string
		if json.Unmarshal(body, &in) != nil {
			w.WriteHeader(400)
			return
		}
		s.refreshes = append(s.refreshes, string(body))
		if in["refused"] == "" || in["refused"] == fmt.Sprint("token-", s.n) {
			s.n++
		}
		reply(w, 200, map[string]string{"client": "demo"})
	default:
		w.WriteHeader(404)
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (s *fakeService) set(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *fakeService) counts() (gets, refreshes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.gets), len(s.refreshes)
}

// dial returns a client of s over TCP; now may be nil.
func (s *fakeService) dial(t testing.TB, now func() time.Time) *Client {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	c, err := New(Service{Addrs: []string{srv.URL}, Key: "CANARY-key"})
	if err != nil {
		t.Fatal(err)
	}
	if now != nil {
		c.now = now
	}
	t.Cleanup(c.Close)
	return c
}

func wantError(t *testing.T, err error, code, part string) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Error(), part) {
		t.Fatalf("got %v, want code %q with %q", err, code, part)
	}
	return e
}

func TestSource_KeepsTokenUntilItIsShort(t *testing.T) {
	s := &fakeService{expiresIn: 3600}
	now := time.Now()
	c := s.dial(t, func() time.Time { return now })
	source := c.Source(t.Context(), TokenRequest{Client: "demo"})
	get := func(from *Source, want string, asked int) {
		t.Helper()
		tok, err := from.Get(t.Context(), "")
		if gets, _ := s.counts(); err != nil || tok.AccessToken.Reveal() != want || gets != asked {
			t.Errorf("%v, %v after %d requests, want %s after %d", tok, err, gets, want, asked)
		}
	}
	get(source, "token-0", 1)
	get(source, "token-0", 1)
	get(c.Source(t.Context(), TokenRequest{Client: "demo", MinValidity: 2 * time.Hour}), "token-0", 2)
	get(c.Source(t.Context(), TokenRequest{Client: "demo", Audience: "https://other.test/", Scopes: []string{"b", "a"}}), "token-0", 3)
	if want := []string{"", "min_validity=2h0m0s", "audience=https%3A%2F%2Fother.test%2F&scope=b+a"}; fmt.Sprint(s.gets) != fmt.Sprint(want) {
		t.Errorf("asked %q", s.gets)
	}
	if s.auth != "Bearer CANARY-key" {
		t.Errorf("sent %q", s.auth)
	}
	now = now.Add(59*time.Minute - time.Second)
	get(source, "token-0", 3)
	now = now.Add(time.Second)
	get(source, "token-0", 4)
	s.expiresIn = 20 // a tenth of a short life is held back
	now = now.Add(time.Hour)
	get(source, "token-0", 5)
	now = now.Add(17 * time.Second)
	get(source, "token-0", 5)
	now = now.Add(time.Second)
	get(source, "token-0", 6)
}

func TestSource_MinValidityIsHeldBack(t *testing.T) {
	s := &fakeService{expiresIn: 3600}
	now := time.Now()
	source := s.dial(t, func() time.Time { return now }).Source(t.Context(), TokenRequest{Client: "demo", MinValidity: 30 * time.Minute})
	for _, step := range []struct {
		after time.Duration
		asked int
	}{{0, 1}, {29 * time.Minute, 1}, {time.Minute, 2}} {
		now = now.Add(step.after)
		if _, err := source.Get(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if gets, _ := s.counts(); gets != step.asked {
			t.Errorf("%d requests, want %d", gets, step.asked)
		}
	}
}

func TestSource_RefusedTokenIsReplacedOnce(t *testing.T) {
	s := &fakeService{expiresIn: 3600}
	source := s.dial(t, nil).Source(t.Context(), TokenRequest{Client: "demo", Audience: "a", Scopes: []string{"b", "c"}})
	var all sync.WaitGroup
	if _, err := source.Get(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		all.Go(func() {
			if tok, err := source.Get(t.Context(), "token-0"); err != nil || tok.AccessToken != "token-1" {
				t.Errorf("%v, %v", tok, err)
			}
		})
	}
	all.Wait()
	if want := `[{"audience":"a","refused":"token-0","scope":"b c"}]`; fmt.Sprint(s.refreshes) != want {
		t.Errorf("asked %q, want %s", s.refreshes, want)
	}
}

// A provider may return the same access token within a second. Each refresh uses up a
// refresh token, so all callers share one.
func TestSource_RefreshThatReturnsTheSameTokenIsNotRepeated(t *testing.T) {
	var refreshes atomic.Int32
	s := &fakeService{}
	s.set(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			refreshes.Add(1)
		}
		reply(w, 200, map[string]any{"access_token": "token", "expires_in": 3600, "client": "demo"})
	})
	now := time.Now()
	source := s.dial(t, func() time.Time { return now }).Source(t.Context(), TokenRequest{Client: "demo"})
	for _, want := range []int32{1, 2} {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if tok, err := source.Get(t.Context(), "token"); err != nil || tok.AccessToken != "token" {
					t.Errorf("%v, %v", tok, err)
				}
			})
		}
		all.Wait()
		if n := refreshes.Load(); n != want {
			t.Errorf("%d refreshes, want %d", n, want)
		}
		now = now.Add(time.Minute)
	}
}

func TestSource_WaitsNoLongerThanItsContext(t *testing.T) {
	s := &fakeService{expiresIn: 3600}
	source := s.dial(t, nil).Source(t.Context(), TokenRequest{Client: "demo"})
	source.turn <- struct{}{} // another caller asks
	ctx, cancel := contextWithCancel(t)
	cancel()
	_, err := source.Get(ctx, "")
	wantError(t, err, CodeCanceled, "the request was canceled")
}

// A caller that gives up does not report an outage of the service.
func TestClient_EndOfTheCallersContext(t *testing.T) {
	s := &fakeService{}
	asked := make(chan struct{}, 2)
	s.set(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	})
	c := s.dial(t, nil)
	ctx, cancel := contextWithCancel(t)
	go func() { <-asked; cancel() }()
	_, err := c.Token(ctx, TokenRequest{Client: "demo"})
	wantError(t, err, CodeCanceled, "the request was canceled")
	if e := (*Error)(nil); errors.As(err, &e) && (e.Temporary() || e.Hint != "") {
		t.Errorf("temporary %t, hint %q", e.Temporary(), e.Hint)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v is not context.Canceled", err)
	}
	late, end := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer end()
	_, err = c.Token(late, TokenRequest{Client: "demo"})
	wantError(t, err, CodeUnreachable, "tokend does not answer in time")
	if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "tokend serve") {
		t.Error(err)
	}
}

// No verb of fmt and no handler of slog shows the token or the API key.
func TestNoSecretIsPrinted(t *testing.T) {
	s := &fakeService{}
	s.set(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, map[string]any{"access_token": "CANARY-access", "id_token": "CANARY-id", "client": "demo"})
	})
	c := s.dial(t, nil)
	token, err := c.Token(t.Context(), TokenRequest{Client: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	if raw := string(token.RawJSON()); !strings.Contains(raw, "CANARY-access") {
		t.Errorf("the answer is %s", raw)
	}
	source := c.Source(t.Context(), TokenRequest{Client: "demo"})
	if _, err := source.Token(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	logs := []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))}
	for _, v := range []any{token, *token, []Token{*token}, c, *c, struct{ c *Client }{c}, c.Service(), source, struct{ s *Source }{source}, &Transport{Source: source, fresh: "CANARY-fresh"}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			text := fmt.Sprintf(verb, v)
			for _, form := range []string{"CANARY", fmt.Sprintf("%x", "CANARY"), strings.Trim(fmt.Sprint([]byte("CANARY")), "[]")} {
				if strings.Contains(text, form) {
					t.Errorf("%s of %T: %s", verb, v, text)
				}
			}
		}
		for _, log := range logs {
			log.Info("x", "v", v)
		}
	}
	if strings.Contains(out.String(), "CANARY") {
		t.Errorf("log:\n%s", &out)
	}
}

func TestErrors(t *testing.T) {
	s := &fakeService{}
	c := s.dial(t, nil)
	problem := func(status int, body map[string]any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { reply(w, status, body) }
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		code   string
		part   string
		retry  time.Duration
	}{
		"login required": {problem(409, map[string]any{"error": "login_required", "error_description": "there is no grant", "hint": "tokend login demo"}), CodeLoginRequired, "login_required: there is no grant\nhint: tokend login demo", 0},
		"without hint":   {problem(409, map[string]any{"error": "login_required", "error_description": "x"}), CodeLoginRequired, "login_required: x", 0},
		"try again":      {problem(503, map[string]any{"error": "idp_unreachable", "error_description": "no", "retry_after": 7}), "idp_unreachable", "no", 7 * time.Second},
		"forever":        {problem(503, map[string]any{"error": "idp_unreachable", "error_description": "no", "retry_after": 1e9}), "idp_unreachable", "no", time.Hour},
		"no key":         {problem(401, map[string]any{"error": "unauthorized", "error_description": "no API key"}), CodeUnauthorized, "no API key", 0},
		"no client":      {problem(404, map[string]any{"error": "unknown_client", "error_description": "x"}), CodeUnknownClient, "", 0},
		"control":        {problem(500, map[string]any{"error": "a\nb", "error_description": "x\ny"}), "a b", "x y", 0},
		"not tokend":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502); _, _ = io.WriteString(w, "<html>") }, CodeNotTokend, "is not tokend", 0},
		"redirect":       {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", 307) }, CodeNotTokend, "is not tokend", 0},
		"no token":       {problem(200, map[string]any{"access_token": ""}), CodeNotTokend, "is not a token", 0},
		"two lines":      {problem(200, map[string]any{"access_token": "a\r\nX: b"}), CodeNotTokend, "control character", 0},
		"broken off":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, CodeUnreachable, "tokend does not answer", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s.set(tt.answer)
			_, err := c.Token(t.Context(), TokenRequest{Client: "demo"})
			e := wantError(t, err, tt.code, tt.part)
			if e.RetryAfter != tt.retry || strings.Contains(e.Error(), "CANARY") {
				t.Errorf("%v, retry after %v", e, e.RetryAfter)
			}
			if want := e.Status == 503 || tt.code == CodeUnreachable; e.Temporary() != want {
				t.Errorf("temporary: %v", e.Temporary())
			}
			if _, err := c.Source(t.Context(), TokenRequest{Client: "demo"}).Token(); err == nil {
				t.Error("the source returned a token")
			}
		})
	}
}

func TestNew_RefusesAddresses(t *testing.T) {
	for name, s := range map[string]Service{
		"no address":   {},
		"empty":        {Addrs: []string{""}},
		"two https":    {Addrs: []string{"https://tokend.example", "https://tokend2.example"}},
		"https, http":  {Addrs: []string{"http://127.0.0.1:1", "https://tokend.example"}},
		"https, path":  {Addrs: []string{"https://tokend.example/v1"}},
		"another host": {Addrs: []string{"http://tokend.example:1"}},
		"any host":     {Addrs: []string{"http://0.0.0.0:1"}},
		"other net":    {Addrs: []string{"http://127.0.0.2:1"}},
		"mapped":       {Addrs: []string{"http://[::ffff:127.0.0.1]:1"}},
		"path":         {Addrs: []string{"http://127.0.0.1:1/v1"}},
		"user":         {Addrs: []string{"http://CANARY@127.0.0.1:1"}},
		"query":        {Addrs: []string{"http://127.0.0.1:1?CANARY"}},
		"second":       {Addrs: []string{"http://127.0.0.1:1", "http://example.com"}},
		"no socket":    {Addrs: []string{"unix:"}},
		"no socket //": {Addrs: []string{"unix://"}},
		"two lines":    {Addrs: []string{"http://127.0.0.1:1"}, Key: "CANARY\nCANARY"},
		"no ASCII":     {Addrs: []string{"http://127.0.0.1:1"}, Key: "CANARYé"},
		"two keys":     {Addrs: []string{"http://127.0.0.1:1"}, Key: "CANARY", KeyFile: "f"},
	} {
		_, err := New(s)
		if e := wantError(t, err, CodeAddress, "hint: "); strings.Contains(e.Error(), "CANARY") {
			t.Errorf("%s: %v", name, e)
		}
	}
}

func TestNew_KeyWithANewline(t *testing.T) {
	s := &fakeService{expiresIn: 60}
	srv := httptest.NewServer(s)
	defer srv.Close()
	c, err := New(Service{Addrs: []string{srv.URL}, Key: "CANARY-key\n"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Token(t.Context(), TokenRequest{Client: "demo"}); err != nil || s.auth != "Bearer CANARY-key" {
		t.Errorf("%v, %q", err, s.auth)
	}
}

// Neither a proxy nor a redirect target gets what is for tokend.
func TestClient_StaysOnThisMachine(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	t.Setenv("http_proxy", other.URL)
	t.Setenv("HTTP_PROXY", other.URL)
	s := &fakeService{answer: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, 307) }}
	c := s.dial(t, nil)
	if tr, ok := c.http.Transport.(*http.Transport); !ok || tr.Proxy != nil {
		t.Error("the transport uses a proxy")
	}
	_, err := c.Token(t.Context(), TokenRequest{Client: "demo"})
	wantError(t, err, CodeNotTokend, "")
	if elsewhere.Load() != 0 {
		t.Error("followed a redirect")
	}
}

func TestClient_OverSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "tokend")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: &fakeService{expiresIn: 60}}}
	srv.Start()
	defer srv.Close()
	t.Setenv("TOKEND_API_KEY", "")
	for _, addr := range []string{"unix:" + l.Addr().String(), "unix://" + l.Addr().String()} {
		c, err := Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		tok, err := oauth2.ReuseTokenSource(nil, c.Source(t.Context(), TokenRequest{Client: "demo"})).Token()
		if err != nil || tok.AccessToken != "token-0" || tok.Extra("scope") != "read" || time.Until(tok.Expiry) > time.Minute {
			t.Errorf("%s: %v, %v", addr, tok, err)
		}
		c.Close()
	}
	c, err := New(Service{Addrs: []string{"unix:" + filepath.Join(dir, "nothing")}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Token(t.Context(), TokenRequest{Client: "demo"})
	wantError(t, err, CodeUnreachable, "hint: start it")
	if !NotListening(err) {
		t.Errorf("%v does not say that nothing listens", err)
	}
}

func TestClient_UsesTheFirstAddressThatAnswers(t *testing.T) {
	srv := httptest.NewServer(&fakeService{})
	defer srv.Close()
	c, err := New(Service{Addrs: []string{"unix:/nonexistent/s", srv.URL}})
	if err != nil || c.BaseURL() != srv.URL {
		t.Fatalf("%v, %v", c, err)
	}
	defer c.Close()
	if _, err := c.Token(t.Context(), TokenRequest{Client: "demo"}); err != nil {
		t.Error(err)
	}
	if c, err := New(Service{Addrs: []string{"unix:/s"}}); err != nil || c.BaseURL() != "http://localhost" {
		t.Errorf("%v, %v", c, err)
	}
}

// An address that is tried first is named, too: it may be the one that is wrong.
func TestClient_NamesEachAddressThatDoesNotAnswer(t *testing.T) {
	srv := httptest.NewServer(nil)
	addr := srv.Listener.Addr().String()
	srv.Close()
	socket := filepath.Join(t.TempDir(), "s")
	for _, tt := range []struct {
		addrs []string
		want  string
	}{
		{[]string{"unix:" + socket, "http://" + addr}, "tokend does not answer: dial unix " + socket + ": connect: no such file or directory; dial tcp " + addr + ": connect: connection refused"},
		{[]string{"http://" + addr}, "tokend does not answer: dial tcp " + addr + ": connect: connection refused"},
	} {
		c, err := New(Service{Addrs: tt.addrs})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Health(t.Context())
		if e := wantError(t, err, CodeUnreachable, "hint: start it"); e.Description != tt.want || !NotListening(err) {
			t.Errorf("%s, want %s", e.Description, tt.want)
		}
	}
}

// Every call says that an answer is not what it asked for.
func TestCalls_AnswerIsSomethingElse(t *testing.T) {
	s := &fakeService{}
	c := s.dial(t, nil)
	for name, call := range map[string]func() error{
		"health":   func() error { _, err := c.Health(t.Context()); return err },
		"clients":  func() error { _, err := c.Clients(t.Context()); return err },
		"info":     func() error { _, err := c.Info(t.Context()); return err },
		"status":   func() error { _, err := c.Status(t.Context(), "demo"); return err },
		"login":    func() error { _, err := c.Login(t.Context(), "demo"); return err },
		"headless": func() error { _, err := c.LoginHeadless(t.Context(), "demo"); return err },
		"refresh":  func() error { _, err := c.Refresh(t.Context(), RefreshRequest{Client: "demo"}); return err },
		"token":    func() error { _, err := c.Token(t.Context(), TokenRequest{Client: "demo"}); return err },
		"actions":  func() error { _, err := c.ActionsIDToken(t.Context(), "demo", "x"); return err },
	} {
		for _, body := range []string{`{}`, `[]`, `"x"`, `<html>`, ``} {
			s.set(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
			if e := wantError(t, call(), CodeNotTokend, " is not "); e.Hint == "" {
				t.Errorf("%s, %q: no hint", name, body)
			}
		}
		s.set(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"error":"x"`)
		})
		wantError(t, call(), CodeUnreachable, "unexpected EOF")
	}
}

func TestCalls_SendWhatTheAPITakes(t *testing.T) {
	var got string
	s := &fakeService{}
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		got = r.Method + " " + r.URL.RequestURI()
		reply(w, 409, map[string]string{"error": "x"})
	}
	c := s.dial(t, nil)
	for want, call := range map[string]func() error{
		"GET /v1/clients":                func() error { _, err := c.Clients(t.Context()); return err },
		"GET /v1/service":                func() error { _, err := c.Info(t.Context()); return err },
		"GET /v1/clients/a%2Fb":          func() error { _, err := c.Status(t.Context(), "a/b"); return err },
		"POST /v1/clients/demo/login":    func() error { _, err := c.Login(t.Context(), "demo"); return err },
		"POST /v1/clients/demo/code":     func() error { _, err := c.Finish(t.Context(), "demo", "http://x/"); return err },
		"POST /v1/clients/demo/resume":   func() error { _, err := c.Resume(t.Context(), "demo"); return err },
		"DELETE /v1/clients/demo/grant":  func() error { _, err := c.Logout(t.Context(), "demo"); return err },
		"POST /v1/clients/other/refresh": func() error { _, err := c.Refresh(t.Context(), RefreshRequest{Client: "other"}); return err },
		"GET /v1/clients/demo/token?audience=a&id_token=true&min_validity=1m0s&scope=b+c": func() error {
			_, err := c.Token(t.Context(), TokenRequest{Client: "demo", MinValidity: time.Minute, Audience: "a", Scopes: []string{"b", "c"}, IDToken: true})
			return err
		},
		"GET /v1/clients/demo/actions-id-token?api-version=2.0&audience=x": func() error { _, err := c.ActionsIDToken(t.Context(), "demo", "x"); return err },
	} {
		if wantError(t, call(), "x", ""); got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
	}
}
