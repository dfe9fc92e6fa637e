package flow

import (
	"encoding/json"
	"fmt"
	"io"
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

	"golang.org/x/oauth2"
)

// service answers as tokend does, with tokens that are numbered.
type service struct {
	mu        sync.Mutex
	n         int
	expiresIn int
	gets      []string // queries
	refreshes []string // bodies
	key       string
	fail      http.HandlerFunc
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	s.key = r.Header.Get("Authorization")
	switch {
	case s.fail != nil:
		s.fail(w, r)
	case r.Method == "GET" && r.URL.Path == "/v1/clients/demo/token":
		s.gets = append(s.gets, r.URL.RawQuery)
		reply(w, 200, map[string]any{
			"access_token": fmt.Sprint("token-", s.n), "token_type": "Bearer", "expires_in": s.expiresIn, "scope": "read", "client": "demo",
		})
	case r.Method == "POST" && r.URL.Path == "/v1/clients/demo/refresh":
		var in map[string]string
		if err := json.Unmarshal(body, &in); err != nil {
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

func (s *service) counts() (gets, refreshes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.gets), len(s.refreshes)
}

// remote is a Remote of s, over TCP.
func (s *service) remote(t testing.TB, now func() time.Time) *Remote {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	r, err := NewRemote(RemoteConfig{Client: "demo", Addr: srv.URL, Key: "CANARY-key", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func TestRemoteKeepsTokens(t *testing.T) {
	s := &service{expiresIn: 3600}
	now := time.Now()
	r := s.remote(t, func() time.Time { return now })
	get := func(q Request, want string, asked int) {
		t.Helper()
		tok, err := r.Get(t.Context(), q)
		if gets, _ := s.counts(); err != nil || tok.AccessToken != Secret(want) || gets != asked {
			t.Errorf("%v, %v after %d requests, want %s after %d", tok, err, gets, want, asked)
		}
	}
	get(Request{}, "token-0", 1)
	get(Request{}, "token-0", 1)
	get(Request{MinValidity: 30 * time.Minute}, "token-0", 1)
	get(Request{MinValidity: 2 * time.Hour}, "token-0", 2) // tokend decides what that is worth
	get(Request{Audience: "https://other.test/", Scopes: []string{"b", "a"}}, "token-0", 3)
	get(Request{Audience: "https://other.test/", Scopes: []string{"a", "b", "a"}}, "token-0", 3)
	if want := []string{"", "min_validity=2h0m0s", "audience=https%3A%2F%2Fother.test%2F&scope=b+a"}; fmt.Sprint(s.gets) != fmt.Sprint(want) {
		t.Errorf("asked %q", s.gets)
	}
	if s.key != "Bearer CANARY-key" {
		t.Errorf("sent %q", s.key)
	}
	now = now.Add(59*time.Minute - time.Second)
	get(Request{}, "token-0", 3)
	now = now.Add(time.Second)
	get(Request{}, "token-0", 4)
	s.expiresIn = 20 // a tenth of a short life is kept back
	now = now.Add(time.Hour)
	get(Request{}, "token-0", 5)
	now = now.Add(17 * time.Second)
	get(Request{}, "token-0", 5)
	now = now.Add(time.Second)
	get(Request{}, "token-0", 6)
}

func TestRemoteForced(t *testing.T) {
	s := &service{expiresIn: 3600}
	r := s.remote(t, nil)
	for _, c := range []struct {
		q    Request
		want Secret
	}{
		{Request{}, "token-0"},
		{Request{Force: true}, "token-1"},
		{Request{Not: "token-0"}, "token-1"},
		{Request{Not: "token-1"}, "token-2"},
		{Request{Not: "token-1", Audience: "a", Scopes: []string{"b", "c"}}, "token-2"},
	} {
		if tok, err := r.Get(t.Context(), c.q); err != nil || tok.AccessToken != c.want {
			t.Errorf("%+v: %v, %v", c.q, tok, err)
		}
	}
	if want := []string{`{}`, `{"refused":"token-1"}`, `{"audience":"a","refused":"token-1","scope":"b c"}`}; fmt.Sprint(s.refreshes) != fmt.Sprint(want) {
		t.Errorf("asked %q", s.refreshes)
	}
}

// A hundred 401s behind one Remote are one refresh.
func TestRemoteCoalesces(t *testing.T) {
	s := &service{expiresIn: 3600}
	var asked atomic.Int32 // how often the token in memory was looked at
	r := s.remote(t, func() time.Time { asked.Add(1); return time.Now() })
	if _, err := r.Get(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct { // in this order: after a refresh token-0 is an old one
		name string
		q    Request
	}{{"refused", Request{Not: "token-0"}}, {"forced", Request{Force: true}}} {
		name, q := c.name, c.q
		_, before := s.counts()
		asked.Store(0)
		s.mu.Lock() // nobody is answered before all have asked
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if _, err := r.Get(t.Context(), q); err != nil {
					t.Error(err)
				}
			})
		}
		enough := int32(101) // each of them once, and once more who has the turn
		if q.Not != "" {
			enough = 0 // it does not matter when they come
		}
		for asked.Load() < enough {
			time.Sleep(time.Millisecond)
		}
		s.mu.Unlock()
		all.Wait()
		if _, n := s.counts(); n != before+1 {
			t.Errorf("%s: %d refreshes", name, n-before)
		}
	}
}

// What comes of a Transport over a Remote is one refresh for all, too.
func TestTransportOverRemote(t *testing.T) {
	s := &service{expiresIn: 3600}
	r := s.remote(t, nil)
	a := &api{takes: "token-1"}
	tr := a.transport(r)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			resp, err := send(t, tr, "GET", "https://api.test/v1/", nil)
			if err != nil || resp.StatusCode != 200 {
				t.Errorf("%v, %v", resp, err)
			}
		})
	}
	all.Wait()
	if _, n := s.counts(); n != 1 {
		t.Errorf("%d refreshes", n)
	}
}

