package tokend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// sse answers requests for events: with one frame for each connection.
type sse struct {
	frames []string
	last   []string // Last-Event-ID of each request
}

func (s *sse) RoundTrip(r *http.Request) (*http.Response, error) {
	n := len(s.last)
	s.last = append(s.last, r.Header.Get("Last-Event-ID"))
	switch {
	case n >= len(s.frames):
		return &http.Response{StatusCode: 401, Body: io.NopCloser(strings.NewReader(`{"error":"unauthorized"}`))}, nil
	case s.frames[n] == "":
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(s.frames[n]))}, nil
}

func frame(id string) string {
	return fmt.Sprintf(": heartbeat\n\nid: %s\nevent: resumed\ndata: {\"id\":%q,\"type\":\"resumed\",\"client\":\"demo\"}\n\n", id, id)
}

func TestEvents_ConnectAgainAfterTheLastOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Service{Addrs: []string{"http://127.0.0.1:1"}, Key: "CANARY-key"})
		if err != nil {
			t.Fatal(err)
		}
		service := &sse{frames: []string{frame("a-1") + frame("a-2"), "", frame("a-3")}}
		c.http.Transport = service
		var ids []string
		var last error
		for e, err := range c.Events(t.Context(), "a-0") {
			if last = err; err == nil {
				ids = append(ids, e.ID+" "+e.Type+" "+e.Client)
			}
		}
		if !slices.Equal(ids, []string{"a-1 resumed demo", "a-2 resumed demo", "a-3 resumed demo"}) {
			t.Errorf("%q", ids)
		}
		if !slices.Equal(service.last, []string{"a-0", "a-2", "a-2", "a-3"}) {
			t.Errorf("asked after %q", service.last)
		}
		wantError(t, last, "unauthorized", "")
	})
}

func TestEvents_FirstConnectionFails(t *testing.T) {
	c, err := New(Service{Addrs: []string{"http://127.0.0.1:1"}, Key: "CANARY-key"})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range c.Events(t.Context(), "") {
		n++
		wantError(t, err, CodeUnreachable, "")
	}
	if n != 1 {
		t.Errorf("%d results, want one error", n)
	}
}

// A service that is gone without closing the connection sends no heartbeats.
func TestEvents_Silence_ConnectsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Service{Addrs: []string{"http://127.0.0.1:1"}, Key: "CANARY-key"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		c.http.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if n++; n == 3 {
				cancel()
			}
			in, _ := io.Pipe()
			context.AfterFunc(r.Context(), func() { _ = in.CloseWithError(r.Context().Err()) })
			return &http.Response{StatusCode: 200, Body: in}, nil
		})
		for _, err := range c.Events(ctx, "") {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		if n != 3 {
			t.Errorf("%d connections", n)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
