package mock_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// The members of a tenant file that no login depends on are in the answers of the
// Management API, and so are connections of other strategies.
func TestManagement_ShowsMembersThatAreOnlyStored(t *testing.T) {
	e := tenant.Default()
	e.Stored = map[string]json.RawMessage{
		"tenant":             json.RawMessage(`{"enabled_locales":["de"],"picture_url":null}`),
		"clients[0]":         json.RawMessage(`{"name":"Demo","client_id":"demo","description":"d","jwt_configuration":{"scopes":{}}}`),
		"resourceServers[0]": json.RawMessage(`{"consent_policy":"x"}`),
	}
	e.OtherConnections = []json.RawMessage{
		json.RawMessage(`{"name":"google","strategy":"google-oauth2","enabled_clients":["Demo"]}`), json.RawMessage(`{"name":"google","strategy":"x"}`),
		json.RawMessage(`{"strategy":"x"}`),
	}
	w := newWorld(t, mock.Config{Tenant: e})
	m := &manager{w, w.managementToken("management", "management-secret")}
	if got := m.must("GET", "/clients/demo", ""); got["description"] != "d" || got["client_secret"] != "demo-secret" || got["is_first_party"] != true ||
		!reflect.DeepEqual(got["jwt_configuration"], map[string]any{"scopes": map[string]any{}, "lifetime_in_seconds": 36000.0, "secret_encoded": false}) {
		t.Errorf("the client is %v", got)
	}
	if got := m.must("GET", "/resource-servers/https:%2F%2Fapi.example.com%2F", ""); got["consent_policy"] != "x" || got["identifier"] != api {
		t.Errorf("the API is %v", got)
	}
	if got := m.must("GET", "/tenants/settings", ""); !reflect.DeepEqual(got["enabled_locales"], []any{"de"}) {
		t.Errorf("the settings are %v", got)
	} else if _, there := got["picture_url"]; there {
		t.Errorf("a member that is null is shown: %v", got)
	}
	list := decodeJSON[[]map[string]any](t, m.call("GET", "/connections", "").body)
	if len(list) != 2 || list[1]["name"] != "google" || !reflect.DeepEqual(list[1]["enabled_clients"], []any{"demo"}) {
		t.Errorf("the connections are %v", list)
	}
}

// Reading does not change what is shown.
func TestManagement_ReadsTheSameTwice(t *testing.T) {
	m := newManager(t)
	for _, path := range []string{"/tenants/settings", "/resource-servers", "/clients", "/connections", "/users", "/client-grants"} {
		if first, second := m.call("GET", path, "").body, m.call("GET", path, "").body; first != second {
			t.Errorf("GET %s\nfirst  %s\nsecond %s", path, first, second)
		}
	}
	r := httptest.NewRequest("GET", "https://other.example/_mock/export", nil)
	r.Host = "localhost"
	m.do(r)
	if got := m.call("GET", "/client-grants?client_id=management", "").body; !strings.Contains(got, `"audience":"`+issuer+`api/v2/"`) {
		t.Errorf("after an export: %s", got)
	}
}

// What an object refers to goes with it, and an object that referred to it can still be
// changed.
func TestManagement_DeletedObjectsLeaveOthersUsable(t *testing.T) {
	m := newManager(t)
	org := m.id("/organizations", `{"name":"o"}`)
	add := func(audience string) (client, grant string) {
		client = m.id("/clients", `{"name":"c","default_organization":{"organization_id":"`+org+`","flows":["client_credentials"]}}`)
		grant = m.id("/client-grants", `{"client_id":"`+client+`","audience":"`+audience+`","scope":[]}`)
		m.must("POST", "/organizations/"+org+"/client-grants", `{"grant_id":"`+grant+`"}`)
		return client, grant
	}
	grants := func() int {
		return len(decodeJSON[[]any](t, m.call("GET", "/organizations/"+org+"/client-grants", "").body))
	}
	gone, _ := add(api)
	m.must("DELETE", "/clients/"+gone, "")
	m.must("POST", "/organizations/"+org+"/members", `{"members":["`+m.userID(agent)+`"]}`)
	own := m.id("/resource-servers", `{"identifier":"urn:own"}`)
	add("urn:own")
	m.must("DELETE", "/resource-servers/"+own, "")
	if n := grants(); n != 0 {
		t.Errorf("the organization has %d client grants", n)
	}
	kept, _ := add(issuer + "api/v2/")
	if n := grants(); n != 1 {
		t.Errorf("the organization has %d client grants for the Management API", n)
	}
	m.must("DELETE", "/organizations/"+org, "")
	if got := m.must("PATCH", "/clients/"+kept, `{"description":"d"}`); got["default_organization"] != nil {
		t.Errorf("the client has the organization that is gone: %v", got)
	}
}

