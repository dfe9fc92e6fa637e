package referees_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// domain is what Auth0's SDKs call the tenant: the host of its https issuer.
func (ten *tenant) domain() string {
	return strings.TrimSuffix(strings.TrimPrefix(ten.https, "https://"), "/")
}

// TestRefereeAuth0: node-auth0's AuthenticationClient gets tokens by every
// grant that it has a method for.
func TestRefereeAuth0(t *testing.T) {
	t.Parallel()
	const callback = "http://localhost:3000/callback"
	ten := startTenant(t)
	ten.addClient("demo", object{
		"callbacks": []string{callback},
		"grant_types": []string{
			"authorization_code", "refresh_token", "client_credentials", "password",
		},
	})
	s := startScript(t, ten, "auth0", object{
		"domain": ten.domain(), "clientId": "demo", "clientSecret": "demo-secret", "redirectUri": callback, "audience": audience,
	})
	person := newBrowser(t, ten).until(callback)
	for range 2 {
		var q question
		s.read(&q)
		s.answer(person.open(q.Open).url.String())
	}
	var got struct {
		Email, Scope, Machine                      string
		CodeUsedTwice, RefreshRevoked, WrongSecret refusal
	}
	s.read(&got)
	if got.Email != "agent@example.com" || got.Scope != "openid profile email offline_access read:calls" || got.Machine != "read:calls write:calls" {
		t.Errorf("logged in as %q with scope %q, the machine has %q", got.Email, got.Scope, got.Machine)
	}
	for what, r := range map[string][2]refusal{
		"a used code":             {got.CodeUsedTwice, {403, "invalid_grant: Invalid authorization code"}},
		"a revoked refresh token": {got.RefreshRevoked, {403, "invalid_grant: Unknown or invalid refresh token."}},
		"a wrong secret":          {got.WrongSecret, {401, "access_denied: Unauthorized"}},
	} {
		if r[0] != r[1] {
			t.Errorf("%s: refused with %+v, not %+v", what, r[0], r[1])
		}
	}
	ten.wantCalls("demo", "authorization_code 200", "refresh_token 200", "client_credentials 200", "password 200",
		"authorization_code 200", "authorization_code "+codeUsed, "refresh_token "+refreshRevoked,
		"client_credentials 401 access_denied: wrong client_secret")
}

// app is an application that a script runs, known to the tenant.
type app struct {
	*script
	url string
}

// startApp starts a script that serves, and adds its client with its address.
func startApp(t *testing.T, ten *tenant, name, client string, settings object) app {
	t.Helper()
	s := startScript(t, ten, name, settings)
	var at struct{ URL string }
	s.read(&at)
	ten.addClient(client, object{"callbacks": []string{at.URL + "/callback"}, "allowed_logout_urls": []string{at.URL}})
	s.answer("known")
	var up struct{ Ready bool }
	s.read(&up)
	return app{s, at.URL}
}

// read reads the JSON of a page.
func (p page) read(t *testing.T, status int, into any) {
	t.Helper()
	if p.status != status {
		t.Fatalf("%s answered %d, not %d: %s", p.url, p.status, status, p.body)
	}
	if err := json.Unmarshal([]byte(p.body), into); err != nil {
		t.Fatalf("%s: %v in %s", p.url, err, p.body)
	}
}

// TestRefereePassportAuth0: a person logs in to an Express application; a
// code that was used is refused, and the application says so.
func TestRefereePassportAuth0(t *testing.T) {
	t.Parallel()
	const id = "passport"
	ten := startTenant(t)
	a := startApp(t, ten, "passport-auth0", id, object{
		"domain": ten.domain(), "clientId": id, "clientSecret": id + "-secret", "audience": audience,
	})
	person := newBrowser(t, ten)
	first := person.until(a.url + "/callback").open(a.url + "/login").url
	var user struct {
		ID, DisplayName, Email, Scope string
		Refresh                       bool
	}
	person.until("").open(first.String()).read(t, http.StatusOK, &user)
	if !strings.HasPrefix(user.ID, "auth0|") || user.DisplayName != "Example Agent" || user.Email != "agent@example.com" || !user.Refresh {
		t.Errorf("logged in as %+v", user)
	}
	second := person.until(a.url + "/callback").open(a.url + "/login").url
	q := second.Query()
	q.Set("code", first.Query().Get("code"))
	second.RawQuery = q.Encode()
	var fault struct{ Error, Description string }
	person.until("").open(second.String()).read(t, http.StatusInternalServerError, &fault)
	if fault.Error != "TokenError" || fault.Description != "Invalid authorization code" {
		t.Errorf("a used code: %+v", fault)
	}
	ten.wantCalls(id, "authorization_code 200", "authorization_code "+codeUsed)
}
