package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/.well-known/jwks.json"
)

func (s *tenant) provider() *Provider {
	return NewProvider(ProviderConfig{Issuer: s.issuer, HTTPClient: &http.Client{Transport: s}, Now: s.now})
}

// of returns a client of p.
func (s *tenant) of(t testing.TB, p *Provider, change func(*Config)) *Client {
	t.Helper()
	cfg := s.config()
	cfg.Provider, cfg.HTTPClient = p, nil
	if change != nil {
		change(&cfg)
	}
	return mustNew(t, cfg)
}

func TestProvider_SharedByItsClients(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		p := s.provider()
		for i := range 20 {
			c := s.of(t, p, func(c *Config) { c.Name = fmt.Sprint(i) })
			if _, err := c.LoginHeadless(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if s.called(discoveryPath) != 1 || s.called(keysPath) != 1 {
			t.Errorf("requests %v", s.calls)
		}
	})
}

func TestProvider_ConfigErrors(t *testing.T) {
	p := NewProvider(ProviderConfig{Issuer: testIssuer})
	_, err := New(Config{Issuer: "https://other.test/", ClientID: "c", Provider: p})
	wantError(t, err, ClassConfig, `"https://other.test/"`)
	wantError(t, err, ClassConfig, `"https://tenant.test/"`)
	_, err = New(Config{ClientID: "c", Provider: p, HTTPClient: &http.Client{}})
	wantError(t, err, ClassConfig, "both a provider and an HTTP client")
	c, err := New(Config{ClientID: "c", Provider: p})
	if err != nil || c.cfg.Issuer != testIssuer {
		t.Errorf("%v, %v", c, err)
	}
}

// The configured endpoints of one client do not affect another.
func TestProvider_EndpointsArePerClient(t *testing.T) {
	s := newTenant()
	p := s.provider()
	own := s.of(t, p, func(c *Config) { c.Endpoint.TokenURL = testIssuer + "own" })
	m, err := own.provider.endpoints(t.Context())
	if err != nil || m.Token != testIssuer+"own" {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err = s.of(t, p, nil).provider.endpoints(t.Context()); err != nil || m.Token != testIssuer+"oauth/token" {
		t.Errorf("%+v, %v", m, err)
	}
}

// 400 clients of one provider start and expire together.
//
// Row F36 of docs/guarantees.md.
func TestProvider_AtMostEightConcurrentRequests(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		var mu sync.Mutex
		now, most := 0, 0
		p := NewProvider(ProviderConfig{Issuer: s.issuer, HTTPClient: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second) // 400 of these, eight at once, take longer than one request may
			mu.Lock()
			now--
			mu.Unlock()
			return s.RoundTrip(r)
		})}})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		var clients []*Client
		for i := range 400 {
			c := s.of(t, p, func(c *Config) { c.Name, c.Source, c.Scopes = fmt.Sprint(i), ClientCredentials{}, []string{"a"} })
			clients = append(clients, c)
			running.Go(func() { _ = c.Run(ctx) })
		}
		time.Sleep(10 * time.Minute)
		for i, c := range clients {
			if st := c.Status(); st.State != StateReady {
				t.Fatalf("client %d: %+v", i, st)
			}
		}
		if most != providerSlots || s.called(discoveryPath) != 1 || s.count("") != 400 {
			t.Errorf("%d at once, %d discoveries, %d token requests", most, s.called(discoveryPath), s.count(""))
		}
		stop()
		running.Wait()
	})
}

// A request that does not get a slot in time is reported as not sent.
func TestProvider_WaitingForASlotEndsWithTheContext(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		p := s.provider()
		c := s.of(t, p, func(c *Config) { c.Endpoint.TokenURL = testIssuer + "oauth/token" })
		for range providerSlots {
			p.slots <- struct{}{}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, o, e := c.post(ctx, "refresh", testIssuer+"oauth/token", nil, sendOptions{})
		if o != notSent || e.Class != ClassTimeout || s.count("") != 0 {
			t.Errorf("%v, %v", o, e)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, o, err := c.send(ctx, "login", testIssuer+"oauth/token", map[string][]string{}, sendOptions{}) // without post's own wait for a slot
		if o != notSent || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, %v", o, err)
		}
		for range providerSlots {
			<-p.slots
		}
		if _, err := c.LoginHeadless(t.Context()); err != nil || len(p.slots) != 0 {
			t.Errorf("%v, %d slots are taken", err, len(p.slots))
		}
	})
}

