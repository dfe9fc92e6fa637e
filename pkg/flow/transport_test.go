package flow

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// roundTrip is a RoundTripper that is a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// says returns an answer of an API; closed counts the Close calls of its body.
func says(r *http.Request, status int, closed *atomic.Int32, headers ...string) *http.Response {
	w := httptest.NewRecorder()
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		w.Header().Set(name, value)
	}
	w.WriteHeader(status)
	resp := w.Result()
	resp.Request = r
	resp.Body = &watched{ReadCloser: resp.Body, closed: closed}
	return resp
}

type watched struct {
	io.ReadCloser
	closed *atomic.Int32
}

func (w *watched) Close() error { w.closed.Add(1); return w.ReadCloser.Close() }

// api accepts one token and rejects all others; it records what it gets.
type api struct {
	mu     sync.Mutex
	takes  string
	seen   []string // tokens
	bodies []string
	status int    // of a rejection; 0: 401
	header string // of a rejection
	unread bool   // a rejection does not read the body
	closed atomic.Int32
}

func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	a.mu.Lock()
	a.seen = append(a.seen, token)
	good := token == a.takes
	a.mu.Unlock()
	if r.Body != nil {
		defer func() { _ = r.Body.Close() }()
		if good || !a.unread {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			a.mu.Lock()
			a.bodies = append(a.bodies, string(b))
			a.mu.Unlock()
		}
	}
	if good {
		return says(r, 200, &a.closed), nil
	}
	status := a.status
	if status == 0 {
		status = 401
	}
	return says(r, status, &a.closed, a.header), nil
}

func upstreams(raw ...string) []*url.URL {
	var list []*url.URL
	for _, r := range raw {
		u, err := ParseUpstream(r, false)
		if err != nil {
			panic(err)
		}
		list = append(list, u)
	}
	return list
}

func (a *api) transport(source Getter) *Transport {
	return &Transport{Source: source, Upstreams: upstreams("https://api.test/v1"), Base: a}
}

func send(t *testing.T, tr http.RoundTripper, method, target string, body io.Reader) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	return tr.RoundTrip(req)
}

func TestTransport_DoesNotChangeRequest(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		a := &api{takes: "at-2"}
		req := httptest.NewRequest("GET", "https://api.test/v1/x", nil)
		req.Header.Set("Authorization", "Bearer of the caller")
		req.Header.Set("X-Kept", "1")
		resp, err := a.transport(s.loggedIn(t, nil)).RoundTrip(req)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v, %v", resp, err)
		}
		if req.Header.Get("Authorization") != "Bearer of the caller" || len(req.Header) != 2 {
			t.Errorf("the request was changed: %v", req.Header)
		}
	})
}

// A 401 is retried once, with the body, and only if that can be sent again.
func TestTransport_RetriesOnce(t *testing.T) {
	const bound = maxReplay
	for name, c := range map[string]struct {
		body   func() io.Reader
		unread bool // the API rejects before it has read the body
		size   int
		passed bool // the 401 is returned
	}{
		"no body":              {body: func() io.Reader { return nil }},
		"GetBody":              {body: func() io.Reader { return strings.NewReader(strings.Repeat("x", bound+1)) }, size: bound + 1},
		"stream":               {body: func() io.Reader { return io.MultiReader(strings.NewReader("one"), strings.NewReader("two")) }, size: 6},
		"stream of the bound":  {body: func() io.Reader { return io.MultiReader(strings.NewReader(strings.Repeat("x", bound))) }, size: bound},
		"stream beyond it":     {body: func() io.Reader { return io.MultiReader(strings.NewReader(strings.Repeat("x", bound+1))) }, size: bound + 1, passed: true},
		"long stream not read": {body: func() io.Reader { return io.MultiReader(strings.NewReader(strings.Repeat("x", 9*bound))) }, size: 9 * bound, unread: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				a := &api{takes: "at-3", unread: c.unread}
				resp, err := send(t, a.transport(s.loggedIn(t, nil)), "POST", "https://api.test/v1/x", c.body())
				if err != nil {
					t.Fatal(err)
				}
				if c.passed {
					if resp.StatusCode != 401 || s.count("refresh_token") != 0 || len(a.seen) != 1 || a.closed.Load() != 0 {
						t.Errorf("status %d after %d refreshes, %d requests, %d bodies closed", resp.StatusCode, s.count("refresh_token"), len(a.seen), a.closed.Load())
					}
					return
				}
				if resp.StatusCode != 200 || s.count("refresh_token") != 1 || len(a.seen) != 2 {
					t.Errorf("status %d after %d refreshes, tokens %q", resp.StatusCode, s.count("refresh_token"), a.seen)
				}
				if a.closed.Load() != 1 {
					t.Error("the first answer was not closed")
				}
				for _, b := range a.bodies {
					if len(b) != c.size {
						t.Errorf("a body of %d bytes, not %d", len(b), c.size)
					}
				}
			})
		})
	}
}