// The control API deletes a client or user and leaves what refers to it. An export is
// valid all the same.
func TestExport_LeavesOutWhatRefersToNothing(t *testing.T) {
	m := newManager(t)
	org := m.id("/organizations", `{"name":"o"}`)
	m.must("POST", "/organizations/"+org+"/members", `{"members":["`+m.userID(agent)+`"]}`)
	m.must("POST", "/organizations/"+org+"/client-grants", `{"grant_id":"`+m.first("/client-grants?client_id=demo")+`"}`)
	m.mustControl("DELETE", "/_mock/clients/demo", "")
	m.mustControl("DELETE", "/_mock/users/"+agent, "")
	e, err := m.Export()
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		ClientGrants  []struct{ ClientID string } `json:"clientGrants"`
		Organizations []struct {
			Members []string
			Grants  []any `json:"client_grants"`
		}
	}
	if err := json.Unmarshal(e.File, &file); err != nil || len(file.ClientGrants) != 1 || len(file.Organizations) != 1 ||
		len(file.Organizations[0].Members)+len(file.Organizations[0].Grants) != 0 {
		t.Errorf("%v %+v\n%s", err, file, e.File)
	}
}

// The Management API can delete every client, and the export is a tenant file still.
func TestExport_OfATenantWithoutClients(t *testing.T) {
	m := newManager(t)
	for _, id := range []string{"demo", "demo-spa", "management"} {
		m.must("DELETE", "/clients/"+id, "")
	}
	if e, err := m.Export(); err != nil || strings.Contains(string(e.File), `"clients"`) {
		t.Errorf("%v %v", e, err)
	}
}

// A tenant starts with the objects of State, and a reset returns to those of Tenant.
func TestState_IsWhatATenantStartsWith(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: tenant.Default(), State: &tenant.File{Clients: []tenant.Client{{Name: "kept", ClientID: "kept"}}}})
	if got := w.Clients(); len(got) != 1 || got[0].ClientID != "kept" {
		t.Errorf("it starts with %v", got)
	}
	w.Reset()
	if got := w.Clients(); len(got) != 3 {
		t.Errorf("a reset returns to %v", got)
	}
	if _, err := mock.New(mock.Config{State: &tenant.File{}}); err == nil {
		t.Error("a State that is not valid is accepted")
	}
}

// Each way to change an object is signalled, and a read or a token request is not.
func TestChanges_SignalsEachChange(t *testing.T) {
	e := tenant.Default()
	e.Organizations = []tenant.Organization{{Name: "o", ID: "org_o"}}
	w := newWorld(t, mock.Config{Tenant: e})
	m := &manager{w, w.managementToken("management", "management-secret")}
	changes := m.Changes()
	signalled := func() bool {
		select {
		case <-changes:
			return true
		default:
			return false
		}
	}
	id := m.id("/clients", `{"name":"c"}`)
	if !signalled() {
		t.Error("a create is not signalled")
	}
	for _, c := range []struct {
		name   string
		change func()
	}{
		{"a PATCH", func() { m.must("PATCH", "/clients/"+id, `{"description":"x"}`) }},
		{"a DELETE", func() { m.must("DELETE", "/clients/"+id, "") }},
		{"a sign-up", func() { m.signUp(t, "new@example.com") }},
		{"the control API", func() { m.mustControl("PATCH", "/_mock/users/"+guest, `{"blocked":true}`) }},
		{"a reset", m.Reset},
		{"a reload", func() { _ = m.Reload(e) }},
	} {
		c.change()
		if !signalled() {
			t.Errorf("%s is not signalled", c.name)
		}
	}
	m.token = w.managementToken("management", "management-secret")
	m.must("GET", "/tenants/settings", "")
	m.call("PATCH", "/clients/unknown", `{}`)
	if signalled() {
		t.Error("a request that changes nothing is signalled")
	}
}

// signUp adds a user by the sign-up of the Authentication API.
func (m *manager) signUp(t *testing.T, email string) {
	t.Helper()
	r := m.post("/dbconnections/signup", "client_id", "demo", "email", email, "password", "Password-1", "connection", tenant.DefaultConnection)
	if r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
}

// failing is a source of randomness without 32 bytes at once.
type failing struct{ is bool }

func (f *failing) Read(p []byte) (int, error) {
	if f.is && len(p) == 32 {
		return 0, errors.New("no randomness")
	}
	return rand.Read(p)
}

// A request that ends with a panic does not keep others from the tenant.
func TestManagement_PanicLeavesTheTenantUnlocked(t *testing.T) {
	f := &failing{}
	w := newWorld(t, mock.Config{Tenant: tenant.Default(), Rand: f})
	m := &manager{w, w.managementToken("management", "management-secret")}
	f.is = true
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the create does not panic")
			}
		}()
		m.call("POST", "/clients", `{"name":"c"}`)
	}()
	m.must("GET", "/tenants/settings", "")
}

// The scopes of the current user open the user's own paths.
func TestManagement_ScopesOfTheUserOpenTheirOwnPaths(t *testing.T) {
	m := newManager(t)
	token := decodeJSON[map[string]any](t, m.mustControl("POST", "/_mock/tokens", `{"user":"`+agent+`","client_id":"demo","audience":"`+issuer+`api/v2/","scope":"read:current_user"}`).body)
	own := &manager{m.world, token["access_token"].(string)}
	if got := own.call("GET", "/users/"+escape(m.userID(agent)), ""); got.status != 200 {
		t.Errorf("the user's own: %d %s", got.status, got.body)
	}
	if got := own.call("GET", "/users/"+escape(m.userID(guest)), ""); got.status != 403 {
		t.Errorf("another user's: %d %s", got.status, got.body)
	}
}
