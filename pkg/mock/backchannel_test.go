package mock_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// receiver is a transport that keeps the logout tokens.
type receiver struct {
	mu     sync.Mutex
	tokens map[string][]string // by URL
	answer func(*http.Request) (*http.Response, error)
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form) != 1 || req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		return nil, errors.New("not a logout token")
	}
	r.mu.Lock()
	r.tokens[req.URL.String()] = append(r.tokens[req.URL.String()], form.Get("logout_token"))
	r.mu.Unlock()
	if r.answer != nil {
		return r.answer(req)
	}
	return answering(http.StatusOK), nil
}

func answering(status int) *http.Response {
	return &http.Response{StatusCode: status, Body: http.NoBody}
}

// received waits for the logout tokens that are being sent and returns all.
func (w *world) received(r *receiver) map[string][]string {
	w.WaitForLogoutTokens()
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.tokens
	r.tokens = map[string][]string{}
	return out
}

// logoutWorld has clients with back-channel logout URLs.
func logoutWorld(tb testing.TB, r *receiver) *world {
	tb.Helper()
	e := richTenant()
	for i := range e.Clients {
		if id := e.Clients[i].ClientID; id != "demo-spa" && !strings.Contains(id, " ") {
			e.Clients[i].OIDCLogout = &tenant.OIDCLogout{BackchannelLogoutURLs: []string{"http://localhost:3000/" + id + "?key=hidden"}}
		}
	}
	w := newWorld(tb, mock.Config{Tenant: e})
	r.tokens = map[string][]string{}
	w.SendLogoutTokensBy(r)
	return w
}

const demoLogout = "http://localhost:3000/demo?key=hidden"

