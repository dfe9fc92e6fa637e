package proxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/tokend/internal/guard"
	"example.com/tokend/pkg/flow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	proxyPath = "/v1/clients/demo/proxy"
	token     = "canary-token"
	key       = "canary-key-0123456789"
	relayAuth = "\nAuthorization: Bearer " + key
)

// fixedToken is a source whose token never changes.
type fixedToken struct{}

func (fixedToken) Get(context.Context, flow.Request) (*flow.Token, error) {
	return &flow.Token{AccessToken: token, TokenType: "Bearer"}, nil
}

func upstreams(t testing.TB, raw ...string) (list []*url.URL) {
	t.Helper()
	for _, r := range raw {
		u, err := flow.ParseUpstream(r, false)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, u)
	}
	return list
}

// forwarded is a client's route, without a guard.
func forwarded(t testing.TB, p *Proxy, to ...string) http.Handler {
	c := p.Client("demo", fixedToken{}, upstreams(t, to...))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.Forward(w, r, func(err error) { http.Error(w, err.Error(), http.StatusBadGateway) })
	})
}

// listen returns a listener on a port of its own.
func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// relaying runs a relay to a service until the test ends, and returns its address.
func relaying(t testing.TB, service string, log *slog.Logger) (addr string) {
	t.Helper()
	u, err := url.Parse(service)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRelay(RelayConfig{
		Client: "demo", Upstream: "https://api.example.com/", Service: u, Base: NewTransport(nil), Log: log,
		Keys: []guard.Key{{Name: "main", Secret: flow.Secret(key)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return l.Addr().String()
}

// send sends the bytes of a request, where HOST stands for addr, and reads answers
// from what it returns.
func send(t testing.TB, addr, request string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, strings.NewReplacer("HOST", addr, "\n", "\r\n").Replace(request)); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func response(t testing.TB, r *bufio.Reader) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// errorOf is the body of one of the relay's own answers.
func errorOf(t testing.TB, resp *http.Response) (a answer) {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &a); err != nil || resp.Header.Get(ErrorHeader) != a.Code {
		t.Fatalf("%d, %s: %q, %v", resp.StatusCode, resp.Header.Get(ErrorHeader), b, err)
	}
	return a
}

// received is an upstream, or a service, that remembers its last request.
type received struct {
	*httptest.Server
	mu   sync.Mutex
	last *http.Request
}

func receiving(t testing.TB, h http.HandlerFunc) *received {
	u := &received{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.last = r
		u.mu.Unlock()
		if h != nil {
			h(w, r)
		}
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *received) request() *http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last
}

// syncBuffer is a log that is written and read at the same time.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