func TestTransport_ReturnsOtherAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		api                 *api
		refreshes, requests int
	}{
		"a second 401":              {&api{}, 1, 2},
		"403":                       {&api{status: 403}, 0, 1},
		"insufficient_scope":        {&api{header: `WWW-Authenticate: Bearer realm="api", error="insufficient_scope", scope="write"`}, 0, 1},
		"insufficient_scope, bare":  {&api{header: `WWW-Authenticate: Bearer error=insufficient_scope`}, 0, 1},
		"a word of the description": {&api{header: `WWW-Authenticate: Bearer error="invalid_token", error_description="not insufficient_scope"`}, 1, 2},
		"invalid_token is retried":  {&api{header: `WWW-Authenticate: Bearer error="invalid_token"`}, 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				want := c.api.status
				if want == 0 {
					want = 401
				}
				resp, err := send(t, c.api.transport(s.loggedIn(t, nil)), "GET", "https://api.test/v1/x", nil)
				if err != nil || resp.StatusCode != want || s.count("refresh_token") != c.refreshes || len(c.api.seen) != c.requests {
					t.Errorf("%v, %v after %d refreshes and %d requests", resp, err, s.count("refresh_token"), len(c.api.seen))
				}
			})
		})
	}
}

// An API that rejects every token costs one refresh a minute.
func TestTransport_EveryTokenRejected_OneRefreshAMinute(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		a := &api{}
		tr := a.transport(s.loggedIn(t, nil))
		for range 50 {
			if resp, err := send(t, tr, "GET", "https://api.test/v1/x", nil); err != nil || resp.StatusCode != 401 {
				t.Fatalf("%v, %v", resp, err)
			}
			time.Sleep(time.Second)
		}
		if n := s.count("refresh_token"); n != 1 {
			t.Errorf("%d refreshes in 50 s", n)
		}
		time.Sleep(time.Minute)
		a.takes = "at-4"
		if resp, err := send(t, tr, "GET", "https://api.test/v1/x", nil); err != nil || resp.StatusCode != 200 {
			t.Errorf("a minute later: %v, %v", resp, err)
		}
		time.Sleep(30 * time.Minute) // at-4 may be replaced again when it is revoked
		a.takes = "at-6"
		for range 2 {
			_, _ = send(t, tr, "GET", "https://api.test/v1/x", nil)
		}
		if resp, err := send(t, tr, "GET", "https://api.test/v1/x", nil); err != nil || resp.StatusCode != 401 || s.count("refresh_token") != 3 {
			t.Errorf("%v, %v after %d refreshes", resp, err, s.count("refresh_token"))
		}
	})
}

