package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	good  = `{"access_token":"secret-token","token_type":"Bearer","expires_in":60,"expires_at":"2026-01-02T03:04:05Z","min_validity_satisfied":true}`
	retry = `{"error":"lease_busy","error_description":"another process is changing the grant","retry_after":%d}`
)

// serve starts a tokend that answers with the texts in order, and repeats the last one: a 503, or 500 where one begins so.
func serve(t *testing.T, answers ...string) (*httptest.Server, *int) {
	t.Helper()
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer := answers[min(n, len(answers)-1)]
		n++
		if rest, ok := strings.CutPrefix(answer, "500 "); ok {
			answer = rest
			w.WriteHeader(http.StatusInternalServerError)
		} else if answer != good {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(s.Close)
	return s, &n
}

// TestRetry: a 503 is retried after its retry_after, for a minute in total.
func TestRetry(t *testing.T) {
	after := func(seconds int) string { return fmt.Sprintf(retry, seconds) }
	tests := []struct {
		name    string
		answers []string
		stop    error // of the wait
		waits   []time.Duration
		asked   int
		fails   bool
	}{
		{"at once", []string{good}, nil, nil, 1, false},
		{"after two", []string{after(1), after(7), good}, nil, []time.Duration{time.Second, 7 * time.Second}, 3, false},
		{"exactly a minute", []string{after(60), good}, nil, []time.Duration{time.Minute}, 2, false},
		{"too long", []string{after(61), good}, nil, nil, 1, true},
		{"too long in all", []string{after(40)}, nil, []time.Duration{40 * time.Second}, 2, true},
		{"interrupted", []string{after(1)}, context.Canceled, []time.Duration{time.Second}, 1, true},
		{"it does not say when", []string{after(0)}, nil, nil, 1, true},
		{"another status", []string{"500 " + after(1), good}, nil, nil, 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv, asked := serve(t, tt.answers...)
			var waits []time.Duration
			s, err := Find(Options{Endpoint: srv.URL, Getenv: vars{}.get, Wait: func(_ context.Context, d time.Duration) error {
				waits = append(waits, d)
				return tt.stop
			}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Token(t.Context(), Request{Client: "demo"})
			if r := (*Refusal)(nil); (err != nil) != tt.fails || tt.fails && (!errors.As(err, &r) || r.Code != "lease_busy") {
				t.Errorf("error %v", err)
			}
			if !slices.Equal(waits, tt.waits) || *asked != tt.asked {
				t.Errorf("asked %d times with waits %v, want %d with %v", *asked, waits, tt.asked, tt.waits)
			}
		})
	}
}

// TestPauseEnds: a pause ends with its context.
func TestPauseEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := pause(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := pause(t.Context(), time.Nanosecond); err != nil {
		t.Error(err)
	}
}

// TestSocket: a socket gets no key. With the default addresses the port answers if
// nothing listens on the socket.
func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokend", "tokend.sock")
	write(t, path+".x", "", 0o600)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("Authorization"))
		_, _ = w.Write([]byte(good))
	})
	onSocket := &httptest.Server{Listener: l, Config: &http.Server{Handler: handler}}
	onSocket.Start()
	onPort := httptest.NewServer(handler)
	defer onPort.Close()
	env := vars{
		"TOKEND_API_KEY": "the-key", "XDG_RUNTIME_DIR": filepath.Dir(filepath.Dir(path)),
		"TOKEND_LISTEN": strings.TrimPrefix(onPort.URL, "http://"),
	}
	ask := func(o Options) {
		t.Helper()
		s, err := Find(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Token(t.Context(), Request{Client: "demo"}); err != nil {
			t.Error(err)
		}
	}
	ask(Options{Endpoint: "unix:" + path, Getenv: env.get})
	onSocketOnly := vars{"TOKEND_API_KEY": "the-key", "XDG_RUNTIME_DIR": env["XDG_RUNTIME_DIR"], "TOKEND_LISTEN": "127.0.0.1:1"}
	ask(Options{Getenv: onSocketOnly.get})
	onSocket.Close()
	ask(Options{Getenv: env.get})
	if want := []string{"", "Bearer the-key", "Bearer the-key"}; !slices.Equal(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
}

// TestNoProxy: http_proxy may name one even for this machine; the key is not for it.
func TestNoProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the proxy got %s", r.URL) }))
	defer proxy.Close()
	for _, name := range []string{"http_proxy", "HTTP_PROXY", "all_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	s, err := Find(Options{Endpoint: "http://127.0.0.1:1", Getenv: vars{}.get})
	if err != nil {
		t.Fatal(err)
	}
	if s.http.Transport.(*http.Transport).Proxy != nil { // net/http itself never uses a proxy for loopback
		t.Error("a proxy would be asked")
	}
	if _, err := s.Client(t.Context(), "demo"); !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
}

// TestSecretsMask: every verb masks secrets.
func TestSecretsMask(t *testing.T) {
	srv, _ := serve(t, good)
	s, err := Find(Options{Endpoint: srv.URL, APIKey: "secret-key-of-the-caller", Getenv: vars{}.get})
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Token(t.Context(), Request{Client: "demo"})
	if err != nil || token.AccessToken.Reveal() != "secret-token" {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{*token, token, token.AccessToken, s.key, *s} {
			text := fmt.Sprintf(verb, v)
			if strings.Contains(text, "secret") || strings.Contains(text, fmt.Sprintf("%x", "secret")) {
				t.Errorf("%s of %T: %s", verb, v, text)
			}
		}
	}
}

// TestBounded: an endless answer is not read to its end.
func TestBounded(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for chunk := strings.Repeat("x", 1<<16); r.Context().Err() == nil; {
			if _, err := w.Write([]byte(chunk)); err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	s, err := Find(Options{Endpoint: srv.URL, Getenv: vars{}.get})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Client(t.Context(), "demo"); !errors.Is(err, ErrForeign) {
		t.Error(err)
	}
}

// TestForeign: an answer that is not tokend's gives no token and no state.
func TestForeign(t *testing.T) {
	tests := []struct{ name, body string }{ // "404 " before a body is its status
		{"a page", "<html>"},
		{"nothing", ""},
		{"an error of another server", `404 {"message":"not found"}`},
		{"no token", `{"token_type":"Bearer","expires_at":"2026-01-02T03:04:05Z"}`},
		{"no type", `{"access_token":"a","expires_at":"2026-01-02T03:04:05Z"}`},
		{"no expiry", `{"access_token":"a","token_type":"Bearer"}`},
		{"a token of two lines", `{"access_token":"a\nX-Evil: 1","token_type":"Bearer","expires_at":"2026-01-02T03:04:05Z"}`},
		{"a type of two lines", `{"access_token":"a","token_type":"Bearer\nX-Evil: 1","expires_at":"2026-01-02T03:04:05Z"}`},
		{"a client without a state", `{"client":"demo"}`},
		{"another client", `{"client":"other","state":"ready"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				body, missing := strings.CutPrefix(tt.body, "404 ")
				if missing {
					w.WriteHeader(http.StatusNotFound)
				}
				_, _ = w.Write([]byte(body))
			}))
			defer srv.Close()
			s, err := Find(Options{Endpoint: srv.URL, Getenv: vars{}.get})
			if err != nil {
				t.Fatal(err)
			}
			if token, err := s.Token(t.Context(), Request{Client: "demo"}); !errors.Is(err, ErrForeign) {
				t.Errorf("token %v, %v", token, err)
			}
			if client, err := s.Client(t.Context(), "demo"); !errors.Is(err, ErrForeign) {
				t.Errorf("client %v, %v", client, err)
			}
		})
	}
}

// TestBrokenOff: an incomplete answer is an error.
func TestBrokenOff(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(good))
	}))
	defer s.Close()
	found, err := Find(Options{Endpoint: s.URL, Getenv: vars{}.get})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := found.Token(t.Context(), Request{Client: "demo"}); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "broke off") {
		t.Error(err)
	}
}
