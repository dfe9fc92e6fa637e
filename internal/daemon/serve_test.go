package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// The page's policy allows the page's own style and nothing else.
func TestCallback_PolicyAllowsItsStyle(t *testing.T) {
	d, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	ctx, _ := gin.CreateTestContext(w)
	d.showPage(ctx, 200, pageText{OK: true, Title: "<b>"})
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(w.Body.String())
	if style == nil || strings.Contains(w.Body.String(), "<b>") {
		t.Fatalf("page: %s", w.Body)
	}
	sum := sha256.Sum256([]byte(style[1]))
	if want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(w.Header().Get("Content-Security-Policy"), want) {
		t.Errorf("policy %q lacks %s", w.Header().Get("Content-Security-Policy"), want)
	}
	if strings.Contains(w.Body.String(), "<script") {
		t.Error("the page has a script")
	}
}

func TestPanic_AnswerAndLogHoldNoSecret(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo")}, Ready: func(ctx context.Context) error {
		panic(fmt.Sprintf("secret %s %s", canarySecret, mainKey))
	}})
	a := d.raw(t, "GET /readyz HTTP/1.1\nHost: HOST\nAuthorization: Bearer "+mainKey+"\nX-Secret: "+canarySecret+"\n\n")
	if a.StatusCode != 500 || a.error(t) != "internal" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	noCanary(t, "body", a.body)
	noCanary(t, "log", d.log.String())
	if !strings.Contains(d.log.String(), "handler panicked") || !strings.Contains(d.log.String(), "panic with a string") {
		t.Errorf("the log does not tell of it:\n%s", d.log)
	}
	if a := d.call(t, "GET", "/healthz", ""); a.StatusCode != 200 {
		t.Errorf("afterwards: %d", a.StatusCode)
	}
}

// The log has the text of a runtime error, which contains no data.
func TestPanic_OfTheRuntimeIsNamed(t *testing.T) {
	var none []string
	d := start(t, Config{Ready: func(context.Context) error { return errors.New(none[1]) }})
	if a := d.call(t, "GET", "/readyz", ""); a.StatusCode != 500 || !strings.Contains(d.log.String(), "index out of range") {
		t.Errorf("%d, %s", a.StatusCode, d.log)
	}
}

func TestAccessLog_HasNoQuery(t *testing.T) {
	d := start(t, Config{})
	d.raw(t, "GET /callback?code="+canaryCode+"&state=x HTTP/1.1\nHost: HOST\n\n")
	if log := d.log.String(); !strings.Contains(log, "route=/callback") {
		t.Errorf("no access log at debug level:\n%s", log)
	}
	noCanary(t, "log", d.log.String())
}

// The end of the daemon waits for a refresh in flight, whether its caller waits or not.
func TestRun_EndWaitsForRefreshInFlight(t *testing.T) {
	for name, leaves := range map[string]bool{"caller stays": false, "caller leaves": true} {
		t.Run(name, func(t *testing.T) { drainDuringRefresh(t, leaves) })
	}
}