func TestRemoteErrors(t *testing.T) {
	s := &service{}
	r := s.remote(t, nil)
	problem := func(status int, body map[string]any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { reply(w, status, body) }
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		class  Class
		part   string
		retry  time.Duration
	}{
		"login required": {problem(409, map[string]any{"error": "login_required", "error_description": "there is no grant"}), ClassLoginRequired, "there is no grant\nhint: log in", 0},
		"headless":       {problem(409, map[string]any{"error": "login_required", "error_description": "x", "login": "headless", "client": "demo", "authorize_url": "https://t.test/a"}), ClassLoginRequired, "hint: tokend login demo", 0},
		"at a page":      {problem(409, map[string]any{"error": "login_required", "error_description": "x; hint: y", "login": "headless", "remedy": "browser", "authorize_url": "https://t.test/a"}), ClassLoginRequired, "hint: log in at https://t.test/a", 0},
		"seed":           {problem(409, map[string]any{"error": "login_required", "error_description": "x; hint: give another", "login": "headless", "remedy": "setting"}), ClassLoginRequired, "x\nhint: give another", 0},
		"login URL":      {problem(409, map[string]any{"error": "login_required", "error_description": "x", "authorize_url": "https://t.test/a?b&c"}), ClassLoginRequired, "hint: log in at https://t.test/a?b&c", 0},
		"try again":      {problem(503, map[string]any{"error": "idp_unreachable", "error_description": "no", "retry_after": 7}), ClassUnreachable, "no", 7 * time.Second},
		"no key":         {problem(401, map[string]any{"error": "unauthorized", "error_description": "no caller key"}), "unauthorized", "no caller key", 0},
		"no client":      {problem(404, map[string]any{"error": "unknown_client", "error_description": "x"}), "unknown_client", "", 0},
		"control":        {problem(500, map[string]any{"error": "a\nb", "error_description": "x\ny"}), "a?b", "x?y", 0},
		"not tokend":     {raw(502, "text/html", "<html>").only(), ClassBadResponse, "not tokend", 0},
		"redirect":       {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", 307) }, ClassBadResponse, "not tokend", 0},
		"no token":       {problem(200, map[string]any{"access_token": ""}), ClassBadResponse, "holds no token", 0},
		"two lines":      {problem(200, map[string]any{"access_token": "a\r\nX: b"}), ClassBadResponse, "holds no token", 0},
		"broken off":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ClassService, "tokend does not answer", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s.mu.Lock()
			s.fail = c.answer
			s.mu.Unlock()
			_, err := r.Get(t.Context(), Request{})
			e := wantError(t, err, c.class, c.part)
			if e.RetryAfter != c.retry || strings.Contains(e.Error(), "CANARY") {
				t.Errorf("%v, retry after %v", e, e.RetryAfter)
			}
			if _, err := r.Token(); err == nil {
				t.Error("a token all the same")
			}
		})
	}
}

