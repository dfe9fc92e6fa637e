package proxy

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"example.com/tokend/internal/guard"
	"example.com/tokend/pkg/flow"
)

func TestRelay_AnswersItself(t *testing.T) {
	service := receiving(t, nil)
	var log syncBuffer
	addr := relaying(t, service.URL, slog.New(slog.NewTextHandler(&log, nil)))
	down := relaying(t, "http://127.0.0.1:1", nil)
	for name, tt := range map[string]struct {
		addr, request string
		status        int
		code          string
		header        string
	}{
		"no key":     {addr, "GET / HTTP/1.1\nHost: HOST\n\n", 401, "unauthorized", "WWW-Authenticate"},
		"host":       {addr, "GET / HTTP/1.1\nHost: evil.example" + relayAuth + "\n\n", 403, "forbidden_host", ""},
		"trace":      {addr, "TRACE / HTTP/1.1\nHost: HOST" + relayAuth + "\n\n", 405, "method_not_allowed", "Allow"},
		"no such":    {addr, "FETCH / HTTP/1.1\nHost: HOST" + relayAuth + "\n\n", 405, "method_not_allowed", "Allow"},
		"no service": {down, "GET / HTTP/1.1\nHost: HOST" + relayAuth + "\n\n", 503, "tokend_unreachable", "Retry-After"},
	} {
		_, in := send(t, tt.addr, tt.request)
		resp := response(t, in)
		a := errorOf(t, resp)
		if resp.StatusCode != tt.status || a.Code != tt.code || a.Description == "" || (a.Hint == "") != (tt.status == 405) {
			t.Errorf("%s: %d %+v", name, resp.StatusCode, a)
		}
		if tt.status == 401 && a.Hint != "send the API key that tokend proxy was started with; it accepts no other" {
			t.Errorf("%s: hint %q", name, a.Hint) // a key of the service for other callers does not work here
		}
		if tt.header != "" && resp.Header.Get(tt.header) == "" {
			t.Errorf("%s: no %s in %v", name, tt.header, resp.Header)
		}
		if resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", name, resp.Header)
		}
	}
	if service.request() != nil {
		t.Error("the service was asked")
	}
	if !strings.Contains(log.String(), "msg=refused error=unauthorized reason=") || !strings.Contains(log.String(), " hint=") || strings.Contains(log.String(), key) {
		t.Errorf("the log: %s", &log)
	}
}

// The key may come as the password of Basic.
func TestRelay_TakesTheKeyAsAPassword(t *testing.T) {
	addr := relaying(t, receiving(t, nil).URL, nil)
	for credential, status := range map[string]int{"any:" + key: 200, ":" + key: 200, key + ":x": 401, key: 401} {
		_, in := send(t, addr, "GET / HTTP/1.1\nHost: HOST\nAuthorization: basic "+base64.StdEncoding.EncodeToString([]byte(credential))+"\n\n")
		if resp := response(t, in); resp.StatusCode != status {
			t.Errorf("%s: %s", strings.Replace(credential, key, "KEY", 1), resp.Status)
		}
	}
}

