package mock_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// manager is a tenant and a token for its Management API.
type manager struct {
	*world
	token string
}

func newManager(tb testing.TB) *manager {
	tb.Helper()
	w := newWorld(tb, mock.Config{Tenant: tenant.Default()})
	return &manager{w, w.managementToken("management", "management-secret")}
}

func (w *world) managementToken(client, secret string) string {
	w.Helper()
	return w.post("/oauth/token", "grant_type", "client_credentials", "client_id", client, "client_secret", secret, "audience", issuer+"api/v2/").tokens().Access
}

// call sends a request to the Management API.
func (m *manager) call(method, path, body string) reply {
	m.Helper()
	r := httptest.NewRequest(method, issuer+"api/v2"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+m.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return m.do(r)
}

// must is call for a request that succeeds.
func (m *manager) must(method, path, body string) map[string]any {
	m.Helper()
	r := m.call(method, path, body)
	if r.status >= 300 {
		m.Fatalf("%s %s: %d %s", method, path, r.status, r.body)
	}
	out := map[string]any{}
	if strings.HasPrefix(r.body, "{") {
		out = decodeJSON[map[string]any](m.TB, r.body)
	}
	return out
}

// id creates an object and returns its id.
func (m *manager) id(path, body string) string {
	m.Helper()
	o := m.must("POST", path, body)
	for _, name := range []string{"client_id", "user_id", "id"} {
		if s, ok := o[name].(string); ok && (name != "client_id" || path == "/clients") {
			return s
		}
	}
	m.Fatalf("POST %s: no id in %v", path, o)
	return ""
}

func escape(id string) string { return url.PathEscape(id) }

func TestManagement_RefusesWithoutAValidToken(t *testing.T) {
	m := newManager(t)
	m.must("POST", "/clients", `{"name":"narrow","app_type":"non_interactive"}`)
	other := m.post("/oauth/token", "grant_type", "client_credentials", "client_id", "demo", "client_secret", "demo-secret", "audience", api).tokens().Access
	forged := m.token[:len(m.token)-8] + "AAAAAAAA"
	const invalid = `{"statusCode":401,"error":"Unauthorized","message":"Invalid token","attributes":{"error":"Invalid token"}}`
	const form = `{"statusCode":400,"error":"Bad Request","message":"Bad HTTP authentication header format","errorCode":"Bearer"}`
	for _, c := range []struct {
		name, header string
		status       int
		body         string
	}{
		{"no header", "", 401, `{"statusCode":401,"error":"Unauthorized","message":"Missing authentication"}`},
		{"another scheme", "Basic abc", 400, form},
		{"an opaque token", "Bearer abc", 400, form},
		{"an empty token", "Bearer ", 400, form},
		{"another audience", "Bearer " + other, 401, invalid},
		{"another signature", "Bearer " + forged, 401, invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", issuer+"api/v2/clients", nil)
			if c.header != "" {
				r.Header.Set("Authorization", c.header)
			}
			got := m.seenBy(t).do(r)
			if got.status != c.status || got.body != c.body || got.header.Get("Content-Type") != "application/json; charset=utf-8" {
				t.Errorf("got %d %s %v", got.status, got.body, got.header)
			}
			if got.header.Get("X-RateLimit-Limit") != "" {
				t.Error("a refusal has rate-limit headers")
			}
		})
	}
	m.Advance(24 * time.Hour)
	const expired = "Expired token received for JSON Web Token validation"
	if got := m.call("GET", "/clients", ""); got.status != 401 || got.body != `{"statusCode":401,"error":"Unauthorized","message":"`+expired+`","attributes":{"error":"`+expired+`"}}` {
		t.Errorf("an expired token: %d %s", got.status, got.body)
	}
}

