package tokend

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeAPI accepts one token and records what it was sent.
type fakeAPI struct {
	mu        sync.Mutex
	accepts   string
	challenge string
	bodies    []string
	tokens    []string
}

func (a *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	a.bodies, a.tokens = append(a.bodies, string(body)), append(a.tokens, token)
	if token != a.accepts {
		w.Header().Set("WWW-Authenticate", a.challenge)
		w.WriteHeader(401)
	}
}

func (a *fakeAPI) start(t *testing.T, s *fakeService, now func() time.Time) (*Transport, string) {
	t.Helper()
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	return &Transport{Source: s.dial(t, now).Source(t.Context(), TokenRequest{Client: "demo"}), Origins: []string{srv.URL}, Base: base}, srv.URL
}

func send(t *testing.T, tr *Transport, method, url string, body io.Reader) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer of-the-caller")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if req.Header.Get("Authorization") != "Bearer of-the-caller" {
		t.Error("the request was changed")
	}
	return resp.StatusCode, nil
}

func TestTransport_ReplacesRefusedTokenOnceForAll(t *testing.T) {
	s := &fakeService{expiresIn: 3600}
	a := &fakeAPI{accepts: "token-1"}
	tr, url := a.start(t, s, nil)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if status, err := send(t, tr, "POST", url, strings.NewReader("body")); err != nil || status != 200 {
				t.Errorf("%d, %v", status, err)
			}
		})
	}
	all.Wait()
	if _, n := s.counts(); n != 1 {
		t.Errorf("%d refreshes", n)
	}
	for _, body := range a.bodies {
		if body != "body" {
			t.Errorf("sent %q", body)
		}
	}
}

func TestTransport_RefusalsCostOneRefreshAMinute(t *testing.T) {
	s := &fakeService{expiresIn: 3600}
	a := &fakeAPI{accepts: "nothing"}
	now := time.Now()
	tr, url := a.start(t, s, func() time.Time { return now })
	for i, want := range []int{1, 1, 1, 2} {
		if i == 3 {
			now = now.Add(time.Minute)
		}
		if status, err := send(t, tr, "GET", url, nil); err != nil || status != 401 {
			t.Errorf("%d, %v", status, err)
		}
		if _, n := s.counts(); n != want {
			t.Errorf("request %d: %d refreshes, want %d", i, n, want)
		}
	}
}

func TestTransport_401IsTheAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		challenge string
		body      io.Reader
	}{
		"insufficient_scope":        {`Bearer error="insufficient_scope", scope="write"`, nil},
		"a body that is sent once":  {"Bearer", io.MultiReader(strings.NewReader("once"))},
		"insufficient_scope, plain": {`Bearer realm="x",error=insufficient_scope`, bytes.NewReader(nil)},
	} {
		s := &fakeService{expiresIn: 3600}
		a := &fakeAPI{accepts: "token-1", challenge: tt.challenge}
		tr, url := a.start(t, s, nil)
		if status, err := send(t, tr, "POST", url, tt.body); err != nil || status != 401 {
			t.Errorf("%s: %d, %v", name, status, err)
		}
		if _, n := s.counts(); n != 0 {
			t.Errorf("%s: %d refreshes", name, n)
		}
	}
}

func TestTransport_OtherOriginsGetNothing(t *testing.T) {
	s := &fakeService{expiresIn: 3600}
	a := &fakeAPI{accepts: "token-0"}
	tr, url := a.start(t, s, nil)
	var sent int
	tr.Base = roundTripper(func(*http.Request) (*http.Response, error) {
		sent++
		return nil, errors.New("sent")
	})
	tr.Origins = []string{url, "https://api.example.com", "not a url\x7f", "/path", "http://plain.example", "https://more.example/v1", "https://user@more.example", "https://more.example?x"}
	for _, target := range []string{
		"https://api.example.com.evil.example/", "http://api.example.com/", "https://api.example.com:444/", "https://example.com/", "https://api.example.com@evil.example/",
		"http://plain.example/", "https://more.example/v1/x",
	} {
		_, err := send(t, tr, "GET", target, nil)
		if e := (*OriginError)(nil); !errors.As(err, &e) || strings.HasPrefix(target, "http:") != strings.Contains(err.Error(), "use https") {
			t.Errorf("%s: %v", target, err)
		}
	}
	if gets, _ := s.counts(); sent != 0 || gets != 0 {
		t.Errorf("%d requests were sent, %d tokens asked for", sent, gets)
	}
	for _, target := range []string{"https://api.example.com:443/x", "HTTPS://API.example.com/"} {
		if _, err := send(t, tr, "GET", target, nil); err == nil || err.Error() != "sent" {
			t.Errorf("%s: %v", target, err)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
