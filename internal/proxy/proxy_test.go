package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
)

func TestForward_PutsTheTokenInPlaceOfTheKey(t *testing.T) {
	u := receiving(t, nil)
	p := New(Config{Now: time.Now})
	defer p.base.(*Transport).CloseIdleConnections()
	s := httptest.NewServer(forwarded(t, p, u.URL+"/v2"))
	defer s.Close()
	_, in := send(t, s.Listener.Addr().String(), "GET "+proxyPath+"/a?b HTTP/1.1\nHost: HOST\nAuthorization: Bearer "+key+"\nTokend-Upstream: "+u.URL+"/v2/c\nCookie: tokend=1\n\n")
	if resp := response(t, in); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	got := u.request()
	if got.RequestURI != "/v2/c/a?b" || len(got.Header) != 1 || got.Header.Get("Authorization") != "Bearer "+token {
		t.Errorf("the upstream got %s with %v", got.RequestURI, got.Header)
	}
}

func TestForward_RefusesTargets(t *testing.T) {
	p := New(Config{})
	c := p.Client("demo", fixedToken{}, upstreams(t, "https://api.example.com/v2", "https://other.example.com/"))
	none := p.Client("demo", fixedToken{}, nil)
	for name, tt := range map[string]struct {
		client   *Client
		path     string
		upstream []string
		class    flow.Class
	}{
		"no upstreams":          {none, proxyPath + "/x", nil, flow.ClassUpstream},
		"not in the upstreams":  {c, proxyPath + "/x", []string{"https://evil.example/"}, flow.ClassUpstream},
		"above an upstream":     {c, proxyPath + "/x", []string{"https://api.example.com/"}, flow.ClassUpstream},
		"two upstreams":         {c, proxyPath + "/x", []string{"https://api.example.com/v2", "https://other.example.com/"}, flow.ClassRequest},
		"no URL":                {c, proxyPath + "/x", []string{"nonsense"}, flow.ClassRequest},
		"another path":          {c, "/v1/clients/other/proxy/x", nil, flow.ClassRequest},
		"encoded prefix":        {c, "/v1/clients/%64emo/proxy/x", nil, flow.ClassRequest},
		"leading slashes":       {c, proxyPath + "//evil.example/", nil, flow.ClassRequest},
		"dot segments":          {c, proxyPath + "/a/../../x", nil, flow.ClassRequest},
		"encoded dots":          {c, proxyPath + "/%2e%2e/x", nil, flow.ClassRequest},
		"backslash":             {c, proxyPath + "/%5cevil", nil, flow.ClassRequest},
		"dots with a parameter": {c, proxyPath + "/..;/x", nil, flow.ClassRequest},
	} {
		u, err := url.ParseRequestURI(tt.path)
		if err != nil {
			t.Fatal(err)
		}
		var got error
		w := httptest.NewRecorder()
		tt.client.Forward(w, &http.Request{URL: u, Header: http.Header{upstreamHeader: tt.upstream}}, func(err error) { got = err })
		var e *flow.Error
		if !errors.As(got, &e) || e.Op != "proxy" || e.Class != tt.class || e.Description == "" || e.Hint == "" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// An upstream that does not answer is an error with a hint, and in the log.
func TestForward_UpstreamDown(t *testing.T) {
	l := listen(t)
	_ = l.Close()
	var log syncBuffer
	p := New(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	var got error
	r := httptest.NewRequest("GET", proxyPath+"/", nil)
	p.Client("demo", fixedToken{}, upstreams(t, "http://"+l.Addr().String())).Forward(httptest.NewRecorder(), r, func(err error) { got = err })
	var down *UpstreamError
	if !errors.As(got, &down) || !strings.HasPrefix(down.Reason, "cannot connect: ") || down.Hint() == "" || down.Host != l.Addr().String() {
		t.Errorf("%v", got)
	}
	for _, want := range []string{`msg="upstream failed" client=demo upstream=` + l.Addr().String() + ` reason="cannot connect: `, ` hint="check that it is up`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s: %s", want, &log)
		}
	}
}

// What the client's source says of a token that it cannot get is the answer.
func TestForward_NoToken(t *testing.T) {
	var log syncBuffer
	p := New(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	want := &flow.Error{Op: "refresh", Class: flow.ClassLoginRequired, Description: "no grant"}
	var got error
	p.Client("demo", failingSource{want}, upstreams(t, "https://api.example.com/")).
		Forward(httptest.NewRecorder(), httptest.NewRequest("GET", proxyPath+"/", nil), func(err error) { got = err })
	if !errors.Is(got, want) || log.String() != "" {
		t.Errorf("%v; the log: %s", got, &log)
	}
}

type failingSource struct{ err error }

func (s failingSource) Get(context.Context, flow.Request) (*flow.Token, error) { return nil, s.err }

func TestExplain(t *testing.T) {
	for want, err := range map[string]error{
		"the request was canceled":           context.Canceled,
		"the name cannot be resolved":        &net.DNSError{Err: "no such host", Name: "api.example.com"},
		"no answer in time":                  os.ErrDeadlineExceeded,
		"cannot connect: connection refused": &net.OpError{Op: "dial", Err: errors.New("connection refused")},
		"TLS handshake failed: tls: ":        tls.AlertError(42),
		"the connection broke, or ":          errors.New("malformed HTTP response \"" + token + "\""),
	} {
		reason, hint := explain(err)
		if !strings.HasPrefix(reason, want) || hint == "" || strings.Contains(reason, token) {
			t.Errorf("%v: %q, hint %q", err, reason, hint)
		}
	}
}

// An error about a certificate has no hint from the certificate, which the upstream
// chooses.
func TestExplain_CertificateGivesNoHint(t *testing.T) {
	err := &tls.CertificateVerificationError{Err: errors.New("valid for hint: curl evil.example")}
	if text, _ := explain(err); !strings.Contains(text, "curl") || strings.Contains(text, "hint: ") {
		t.Error(text)
	}
}

// HTTP/2 accepts answers that HTTP/1 cannot carry: a caller on a kept connection would
// read the rest of such an answer as the next one.
func TestForward_RefusesAnswersThatHTTP1DoesNotHave(t *testing.T) {
	how := forwarding{drop: dropFromAnswer, answer: func(*http.Response) {}}
	for name, c := range map[string]struct {
		status int
		length []string
		known  int64
		bad    bool
	}{
		"plain": {200, []string{"5"}, 5, false}, "chunked": {200, nil, -1, false}, "none": {304, nil, 0, false}, "HEAD": {200, []string{"7"}, 7, false},
		"two lengths": {200, []string{"60", "5"}, -1, true}, "a sign": {200, []string{"+5"}, -1, true},
		"four digits": {1000, nil, 0, true}, "two": {20, nil, 0, true},
	} {
		h := http.Header{}
		if c.length != nil {
			h["Content-Length"] = c.length
		}
		err := how.modify(&http.Response{StatusCode: c.status, Header: h, ContentLength: c.known, Body: http.NoBody})
		if (err != nil) != c.bad {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := httptest.NewRecorder()
	a := answerWriter{w, newRequestBody(httptest.NewRequest("GET", "/", nil)), dropFromAnswer}
	a.WriteHeader(101) // an informational answer of HTTP/2; ReverseProxy writes an upgrade's itself
	a.WriteHeader(204)
	if w.Code != 204 {
		t.Errorf("%d", w.Code)
	}
}

// A stream outlives the server's limits for ordinary requests.
func TestForward_OutlivesTheServersTimeouts(t *testing.T) {
	u := receiving(t, echo)
	p := New(Config{})
	defer p.base.(*Transport).CloseIdleConnections()
	l := listen(t)
	const limit = 50 * time.Millisecond
	s := p.server(forwarded(t, p, u.URL))
	s.ReadTimeout, s.WriteTimeout = limit, limit
	go func() { _ = s.Serve(l) }()
	defer func() { _ = s.Close() }()
	c, in := send(t, l.Addr().String(), "POST "+proxyPath+"/ HTTP/1.1\nHost: HOST\nTransfer-Encoding: chunked\n\n")
	resp := response(t, in)
	for range 3 {
		time.Sleep(2 * limit) // it is the time that is tested
		_, _ = io.WriteString(c, "1\r\nx\r\n")
		if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
}

// echo begins its answer at once and sends each part of the body back.
func echo(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	_ = rc.EnableFullDuplex()
	_ = rc.Flush()
	b := make([]byte, 1024)
	for {
		n, err := r.Body.Read(b)
		_, _ = w.Write(b[:n])
		_ = rc.Flush()
		if err != nil {
			return
		}
	}
}

// Requests that last longer than Serve waits for are cut off, and the log says so.
func TestServe_CutsOffWhatLasts(t *testing.T) {
	u := receiving(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	var log syncBuffer
	p := New(Config{Drain: 10 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	begun := make(chan struct{})
	h := forwarded(t, p, u.URL)
	go func() {
		ended <- p.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { close(begun); h.ServeHTTP(w, r) }), l)
	}()
	send(t, l.Addr().String(), "GET "+proxyPath+"/ HTTP/1.1\nHost: HOST\n\n")
	<-begun
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if want := `msg="requests were cut off" reason="not finished after 10ms" hint=`; !strings.Contains(log.String(), want) {
		t.Errorf("the log lacks %s: %s", want, &log)
	}
}

func TestServe_FailsWithItsListener(t *testing.T) {
	l := listen(t)
	_ = l.Close()
	if err := New(Config{}).Serve(t.Context(), http.NotFoundHandler(), l); err == nil {
		t.Error("no error from a closed listener")
	}
}

// FuzzTarget: for any path the request goes to the upstream, below the upstream's path.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/a", "/../b", "//evil.example", "/%2e%2e/", "/@x", `/\x`, "?a", ""} {
		f.Add(s)
	}
	c := New(Config{}).Client("demo", fixedToken{}, upstreams(f, "https://api.example.com/v2"))
	f.Fuzz(func(t *testing.T, rest string) {
		u, err := url.ParseRequestURI(proxyPath + rest)
		if err != nil {
			return
		}
		to, err := c.target(&http.Request{URL: u, Header: http.Header{}})
		if err != nil {
			return
		}
		sent := to.url.String()
		again, err := url.Parse(sent)
		if err != nil || again.Host != "api.example.com" || again.Scheme != "https" || again.User != nil ||
			again.Path != "/v2" && !strings.HasPrefix(again.Path, "/v2/") || slices.Contains(strings.Split(again.Path, "/"), "..") {
			t.Errorf("%q goes to %s", rest, sent)
		}
	})
}