func TestBackchannelLogout_TokenAndJournal(t *testing.T) {
	r := &receiver{}
	w := logoutWorld(t, r)
	tk := w.tokens("demo")
	w.Advance(time.Minute)
	out := w.get("/v2/logout?client_id=demo")
	sent := w.received(r)[demoLogout]
	if len(sent) != 1 {
		t.Fatalf("%d logout tokens", len(sent))
	}
	golden(t, "header_logout", part(t, sent[0], 0)+"\n")
	payload := part(t, sent[0], 1)
	for pattern, with := range map[string]string{
		`"jti":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"`: `"jti":"UUID"`,
		`"trace_id":"[0-9a-f]{16}"`: `"trace_id":"TRACE"`,
	} {
		if r := regexp.MustCompile(pattern); r.MatchString(payload) {
			payload = r.ReplaceAllString(payload, with)
		} else {
			t.Errorf("%s does not match %s", payload, pattern)
		}
	}
	golden(t, "claims_logout", payload+"\n")
	id, got := claims(t, tk.ID), claims(t, sent[0])
	if got["sid"] != id["sid"] || got["sub"] != id["sub"] {
		t.Errorf("sid %v and sub %v, in the ID token %v and %v", got["sid"], got["sub"], id["sid"], id["sub"])
	}
	keys := decodeJSON[jose.JSONWebKeySet](t, w.get("/.well-known/jwks.json").body)
	jws, err := jose.ParseSignedCompact(sent[0], []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jws.Verify(keys.Keys[0].Key); err != nil {
		t.Error(err)
	}
	list := w.Journal().Find(mock.Query{Endpoint: "backchannel_logout"})
	if len(list) != 1 {
		t.Fatalf("%d entries", len(list))
	}
	e := list[0]
	if e.Status != 200 || e.ClientID != "demo" || e.Path != "http://localhost:3000/demo" || e.Reason != "" ||
		e.Parent != out.header.Get("X-Auth0-RequestId") || !e.Time.Equal(w.Now()) {
		t.Errorf("%+v", e)
	}
}

func TestBackchannelLogout_ClientsOfTheSession(t *testing.T) {
	r := &receiver{}
	w := logoutWorld(t, r)
	count := func(want string) {
		t.Helper()
		got := w.received(r)
		var names []string
		for u, list := range got {
			for range list {
				names = append(names, u)
			}
		}
		if len(got) != len(names) || len(names) != len(strings.Fields(want)) {
			t.Errorf("got %q, want %q", names, want)
		}
		for _, id := range strings.Fields(want) {
			if len(got["http://localhost:3000/"+id+"?key=hidden"]) != 1 {
				t.Errorf("none for %s", id)
			}
		}
	}
	logout := func(b *world) { b.get("/v2/logout") }

	w.tokens("demo")
	w.tokens("demo")
	w.tokens("rotating")
	w.authorize("client_id", "demo-spa") // has no URL
	other := w.otherBrowser()
	other.tokens("abrupt")
	logout(w)
	count("demo rotating")
	logout(w) // no session any more
	count("")
	logout(other)
	count("abrupt")

	w.code("prompt", "login", "login_hint", guest)
	w.code("client_id", "rotating", "prompt", "login", "login_hint", agent) // another user: another session
	logout(w)
	count("rotating")

	w.tokens("demo")
	w.Advance(8 * 24 * time.Hour) // the session has ended by itself
	logout(w)
	count("")

	w.tokens("demo")
	w.mustControl("PATCH", "/_mock/clients/demo", `{"oidc_logout":{"backchannel_logout_urls":[]}}`)
	logout(w)
	count("")
}

func TestBackchannelLogout_OIDCLogout(t *testing.T) {
	r := &receiver{}
	w := logoutWorld(t, r)
	tk := w.tokens("demo")
	w.get("/oidc/logout?" + pairs("id_token_hint", tk.ID).Encode())
	if n := len(w.received(r)[demoLogout]); n != 1 {
		t.Errorf("with a hint %d logout tokens", n)
	}
	w.tokens("demo")
	for _, c := range []struct {
		action string
		want   int
	}{{"decline", 0}, {"accept", 1}} {
		asked := w.get("/oidc/logout?client_id=demo").location()
		w.post("/u/logout-consent", "state", asked.Query().Get("state"), "action", c.action)
		if n := len(w.received(r)[demoLogout]); n != c.want {
			t.Errorf("%s: %d logout tokens, want %d", c.action, n, c.want)
		}
	}
}

// A logout is answered before the client is, and no answer is asked for twice.
func TestBackchannelLogout_Refusals(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		status int
		reason string
	}{
		"400":      {func(*http.Request) (*http.Response, error) { return answering(400), nil }, 400, "the client refused the logout token; it is not sent again"},
		"503":      {func(*http.Request) (*http.Response, error) { return answering(503), nil }, 503, "the client answered 503; the logout token is not sent again"},
		"redirect": {func(*http.Request) (*http.Response, error) { return answering(302), nil }, 302, "the client answered 302; the logout token is not sent again"},
		"204":      {func(*http.Request) (*http.Response, error) { return answering(204), nil }, 204, ""},
		"no host":  {func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }, 0, "not delivered: connection refused"},
		"hangs": {func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, 0, "not delivered: no answer within 5s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{answer: c.answer}
				w := logoutWorld(t, r)
				w.tokens("demo")
				began := time.Now()
				if out := w.get("/v2/logout"); out.status != 302 || time.Since(began) != 0 {
					t.Errorf("the logout answers %d after %s", out.status, time.Since(began))
				}
				if n := len(w.received(r)[demoLogout]); n != 1 {
					t.Errorf("%d logout tokens", n)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("waited %s for the client", took)
				}
				list := w.Journal().Find(mock.Query{Endpoint: "backchannel_logout"})
				if len(list) != 1 || list[0].Status != c.status || list[0].Reason != c.reason {
					t.Errorf("%+v", list)
				}
			})
		})
	}
}