// A rate limit of the whole provider delays all of its clients; one without an
// end, or one for a single account, does not.
func TestProvider_RateLimitOfAllClients(t *testing.T) {
	limit := func(status int, code string, kv ...string) handler {
		return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			for i := 0; i < len(kv); i += 2 {
				w.Header().Set(kv[i], kv[i+1])
			}
			refuse(status, code)(w, r, next)
		}
	}
	for name, tc := range map[string]struct {
		h    handler
		held bool
	}{
		"Retry-After":         {limit(429, "too_many_requests", "Retry-After", "60"), true},
		"X-RateLimit":         {limit(429, "too_many_requests", "X-RateLimit-Reset", "946684860", "X-RateLimit-Remaining", "0"), true},
		"500 access_denied":   {limit(500, "access_denied", "X-RateLimit-Reset", "946684860", "X-RateLimit-Remaining", "0"), true},
		"no end":              {limit(429, "too_many_requests"), false},
		"one account's":       {limit(429, "too_many_attempts", "Retry-After", "60"), false},
		"another refusal":     {limit(403, "invalid_scope", "Retry-After", "60"), false},
		"503 is not a limit":  {limit(503, "", "Retry-After", "60"), false},
		"one device's polls":  {limit(429, "slow_down", "Retry-After", "60"), false},
		"a reset in the past": {limit(429, "too_many_requests", "X-RateLimit-Reset", "946684700", "X-RateLimit-Remaining", "0"), false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				p := s.provider()
				one := s.of(t, p, func(c *Config) { c.Name, c.Source = "one", ClientCredentials{} })
				two := s.of(t, p, func(c *Config) { c.Name, c.Source = "two", ClientCredentials{} })
				s.script(tc.h)
				_, _ = one.Get(t.Context(), Request{})
				n := s.count("")
				_, err := two.Get(t.Context(), Request{})
				if !tc.held {
					if err != nil {
						t.Error(err)
					}
					return
				}
				if e := wantError(t, err, ClassRateLimited, "limited the rate of all clients"); e.RetryAfter < 55*time.Second || s.count("") != n {
					t.Errorf("%v, %d requests", e.RetryAfter, s.count("")-n)
				}
				time.Sleep(90 * time.Second)
				if _, err := two.Get(t.Context(), Request{}); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Close waits for the client's own requests, even if called twice, and keeps the
// shared provider's connections for its other clients.
func TestClose(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.serving = make(chan struct{})
		c := mustNew(t, s.config())
		go func() { _, _ = c.LoginHeadless(t.Context()) }()
		time.Sleep(time.Second)
		go func() { time.Sleep(time.Second); close(s.serving) }()
		before := time.Now()
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if time.Since(before) < time.Second || c.Cached(Request{}) == nil {
			t.Error("it has not waited")
		}
	})
	idle := 0
	tr := closing{&idle}
	p := NewProvider(ProviderConfig{Issuer: testIssuer, HTTPClient: &http.Client{Transport: tr}})
	c, err := New(Config{ClientID: "c", Provider: p})
	if err != nil {
		t.Fatal(err)
	}
	if _ = c.Close(); idle != 0 {
		t.Error("the shared connections were closed")
	}
	if _ = p.Close(); idle != 1 {
		t.Errorf("the provider's were closed %d times", idle)
	}
}

type closing struct{ n *int }

func (c closing) RoundTrip(*http.Request) (*http.Response, error) { return nil, io.EOF }
func (c closing) CloseIdleConnections()                           { *c.n++ }

// Metadata has a maximum age; the old one is used while a refetch fails.
//
// Row X34 of docs/guarantees.md.
func TestProvider_MetadataMaxAge(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := mustNew(t, s.config())
		ask := func(want int) {
			t.Helper()
			if _, err := c.Login(t.Context()); err != nil || s.called(discoveryPath) != want {
				t.Fatalf("%v, %d discoveries, want %d", err, s.called(discoveryPath), want)
			}
		}
		ask(1)
		time.Sleep(metadataMaxAge - time.Second)
		ask(1)
		time.Sleep(time.Second)
		s.paths[discoveryPath] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
		ask(2)
		ask(2) // not for each use
		time.Sleep(metadataRetry)
		ask(3)
		delete(s.paths, discoveryPath)
		s.discovery = func(m map[string]any) { m["authorization_endpoint"] = testIssuer + "new" }
		time.Sleep(metadataRetry)
		if l, err := c.Login(t.Context()); err != nil || !strings.HasPrefix(l.URL, testIssuer+"new?") {
			t.Errorf("%s, %v", l.URL, err)
		}
	})
}

