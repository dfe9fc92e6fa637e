package flow

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

type noTokens struct{ err error }

func (n noTokens) Get(context.Context, Request) (*Token, error) { return nil, n.err }

func TestTransport_OtherURLs_GetNoToken(t *testing.T) {
	never := roundTrip(func(r *http.Request) (*http.Response, error) {
		t.Errorf("a request went to %s", r.URL)
		return nil, errors.New("no")
	})
	for name, c := range map[string]struct {
		upstreams []*url.URL
		target    string
		host      string
	}{
		"no upstreams": {nil, "https://api.test/v1/x", ""},
		"another host": {upstreams("https://api.test/"), "https://evil.test/", ""},
		"host header":  {upstreams("https://api.test/"), "https://api.test/", "evil.test"},
		"plain http":   {upstreams("https://api.test/"), "http://api.test/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			body := &watched{ReadCloser: io.NopCloser(strings.NewReader("x")), closed: new(atomic.Int32)}
			req := httptest.NewRequest("POST", c.target, body)
			if c.host != "" {
				req.Host = c.host
			}
			tr := &Transport{Source: noTokens{errors.New("asked for a token")}, Upstreams: c.upstreams, Base: never}
			_, err := tr.RoundTrip(req)
			wantError(t, err, ClassUpstream, "hint: ")
			if body.closed.Load() != 1 {
				t.Error("the body was not closed")
			}
		})
	}
	body := &watched{ReadCloser: io.NopCloser(strings.NewReader("x")), closed: new(atomic.Int32)}
	tr := &Transport{Source: noTokens{&Error{Class: ClassLoginRequired}}, Upstreams: upstreams("https://api.test/"), Base: never}
	if _, err := tr.RoundTrip(httptest.NewRequest("POST", "https://api.test/", body)); !errors.Is(err, ErrLogin) || body.closed.Load() != 1 {
		t.Errorf("%v, %d bodies closed", err, body.closed.Load())
	}
}

// An http.Client removes Authorization when a redirect leads to another host; a
// Transport below it must not add it again.
func TestTransport_RedirectToOtherURL(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("got there with %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	here := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusFound)
	}))
	defer here.Close()
	s := newTenant()
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	c := &http.Client{Transport: &Transport{Source: s.loggedIn(t, nil), Upstreams: upstreams(here.URL), Base: base}}
	resp, err := c.Get(here.URL)
	if err == nil {
		_ = resp.Body.Close()
	}
	wantError(t, err, ClassUpstream, elsewhere.URL)
}

// The first bytes of a body arrive before the last are written, in both
// directions; a rejection in the middle is retried with what was read and the
// rest.
func TestTransport_Streams(t *testing.T) {
	var requests atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		first := make([]byte, 5)
		if _, err := io.ReadFull(r.Body, first); err != nil {
			t.Errorf("first bytes: %v", err)
		}
		if requests.Add(1) == 1 {
			w.Header().Set("Connection", "close")
			w.WriteHeader(401)
			return
		}
		_, _ = w.Write(first)
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(w, r.Body)
	}))
	defer srv.Close()
	s := newTenant()
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	tr := &Transport{Source: s.loggedIn(t, nil), Upstreams: upstreams(srv.URL), Base: base}
	in, out := io.Pipe()
	go func() { _, _ = io.WriteString(out, "first") }()
	resp, err := send(t, tr, "POST", srv.URL, in)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != "first" {
		t.Fatalf("%q, %v", got, err)
	}
	go func() { _, _ = io.WriteString(out, " and last"); _ = out.Close() }()
	rest, err := io.ReadAll(resp.Body)
	if err != nil || string(rest) != " and last" || requests.Load() != 2 {
		t.Errorf("%q, %v after %d requests", rest, err, requests.Load())
	}
}
