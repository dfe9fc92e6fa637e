package daemon

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/events"
	"example.com/tokend/pkg/flow"
)

// stream is an open request for events.
type stream struct {
	conn net.Conn
	in   *bufio.Reader
}

// follow opens a stream and reads the answer's headers.
func (r *running) follow(t *testing.T, key, last string) (s *stream, head string) {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	request := "GET /v1/events HTTP/1.1\r\nHost: " + r.addr + "\r\nAuthorization: Bearer " + key + "\r\n"
	if last != "" {
		request += "Last-Event-ID: " + last + "\r\n"
	}
	if _, err := io.WriteString(c, request+"\r\n"); err != nil {
		t.Fatal(err)
	}
	s = &stream{c, bufio.NewReader(c)}
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			t.Fatalf("%q: %v", head, err)
		}
		if head += line; line == "\r\n" {
			return s, head
		}
	}
}

// lines reads n lines of the events, without chunk sizes and comments.
func (s *stream) lines(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	for got := 0; got < n; {
		line, err := s.in.ReadString('\n')
		if err != nil {
			t.Fatalf("%q: %v", b.String(), err)
		}
		for _, field := range []string{"id: ", "event: ", "data: "} {
			if strings.HasPrefix(line, field) {
				b.WriteString(line)
				got++
			}
		}
	}
	return b.String()
}

// ended reports whether the stream ends by itself.
func (s *stream) ended() bool {
	for {
		line, err := s.in.ReadString('\n')
		if err != nil || line == "0\r\n" { // the last chunk
			return err == nil
		}
	}
}

func newHub() *events.Hub { return events.New("boot", slog.New(slog.DiscardHandler)) }

func eventOf(client string) flow.Event {
	return flow.Event{
		Kind: flow.EventDegraded, Time: time.Date(2000, 1, 2, 3, 4, 5, 0, time.UTC), Client: client, Issuer: "https://acme.eu.auth0.com/",
		State: flow.StateDegraded, Generation: 7, Expiry: time.Date(2000, 1, 2, 4, 0, 0, 0, time.UTC),
		Failure: &flow.Failure{Time: time.Date(2000, 1, 2, 3, 4, 5, 0, time.UTC), Class: flow.ClassUnreachable, Description: "connection refused"},
	}
}

func TestEvents_CallersSeeTheirClientsOnly(t *testing.T) {
	f, hub := newTenant(t), newHub()
	d := start(t, Config{Clients: []Client{kept(t, f, "demo"), kept(t, f, "ci")}, Events: hub})
	all, head := d.follow(t, mainKey, "")
	if !strings.HasPrefix(head, "HTTP/1.1 200 ") || !strings.Contains(head, "Content-Type: text/event-stream\r\n") || !strings.Contains(head, "Cache-Control: no-store\r\n") {
		t.Errorf("%s", head)
	}
	own, _ := d.follow(t, ciKey, "boot-0")
	hub.Publish(eventOf("demo"))
	hub.Publish(eventOf("ci"))
	golden(t, "events", all.lines(t, 6))
	if got := own.lines(t, 3); !strings.Contains(got, `"client":"ci"`) || !strings.Contains(got, "id: boot-2\n") {
		t.Errorf("a key for ci: %s", got)
	}
	again, _ := d.follow(t, mainKey, "boot-1")
	if got := again.lines(t, 3); !strings.Contains(got, "id: boot-2\n") {
		t.Errorf("after the first event: %s", got)
	}
	other, _ := d.follow(t, mainKey, "another-17")
	if got := other.lines(t, 9); !strings.HasPrefix(got, "id: boot-0\nevent: missed\n") || !strings.Contains(got, "id: boot-1\n") {
		t.Errorf("after an event of another process: %s", got)
	}
}

func TestEvents_NeedKey(t *testing.T) {
	d := start(t, Config{Events: newHub()})
	if a := d.raw(t, "GET /v1/events HTTP/1.1\nHost: HOST\n\n"); a.StatusCode != 401 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := d.call(t, "HEAD", "/v1/events", ""); a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %v", a.StatusCode, a.Header)
	}
}

// A key that a reload removes must not read on.
func TestEvents_ReloadEndsStreams(t *testing.T) {
	d := start(t, Config{Events: newHub()})
	s, _ := d.follow(t, mainKey, "")
	if err := d.Replace(nil, []Key{{Name: "other", Secret: ciKey}}); err != nil {
		t.Fatal(err)
	}
	if !s.ended() {
		t.Error("the stream continues, or was cut off")
	}
}

// The end of the service ends the streams at once, not after the time for requests.
func TestEvents_EndOfService(t *testing.T) {
	d, err := New(Config{Events: newHub(), Keys: []Key{{Name: "main", Secret: mainKey}}, Drain: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, l) }()
	s, _ := (&running{Daemon: d, addr: l.Addr().String()}).follow(t, mainKey, "")
	stop()
	if !s.ended() {
		t.Error("the stream continues, or was cut off")
	}
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("the service waits for a stream")
		<-done
	}
}