// An API that accepts a token once and then rejects it also costs one refresh a
// minute, because each refresh uses up a refresh token and counts against the
// provider's limits.
func TestTransport_TokenAcceptedOnce_OneRefreshAMinute(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		used := map[string]bool{}
		a := &api{}
		tr := a.transport(s.loggedIn(t, nil))
		tr.Base = roundTrip(func(r *http.Request) (*http.Response, error) {
			token := r.Header.Get("Authorization")
			if used[token] {
				return says(r, 401, &a.closed), nil
			}
			used[token] = true
			return says(r, 200, &a.closed), nil
		})
		for range 120 {
			if _, err := send(t, tr, "GET", "https://api.test/v1/x", nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := s.count("refresh_token"); n != 2 {
			t.Errorf("%d refreshes in two minutes", n)
		}
	})
}

// A hundred requests that are rejected with one token share one refresh.
func TestTransport_SharesRefresh(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		const callers = 100
		a := &api{takes: "at-3"}
		var refused sync.WaitGroup
		refused.Add(callers)
		tr := a.transport(s.loggedIn(t, nil))
		tr.Base = roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := a.RoundTrip(r)
			if resp != nil && resp.StatusCode == 401 {
				refused.Done()
				refused.Wait() // all were sent with the same token
			}
			return resp, err
		})
		var done sync.WaitGroup
		for range callers {
			done.Go(func() {
				resp, err := send(t, tr, "GET", "https://api.test/v1/x", nil)
				if err != nil || resp.StatusCode != 200 {
					t.Errorf("%v, %v", resp, err)
				}
			})
		}
		done.Wait()
		if n := s.count("refresh_token"); n != 1 {
			t.Errorf("%d refreshes", n)
		}
	})
}

// A 401 for an older token than the current one causes no refresh.
func TestTransport_RetriesWithNewerToken(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		a := &api{takes: "at-3"}
		tr := a.transport(c)
		slow := make(chan struct{})
		tr.Base = roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Authorization") == "Bearer at-2" {
				<-slow
			}
			return a.RoundTrip(r)
		})
		ended := make(chan int, 1)
		go func() {
			resp, err := send(t, tr, "GET", "https://api.test/v1/x", nil)
			if err != nil {
				t.Error(err)
			}
			ended <- resp.StatusCode
		}()
		synctest.Wait()
		if _, err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		close(slow)
		if status := <-ended; status != 200 || s.count("refresh_token") != 1 {
			t.Errorf("status %d after %d refreshes", status, s.count("refresh_token"))
		}
	})
}

// If the newer token is rejected as well, the next request refreshes it.
func TestTransport_NewerTokenRejected(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		a := &api{takes: "at-4"}
		tr := a.transport(c)
		slow := make(chan struct{})
		tr.Base = roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Authorization") == "Bearer at-2" {
				<-slow
			}
			return a.RoundTrip(r)
		})
		var all sync.WaitGroup
		all.Go(func() {
			if resp, err := send(t, tr, "GET", "https://api.test/v1/x", nil); err != nil || resp.StatusCode != 401 {
				t.Errorf("%v, %v", resp, err)
			}
		})
		synctest.Wait()
		if _, err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		close(slow)
		all.Wait()
		if resp, err := send(t, tr, "GET", "https://api.test/v1/x", nil); err != nil || resp.StatusCode != 200 || s.count("refresh_token") != 2 {
			t.Errorf("%v, %v after %d refreshes", resp, err, s.count("refresh_token"))
		}
	})
}

// If there is no other token, the error is returned.
func TestTransport_RefreshFails(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		a := &api{}
		tr := a.transport(s.loggedIn(t, nil))
		s.keep(refuse(403, "invalid_grant"))
		body := &watched{ReadCloser: io.NopCloser(strings.NewReader("x")), closed: new(atomic.Int32)}
		resp, err := send(t, tr, "POST", "https://api.test/v1/x", body)
		if resp != nil || !errors.Is(err, ErrLogin) || a.closed.Load() != 1 || body.closed.Load() != 1 {
			t.Errorf("%v, %v; answers closed %d, bodies closed %d", resp, err, a.closed.Load(), body.closed.Load())
		}
	})
}
