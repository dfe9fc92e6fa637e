package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// pipe opens a connection and sends the head of a request on it.
func (r *running) pipe(t testing.TB, head string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	head = strings.ReplaceAll(strings.ReplaceAll(head, "HOST", r.addr), "\n", "\r\n")
	if _, err := io.WriteString(c, head); err != nil {
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

// The first byte of each direction arrives before the last of the other is sent.
func TestProxy_Streams(t *testing.T) {
	u := newUpstream(t, echo)
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), u.URL)}})
	c, r := d.pipe(t, "POST "+proxyPath+"/ HTTP/1.1\nHost: HOST"+auth+"\nTransfer-Encoding: chunked\n\n")
	resp := response(t, r)
	for _, word := range []string{"one", "two", "three"} {
		_, _ = fmt.Fprintf(c, "%x\r\n%s\r\n", len(word), word)
		got := make([]byte, len(word))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != word {
			t.Fatalf("%q, %v", got, err)
		}
	}
	_, _ = io.WriteString(c, "0\r\n\r\n")
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
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

func TestProxy_ForwardsInformationalAnswers(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style>; rel=preload")
		w.WriteHeader(103)
		w.Header().Del("Link")
		if r.Header.Get("Expect") == "" {
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), u.URL)}})
	_, r := d.pipe(t, get(proxyPath+"/", "HOST", auth))
	if resp := response(t, r); resp.StatusCode != 103 || resp.Header.Get("Link") == "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if resp := response(t, r); resp.StatusCode != 200 || resp.Header.Get("Link") != "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	c, r := d.pipe(t, "POST "+proxyPath+"/ HTTP/1.1\nHost: HOST"+auth+"\nExpect: 100-continue\nContent-Length: 4\n\n")
	resp := response(t, r)
	for resp.StatusCode == 103 {
		resp = response(t, r)
	}
	if resp.StatusCode != 100 { // before a byte of the body was sent
		t.Fatalf("%d", resp.StatusCode)
	}
	_, _ = io.WriteString(c, "body")
	for resp.StatusCode < 200 {
		resp = response(t, r)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "body" || resp.StatusCode != 200 {
		t.Errorf("%d %q, %v", resp.StatusCode, b, err)
	}
}

func TestProxy_ForwardsTrailers(t *testing.T) {
	sent := make(chan http.Header, 1)
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.Copy(w, r.Body)
		sent <- r.Trailer
		w.Header().Set("X-Sum", "7")
		w.Header().Set(http.TrailerPrefix+"X-More", "8")
	})
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), u.URL)}})
	_, r := d.pipe(t, "POST "+proxyPath+"/ HTTP/1.1\nHost: HOST"+auth+"\nTE: trailers\nTrailer: X-Digest\nTransfer-Encoding: chunked\n\n4\nbody\n0\nX-Digest: abc\n\n")
	resp := response(t, r)
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "body" || resp.Trailer.Get("X-Sum") != "7" || resp.Trailer.Get("X-More") != "8" {
		t.Errorf("%q, %v, %v", b, err, resp.Trailer)
	}
	if h := <-sent; h.Get("X-Digest") != "abc" || u.last(t).Header.Get("Te") != "trailers" {
		t.Errorf("the upstream got %v", h)
	}
}

// If a caller leaves, its request to the upstream ends.
func TestProxy_CallerLeaves_EndsTheUpstreamRequest(t *testing.T) {
	begun, cancelled := make(chan struct{}), make(chan struct{})
	u := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(cancelled)
	})
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), u.URL)}})
	c, _ := d.pipe(t, get(proxyPath+"/", "HOST", auth))
	<-begun
	_ = c.Close()
	select {
	case <-cancelled:
	case <-time.After(10 * time.Second):
		t.Fatal("the upstream still works on it")
	}
}

// An answer that breaks off does not look like a shorter answer.
func TestProxy_AnswerBreaksOff(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"chunked": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), newUpstream(t, h).URL)}})
		_, r := d.pipe(t, get(proxyPath+"/", "HOST", auth))
		resp := response(t, r)
		b, err := io.ReadAll(resp.Body)
		if string(b) != "half" || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

// The end waits for streams and cuts off those that last, upgraded ones too.
func TestProxy_EndWaitsForStreams(t *testing.T) {
	for name, head := range map[string]string{
		"stream":  "POST " + proxyPath + "/ HTTP/1.1\nHost: HOST" + auth + "\nTransfer-Encoding: chunked\n\n",
		"upgrade": get(proxyPath+"/", "HOST", auth+handshake),
	} {
		for _, patient := range []bool{true, false} {
			t.Run(fmt.Sprint(name, patient), func(t *testing.T) { drainProxy(t, head, patient) })
		}
	}
}

func drainProxy(t *testing.T, head string, patient bool) {
	seen := make(chan http.Header, 1)
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			webSocket(seen)(w, r)
			return
		}
		echo(w, r)
	})
	drain := 10 * time.Millisecond
	if patient {
		drain = time.Minute
	}
	d, err := New(Config{Clients: []Client{proxied(t, newTenant(t), u.URL)}, Keys: []Key{{Name: "main", Secret: mainKey}}, Drain: drain})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, l) }()
	r := &running{Daemon: d, addr: l.Addr().String()}
	c, in := r.pipe(t, head)
	resp := response(t, in)
	cancel()
	var body io.Reader = resp.Body
	send := "1\r\nx\r\n"
	if resp.StatusCode == 101 {
		body, send = in, "x"
	}
	if !patient {
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if n, err := io.ReadFull(body, make([]byte, 1)); err == nil {
			t.Errorf("%d bytes after the end", n)
		}
		return
	}
	_, _ = io.WriteString(c, send)
	if _, err := io.ReadFull(body, make([]byte, 1)); err != nil {
		t.Errorf("during the end: %v", err)
	}
	select {
	case err := <-ended:
		t.Errorf("ended before the stream: %v", err)
	default:
	}
	_ = c.Close()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}
