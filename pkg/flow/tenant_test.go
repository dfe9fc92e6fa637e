package flow

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testIssuer = "https://tenant.test/"

var testKey = sync.OnceValue(newKey)

func newKey() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
}

// tenant is a scriptable provider. It is an http.Handler for tests over the wire
// and an http.RoundTripper for tests in virtual time. It tracks families of
// refresh tokens like a rotating tenant.
type tenant struct {
	mu       sync.Mutex
	issuer   string
	now      func() time.Time
	key      *rsa.PrivateKey
	kid      string
	rotating bool
	overlap  time.Duration
	lifetime time.Duration

	n       int // counts what is issued
	codes   map[string]url.Values
	refresh map[string]*family // by refresh token
	revoked int                // families revoked for reuse

	onReuse func(rt string, since time.Duration) // a family was revoked for reuse

	calls  map[string]int // requests by path
	posts  []url.Values   // token requests, in order
	sentAt []time.Time
	basic  []string

	// Handlers for the next request of their kind. Each is used once, except
	// where always is set.
	token     []handler
	always    handler
	authorize handler
	discovery func(map[string]any)
	jwks      func() any
	answer    func(map[string]any)        // changes the body of successful token answers
	claims    func(map[string]any)        // changes the ID token's claims
	sign      func(map[string]any) string // makes the ID token
	paths     map[string]http.HandlerFunc // further paths
	serving   chan struct{}               // if set, token requests wait for it
	refuses   func(url.Values) string     // the error of a token request with a credential; "": granted

	rest *rest // only in virtual time
}

// rest fails a test in virtual time if a client works endlessly at one instant.
// It then lets time pass, so that the test ends.
type rest struct {
	t  testing.TB
	mu sync.Mutex
	at time.Time

	posts, looks int // at that instant
	failed       bool
}

const (
	mostPosts = 1000      // token requests at one instant
	mostLooks = 1_000_000 // clock reads at one instant
)

// note counts one step; a nil rest counts nothing.
func (r *rest) note(posts, looks int) {
	if r == nil {
		return
	}
	r.mu.Lock()
	if now := time.Now(); !now.Equal(r.at) {
		r.at, r.posts, r.looks = now, 0, 0
	}
	r.posts, r.looks = r.posts+posts, r.looks+looks
	if !r.failed && (r.posts > mostPosts || r.looks > mostLooks) {
		r.failed = true
		r.t.Errorf("the client works without end: %d token requests and %d clock reads at one instant", r.posts, r.looks)
	}
	failed := r.failed
	r.mu.Unlock()
	if failed {
		time.Sleep(time.Hour)
	}
}

// clock is the client's clock.
func (s *tenant) clock() time.Time {
	s.rest.note(0, 1)
	return s.now()
}

type handler func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc)

type family struct {
	current  string
	previous string
	rotated  time.Time
	dead     bool
	sub      string
}

func newTenant() *tenant {
	return &tenant{
		issuer: testIssuer, now: time.Now, key: testKey(), kid: "k1", rotating: true, lifetime: time.Hour,
		codes: map[string]url.Values{}, refresh: map[string]*family{}, calls: map[string]int{}, paths: map[string]http.HandlerFunc{},
	}
}

