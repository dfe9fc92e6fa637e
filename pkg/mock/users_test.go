package mock_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

func TestUsersAreFoundByEveryName(t *testing.T) {
	e := tenant.Default()
	e.Users = append(e.Users,
		tenant.User{UserID: "auth0|one", Email: "Twin@example.com", Password: "one"},
		tenant.User{UserID: "auth0|two", Email: "twin@EXAMPLE.com", Password: "two", Connection: "other"},
		tenant.User{Username: "Nick", Password: "three"},
	)
	w := newWorld(t, mock.Config{Tenant: e})
	in := func(login, password string) string {
		t.Helper()
		grant, realm := "password", ""
		if password == "two" { // of another connection than the default one
			grant, realm = "http://auth0.com/oauth/grant-type/password-realm", "other"
		}
		r := w.post("/oauth/token", "grant_type", grant, "realm", realm, "client_id", "demo", "client_secret", "demo-secret", "scope", "openid",
			"username", login, "password", password)
		if r.status != http.StatusOK {
			return r.body
		}
		return claims(t, r.tokens().ID)["sub"].(string)
	}
	if got := in("TWIN@example.com", "one"); got != "auth0|one" {
		t.Errorf("the first of two namesakes: %s", got)
	}
	if got := in("auth0|two", "two"); got != "auth0|two" {
		t.Errorf("by user_id: %s", got)
	}
	if got := in("nick", "three"); !strings.HasPrefix(got, "auth0|") {
		t.Errorf("by username: %s", got)
	}
	if got := in("twin@example.com", "two"); got != "auth0|two" {
		t.Errorf("the second of two namesakes, in a connection of their own: %s", got)
	}
	w.mustControl("DELETE", "/_mock/users/auth0%7Cone", "")
	if got := in("twin@example.com", "two"); got != "auth0|two" {
		t.Errorf("after the first one left: %s", got)
	}
	w.mustControl("PATCH", "/_mock/users/nick", `{"username":"nock"}`)
	if got := in("nock", "three"); !strings.HasPrefix(got, "auth0|") {
		t.Errorf("renamed: %s", got)
	}
	if got := in("nick", "three"); !strings.Contains(got, "Wrong email or password.") {
		t.Errorf("the old name: %s", got)
	}
}

// A reuse must also revoke a token that is still being signed.
func TestCodeReuseWhileTheFirstTokenIsSigned(t *testing.T) {
	w := newWorld(t, mock.Config{Profile: mock.ProfileStrictOIDC})
	for range 30 {
		form := pairs("grant_type", "authorization_code", "client_id", "demo", "client_secret", "demo-secret", "code", w.code(), "redirect_uri", callback)
		var winner atomic.Value
		race(8, func() int {
			rec := httptest.NewRecorder()
			w.Tenant.ServeHTTP(rec, formRequest("/oauth/token", form))
			if rec.Code == http.StatusOK {
				winner.Store(rec.Body.String())
			}
			return rec.Code
		})
		tk := decodeJSON[tokens](t, winner.Load().(string))
		if got := w.userinfo(tk.Access).status; got != http.StatusUnauthorized {
			t.Fatalf("the access token of a code that was used twice opens /userinfo: %d", got)
		}
		w.refresh("demo", tk.Refresh).refused(http.StatusBadRequest, "invalid_grant", badRefresh)
	}
}
