package mock_test

import (
	"strings"
	"testing"
)

// The console shows calls of the Management API as it shows others, and what they changed.
func TestManagement_IsOnTheConsole(t *testing.T) {
	m := newManager(t)
	client := m.id("/clients", `{"name":"Made by the API","callbacks":["http://localhost:3000/callback"],"grant_types":["authorization_code"]}`)
	role := m.id("/roles", `{"name":"auditor"}`)
	user := m.id("/users", `{"connection":"Username-Password-Authentication","email":"api@example.com","password":"Password-1"}`)
	m.must("POST", "/users/"+escape(user)+"/roles", `{"roles":["`+role+`"]}`)
	m.call("GET", "/clients/unknown", "")

	m.page("/_mock/").has("POST", "/api/v2/clients", "/api/v2/users/"+user+"/roles", "The client does not exist", "<option>management</option>")
	m.page("/_mock/?endpoint=management&status=404").has("/api/v2/clients/unknown")
	m.page("/_mock/console/clients").has("Made by the API", client)
	m.page("/_mock/console/users").has("api@example.com", "auditor")

	m.must("PATCH", "/clients/"+client, `{"name":"Renamed"}`)
	m.must("PATCH", "/users/"+escape(user), `{"blocked":true,"email":"other@example.com"}`)
	m.page("/_mock/console/clients").has("Renamed")
	m.page("/_mock/console/users").has("Unblock other@example.com")
	m.must("DELETE", "/clients/"+client, "")
	m.must("DELETE", "/users/"+escape(user), "")
	m.must("DELETE", "/resource-servers/https:%2F%2Fapi.example.com%2F", "") // the API of the login links
	for page, gone := range map[string]string{"clients": "Renamed", "users": "other@example.com", "tokens": "https://api.example.com/", "tenant": "Example API"} {
		if r := m.page("/_mock/console/" + page); r.status != 200 || strings.Contains(r.body, gone) {
			t.Errorf("%s: %d, with %q: %v", page, r.status, gone, strings.Contains(r.body, gone))
		}
	}
}
