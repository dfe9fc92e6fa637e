package daemon

import (
	"context"
	"errors"
	"strings"
	"testing"

	"example.com/tokend/pkg/flow"
)

// onStore returns the client "web" of a process on that store, and its daemon.
func onStore(t *testing.T, f *fakeTenant, store *flow.MemoryStore) *running {
	t.Helper()
	return start(t, Config{Logins: store, Clients: []Client{makeClient(t, flow.Config{
		Name: "web", Issuer: f.issuer(), ClientID: "web", ClientSecret: canarySecret, Store: store,
		Source: flow.AuthorizationCode{}, RedirectURL: "http://localhost:8484/callback", Scopes: []string{"offline_access"},
	}, "browser")}})
}

func (r *running) callback(t *testing.T, state string) answered {
	t.Helper()
	return r.raw(t, "GET /callback?code="+canaryCode+"&state="+state+" HTTP/1.1\nHost: HOST\n\n")
}

// A login that began at one process is finished at another one, once.
func TestLogin_FinishedAtAnotherProcess(t *testing.T) {
	for name, finish := range map[string]func(d *running, t *testing.T, state string) answered{
		"callback": (*running).callback,
		"code": func(d *running, t *testing.T, state string) answered {
			return d.call(t, "POST", "/v1/clients/web/code", `{"code":"`+canaryCode+`","state":"`+state+`"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, store := newTenant(t), flow.NewMemoryStore()
			first, second := onStore(t, f, store), onStore(t, f, store)
			state := first.begun(t, "web")
			if a := second.call(t, "GET", "/v1/clients/web", ""); !strings.Contains(a.body, state) {
				t.Errorf("the other process does not show the pending login: %s", a.body)
			}
			if a := finish(second, t, "other-state"); a.StatusCode != 400 {
				t.Errorf("wrong state: %d %s", a.StatusCode, a.body)
			}
			if a := finish(second, t, state); a.StatusCode != 200 {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			}
			posts := f.posts.Load()
			for _, d := range []*running{first, second} {
				if a := finish(d, t, state); a.StatusCode != 400 {
					t.Errorf("a used state: %d %s", a.StatusCode, a.body)
				}
				if a := d.call(t, "GET", "/v1/clients/web/token", ""); a.StatusCode != 200 {
					t.Errorf("token: %d %s", a.StatusCode, a.body)
				}
			}
			if n := f.posts.Load() - posts; n != 0 {
				t.Errorf("%d more requests to the provider", n)
			}
		})
	}
}

func TestLogin_SurvivesRestart(t *testing.T) {
	f, store := newTenant(t), flow.NewMemoryStore()
	var state string
	t.Run("before", func(t *testing.T) { state = onStore(t, f, store).begun(t, "web") }) // the daemon ends with the subtest
	if a := onStore(t, f, store).callback(t, state); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestLogout_AtAnotherProcess_DropsPendingLogins(t *testing.T) {
	f, store := newTenant(t), flow.NewMemoryStore()
	first, second := onStore(t, f, store), onStore(t, f, store)
	state := first.begun(t, "web")
	if a := second.call(t, "DELETE", "/v1/clients/web/grant", ""); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if a := first.callback(t, state); a.StatusCode != 400 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// failingLogins is a store that does not answer.
type failingLogins struct{ err error }

func (s failingLogins) KeepLogin(context.Context, flow.PendingLogin) error { return s.err }

func (s failingLogins) TakeLogin(context.Context, string, string) (flow.PendingLogin, error) {
	return flow.PendingLogin{}, s.err
}

func (s failingLogins) PendingLogins(context.Context, string) ([]flow.PendingLogin, error) {
	return nil, s.err
}

func (s failingLogins) DropLogins(context.Context, string) error { return s.err }

func TestLogin_StoreDoesNotAnswer(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Logins: failingLogins{errors.New("disk full")}, Clients: []Client{person(t, f, "web")}})
	for _, request := range []struct{ method, path, body string }{
		{"POST", "/v1/clients/web/login", ""},
		{"POST", "/v1/clients/web/code", `{"code":"c","state":"s"}`},
		{"DELETE", "/v1/clients/web/grant", ""},
	} {
		a := d.call(t, request.method, request.path, request.body)
		if a.StatusCode != 503 || !strings.Contains(a.body, "store_unavailable") || !strings.Contains(a.body, "disk full") || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s: %d %s", request.method, request.path, a.StatusCode, a.body)
		}
	}
	if a := d.callback(t, "s"); a.StatusCode != 503 || !strings.Contains(a.body, "disk full") {
		t.Errorf("callback: %d %s", a.StatusCode, a.body)
	}
	if a := d.call(t, "GET", "/v1/clients/web/token", ""); a.StatusCode != 409 || strings.Contains(a.body, "authorize_url") {
		t.Errorf("token: %d %s", a.StatusCode, a.body)
	}
}

// The browser must arrive at the redirect URI of its login: a code of one provider does
// not reach another one (RFC 9700 section 4.4, row X35 of docs/guarantees.md).
func TestCallback_OwnPath(t *testing.T) {
	for name, c := range map[string]struct {
		redirect, at string
		status       int
		kept         bool // the login can still be finished
	}{
		"its own":              {"/callback/web", "/callback/web", 200, false},
		"the common one":       {"/callback", "/callback", 200, false},
		"another client's":     {"/callback/web", "/callback/other", 400, true},
		"an unknown client's":  {"/callback/web", "/callback/none", 400, true},
		"the common for its":   {"/callback/web", "/callback", 400, false},
		"its own for the same": {"/callback", "/callback/web", 400, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newTenant(t)
			web := makeClient(t, flow.Config{
				Name: "web", Issuer: f.issuer(), ClientID: "web", ClientSecret: canarySecret,
				Source: flow.AuthorizationCode{}, RedirectURL: "http://localhost:8484" + c.redirect, Scopes: []string{"offline_access"},
			}, "browser")
			d := start(t, Config{Clients: []Client{web, person(t, f, "other")}})
			state := d.begun(t, "web")
			a := d.raw(t, get(c.at+"?code="+canaryCode+"&state="+state, "HOST", ""))
			if a.StatusCode != c.status || c.status != 200 && f.posts.Load() != 0 {
				t.Errorf("%d %s, %d requests to the provider", a.StatusCode, a.body, f.posts.Load())
			}
			if a := d.raw(t, get(c.redirect+"?code="+canaryCode+"&state="+state, "HOST", "")); (a.StatusCode == 200) != c.kept {
				t.Errorf("afterwards: %d %s", a.StatusCode, a.body)
			}
		})
	}
}

// A login that failed is reported until the client gets a token, also by a refresh.
func TestLogin_FailureEndsWithALaterToken(t *testing.T) {
	f := newTenant(t)
	d := onStore(t, f, flow.NewMemoryStore())
	if a := d.callback(t, d.begun(t, "web")); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	state := d.begun(t, "web")
	f.answer(refuseWith(400, "invalid_grant"))
	if a := d.callback(t, state); a.StatusCode == 200 {
		t.Fatalf("the second login succeeded: %s", a.body)
	}
	f.answer(goodToken)
	if v := d.call(t, "GET", "/v1/clients/web", ""); !strings.Contains(v.body, `"login_failure"`) {
		t.Errorf("after the failed login: %s", v.body)
	}
	if a := d.call(t, "POST", "/v1/clients/web/refresh", ""); a.StatusCode != 200 || strings.Contains(a.body, `"login_failure"`) {
		t.Errorf("after the refresh: %d %s", a.StatusCode, a.body)
	}
}
