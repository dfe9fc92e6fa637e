package daemon

import (
	"bufio"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// hasty is an upstream that answers each request after its head, before the body has
// arrived.
func hasty(t *testing.T, answer string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.WriteString(c, answer)
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	return "http://" + l.Addr().String()
}

// A caller's body is never read as another request, even if the upstream has answered
// before it arrives: otherwise an uploaded file could call the API.
func TestProxy_BodyIsNeverReadAsARequest(t *testing.T) {
	const smuggled = "DELETE /v1/clients/demo/grant HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer " + mainKey + "\r\nX-Relay: " + ciKey + "\r\n\r\n"
	full := strings.Repeat(strings.Replace(smuggled, "HOST", "127.0.0.1:12345", 1), 1<<20/len(smuggled)+1)[:1<<20]
	urls := map[string]string{
		"closes":  hasty(t, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
		"refuses": hasty(t, "HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno"),
		"breaks":  hasty(t, "HTTP/1.1 "),
		"streams": hasty(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
	}
	service := start(t, Config{Clients: []Client{proxied(t, newTenant(t), slices.Collect(maps.Values(urls))...)}})
	for does, url := range urls {
		relay := startRelay(t, service, url)
		for name, c := range map[string]sending{
			"length":         {"Content-Length: 1048576", full, ""},
			"length, late":   {"Content-Length: 1048576", "x", full},
			"length, short":  {"Content-Length: 1000", "x", full[:999]},
			"chunked":        {"Transfer-Encoding: chunked", "100000\r\n" + full, ""},
			"chunked, late":  {"Transfer-Encoding: chunked", "80000\r\n" + strings.Repeat("x", 100), smuggled},
			"chunked, end":   {"Transfer-Encoding: chunked", "1\r\nx\r\n", "0\r\n\r\n"},
			"expect":         {"Content-Length: 1048576\nExpect: 100-continue", "", full},
			"expect, sent":   {"Content-Length: 1048576\nExpect: 100-continue", full, ""},
			"expect, chunks": {"Transfer-Encoding: chunked\nExpect: 100-continue", "", "100000\r\n" + full},
		} {
			t.Run(does+" "+name, func(t *testing.T) {
				c.send(t, service, proxyPath+"/", auth+"\n"+upstreamHeader+": "+url, does == "breaks")
				c.send(t, relay, "/", relayAuth, does == "breaks")
			})
		}
		if log := relay.log.String(); strings.Contains(log, "DELETE") || strings.Contains(log, "panic") {
			t.Errorf("the relay's log: %s", log)
		}
	}
	if log := service.log.String(); strings.Contains(log, "DELETE") || strings.Contains(log, "panic") {
		t.Errorf("the log: %s", log)
	}
}

// sending is a body with a part that is sent after the answer.
type sending struct{ head, first, then string }

// send sends it and expects one answer; an upstream that breaks off sends none before the
// body has ended.
func (s sending) send(t *testing.T, r *running, path, auth string, breaks bool) {
	conn, in := r.pipe(t, "POST "+path+" HTTP/1.1\nHost: HOST"+auth+"\n"+s.head+"\n\n")
	write := func(body string) { _, _ = io.WriteString(conn, strings.ReplaceAll(body, "HOST", r.addr)) }
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if write(s.first); breaks {
			write(s.then)
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	resp := response(t, in)
	for resp.StatusCode == 100 {
		resp = response(t, in)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	if !breaks {
		write(s.then)
	}
	if !resp.Close {
		<-sent // was read whole after all, and the connection may be kept
		_ = conn.(*net.TCPConn).CloseWrite()
	}
	rest, _ := io.ReadAll(in) // how the connection ends does not matter
	_ = conn.Close()
	<-sent
	if len(rest) > 0 || s.then != "" && !breaks && !resp.Close {
		t.Errorf("%d, then %.200q", resp.StatusCode, rest)
	}
}