func TestManagement_ScopeOpensItsEndpointsOnly(t *testing.T) {
	m := newManager(t)
	id := m.id("/clients", `{"name":"narrow","app_type":"non_interactive","grant_types":["client_credentials"]}`)
	secret := m.must("GET", "/clients/"+id, "")["client_secret"].(string)
	m.must("POST", "/client-grants", `{"client_id":"`+id+`","audience":"`+issuer+`api/v2/","scope":["read:clients","read:client_summary"]}`)
	narrow := &manager{m.world, m.managementToken(id, secret)}
	if got := narrow.call("DELETE", "/clients/"+id, ""); got.status != 403 ||
		got.body != `{"statusCode":403,"error":"Forbidden","message":"Insufficient scope, expected any of: delete:clients","errorCode":"insufficient_scope"}` {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := narrow.call("GET", "/users", ""); !strings.Contains(got.body, "expected any of: read:user_idp_tokens,read:users") {
		t.Errorf("several scopes: %s", got.body)
	}
	shown := narrow.must("GET", "/clients/"+id, "")
	if shown["client_secret"] != nil || shown["grant_types"] == nil {
		t.Errorf("read:clients shows %v", shown)
	}
	m.must("PATCH", "/client-grants/"+m.first("/client-grants?client_id="+id), `{"scope":["read:client_summary"]}`)
	narrow.token = m.managementToken(id, secret)
	if shown = narrow.must("GET", "/clients/"+id, ""); len(shown) != 3 || shown["name"] != "narrow" {
		t.Errorf("read:client_summary shows %v", shown)
	}
}

// first returns the id of the first object of a list.
func (m *manager) first(path string) string {
	m.Helper()
	list := decodeJSON[[]map[string]any](m.TB, m.call("GET", path, "").body)
	if len(list) == 0 {
		m.Fatalf("GET %s is empty", path)
	}
	return list[0]["id"].(string)
}

func TestManagement_HeadersAreThoseOfTheAPI(t *testing.T) {
	m := newManager(t)
	got := m.call("GET", "/clients", "")
	for name, want := range map[string]string{
		"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-cache", "Vary": "origin,accept-encoding",
		"X-Ratelimit-Limit": "50", "X-Ratelimit-Remaining": "49", "X-Content-Type-Options": "nosniff", "Set-Cookie": "",
		"Link": `<http://localhost:8400/api/v2/clients?page=0&per_page=50>; rel="first", <http://localhost:8400/api/v2/clients?page=0&per_page=50>; rel="last"`,
	} {
		if have := got.header.Get(name); have != want {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
}

// A change of an object is seen by the next login, token request and API call.
func TestManagement_ChangesAreSeenByLogins(t *testing.T) {
	t.Run("a new client logs in", func(t *testing.T) {
		m := newManager(t)
		c := m.must("POST", "/clients", `{"name":"new","app_type":"regular_web","callbacks":["`+callback+`"],"grant_types":["authorization_code"]}`)
		id, secret := c["client_id"].(string), c["client_secret"].(string)
		m.must("PATCH", "/connections/"+m.first("/connections"), `{"enabled_clients":[]}`)
		if got := m.authorize("client_id", id, "audience", ""); got.param("error_description") == "" {
			t.Errorf("no connection is enabled for it, but it logs in: %v", got.location())
		}
		m.must("PATCH", "/connections/"+m.first("/connections")+"/clients", `[{"client_id":"`+id+`","status":true}]`)
		code := m.code("client_id", id, "scope", "openid")
		tokens := m.post("/oauth/token", "grant_type", "authorization_code", "client_id", id, "client_secret", secret, "code", code, "redirect_uri", callback)
		if tokens.status != 200 {
			t.Fatalf("%d %s", tokens.status, tokens.body)
		}
		rotated := m.must("POST", "/clients/"+id+"/rotate-secret", "")["client_secret"].(string)
		machine := func(secret string) reply {
			return m.post("/oauth/token", "grant_type", "client_credentials", "client_id", id, "client_secret", secret, "audience", api)
		}
		machine(secret).refused(401, "access_denied", "Unauthorized")
		machine(rotated).refused(403, "unauthorized_client", "Grant type 'client_credentials' not allowed for the client.")
		m.must("DELETE", "/clients/"+id, "")
		machine(rotated).refused(401, "access_denied", "Unauthorized")
	})
	t.Run("a deleted grant ends tokens", func(t *testing.T) {
		m := newManager(t)
		machine := func() int {
			return m.post("/oauth/token", "grant_type", "client_credentials", "client_id", "demo", "client_secret", "demo-secret", "audience", api).status
		}
		if got := machine(); got != 200 {
			t.Fatal(got)
		}
		m.must("DELETE", "/client-grants/"+m.first("/client-grants?client_id=demo"), "")
		if got := machine(); got != 403 {
			t.Errorf("status %d after the grant was deleted", got)
		}
	})
	t.Run("a longer leeway accepts the rotated token", func(t *testing.T) {
		m := newManager(t)
		m.must("PATCH", "/clients/demo", `{"refresh_token":{"rotation_type":"rotating","expiration_type":"expiring","leeway":60}}`)
		first := m.tokens("demo").Refresh
		used, replayed := m.refresh("demo", first), m.refresh("demo", first)
		if used.status != 200 || replayed.status != 200 {
			t.Error("the rotated token is refused inside the leeway")
		}
		m.must("PATCH", "/clients/demo", `{"refresh_token":{"rotation_type":"rotating","expiration_type":"expiring","leeway":0}}`)
		second := m.tokens("demo").Refresh
		used, replayed = m.refresh("demo", second), m.refresh("demo", second)
		if used.status != 200 || replayed.status == 200 {
			t.Error("the rotated token is accepted without a leeway")
		}
	})
	t.Run("a blocked user cannot log in", func(t *testing.T) {
		m := newManager(t)
		id := m.userID(agent)
		m.must("PATCH", "/users/"+escape(id), `{"blocked":true}`)
		if got := m.authorize("login_hint", agent); got.param("error_description") != "user is blocked" {
			t.Errorf("got %v", got.location())
		}
	})
	t.Run("roles and permissions are in tokens", func(t *testing.T) {
		m := newManager(t)
		id := m.userID(guest)
		m.must("PATCH", "/resource-servers/"+escape(api), `{"enforce_policies":true,"token_dialect":"access_token_authz"}`)
		permissions := func() any {
			return claims(t, m.tokens("demo", "login_hint", guest, "scope", "openid").Access)["permissions"]
		}
		if got, _ := permissions().([]any); len(got) != 0 {
			t.Errorf("a guest has %v", got)
		}
		role := m.id("/roles", `{"name":"reader"}`)
		m.must("POST", "/roles/"+role+"/permissions", `{"permissions":[{"permission_name":"read:calls","resource_server_identifier":"`+api+`"}]}`)
		m.must("POST", "/users/"+escape(id)+"/roles", `{"roles":["`+role+`"]}`)
		m.must("POST", "/users/"+escape(id)+"/permissions", `{"permissions":[{"permission_name":"write:calls","resource_server_identifier":"`+api+`"}]}`)
		if got, _ := permissions().([]any); len(got) != 2 {
			t.Errorf("a reader has %v", got)
		}
		m.must("DELETE", "/roles/"+role, "")
		if got, _ := permissions().([]any); len(got) != 1 || got[0] != "write:calls" {
			t.Errorf("without the role: %v", got)
		}
	})
	t.Run("a deleted user has no session and no tokens", func(t *testing.T) {
		m := newManager(t)
		tokens := m.tokens("demo", "login_hint", agent)
		id := m.userID(agent)
		sessions := m.must("GET", "/users/"+escape(id)+"/sessions", "")["sessions"].([]any)
		granted := m.must("GET", "/users/"+escape(id)+"/refresh-tokens", "")["tokens"].([]any)
		if len(sessions) != 1 || len(granted) != 1 {
			t.Fatalf("%v %v", sessions, granted)
		}
		m.must("DELETE", "/users/"+escape(id), "")
		m.refresh("demo", tokens.Refresh).refused(403, "invalid_grant", "Unknown or invalid refresh token.")
		if got := m.authorize("prompt", "none"); got.param("error") != "login_required" {
			t.Errorf("the session lives: %v", got.location())
		}
	})
	t.Run("a revoked refresh token is refused", func(t *testing.T) {
		m := newManager(t)
		tokens := m.tokens("demo", "login_hint", agent)
		list := m.must("GET", "/users/"+escape(m.userID(agent))+"/refresh-tokens", "")["tokens"].([]any)
		m.must("DELETE", "/refresh-tokens/"+list[0].(map[string]any)["id"].(string), "")
		m.refresh("demo", tokens.Refresh).refused(403, "invalid_grant", "Unknown or invalid refresh token.")
	})
	t.Run("an organization and its members", func(t *testing.T) {
		m := newManager(t)
		m.must("PATCH", "/clients/demo", `{"organization_usage":"allow"}`)
		org := m.id("/organizations", `{"name":"acme"}`)
		if got := m.authorize("organization", org, "login_hint", agent); got.param("error") == "" {
			t.Error("a user outside the organization logs in")
		}
		m.must("POST", "/organizations/"+org+"/members", `{"members":["`+m.userID(agent)+`"]}`)
		m.must("POST", "/organizations/"+org+"/connections", `{"connection_id":"`+m.first("/connections")+`"}`)
		token := m.exchange(m.code("organization", org, "login_hint", agent)).tokens()
		if got := claims(t, token.ID)["org_id"]; got != org {
			t.Errorf("org_id is %v", got)
		}
		m.must("DELETE", "/organizations/"+org, "")
		if got := m.authorize("organization", org, "login_hint", agent); got.param("error_description") != "parameter organization is invalid: "+org {
			t.Errorf("got %v", got.location())
		}
	})
	t.Run("settings of the tenant", func(t *testing.T) {
		m := newManager(t)
		m.must("PATCH", "/tenants/settings", `{"default_audience":"`+api+`","session_lifetime_in_minutes":30}`)
		if aud := claims(t, m.exchange(m.code("audience", "", "login_hint", agent)).tokens().Access)["aud"]; aud == nil {
			t.Error("default_audience is not used")
		}
		m.Advance(31 * time.Minute)
		if got := m.authorize("prompt", "none"); got.param("error") != "login_required" {
			t.Errorf("the session outlives its lifetime: %v", got.location())
		}
	})
	t.Run("the ticket of a password change", func(t *testing.T) {
		m := newManager(t)
		link := m.must("POST", "/tickets/password-change", `{"user_id":"`+m.userID(agent)+`"}`)["ticket"].(string)
		_, ticket, _ := strings.Cut(strings.TrimSuffix(link, "#"), "ticket=")
		if got := m.post("/u/reset-password", "ticket", ticket, "password", "another-password"); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		if got := m.post("/oauth/token", "grant_type", "password", "client_id", "demo", "client_secret", "demo-secret", "username", agent, "password", "another-password"); got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
	t.Run("a blocked address is freed", func(t *testing.T) {
		m := newManager(t)
		try := func(password string) int {
			return m.post("/oauth/token", "grant_type", "password", "client_id", "demo", "client_secret", "demo-secret", "username", agent, "password", password).status
		}
		for range 10 {
			try("wrong")
		}
		if got := try("password"); got != 429 {
			t.Fatalf("status %d after ten wrong passwords", got)
		}
		path := "/user-blocks/" + escape(m.userID(agent))
		if got := m.call("GET", path, "").body; got != `{"blocked_for":[{"identifier":"`+agent+`","ip":"127.0.0.1"}]}` {
			t.Errorf("got %s", got)
		}
		m.must("DELETE", path, "")
		if got := try("password"); got != 200 {
			t.Errorf("status %d after the block was removed", got)
		}
	})
}

func (m *manager) userID(email string) string {
	m.Helper()
	list := decodeJSON[[]map[string]any](m.TB, m.call("GET", "/users-by-email?email="+url.QueryEscape(email), "").body)
	if len(list) != 1 {
		m.Fatalf("%d users have the address %s", len(list), email)
	}
	return list[0]["user_id"].(string)
}

// A change by another way is seen by the API, and what the mock only stores stays.
func TestManagement_ShowsChangesByOtherWays(t *testing.T) {
	m := newManager(t)
	id := m.id("/clients", `{"name":"new","description":"stored only","callbacks":["`+callback+`"],"refresh_token":{"rotation_type":"rotating","expiration_type":"expiring"}}`)
	m.mustControl("PATCH", "/_mock/clients/"+id, `{"callbacks":["https://other.example.com/"]}`)
	got := m.must("GET", "/clients/"+id, "")
	if list, _ := got["callbacks"].([]any); len(list) != 1 || list[0] != "https://other.example.com/" || got["description"] != "stored only" {
		t.Errorf("got %v", got)
	}
	m.must("PATCH", "/clients/"+id, `{"name":"renamed"}`)
	for _, c := range m.Clients() {
		if c.ClientID == id && (c.Name != "renamed" || len(c.Callbacks) != 1) {
			t.Errorf("the control API shows %+v", c)
		}
	}
	m.mustControl("DELETE", "/_mock/clients/"+id, "")
	if got := m.call("GET", "/clients/"+id, ""); got.status != 404 {
		t.Errorf("a deleted client: %d", got.status)
	}
	m.Reset()
	if got := m.must("GET", "/clients/demo", ""); got["name"] != "Demo" {
		t.Errorf("after a reset: %v", got)
	}
}

func TestManagement_ObjectsOfOtherWaysHaveTheDefaultsOfACreate(t *testing.T) {
	m := newManager(t)
	m.mustControl("POST", "/_mock/clients", `{"client_id":"partner","name":"Partner","is_first_party":false}`)
	for path, want := range map[string][2]string{
		"/clients/partner":                            {"third_party_security_mode", "permissive"},
		"/roles/" + m.first("/roles"):                 {"type", "tenant"},
		"/client-grants/" + m.first("/client-grants"): {"subject_type", "client"},
	} {
		if got := m.must("GET", path, ""); got[want[0]] != want[1] {
			t.Errorf("%s: %s is %v, not %s", path, want[0], got[want[0]], want[1])
		}
	}
	if got := m.must("GET", "/clients/demo", ""); got["third_party_security_mode"] != nil {
		t.Errorf("a first-party client has third_party_security_mode %v", got["third_party_security_mode"])
	}
}

func TestManagement_IsInTheJournalAndUnderTheClock(t *testing.T) {
	m := newManager(t)
	m.Advance(time.Hour)
	id := m.id("/users", `{"connection":"Username-Password-Authentication","email":"new@example.com","password":"correct-horse"}`)
	if got := m.must("GET", "/users/"+escape(id), "")["created_at"]; got != "2026-03-01T13:00:00.000Z" {
		t.Errorf("created_at is %v", got)
	}
	m.call("GET", "/clients/unknown", "")
	entries := m.Journal().Find(mock.Query{Endpoint: "management"})
	last := entries[len(entries)-1]
	if last.ClientID != "management" || last.Status != 404 || last.Reason != "The client does not exist" || last.Path != "/api/v2/clients/unknown" {
		t.Errorf("got %+v", last)
	}
	logs := decodeJSON[[]map[string]any](t, m.call("GET", "/logs?q="+url.QueryEscape("type:sapi"), "").body)
	if len(logs) != 1 || logs[0]["client_id"] != "management" {
		t.Errorf("the log has %v", logs)
	}
}

func TestManagement_LogsOfAFullJournalAreReadOnce(t *testing.T) {
	m := newManager(t)
	for range 3000 {
		m.call("POST", "/roles", `{}`)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m.call("GET", "/logs?per_page=5", "")
	runtime.ReadMemStats(&after)
	if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 60 {
		t.Errorf("%d MiB were allocated for one page of logs", mib)
	}
}

func TestManagement_ABodyOverOneMebibyteIsRefused(t *testing.T) {
	m := newManager(t)
	got := m.call(http.MethodPost, "/clients", `{"name":"`+strings.Repeat("a", 1<<20)+`"}`)
	if got.status != 413 || got.body != `{"statusCode":413,"error":"Request Entity Too Large","message":"Payload content length greater than maximum allowed: 1048576"}` {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if !json.Valid([]byte(got.body)) {
		t.Error("no JSON")
	}
}