func (s *tenant) idToken() string {
	return signed(s.key, s.kid, map[string]any{
		"iss": s.issuer, "aud": "client", "sub": "u", "iat": s.now().Unix(), "exp": s.now().Add(time.Hour).Unix(),
	})
}

// TestProvider_KeysMaxAge tests row X34 of docs/guarantees.md.
func TestProvider_KeysMaxAge(t *testing.T) {
	for name, tc := range map[string]struct {
		control string
		age     time.Duration
	}{
		"X34 not said":           {"", keyMaxAge},
		"X34 an hour":            {"public, max-age=3600", time.Hour},
		"X34 shorter than least": {"max-age=1", keyMinAge},
		"X34 no-store":           {"no-store", keyMinAge},
		"X34 a year":             {"max-age=31536000", keyMaxAge},
		"X34 nonsense":           {"max-age=soon", keyMaxAge},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				s.paths[keysPath] = func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Cache-Control", tc.control)
					reply(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: s.kid, Use: "sig"}}})
				}
				c := mustNew(t, s.config())
				check := func(want int) {
					t.Helper()
					if _, err := c.provider.verify(t.Context(), "test", s.idToken(), expected{}); err != nil || s.called(keysPath) != want {
						t.Fatalf("%v, %d fetches, want %d", err, s.called(keysPath), want)
					}
				}
				check(1)
				time.Sleep(tc.age - time.Second)
				check(1)
				time.Sleep(time.Second)
				check(2)
				s.paths[keysPath] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
				time.Sleep(tc.age + time.Minute)
				check(3) // the expired ones are used
			})
		})
	}
}

// A provider that replaces its key but keeps the key id is noticed by one fetch,
// within the rate limit.
//
// Row X34 of docs/guarantees.md.
func TestProvider_BadSignatureWithKnownKeyID_RefetchesKeys(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := mustNew(t, s.config())
		if _, err := c.provider.verify(t.Context(), "test", s.idToken(), expected{}); err != nil {
			t.Fatal(err)
		}
		forged := signed(newKey(), s.kid, map[string]any{"iss": s.issuer})
		s.mu.Lock()
		s.key = newKey()
		s.mu.Unlock()
		if _, err := c.provider.verify(t.Context(), "test", s.idToken(), expected{}); err != nil || s.called(keysPath) != 2 {
			t.Errorf("%v, %d fetches", err, s.called(keysPath))
		}
		for window := range 3 {
			for range 100 {
				_, err := c.provider.verify(t.Context(), "test", forged, expected{})
				wantError(t, err, ClassBadResponse, "its signature is wrong")
			}
			if n := s.called(keysPath); n != 2*(window+1) {
				t.Errorf("%d fetches after window %d", n, window)
			}
			time.Sleep(keyWindow)
		}
	})
}

// 5,000 clients of one provider: requests at the start and memory of each.
func BenchmarkProviderClients(b *testing.B) {
	const n = 5000
	s := newTenant()
	srv := httptest.NewServer(s)
	defer srv.Close()
	s.issuer = srv.URL + "/"
	for b.Loop() {
		s.mu.Lock()
		clear(s.calls)
		s.mu.Unlock()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		p := NewProvider(ProviderConfig{Issuer: s.issuer})
		clients := make([]*Client, n)
		store := NewMemoryStore()
		for i := range clients {
			c, err := New(Config{
				Name: fmt.Sprint("client-", i), ClientID: fmt.Sprint("id-", i), ClientSecret: "secret", Provider: p, Store: store,
				Source: ClientCredentials{}, Audience: "https://api.test/",
			})
			if err != nil {
				b.Fatal(err)
			}
			clients[i] = c
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		var wg sync.WaitGroup
		for _, c := range clients {
			wg.Go(func() {
				if _, err := c.provider.endpoints(context.Background()); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		b.ReportMetric(float64(s.called(discoveryPath)), "discoveries")
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/client")
		for _, c := range clients {
			_ = c.Close()
		}
		_ = p.Close()
	}
}
