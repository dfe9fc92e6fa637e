package mock_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

// race makes n calls at once and returns how many of them answer 200.
func race(n int, call func() int) int {
	var wg sync.WaitGroup
	var mu sync.Mutex
	good := 0
	gate := make(chan struct{})
	for range n {
		wg.Go(func() {
			<-gate
			if call() == http.StatusOK {
				mu.Lock()
				good++
				mu.Unlock()
			}
		})
	}
	close(gate)
	wg.Wait()
	return good
}

func (w *world) fresh(form url.Values) int {
	rec := httptest.NewRecorder()
	w.Tenant.ServeHTTP(rec, formRequest("/oauth/token", form))
	return rec.Code
}

func TestOneCodeIsExchangedOnce(t *testing.T) {
	for _, profile := range []mock.Profile{mock.ProfileAuth0, mock.ProfileStrictOIDC} {
		w := newWorld(t, mock.Config{Profile: profile})
		for range 20 {
			form := pairs("grant_type", "authorization_code", "client_id", "demo", "client_secret", "demo-secret", "code", w.code(), "redirect_uri", callback)
			if n := race(16, func() int { return w.fresh(form) }); n != 1 {
				t.Fatalf("%s: %d winners", profile, n)
			}
		}
	}
}

func TestRotationUnderConcurrency(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for client, want := range map[string]int{"abrupt": 1, "rotating": 16, "demo": 16} { // rotating has an overlap, demo no rotation
		form := pairs("grant_type", "refresh_token", "client_id", client, "client_secret", client+"-secret", "refresh_token", w.tokens(client).Refresh)
		if n := race(16, func() int { return w.fresh(form) }); n != want {
			t.Errorf("%s: %d winners, want %d", client, n, want)
		}
	}
}

// For the race detector: calls, control API, clock, keys, reset.
func TestConcurrentUse(t *testing.T) {
	w := newWorld(t, mock.Config{})
	var wg sync.WaitGroup
	for i := range 4 {
		b := w.otherBrowser()
		wg.Go(func() {
			for range 15 {
				r := b.get(authorizeURL())
				if u, err := url.Parse(r.header.Get("Location")); err == nil {
					rec := httptest.NewRecorder()
					b.Tenant.ServeHTTP(rec, formRequest("/oauth/token", pairs("grant_type", "authorization_code", "client_id", "demo",
						"client_secret", "demo-secret", "code", u.Query().Get("code"), "redirect_uri", callback)))
				}
				b.get("/.well-known/jwks.json")
				b.get("/oidc/logout?client_id=demo")
			}
		})
		wg.Go(func() {
			c := w.otherBrowser()
			for n := range 15 {
				c.control("PATCH", "/_mock/clients/demo", `{"callbacks":["`+callback+`"],"refresh_token":{"leeway":1}}`)
				c.control("PATCH", "/_mock/users/"+agent, fmt.Sprintf(`{"app_metadata":{"n":%d}}`, n))
				c.control("GET", "/_mock/requests", "")
				c.control("GET", "/_mock/families", "")
				w.Advance(time.Second)
				switch {
				case i == 0 && n%5 == 4:
					w.Reset()
				case i == 1 && n%5 == 4:
					_ = w.Reload(richTenant())
				case i == 2 && n == 7:
					_ = w.RotateKey()
				}
			}
		})
	}
	wg.Wait()
}