// only makes a script a handler.
func (h handler) only() http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { h(w, r, nil) }
}

func TestRemoteConfig(t *testing.T) {
	for name, c := range map[string]RemoteConfig{
		"no client":    {Addr: "http://127.0.0.1:1"},
		"no address":   {Client: "demo"},
		"https":        {Client: "demo", Addr: "https://127.0.0.1:1"},
		"another host": {Client: "demo", Addr: "http://tokend.example:1"},
		"any host":     {Client: "demo", Addr: "http://0.0.0.0:1"},
		"other net":    {Client: "demo", Addr: "http://127.0.0.2:1"},
		"mapped":       {Client: "demo", Addr: "http://[::ffff:127.0.0.1]:1"},
		"path":         {Client: "demo", Addr: "http://127.0.0.1:1/v1"},
		"user":         {Client: "demo", Addr: "http://CANARY@127.0.0.1:1"},
		"query":        {Client: "demo", Addr: "http://127.0.0.1:1?CANARY"},
	} {
		_, err := NewRemote(c)
		if e := wantError(t, err, ClassConfig, "hint: "); strings.Contains(e.Error(), "CANARY") {
			t.Errorf("%s: %v", name, e)
		}
	}
}

// Neither a proxy nor another host gets what is for tokend.
func TestRemoteStaysHere(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	t.Setenv("http_proxy", other.URL)
	t.Setenv("HTTP_PROXY", other.URL)
	s := &service{fail: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, 307) }}
	r := s.remote(t, nil)
	if tr, ok := r.http.Transport.(*http.Transport); !ok || tr.Proxy != nil {
		t.Error("the transport asks for a proxy")
	}
	_, err := r.Get(t.Context(), Request{})
	wantError(t, err, ClassBadResponse, "")
	if elsewhere.Load() != 0 {
		t.Error("followed a redirect")
	}
}

func TestRemoteOverSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "flow")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: &service{expiresIn: 60}}}
	srv.Start()
	defer srv.Close()
	for _, addr := range []string{"unix:" + l.Addr().String(), "unix://" + l.Addr().String()} {
		r, err := NewRemote(RemoteConfig{Client: "demo", Addr: addr})
		if err != nil {
			t.Fatal(err)
		}
		tok, err := oauth2.ReuseTokenSource(nil, r).Token()
		if err != nil || tok.AccessToken != "token-0" || tok.Extra("scope") != "read" || time.Until(tok.Expiry) > time.Minute {
			t.Errorf("%s: %v, %v", addr, tok, err)
		}
		r.Close()
	}
	r, err := NewRemote(RemoteConfig{Client: "demo", Addr: "unix:" + filepath.Join(dir, "nothing")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Get(t.Context(), Request{})
	wantError(t, err, ClassService, "hint: start it")
}

func TestLocalClientTakesWhatAnswers(t *testing.T) {
	srv := httptest.NewServer(&service{})
	defer srv.Close()
	c, base, err := LocalClient("unix:/nonexistent/s", srv.URL)
	if err != nil || base != srv.URL {
		t.Fatalf("%s, %v", base, err)
	}
	defer c.CloseIdleConnections()
	resp, err := c.Get(base + "/v1/clients/demo/token")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if c, base, err := LocalClient(); err != nil || base != "http://localhost" {
		t.Errorf("%s, %v", base, err)
	} else if _, err := c.Get(base); err == nil {
		t.Error("an answer from nowhere")
	}
}
