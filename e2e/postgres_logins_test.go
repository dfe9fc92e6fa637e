//go:build unix

package e2e_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

// TestPostgres_Logout: one logout counts at every replica, also at one that starts
// later, and so does the next login.
func TestPostgres_Logout(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	r := newReplicas(t)
	one, two := r.started(t, tenant)
	one.logout(t)
	two.staysLoggedOut(t)
	later := r.add(t, tenant)
	later.start(t, "")
	later.staysLoggedOut(t)
	one.logsIn(t)
	for _, a := range []*agent{two, later} {
		if err := within(5*time.Second, a.hasToken); err != nil {
			t.Error(err)
		}
	}
}

// TestPostgres_LoginFinishedElsewhere: a login that begins at one replica ends at
// another, by its callback or by the code, and once.
func TestPostgres_LoginFinishedElsewhere(t *testing.T) {
	t.Parallel()
	tenant := rotating(t, 0, 86400)
	r := newReplicas(t)
	env := "TOKEND_CLIENT_DEMO_LOGIN=browser"
	one, two := r.add(t, tenant, env), r.add(t, tenant, env)
	one.start(t, "")
	two.start(t, "")
	for _, finish := range []func(a *agent, callback *url.URL) (int, string){
		func(a *agent, callback *url.URL) (int, string) {
			return a.ask(t.Context(), "GET", "/callback?"+callback.RawQuery)
		},
		func(a *agent, callback *url.URL) (int, string) {
			q := callback.Query()
			return a.post(t.Context(), "/v1/clients/demo/code", map[string]string{"code": q.Get("code"), "state": q.Get("state")})
		},
	} {
		callback := one.begins(t)
		if status, body := finish(two, callback); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		for _, a := range []*agent{one, two} {
			if status, body := finish(a, callback); status != 400 {
				t.Errorf("a used state: %d %s", status, body)
			}
			if err := within(5*time.Second, a.hasToken); err != nil {
				t.Error(err)
			}
		}
		two.logout(t)
	}
	if n := tenant.Journal().Count(mock.Query{Endpoint: "token", Grant: "authorization_code"}); n != 2 {
		t.Errorf("%d codes were exchanged, not 2", n)
	}
}

// begins begins a login, and returns the callback after a person has agreed.
func (a *agent) begins(t *testing.T) *url.URL {
	t.Helper()
	status, body := a.post(t.Context(), "/v1/clients/demo/login", map[string]string{})
	var login struct {
		URL string `json:"authorize_url"`
	}
	if err := json.Unmarshal([]byte(body), &login); err != nil || login.URL == "" {
		t.Fatalf("%d %s %v", status, body, err)
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(t.Context(), "GET", login.URL, nil)
	must(t, err)
	res, err := browser.Do(req)
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	callback, err := url.Parse(res.Header.Get("Location"))
	if err != nil || callback.Query().Get("code") == "" {
		t.Fatalf("%s %s %v", res.Status, callback, err)
	}
	return callback
}

// post sends JSON.
func (a *agent) post(ctx context.Context, path string, v any) (int, string) {
	b, err := json.Marshal(v)
	if err != nil {
		return 0, err.Error()
	}
	req, err := http.NewRequestWithContext(ctx, "POST", a.url+path, strings.NewReader(string(b)))
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+agentKey)
	req.Header.Set("Content-Type", "application/json")
	res, err := a.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}