func drainDuringRefresh(t *testing.T, leaves bool) {
	f := newTenant(t)
	begun, finish := make(chan struct{}), make(chan struct{})
	f.answer(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-finish
		goodToken(w, r)
	})
	d, err := New(Config{Clients: []Client{kept(t, f, "demo")}, Keys: []Key{{Name: "main", Secret: mainKey}}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	received := make(chan struct{})
	inner := d.handler
	d.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(received)
		inner.ServeHTTP(w, r)
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, l) }()
	caller, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan answered, 1)
	request := "GET " + tokenPath + "?format=text HTTP/1.1\nHost: " + l.Addr().String() + "\nAuthorization: Bearer " + mainKey + "\n\n"
	if leaves {
		if _, err := io.WriteString(caller, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
			t.Fatal(err)
		}
		<-received
		<-begun // which may be the client's own refresh, before anybody asks
		_ = caller.Close()
	} else {
		go func() { read <- exchange(t, caller, request) }()
		<-received
		<-begun
	}
	cancel()
	select {
	case err := <-ended:
		t.Errorf("ended before the refresh: %v", err)
	case <-time.After(200 * time.Millisecond): // long enough to have ended, were nothing waited for
	}
	close(finish)
	if !leaves {
		if a := <-read; a.StatusCode != 200 || a.body != canaryToken {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if d.active.Load().clients["demo"].Cached(flow.Request{}) == nil {
		t.Error("the token of the refresh is lost")
	}
}

func TestServer_CutsSlowHeaders(t *testing.T) {
	if testing.Short() {
		t.Skip("takes five seconds")
	}
	d := start(t, Config{})
	var slow []net.Conn
	for range 500 {
		c, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: "); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
	}
	began := time.Now()
	if a := d.call(t, "GET", "/healthz", ""); a.StatusCode != 200 || time.Since(began) > 4*time.Second { // the slow ones are cut after 5 s
		t.Errorf("a concurrent read: %d after %v", a.StatusCode, time.Since(began))
	}
	for _, c := range slow {
		_ = c.SetReadDeadline(began.Add(6 * time.Second))
		if _, err := io.Copy(io.Discard, c); os.IsTimeout(err) {
			t.Fatal("a slow connection is open after 6 s")
		}
	}
}

func TestServer_RefusesLargeHeaders(t *testing.T) {
	d := start(t, Config{})
	a := d.raw(t, "GET /healthz HTTP/1.1\nHost: HOST\nX-Filler: "+strings.Repeat("x", 32<<10)+"\n\n")
	if a.StatusCode != 431 {
		t.Errorf("32 KiB of headers: %d", a.StatusCode)
	}
}

func TestRun_FailsWithItsListener(t *testing.T) {
	d, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := d.Run(t.Context(), l); err == nil {
		t.Error("no error from a closed listener")
	}
}

func TestNew_RefusesDuplicateClient(t *testing.T) {
	f := newTenant(t)
	if _, err := New(Config{Clients: []Client{kept(t, f, "demo"), kept(t, f, "demo")}}); err == nil {
		t.Error("accepted")
	}
}

func TestStart_ProviderDown(t *testing.T) {
	f := newTenant(t)
	c := person(t, f, "demo")
	f.Close()
	d := start(t, Config{Clients: []Client{c}})
	a := d.call(t, "GET", "/v1/clients", "")
	if a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	a = d.call(t, "POST", "/v1/clients/demo/login", "")
	if a.StatusCode != 503 || a.error(t) != "idp_unreachable" || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func login(client, state string, now time.Time) flow.Login {
	return flow.Login{Client: client, State: state, URL: "https://t/authorize?" + url.Values{"state": {state}}.Encode(), Expires: now.Add(10 * time.Minute)}
}

func TestLogins_WorkOnceAndExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLogins(nil, time.Now)
		made := func(name string) Client {
			return makeClient(t, flow.Config{Name: name, Issuer: "https://tenant.test/", ClientID: name, Source: flow.AuthorizationCode{}}, "browser")
		}
		a, b := made("a"), made("b")
		put := func(cl Client, state string) {
			t.Helper()
			if err := s.put(t.Context(), cl, login(cl.Name(), state, time.Now())); err != nil {
				t.Fatal(err)
			}
		}
		take := func(state string, cl *Client) bool {
			t.Helper()
			l, err := s.take(t.Context(), state, cl)
			if err != nil && !errors.Is(err, flow.ErrState) || err == nil && l.Login.State != state {
				t.Errorf("take(%q) = %v, %v", state, l, err)
			}
			return err == nil
		}
		put(a, "1")
		if take("1", &b) {
			t.Error("taken for another client")
		}
		if !take("1", &a) {
			t.Error("not there")
		}
		if take("1", nil) {
			t.Error("taken twice")
		}
		put(a, "2")
		if l, ok := s.offered(t.Context(), a); !ok || l.State != "2" {
			t.Error("not offered")
		}
		time.Sleep(6 * time.Minute) // synctest's clock
		if _, ok := s.offered(t.Context(), a); ok {
			t.Error("offered with less than half its time left")
		}
		time.Sleep(5 * time.Minute)
		if take("2", nil) {
			t.Error("taken after its time")
		}
		put(b, "b")
		for i := range flow.MaxPendingLogins + 5 {
			put(a, fmt.Sprint("a", i))
		}
		if take("a4", nil) {
			t.Error("an old one was kept beyond the cap")
		}
		if !take("a5", nil) {
			t.Error("a newer one was dropped")
		}
		if !take("b", nil) {
			t.Error("another client's was dropped")
		}
		if err := s.drop(t.Context(), a); err != nil || take("a6", nil) {
			t.Errorf("there after drop: %v", err)
		}
	})
}

// A lost store is named without its path, which is not for callers without a key.
func TestReadyz_StoreLost_SaysSoWithoutItsPath(t *testing.T) {
	d := start(t, Config{Clients: []Client{kept(t, newTenant(t), "demo")}, Ready: func(context.Context) error {
		return hint.Errorf("restart tokend", "sqlite: /secret/path was deleted while it was in use: %w", flow.ErrReplaced)
	}})
	a := d.raw(t, "GET /readyz HTTP/1.1\nHost: HOST\n\n")
	if a.StatusCode != 503 || !strings.Contains(a.body, "the store was deleted or replaced while it was in use") || !strings.Contains(a.body, `"hint":"restart tokend"`) || strings.Contains(a.body, "/secret") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}