// A malformed body is the caller's error if the service reads it. An earlier answer of the
// service would be forwarded, so this service waits for the body. If no service reads the
// body, the connection is closed after the answer.
func TestRelay_MalformedBody(t *testing.T) {
	const malformed = "POST / HTTP/1.1\nHost: HOST" + relayAuth + "\nTransfer-Encoding: chunked\n\nxyz\n"
	waits := receiving(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	_, in := send(t, relaying(t, waits.URL, nil), malformed)
	resp := response(t, in)
	if a := errorOf(t, resp); resp.StatusCode != 400 || a.Code != "invalid_request" || !resp.Close {
		t.Errorf("%d %+v", resp.StatusCode, a)
	}
	_, in = send(t, relaying(t, "http://127.0.0.1:1", nil), malformed)
	if resp := response(t, in); resp.StatusCode != 503 || !resp.Close {
		t.Errorf("no service: %s", resp.Status)
	}
}

// A service on its socket gets no key, not even the caller's.
func TestRelay_ServiceOnASocket_GetsNoKey(t *testing.T) {
	service := receiving(t, nil)
	_, in := send(t, relaying(t, service.URL, nil), "GET /x HTTP/1.1\nHost: HOST"+relayAuth+"\n\n")
	if resp := response(t, in); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	if got := service.request(); got.Header["Authorization"] != nil || got.RequestURI != proxyPath+"/x" || got.Header.Get(networkHeader) != "tcp" {
		t.Errorf("the service got %s with %v", got.RequestURI, got.Header)
	}
}

func TestRelay_RemovesTheServicesPrefix(t *testing.T) {
	for in, want := range map[string]string{
		proxyPath: "/", proxyPath + "?x": "/?x", proxyPath + "#y": "/#y", proxyPath + "/a": "/a", proxyPath + "//evil.example/": "/.//evil.example/",
		proxyPath + "s/a": proxyPath + "s/a", "https://other.example.com/": "https://other.example.com/", "": "",
	} {
		resp := &http.Response{Header: http.Header{"Location": {in}}}
		(&Relay{prefix: proxyPath}).removePrefix(resp)
		if got := resp.Header.Get("Location"); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// A panic value is in no answer and no log.
func TestRelay_PanicAnswers500(t *testing.T) {
	var log syncBuffer
	u, err := url.Parse("http://service.example")
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRelay(RelayConfig{Client: "demo", Service: u, Base: panics{}, Log: slog.New(slog.NewTextHandler(&log, nil)), Keys: []guard.Key{{Name: "main", Secret: flow.Secret(key)}}})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(r)
	defer s.Close()
	_, in := send(t, s.Listener.Addr().String(), "GET / HTTP/1.1\nHost: HOST"+relayAuth+"\n\n")
	resp := response(t, in)
	if a := errorOf(t, resp); resp.StatusCode != 500 || a.Code != "internal" {
		t.Errorf("%d %+v", resp.StatusCode, a)
	}
	if !strings.Contains(log.String(), `msg="handler panicked" reason="panic with a string" hint=`) || strings.Contains(log.String(), token) {
		t.Errorf("the log: %s", &log)
	}
}

type panics struct{}

func (panics) RoundTrip(*http.Request) (*http.Response, error) { panic(token) }

func TestNewRelay_RefusesKeys(t *testing.T) {
	if _, err := NewRelay(RelayConfig{Keys: []guard.Key{{Name: "main"}}}); err == nil {
		t.Error("accepted")
	}
}

// The log has the text of a runtime error; other panic values could contain data.
func TestPanicText(t *testing.T) {
	var none []string
	defer func() {
		if text := PanicText(recover()); !strings.Contains(text, "index out of range") {
			t.Errorf("%q", text)
		}
		if text := PanicText(errors.New(token)); strings.Contains(text, token) || !strings.Contains(text, "errorString") {
			t.Errorf("%q", text)
		}
	}()
	_ = none[len(t.Name())]
}

// A caller that leaves does not count as an error of the service.
func TestRelay_CallerLeaves(t *testing.T) {
	service := receiving(t, nil)
	u, err := url.Parse(service.URL)
	if err != nil {
		t.Fatal(err)
	}
	base := NewTransport(nil)
	defer base.CloseIdleConnections()
	r, err := NewRelay(RelayConfig{Client: "demo", Upstream: "https://api.example.com/", Service: u, Base: base, Keys: []guard.Key{{Name: "main", Secret: flow.Secret(key)}}})
	if err != nil {
		t.Fatal(err)
	}
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8484}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(local)))
	cancel()
	req := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
	req.Host = "127.0.0.1:8484"
	req.Header.Set("Authorization", "Bearer "+key)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	if a := errorOf(t, w.Result()); w.Code != 502 || a.Code != "upstream_unreachable" || a.Description != "the request was canceled" {
		t.Errorf("%d %+v", w.Code, a)
	}
}
