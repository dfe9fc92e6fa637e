package referees_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestRefereeExpressOpenIDConnect: a person logs in to an Express
// application, which refreshes, and logs out of it and of the tenant.
func TestRefereeExpressOpenIDConnect(t *testing.T) {
	t.Parallel()
	const id = "express"
	start := func(t *testing.T, scheme string, more object) (*tenant, app) {
		ten := startTenant(t)
		settings := object{"issuer": ten.at(scheme), "clientId": id, "clientSecret": id + "-secret", "audience": audience}
		for k, v := range more {
			settings[k] = v
		}
		return ten, startApp(t, ten, "express-openid-connect", id, settings)
	}
	signedIn := func(t *testing.T, a app, person *browser) {
		t.Helper()
		var profile struct{ Email, Sub string }
		person.open(a.url+"/profile").read(t, http.StatusOK, &profile)
		if profile.Email != "agent@example.com" || !strings.HasPrefix(profile.Sub, "auth0|") {
			t.Errorf("logged in as %+v", profile)
		}
	}
	// loggedOut: back at the application, and the tenant asks for a login again.
	loggedOut := func(t *testing.T, ten *tenant, a app, person *browser) {
		t.Helper()
		var home struct{ SignedIn bool }
		person.open(a.url+"/logout").read(t, http.StatusOK, &home)
		if home.SignedIn {
			t.Error("still logged in at the application")
		}
		logins := len(ten.journal("login", id))
		signedIn(t, a, person)
		if len(ten.journal("login", id)) == logins {
			t.Error("the tenant logged in by itself after a logout")
		}
	}
	t.Run("code_http", func(t *testing.T) {
		t.Parallel()
		ten, a := start(t, "http", object{"responseType": "code", "responseMode": "query"})
		person := newBrowser(t, ten)
		signedIn(t, a, person)
		var user struct {
			Email string
			Ok    bool `json:"email_verified"`
		}
		person.open(a.url+"/userinfo").read(t, http.StatusOK, &user)
		if user.Email != "agent@example.com" || !user.Ok {
			t.Errorf("/userinfo says %+v", user)
		}
		var refreshed struct{ Rotated bool }
		person.open(a.url+"/refresh").read(t, http.StatusOK, &refreshed)
		if !refreshed.Rotated {
			t.Error("the refresh token was not rotated")
		}
		loggedOut(t, ten, a, person)

		ten.control(http.MethodPatch, "users/agent@example.com", object{"blocked": true}, nil)
		var fault struct{ Error, Description string }
		person.open(a.url+"/refresh").read(t, http.StatusForbidden, &fault)
		if fault.Error != "invalid_grant" || fault.Description != "user is blocked" {
			t.Errorf("a refresh of a blocked user: %+v", fault)
		}
		ten.wantCalls(id, "authorization_code 200", "refresh_token 200", "authorization_code 200",
			"refresh_token 403 invalid_grant: user is blocked")
	})
	// A logout at the tenant reaches the application by the back channel: its cookie is
	// still there, and the application takes it no more.
	t.Run("backchannel_logout_http", func(t *testing.T) {
		t.Parallel()
		ten, a := start(t, "http", object{"responseType": "code", "responseMode": "query", "backchannel": true})
		person := newBrowser(t, ten)
		signedIn(t, a, person)
		logOut := func(endpoint string) {
			t.Helper()
			ten.control(http.MethodPatch, "clients/"+id, object{"oidc_logout": object{"backchannel_logout_urls": []string{a.url + endpoint}}}, nil)
			if p := person.open(ten.issuer + "v2/logout?client_id=" + id + "&returnTo=" + a.url); p.status != http.StatusOK {
				t.Fatalf("the logout ends at %s with %d", p.url, p.status)
			}
		}
		logOut("/backchannel-logout")
		ten.wantDelivery(id, http.StatusNoContent)
		var home struct{ SignedIn bool }
		person.open(a.url).read(t, http.StatusOK, &home)
		if home.SignedIn {
			t.Error("still logged in at the application after a back-channel logout")
		}

		signedIn(t, a, person)
		ten.control(http.MethodPatch, "clients/"+id, object{"jwt_configuration": object{"alg": "PS256"}}, nil)
		logOut("/backchannel-logout")
		ten.wantDelivery(id, http.StatusBadRequest) // the application takes RS256 only
		person.open(a.url).read(t, http.StatusOK, &home)
		if !home.SignedIn {
			t.Error("a logout token that the application refused ended its session")
		}
	})
	t.Run("id_token_form_post_https", func(t *testing.T) {
		t.Parallel()
		ten, a := start(t, "https", object{"responseType": "id_token", "responseMode": "form_post", "auth0Logout": true})
		ten.control(http.MethodPatch, "clients/"+id, object{"grant_types": []string{"implicit"}}, nil)
		person := newBrowser(t, ten)
		signedIn(t, a, person)
		loggedOut(t, ten, a, person)
		ten.wantCalls(id)

		ten.control(http.MethodPatch, "clients/"+id, object{"callbacks": []string{"https://elsewhere.example.com/"}}, nil)
		p := newBrowser(t, ten).open(a.url + "/profile")
		if p.status != http.StatusForbidden || !strings.Contains(p.body, "not in the list of allowed callback URLs") {
			t.Errorf("a callback that is not listed ends at %s with %d", p.url.Host, p.status)
		}
	})
}