// RoundTrip serves a request without a network. A handler that panics with
// http.ErrAbortHandler drops the connection.
func (s *tenant) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	t := httptrace.ContextClientTrace(r.Context())
	if t != nil && t.GetConn != nil {
		t.GetConn(r.URL.Host)
	}
	var body []byte
	if r.Body != nil {
		body, err = io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	if t != nil && t.WroteHeaders != nil {
		t.WroteHeaders()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	in := r.Clone(r.Context())
	in.Body = io.NopCloser(bytes.NewReader(body))
	done := make(chan bool, 1)
	go func() {
		defer func() { done <- recover() == nil }()
		s.ServeHTTP(w, in)
	}()
	select {
	case ok := <-done:
		if !ok {
			return nil, io.ErrUnexpectedEOF
		}
		resp = w.Result()
		resp.Request = r
		return resp, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func (s *tenant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls[r.URL.Path]++
	h, authorize := s.paths[r.URL.Path], s.authorize
	s.mu.Unlock()
	switch {
	case h != nil:
		h(w, r)
	case r.URL.Path == "/.well-known/openid-configuration":
		base := strings.TrimSuffix(s.issuer, "/")
		doc := map[string]any{
			"issuer": s.issuer, "authorization_endpoint": base + "/authorize", "token_endpoint": base + "/oauth/token",
			"jwks_uri": base + "/.well-known/jwks.json", "revocation_endpoint": base + "/oauth/revoke",
		}
		if s.discovery != nil {
			s.discovery(doc)
		}
		reply(w, 200, doc)
	case r.URL.Path == "/.well-known/jwks.json":
		if s.jwks != nil {
			reply(w, 200, s.jwks())
			return
		}
		s.mu.Lock()
		k := jose.JSONWebKey{Key: s.key.Public(), KeyID: s.kid, Algorithm: "RS256", Use: "sig"}
		s.mu.Unlock()
		reply(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k}})
	case r.URL.Path == "/authorize":
		if authorize != nil {
			authorize(w, r, s.serveAuthorize)
			return
		}
		s.serveAuthorize(w, r)
	case r.URL.Path == "/oauth/token":
		s.serveToken(w, r)
	case r.URL.Path == "/oauth/revoke":
		_ = r.ParseForm()
		s.mu.Lock()
		if f := s.refresh[r.Form.Get("token")]; f != nil {
			f.dead = true
		}
		s.mu.Unlock()
	default:
		http.NotFound(w, r)
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(status int, code string) handler {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		reply(w, status, map[string]string{"error": code, "error_description": "no"})
	}
}

// drop closes the connection before the tenant has processed the request,
// dropAfter afterwards.
func drop(http.ResponseWriter, *http.Request, http.HandlerFunc) { panic(http.ErrAbortHandler) }

func dropAfter(_ http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	next(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

func hang(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) { <-r.Context().Done() }

func raw(status int, contentType, body string) handler {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func (s *tenant) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.mu.Lock()
	s.n++
	code := fmt.Sprintf("code-%d", s.n)
	s.codes[code] = q
	s.mu.Unlock()
	u, _ := url.Parse(q.Get("redirect_uri"))
	u.RawQuery = url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
	http.Redirect(w, r, u.String(), http.StatusFound)
}

func (s *tenant) serveToken(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	s.rest.note(1, 0)
	s.mu.Lock()
	s.posts, s.sentAt = append(s.posts, maps.Clone(r.Form)), append(s.sentAt, s.now())
	s.basic = append(s.basic, r.Header.Get("Authorization"))
	script, serving := s.always, s.serving
	if len(s.token) > 0 {
		script, s.token = s.token[0], s.token[1:]
	}
	s.mu.Unlock()
	if serving != nil {
		<-serving
	}
	if script != nil {
		script(w, r, s.grant)
		return
	}
	s.grant(w, r)
}

// grant answers a token request like Auth0.
func (s *tenant) grant(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	body := map[string]any{"access_token": fmt.Sprintf("at-%d", s.n), "token_type": "Bearer", "expires_in": int(s.lifetime.Seconds())}
	claims := map[string]any{
		"iss": s.issuer, "aud": "client", "sub": "user|1", "iat": s.now().Unix(), "exp": s.now().Add(10 * time.Hour).Unix(),
	}
	switch r.Form.Get("grant_type") {
	case "client_credentials":
		reply(w, 200, body)
		return
	case grantExchange, "password", grantRealm, grantDevice:
		if !s.hasCredential(w, r.Form, body) {
			return
		}
		if !strings.Contains(r.Form.Get("scope"), "openid") && r.Form.Get("grant_type") != grantDevice {
			reply(w, 200, body)
			return
		}
	case "authorization_code":
		q, ok := s.codes[r.Form.Get("code")]
		delete(s.codes, r.Form.Get("code"))
		if !ok || q.Get("redirect_uri") != r.Form.Get("redirect_uri") || !pkce(q.Get("code_challenge"), r.Form.Get("code_verifier")) {
			reply(w, 403, map[string]string{"error": "invalid_grant", "error_description": "Invalid authorization code"})
			return
		}
		claims["nonce"] = q.Get("nonce")
		rt := fmt.Sprintf("rt-%d", s.n)
		s.refresh[rt] = &family{current: rt, sub: "user|1"}
		body["refresh_token"], body["scope"] = rt, q.Get("scope")
	default:
		if !s.rotate(r.Form.Get("refresh_token"), body) {
			reply(w, 403, map[string]string{"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."})
			return
		}
	}
	if s.claims != nil {
		s.claims(claims)
	}
	body["id_token"] = signed(s.key, s.kid, claims)
	if s.sign != nil {
		body["id_token"] = s.sign(claims)
	}
	if s.answer != nil {
		s.answer(body)
	}
	reply(w, 200, body)
}

// rotate uses up a refresh token; s.mu is held.
func (s *tenant) rotate(rt string, body map[string]any) bool {
	f := s.refresh[rt]
	switch {
	case f == nil || f.dead:
		return false
	case !s.rotating:
		return true
	case rt == f.current:
		f.previous, f.rotated = rt, s.now()
	case rt == f.previous && s.now().Sub(f.rotated) < s.overlap:
	default:
		f.dead = true
		s.revoked++
		if s.onReuse != nil {
			s.onReuse(rt, s.now().Sub(f.rotated))
		}
		return false
	}
	f.current = fmt.Sprintf("rt-%d", s.n)
	s.refresh[f.current] = f
	body["refresh_token"] = f.current
	return true
}

func signed(key any, kid string, claims map[string]any) string {
	return signedWith(jose.RS256, key, kid, claims)
}

func signedWith(alg jose.SignatureAlgorithm, key any, kid string, claims map[string]any) string {
	o := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		o = o.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		panic(err)
	}
	payload, _ := json.Marshal(claims)
	jws, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	t, _ := jws.CompactSerialize()
	return t
}

func (s *tenant) count(grant string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, p := range s.posts {
		if grant == "" || p.Get("grant_type") == grant {
			n++
		}
	}
	return n
}

func (s *tenant) post(i int) url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.posts[i]
}

func (s *tenant) called(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[path]
}

// script sets the handlers of the next token requests.
func (s *tenant) script(h ...handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = h
}

func (s *tenant) setAuthorize(h handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authorize = h
}

func (s *tenant) keep(h handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = h
}