func TestBackchannelLogout_ResetAndCloseEndDeliveries(t *testing.T) {
	for name, end := range map[string]func(*world){"reset": func(w *world) { w.Reset() }, "close": func(w *world) { w.Close() }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{answer: func(r *http.Request) (*http.Response, error) {
					<-r.Context().Done()
					return nil, r.Context().Err()
				}}
				w := logoutWorld(t, r)
				w.tokens("demo")
				w.get("/v2/logout")
				synctest.Wait()
				began := time.Now()
				end(w)
				if took := time.Since(began); took != 0 {
					t.Errorf("waited %s", took)
				}
				if n := w.Journal().Count(mock.Query{Endpoint: "backchannel_logout"}); n != 0 {
					t.Errorf("%d entries", n)
				}
				r.answer = nil
				w.tokens("demo")
				w.get("/v2/logout")
				if n := len(w.received(r)[demoLogout]); n != 2 {
					t.Errorf("%d logout tokens, want 2", n)
				}
				if n := w.Journal().Count(mock.Query{Endpoint: "backchannel_logout"}); n != 1 {
					t.Errorf("%d entries: the delivery of before was not ended", n)
				}
			})
		})
	}
}

func TestBackchannelLogout_TooManyAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}}
		w := logoutWorld(t, r)
		for range 257 {
			w.code()
			w.get("/v2/logout")
		}
		if n := len(w.received(r)[demoLogout]); n != 256 {
			t.Errorf("%d are sent at a time", n)
		}
		dropped := 0
		for _, e := range w.Journal().Find(mock.Query{Endpoint: "backchannel_logout"}) {
			if e.Reason == "not sent: too many logout tokens at a time" {
				dropped++
			}
		}
		if dropped != 1 {
			t.Errorf("%d dropped", dropped)
		}
	})
}

// A real listener on loopback gets the token.
func TestBackchannelLogout_OverTheNetwork(t *testing.T) {
	got := make(chan string, 1)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.FormValue("logout_token")
	}))
	defer app.Close()
	w := newWorld(t, mock.Config{})
	w.mustControl("PATCH", "/_mock/clients/demo", `{"jwt_configuration":{"alg":"HS256"},"oidc_logout":{"backchannel_logout_urls":["`+app.URL+`/bye"]}}`)
	w.tokens("demo")
	w.get("/v2/logout")
	token := <-got
	w.WaitForLogoutTokens()
	end := strings.LastIndex(token, ".")
	input, signature := token[:end], token[end+1:]
	mac := hmac.New(sha256.New, []byte("demo-secret"))
	mac.Write([]byte(input))
	if signature != base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) {
		t.Errorf("%s is not signed with the client's secret", token)
	}
	if e := w.Journal().Find(mock.Query{Endpoint: "backchannel_logout", Status: 200}); len(e) != 1 {
		t.Errorf("%+v", e)
	}
}

func TestBackchannelLogoutURLIsChecked(t *testing.T) {
	for raw, want := range map[string]string{
		"https://app.example.com/logout": "", "http://localhost:3000/logout": "", "http://127.0.0.2/": "", "http://[::1]:3000/": "",
		"http://app.example.com/": "is neither https nor http on a loopback host", "ftp://localhost/": "is neither https nor http on a loopback host",
		"http://localhost.evil.example/": "is neither https nor http on a loopback host", "/logout": "is not a URL", "%zz": "is not a URL",
		"https://u@app.example.com/": "is not a URL", "https://app.example.com/#a": "has a fragment",
	} {
		c := tenant.Client{ClientID: "x", OIDCLogout: &tenant.OIDCLogout{BackchannelLogoutURLs: []string{raw}}}
		err := c.Complete()
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasSuffix(err.Error(), `of client "x" `+want)) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	c := tenant.Client{ClientID: "x", OIDCLogout: &tenant.OIDCLogout{BackchannelLogoutURLs: []string{"https://a/", "https://b/"}}}
	if err := c.Complete(); err == nil || !strings.Contains(err.Error(), `2 URLs of client "x"; one is allowed`) {
		t.Errorf("%v", err)
	}
}
