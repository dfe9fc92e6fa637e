package mock_test

import (
	"net/http"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

const directory = "Username-Password-Authentication"

// twoConnections is a tenant whose user agent has a namesake in the database "staff".
func twoConnections() *tenant.File {
	e := richTenant()
	e.Databases = []tenant.Database{{Name: directory}, {Name: "staff", EnabledClients: []string{"Demo"}}}
	e.Users = append(e.Users, tenant.User{UserID: "auth0|staff", Email: agent, Password: "staff password", Connection: "staff"})
	return e
}

func TestConnectionChoosesTheUser(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: twoConnections()})
	sub := func(params ...string) any {
		return claims(t, w.exchange(w.otherBrowser().authorize(params...).param("code")).tokens().ID)["sub"]
	}
	if got := sub("connection", "staff"); got != "auth0|staff" {
		t.Errorf("staff: %v", got)
	}
	if got := sub(); got == "auth0|staff" {
		t.Errorf("any connection: %v", got)
	}
	if got := sub("connection", "staff", "login_hint", guest); got != "auth0|staff" {
		t.Errorf("a login_hint of another connection: %v", got)
	}
	const unknown = "the connection was not found"
	w.authorize("connection", "nope").redirectsError("invalid_request", unknown)
	w.authorize("client_id", "rotating", "connection", "staff").redirectsError("invalid_request", unknown) // not enabled
	w.authorize("client_id", "rotating", "connection", directory).location()
}

// The login page takes the password of a connection that the client may use.
func TestConnectionOnTheLoginPage(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: twoConnections(), Login: mock.LoginForm})
	enter := func(r reply, password string) reply {
		state := r.state("/u/login")
		return w.post("/u/login?state="+state, "state", state, "username", agent, "password", password)
	}
	start := w.authorize("client_id", "rotating")
	if r := enter(start, "staff password"); r.status != http.StatusBadRequest {
		t.Errorf("a connection that is not enabled: %d", r.status)
	}
	enter(start, "password").location()
	start = w.otherBrowser().authorize("connection", "staff")
	if r := enter(start, "password"); r.status != http.StatusBadRequest {
		t.Errorf("another connection than the one asked for: %d", r.status)
	}
}

func TestNoConnectionEnabled(t *testing.T) {
	e := richTenant()
	e.Databases = []tenant.Database{{Name: directory, EnabledClients: []string{}}} // as in an export
	w := newWorld(t, mock.Config{Tenant: e})
	w.authorize().redirectsError("invalid_request", "no connections enabled for the client")
	w.authorize("prompt", "none").redirectsError("login_required", "Login required")
	for _, r := range []reply{
		w.post("/oauth/token", "grant_type", "password", "client_id", "demo", "client_secret", "demo-secret", "username", agent, "password", "password"),
		w.post("/oauth/token", "grant_type", "http://auth0.com/oauth/grant-type/password-realm", "realm", directory,
			"client_id", "demo", "client_secret", "demo-secret", "username", agent, "password", "password"),
	} {
		r.refused(400, "invalid_request", "connection "+directory+" does not exist")
	}
	w.mustControl("POST", "/_mock/databases", `{"name":"`+directory+`"}`) // absent is every client
	w.authorize().location()
	if r := w.authorize(); r.param("code") == "" {
		t.Error("no code")
	}
}

// Inside an organization its connections count, not those of the client.
func TestConnectionsOfAnOrganization(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: twoConnections()})
	put := func(connections string) {
		w.mustControl("POST", "/_mock/organizations", `{"name":"acme","members":["`+agent+`","auth0|staff"],"connections":`+connections+`}`)
	}
	ask := func(params ...string) reply {
		return w.otherBrowser().authorize(append([]string{"client_id", "b2b", "organization", "org_acme"}, params...)...)
	}
	put(`[{"name":"staff"}]`) // which the client itself may not use
	if got := claims(t, w.exchange(ask().param("code"), "client_id", "b2b", "client_secret", "b2b-secret").tokens().ID)["sub"]; got != "auth0|staff" {
		t.Errorf("sub %v", got)
	}
	ask("connection", directory).redirectsError("invalid_request", "the connection was not found")
	put(`[]`)
	ask().redirectsError("invalid_request", "no connections enabled for the client")
}

func TestSignUpNeedsTheDefaultDirectory(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: twoConnections(), Login: mock.LoginForm})
	if r := w.authorize("screen_hint", "signup"); r.location().Path != "/u/signup" {
		t.Errorf("%s", r.location())
	}
	r := w.otherBrowser().authorize("screen_hint", "signup", "connection", "staff")
	if r.location().Path != "/u/login" || strings.Contains(w.get(r.location().String()).body, "sign-up") {
		t.Errorf("%s", r.location())
	}
}
