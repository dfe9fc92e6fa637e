package daemon

import (
	"bufio"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/proxy"
)

// webSocket accepts RFC 6455's handshake and sends each byte back.
func webSocket(seen chan<- http.Header) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		if r.Header.Get("Authorization") == "Bearer token-1" || r.ProtoMajor != 1 {
			w.WriteHeader(401)
			return
		}
		sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		_, _ = fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nSec-WebSocket-Accept: %s\r\nTokend-Error: forged\r\n\r\n",
			r.Header.Get("Upgrade"), base64.StdEncoding.EncodeToString(sum[:]))
		_ = rw.Flush()
		_, _ = io.Copy(c, rw)
	}
}

const handshake = "\nConnection: keep-alive, Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="

// An upgrade works after its first token was refused; over TLS too, to a server that
// prefers HTTP/2, and for any protocol.
func TestProxy_Upgrades(t *testing.T) {
	for name, upgrade := range map[string]string{"plain": "websocket", "TLS": "websocket", "TLS, not a WebSocket": "SPDY/3.1"} {
		t.Run(name, func(t *testing.T) {
			seen := make(chan http.Header, 2)
			u := httptest.NewUnstartedServer(webSocket(seen))
			base := proxy.NewTransport(nil)
			if name == "plain" {
				u.Start()
			} else {
				u.EnableHTTP2 = true
				u.StartTLS()
				base = proxy.NewTransport(trusting(u))
			}
			defer u.Close()
			f := newTenant(t)
			f.answer(numbered())
			d := start(t, Config{Clients: []Client{proxied(t, f, u.URL)}, Base: base})
			c, r := d.pipe(t, get(proxyPath+"/ws", "HOST", auth+strings.Replace(handshake, "websocket", upgrade, 1)))
			resp := response(t, r)
			if resp.StatusCode != 101 || resp.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || resp.Header.Get(errorHeader) != "" {
				t.Fatalf("%d %v", resp.StatusCode, resp.Header)
			}
			for _, word := range []string{"\x81\x05hello", "again"} {
				_, _ = io.WriteString(c, word)
				got := make([]byte, len(word))
				if _, err := io.ReadFull(r, got); err != nil || string(got) != word {
					t.Fatalf("%q, %v", got, err)
				}
			}
			_ = c.Close()
			for _, want := range []string{"Bearer token-1", "Bearer token-2"} {
				h := <-seen
				if h.Get("Authorization") != want || strings.Contains(fmt.Sprint(h), mainKey) {
					t.Errorf("the upstream got %v", h)
				}
			}
		})
	}
}

// A connection that was upgraded ends when a later configuration has its caller no longer,
// or without the client; that of another caller continues.
func TestProxy_RevokedCaller_UpgradeEnds(t *testing.T) {
	all := []Key{{Name: "main", Secret: mainKey}, {Name: "ci", Secret: ciKey, Clients: []string{"demo"}}}
	for name, keys := range map[string][]Key{
		"key revoked":    {all[0]},
		"key replaced":   {all[0], {Name: "ci", Secret: "another-key-of-32-characters-long", Clients: []string{"demo"}}},
		"client removed": {all[0], {Name: "ci", Secret: ciKey, Clients: []string{"other"}}},
	} {
		t.Run(name, func(t *testing.T) {
			u := httptest.NewServer(webSocket(make(chan http.Header, 9)))
			defer u.Close()
			clients := []Client{proxied(t, newTenant(t), u.URL)}
			d := start(t, Config{Clients: clients, Keys: all})
			upgraded := func(key string) (net.Conn, *bufio.Reader) {
				c, r := d.pipe(t, get(proxyPath+"/ws", "HOST", "\nAuthorization: Bearer "+key+handshake))
				if resp := response(t, r); resp.StatusCode != 101 {
					t.Fatal(resp.StatusCode)
				}
				return c, r
			}
			kept, keptAnswers := upgraded(mainKey)
			cut, cutAnswers := upgraded(ciKey)
			for _, change := range [][]Key{all, keys} { // the first one changes nothing
				if _, err := io.WriteString(cut, "hello"); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(cutAnswers, make([]byte, 5)); err != nil {
					t.Fatalf("before it was revoked: %v", err)
				}
				if err := d.Replace(clients, change); err != nil {
					t.Fatal(err)
				}
			}
			_ = cut.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := cutAnswers.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection of a caller that was revoked: %v", err)
			}
			if _, err := io.WriteString(kept, "again"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(keptAnswers, make([]byte, 5)); err != nil {
				t.Errorf("the connection of another caller: %v", err)
			}
			_ = kept.Close()
		})
	}
}

// trusting returns a transport that trusts a server's own authority.
func trusting(s *httptest.Server) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return &tls.Config{RootCAs: pool}
}

// HTTP/2 to the upstream, with the headers that HTTP/1 needs.
func TestProxy_HTTP2Upstream(t *testing.T) {
	u := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Proto", r.Proto)
		_, _ = io.Copy(w, r.Body)
	}))
	u.EnableHTTP2 = true
	u.StartTLS()
	defer u.Close()
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), u.URL)}, Base: proxy.NewTransport(trusting(u))})
	if a := d.call(t, "POST", proxyPath+"/", "body"); a.body != "body" || a.Header.Get("X-Proto") != "HTTP/2.0" {
		t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
	}
	d = start(t, Config{Clients: []Client{proxied(t, newTenant(t), u.URL)}})
	if a := d.call(t, "GET", proxyPath+"/", ""); a.StatusCode != 502 || !strings.Contains(a.body, "TLS handshake failed") {
		t.Errorf("an unknown CA: %d %s", a.StatusCode, a.body)
	}
}
