package mock_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

func TestClockMovesEverything(t *testing.T) {
	w := newWorld(t, mock.Config{})
	w.mustControl("POST", "/_mock/clock", `{"advance":"25h"}`)
	if got := w.Now(); !got.Equal(start.Add(25 * time.Hour)) {
		t.Errorf("now %s", got)
	}
	w.mustControl("POST", "/_mock/clock", `{"set":"2030-01-02T03:04:05Z","freeze":true}`)
	want := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	r := w.authorize()
	if got := r.header.Get("X-RateLimit-Reset"); got != fmt.Sprint(want.Unix()+1) {
		t.Errorf("X-RateLimit-Reset %s", got)
	}
	tk := w.exchange(r.param("code")).tokens()
	if cl := claims(t, tk.Access); cl["iat"] != float64(want.Unix()) {
		t.Errorf("iat %v", cl["iat"])
	}
	if f := w.Families()[0]; !f.Created.Equal(want) {
		t.Errorf("family of %s", f.Created)
	}
	if e := w.Journal().Find(mock.Query{Endpoint: "token"})[0]; !e.Time.Equal(want) {
		t.Errorf("journal says %s", e.Time)
	}
	if got := w.mustControl("GET", "/_mock/clock", "").body; got != `{"now":"2030-01-02T03:04:05Z","frozen":true}` {
		t.Errorf("%s", got)
	}
	w.mustControl("POST", "/_mock/clock", `{"advance":"24h"}`) // also moves a frozen clock
	if got := w.userinfo(tk.Access).status; got != 401 {
		t.Errorf("an expired token: %d", got)
	}
	w.Reset()
	if !w.Now().Equal(start) {
		t.Errorf("after Reset %s", w.Now())
	}
}

func TestFrozenClockDoesNotMove(t *testing.T) {
	now := start
	w := newWorld(t, mock.Config{Now: func() time.Time { return now }})
	w.mustControl("POST", "/_mock/clock", `{"freeze":true}`)
	now = now.Add(time.Hour)
	if !w.Now().Equal(start) {
		t.Errorf("frozen, but now %s", w.Now())
	}
	w.mustControl("POST", "/_mock/clock", `{"freeze":false}`)
	now = now.Add(time.Minute)
	if got := w.Now().Sub(start); got != time.Minute {
		t.Errorf("continues at +%s", got)
	}
}

func TestClockInputs(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for _, bad := range []string{
		``, `{}`, `{"advance":"soon"}`, `{"set":"tomorrow"}`, `{"set":"9999-12-31T23:59:59Z"}`, `{"set":"1969-12-31T23:59:59Z"}`, `{"freeze":1}`,
		`{"advance":"1h"}{}`, `{"advance":"1h","x":1}`, `[]`,
	} {
		if r := w.control("POST", "/_mock/clock", bad); r.status != 400 || !strings.HasPrefix(r.body, `{"error":"`) {
			t.Errorf("%s: %d %s", bad, r.status, r.body)
		}
	}
	for range 5 { // 1,460 years
		w.Advance(292 * 365 * 24 * time.Hour)
	}
	if got := w.mustControl("GET", "/_mock/clock", "").body; !strings.Contains(got, "2200-01-01") {
		t.Errorf("%s", got)
	}
	w.mustControl("POST", "/_mock/clock", `{"set":"2026-03-01T12:00:00Z"}`)
	if !w.Now().Equal(start) {
		t.Errorf("%s", w.Now())
	}
}

func TestJournalLineage(t *testing.T) {
	w := newWorld(t, mock.Config{})
	tk := w.tokens("rotating")
	next := w.refresh("rotating", tk.Refresh).tokens()
	w.refresh("rotating", next.Refresh)
	w.exchange("garbage")
	list := w.Journal().Find(mock.Query{})
	if len(list) != 5 {
		t.Fatalf("%d entries", len(list))
	}
	for i := 1; i < 4; i++ {
		if list[i].Parent != list[i-1].ID {
			t.Errorf("entry %d has the parent %q, want %q", i, list[i].Parent, list[i-1].ID)
		}
	}
	if e := list[4]; e.Status != 403 || e.Reason != "invalid_grant: the code was never issued" || e.ClientID != "demo" || e.Grant != "authorization_code" {
		t.Errorf("%+v", e)
	}
	if f := w.Families()[0]; f.Generation != 3 || f.LastCall != list[3].ID || f.ClientID != "rotating" {
		t.Errorf("%+v", f)
	}
	if n := w.Journal().Count(mock.Query{Endpoint: "token", Grant: "refresh_token", ClientID: "rotating", Status: 200}); n != 2 {
		t.Errorf("counted %d", n)
	}
	got := w.mustControl("GET", "/_mock/requests?endpoint=token&grant=refresh_token&client_id=rotating&status=200", "")
	if !strings.HasPrefix(got.body, `{"count":2,"requests":[{"id":"`+list[2].ID+`","time":"2026-03-01T12:00:00Z","method":"POST","path":"/oauth/token",`) {
		t.Errorf("%s", got.body)
	}
	for _, bad := range []string{"endpoint=tokn", "status=x", "colour=red"} {
		if r := w.control("GET", "/_mock/requests?"+bad, ""); r.status != 400 {
			t.Errorf("%s: %d", bad, r.status)
		}
	}
}

func TestJournalAndControlHoldNoSecret(t *testing.T) {
	w := newWorld(t, mock.Config{Login: mock.LoginForm})
	secrets := []string{"demo-secret", "rotating-secret", verifier, "a secret of the API"}
	r := w.consent(w.signIn(w.authorize("code_challenge", challenge(), "code_challenge_method", "S256"), agent), "accept")
	code := r.param("code")
	tk := w.exchange(code, "code_verifier", verifier).tokens()
	w.exchange(code, "code_verifier", verifier) // reused
	again := w.refresh("demo", tk.Refresh).tokens()
	w.refresh("demo", tk.Refresh+"x")
	w.userinfo(tk.Access)
	w.userinfo(tk.Access + "x")
	w.get("/userinfo?access_token=" + tk.Access)
	w.get("/oidc/logout?id_token_hint=" + tk.ID)
	w.post("/oauth/revoke", "client_id", "demo", "client_secret", "demo-secret", "token", tk.Refresh)
	w.post("/oauth/token", "grant_type", "password", "client_id", "demo", "client_secret", "demo-secret", "username", agent, "password", "hunter2")
	secrets = append(secrets, code, tk.Access, tk.Refresh, tk.ID, again.Access, again.ID, "hunter2", w.jar["did"])
	var seen strings.Builder
	for _, path := range []string{"/_mock/requests", "/_mock/families", "/_mock/health", "/_mock/clock"} {
		seen.WriteString(w.mustControl("GET", path, "").body)
	}
	seen.WriteString(w.mustControl("PATCH", "/_mock/clients/demo", `{}`).body)
	seen.WriteString(w.mustControl("PATCH", "/_mock/users/"+agent, `{}`).body)
	seen.WriteString(w.mustControl("POST", "/_mock/resource-servers", `{"identifier":"https://hs.example/","signing_alg":"HS256","signing_secret":"a secret of the API"}`).body)
	for _, s := range secrets {
		if s != "" && strings.Contains(seen.String(), s) {
			t.Errorf("shows the secret %q", s)
		}
	}
	if strings.Contains(seen.String(), `"password":`) || strings.Contains(seen.String(), `"client_secret":`) {
		t.Error("names a password or secret")
	}
}

func TestJournalIsBounded(t *testing.T) {
	w := newWorld(t, mock.Config{})
	long := strings.Repeat("x", 100000)
	w.post("/oauth/token", "client_id", "demo", "client_secret", "demo-secret", "grant_type", long)
	w.get("/authorize?response_type=code&client_id=" + long)
	w.get("/" + long)
	w.get("/v2/logout?client_id=" + long)
	w.get("/oidc/logout?client_id=" + long)
	if n := len(w.mustControl("GET", "/_mock/requests", "").body); n > 10000 {
		t.Errorf("five calls make %d bytes of journal", n)
	}
	for range 10100 {
		w.get("/x")
	}
	if n := w.Journal().Count(mock.Query{}); n > 10000 || n < 9000 {
		t.Errorf("%d entries", n)
	}
}

func TestControlRefusesOtherSites(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for _, host := range []string{"evil.example", "evil.example:8400", "localhost.evil.example", "192.0.2.1:8400", "0.0.0.0:8400", "[2001:db8::1]:8400", "", "127.0.0.1.evil.example"} {
		for path, refused := range map[string]bool{"clients": true, "health": true, "ca.pem": true, "resource/calls": false} {
			r := httptest.NewRequest("GET", issuer+"_mock/"+path, nil)
			r.Host = host
			if got := w.do(r); (got.status == 403) != refused {
				t.Errorf("%s of the host %q: %d %s", path, host, got.status, got.body)
			}
		}
	}
	for _, host := range []string{"localhost", "LOCALHOST:8400", "127.0.0.1:8400", "[::1]:8400", "[::1]", "127.8.9.1", "tenant.localhost:8400", "[::ffff:127.0.0.1]:1"} {
		r := httptest.NewRequest("GET", issuer+"_mock/clients", nil)
		r.Host = host
		if got := w.do(r); got.status != 200 {
			t.Errorf("the host %q: %d %s", host, got.status, got.body)
		}
	}
	r := httptest.NewRequest("GET", issuer+"_mock/clients", nil)
	r.Host = "mockauth0:8400"
	if got := newWorld(t, mock.Config{Public: true}).do(r); got.status != 200 {
		t.Errorf("another host, public: %d %s", got.status, got.body)
	}
	for name, header := range map[string][2]string{
		"cross-site": {"Sec-Fetch-Site", "cross-site"}, "same-site": {"Sec-Fetch-Site", "same-site"},
		"origin": {"Origin", "https://evil.example"}, "null": {"Origin", "null"}, "another port": {"Origin", "http://localhost:1"},
	} {
		r := httptest.NewRequest("POST", issuer+"_mock/reset", strings.NewReader("{}"))
		r.Header.Set(header[0], header[1])
		if got := w.do(r); got.status != 403 || got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	r = httptest.NewRequest("POST", issuer+"_mock/reset", strings.NewReader("{}"))
	r.Header.Set("Origin", "http://localhost:8400")
	if got := w.do(r); got.status != 200 {
		t.Errorf("its own page: %d", got.status)
	}
	if got := w.control("GET", "/_mock/nowhere", ""); got.status != 404 {
		t.Errorf("%d", got.status)
	}
	if got := w.control("POST", "/_mock/users", `{"email":"`+strings.Repeat("x", 1<<20)+`"}`); got.status != 413 {
		t.Errorf("a large body: %d", got.status)
	}
	if got := w.control("PATCH", "/_mock/users/"+agent, `{"email":"`+strings.Repeat("x", 1<<20)+`"}`); got.status != 413 {
		t.Errorf("a large body: %d", got.status)
	}
}

func TestControlStoresObjects(t *testing.T) {
	w := newWorld(t, mock.Config{})
	w.mustControl("POST", "/_mock/clients", `{"name":"New","client_id":"new","client_secret":"new-secret","callbacks":["`+callback+`"],"grant_types":["authorization_code"]}`)
	w.tokens("new", "scope", "openid")
	w.mustControl("PATCH", "/_mock/clients/new", `{"callbacks":["http://localhost:1/cb"]}`)
	w.authorize("client_id", "new").page(403, "unauthorized_client", "Callback URL mismatch.")
	w.mustControl("DELETE", "/_mock/clients/new", ``)
	w.authorize("client_id", "new").page(400, "invalid_request", "Unknown client: new")

	w.mustControl("POST", "/_mock/roles", `{"name":"agent2"}`)
	u := decodeJSON[map[string]any](t, w.mustControl("POST", "/_mock/users", `{"email":"new@example.com","password":"pw","roles":["agent2"]}`).body)
	if id := u["user_id"].(string); !strings.HasPrefix(id, "auth0|") || u["password"] != nil {
		t.Errorf("%v", u)
	}
	w.mustControl("PATCH", "/_mock/users/NEW@example.com", `{"email":"renamed@example.com"}`)
	if r := w.control("PATCH", "/_mock/users/new@example.com", `{}`); r.status != 404 {
		t.Errorf("the old address still finds the user: %d", r.status)
	}
	w.mustControl("DELETE", "/_mock/users/renamed@example.com", ``)

	w.mustControl("POST", "/_mock/client-grants", `{"client_id":"demo","audience":"https://guarded.example/","scope":[],"subject_type":"user"}`)
	w.code("audience", "https://guarded.example/")
	w.mustControl("DELETE", "/_mock/client-grants?client_id=demo&audience=https://guarded.example/", ``)
	w.authorize("audience", "https://guarded.example/").redirectsError("invalid_request", `Client "demo" is not authorized to access resource server "https://guarded.example/".`)

	w.mustControl("POST", "/_mock/organizations", `{"name":"acme","members":["`+guest+`"]}`) // replaces org_acme
	w.authorize("client_id", "b2b", "organization", "org_acme").location()
	w.mustControl("POST", "/_mock/settings", `{"login":"form"}`)
	if r := w.otherBrowser().authorize(); r.location().Path != "/u/login" {
		t.Errorf("%s", r.header.Get("Location"))
	}
}

func TestControlRejectsInvalidObjects(t *testing.T) {
	w := newWorld(t, mock.Config{})
	before := w.mustControl("PATCH", "/_mock/users/"+agent, `{}`).body
	for _, c := range []struct{ method, path, body, names string }{
		{"POST", "clients", `{}`, "client_id"},
		{"POST", "clients", `{"client_id":"demo","token_endpoint_auth_method":"magic"}`, "token_endpoint_auth_method"},
		{"POST", "clients", `{"client_id":"x","jwt_configuration":{"alg":"none"}}`, "alg"},
		{"POST", "clients", `{"clientid":"x"}`, "clientid"},
		{"POST", "clients", `{"client_id":"x","refresh_token":{"leeway":-1}}`, "refresh_token"},
		{"PATCH", "clients/demo", `{"client_id":"x"}`, "client_id"},
		{"PATCH", "clients/nope", `{}`, "nope"},
		{"DELETE", "clients/nope", ``, "nope"},
		{"PATCH", "clients/demo", `{`, ""},
		{"POST", "users", `{}`, "email"},
		{"POST", "users", `{"email":"` + agent + `","roles":["nope"]}`, "nope"},
		{"PATCH", "users/" + agent, `{"roles":["nope"]}`, "nope"},
		{"PATCH", "users/" + agent, `{"user_id":"auth0|x"}`, "user_id"},
		{"POST", "users", `{"email":"x","updated_at":"yesterday"}`, "updated_at"},
		{"PATCH", "users/nope", `{}`, "nope"},
		{"POST", "resource-servers", `{}`, "identifier"},
		{"POST", "resource-servers", `{"identifier":"x","signing_alg":"none"}`, "signing_alg"},
		{"POST", "resource-servers", `{"identifier":"x","token_lifetime":-1}`, "token_lifetime"},
		{"POST", "resource-servers", `{"identifier":"x","token_dialect":"klingon"}`, "token_dialect"},
		{"POST", "client-grants", `{"client_id":"nope"}`, "nope"},
		{"DELETE", "client-grants?client_id=demo&audience=nope", ``, `{"error":"client-grants: client demo has none for nope"}`},
		{"DELETE", "client-grants?client_id=demo&audiance=" + api, ``, `{"error":"audiance: unknown; there are client_id and audience"}`},
		{"POST", "roles", `{}`, "name"},
		{"POST", "organizations", `{}`, "name"},
		{"POST", "organizations", `{"name":"x","members":["nope"]}`, "nope"},
		{"POST", "consents", `{"user":"nope"}`, "nope"},
		{"POST", "consents", `{"user":"` + agent + `","client_id":"nope"}`, "nope"},
		{"POST", "settings", `{"login":"x"}`, "login"},
		{"PATCH", "tenant", `{"session_lifetime":-1}`, "session_lifetime"},
		{"PATCH", "tenant", `{"flags":{"revoke_refresh_tokn_grant":true}}`, "tenant.flags.revoke_refresh_tokn_grant: unknown; did you mean revoke_refresh_token_grant?"},
		{"PATCH", "tenant", `{"flags":[]}`, "flags"},
		{"POST", "clients", `{"client_id":"x","refresh_token":{"leway":1}}`, "clients.refresh_token.leway: unknown; did you mean leeway?"},
		{"PATCH", "clients/demo", `{"compliance_level":"fapi1_adv_pkj_par"}`, "clients.compliance_level: a real tenant refuses requests that do not follow the FAPI profile"},
		{"PATCH", "clients/demo", `{"signed_request_object":{"required":true}}`, "clients.signed_request_object.required"},
		{"PATCH", "tenant", `{"mtls":{"enable_endpoint_aliases":true}}`, "tenant.mtls"},
		{"PATCH", "users/" + agent, `{"emali":"x"}`, "email?"},
		{"POST", "roles", `{"name":"x","permisions":[]}`, "permissions?"}, //nolint:misspell // that is the test
		{"PUT", "actions", `{}`, `{"error":"the body: must be a list, not an object"}`},
		{"PUT", "actions", `[{"trigger":"post-login","set_id_token":[1]}]`, `{"error":"actions[0]: set_id_token: must be an object, not a list"}`},
		{"POST", "clients", `{"client_id":5}`, `{"error":"client_id: must be a string, not a number"}`},
		{"POST", "clients", `{"client_id":"x","jwt_configuration":{"lifetime_in_seconds":1.5}}`, `{"error":"jwt_configuration.lifetime_in_seconds: must be a whole number, not 1.5"}`},
		{"PATCH", "clients/demo", `{"is_first_party":[]}`, `{"error":"is_first_party: must be a boolean, not a list"}`},
		{"PATCH", "tenant", `{"session_lifetime":"1"}`, `{"error":"session_lifetime: must be a number, not a string"}`},
		{"POST", "clients", `{"client_id":"x","jwt_configuration":{"lifetime_in_seconds":3162240001}}`, `"jwt_configuration.lifetime_in_seconds: 3162240001 of client \"x\" is longer than 100 years"`},
		{"POST", "clients", `{"client_id":"x","refresh_token":{"leeway":99999999999}}`, "longer than 100 years"},
		{"POST", "clients", `{"client_id":"x","refresh_token":{"token_lifetime":99999999999}}`, "longer than 100 years"},
		{"POST", "clients", `{"client_id":"x","refresh_token":{"idle_token_lifetime":99999999999}}`, "longer than 100 years"},
		{"POST", "resource-servers", `{"identifier":"x","token_lifetime":99999999999}`, "longer than 100 years"},
		{"POST", "resource-servers", `{"identifier":"x","token_lifetime_for_web":99999999999}`, "longer than 100 years"},
		{"POST", "client-grants", `{"client_id":"demo"}`, `{"error":"audience: a client grant needs an audience"}`},
		{"PUT", "actions", `[{"trigger":"post-login","colour":1}]`, "actions[0]: x-actions.colour: unknown"},
		{"PUT", "actions", `[{"trigger":"post-login","deny":1}]`, "deny"},
		{"PUT", "actions", `[{"trigger":"post-logout"}]`, "trigger"},
	} {
		r := w.control(c.method, "/_mock/"+c.path, c.body)
		if (r.status != 400 && r.status != 404) || !strings.HasPrefix(r.body, `{"error":"`) || !strings.Contains(r.body, c.names) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, r.status, r.body)
		}
	}
	if after := w.mustControl("PATCH", "/_mock/users/"+agent, `{}`).body; after != before {
		t.Errorf("a refused change changed something:\n%s\n%s", before, after)
	}
	w.tokens("demo")
}

// An object with the name or the id of another one would hide that.
func TestControlRejectsRepeatedNamesAndIDs(t *testing.T) {
	w := newWorld(t, mock.Config{})
	w.mustControl("POST", "/_mock/databases", `{"name":"d","id":"con_d"}`)
	w.mustControl("POST", "/_mock/connections", `{"name":"c","id":"con_c","strategy":"email"}`)
	w.mustControl("POST", "/_mock/organizations", `{"name":"o","id":"org_o"}`)
	w.mustControl("POST", "/_mock/resource-servers", `{"identifier":"https://a.example/","id":"api_a"}`)
	w.mustControl("POST", "/_mock/client-grants", `{"client_id":"demo","audience":"https://a.example/","id":"cgr_a"}`)
	w.mustControl("POST", "/_mock/roles", `{"name":"r","id":"rol_r"}`)
	for _, c := range []struct{ path, body, want string }{
		{"databases", `{"name":"c"}`, `name: "c" is used twice`},
		{"databases", `{"name":"e","id":"con_d"}`, `id: "con_d" is used twice`},
		{"databases", `{"name":"e","id":"con_c"}`, `id: "con_c" is used twice`},
		{"connections", `{"name":"d","strategy":"sms"}`, `name: "d" is used twice`},
		{"connections", `{"name":"e","id":"con_d","strategy":"sms"}`, `id: "con_d" is used twice`},
		{"connections", `{"name":"e","id":"con_c","strategy":"sms"}`, `id: "con_c" is used twice`},
		{"organizations", `{"name":"o","id":"org_p"}`, `name: "o" is used twice`},
		{"resource-servers", `{"identifier":"https://b.example/","id":"api_a"}`, `id: "api_a" is used twice`},
		{"client-grants", `{"client_id":"demo","audience":"https://b.example/","id":"cgr_a"}`, `id: "cgr_a" is used twice`},
		{"roles", `{"name":"s","id":"rol_r"}`, `id: "rol_r" is used twice`},
	} {
		r := w.control("POST", "/_mock/"+c.path, c.body)
		if want, _ := json.Marshal(map[string]string{"error": c.want}); r.status != 400 || r.body != string(want) {
			t.Errorf("%s %s: %d %s", c.path, c.body, r.status, r.body)
		}
	}
	w.mustControl("POST", "/_mock/databases", `{"name":"d","id":"con_d","disable_signup":true}`)
	w.mustControl("POST", "/_mock/connections", `{"name":"c","id":"con_c","strategy":"sms"}`)
	w.mustControl("POST", "/_mock/organizations", `{"name":"p","id":"org_o"}`)
	w.mustControl("POST", "/_mock/client-grants", `{"client_id":"demo","audience":"https://a.example/","id":"cgr_b"}`)
	w.mustControl("POST", "/_mock/roles", `{"name":"r","id":"rol_s"}`)
	w.mustControl("GET", "/_mock/export", "")
}

// Members of the Management API that the mock does not use are accepted and named in
// the answer.
func TestControlReportsWhatItIgnores(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "clients", `{"name":"a","client_id":"a","logo_uri":"x"}`, `"x-ignored":["clients.logo_uri: no effect; a real tenant with these values gives clients the same answers"]}`},
		{"PATCH", "clients/demo", `{"session_transfer":{"can_create_session_transfer_token":true}}`, `"x-ignored":["clients.session_transfer: no effect in the mock; a real tenant exchanges session transfer tokens"]}`},
		{"PATCH", "clients/demo", `{"compliance_level":null,"signed_request_object":{"required":false}}`, `"x-ignored":["clients.compliance_level: no effect; `},
		{"PATCH", "tenant", `{"flags":{"zzz":1}}`, `"x-ignored":["tenant.flags.zzz: no effect; the mock does not know this field"]}`},
		{"POST", "users", `{"email":"x@example.com","multifactor":["guardian"]}`, `a real tenant asks for the enrolled second factor; the mock takes authentication_methods"]}`},
		{"PATCH", "users/" + agent, `{"last_ip":"127.0.0.1"}`, `"x-ignored":["users.last_ip: `},
		{"POST", "resource-servers", `{"identifier":"x","token_encryption":{"format":"x"}}`, `a real tenant encrypts access tokens"]}`},
		{"POST", "resource-servers", `{"identifier":"x","proof_of_possession":{"mechanism":"none","required":true}}`, `"x-ignored":["API \"x\": proof_of_possession.required has no effect with the mechanism none"]}`},
		{"POST", "client-grants", `{"client_id":"demo","audience":"x","scope":[],"default_for":"third_party_clients"}`, `a real tenant grants this to all third-party clients"]}`},
		{"POST", "organizations", `{"name":"o","branding":{}}`, `"x-ignored":["organizations.branding: `},
		{"POST", "roles", `{"name":"r","owner_id":"o"}`, `"x-ignored":["roles.owner_id: `},
		{"POST", "databases", `{"name":"d","realms":["d"]}`, `"x-ignored":["databases.realms: `},
		{"PUT", "actions", `[{"trigger":"post-login","set_id_token":{"iss":"x","https://x/y":"z"}}]`, `"x-ignored":["x-actions[0]: Auth0 drops the claims iss: their names are reserved"]}]`},
		{"POST", "clients", `{"client_id":"app","app_type":"zoom"}`, `"x-ignored":["client \"app\": the mock treats app_type zoom as regular_web"]}`},
		{"PATCH", "clients/demo", `{"refresh_token":{"leeway":1}}`, `"x-ignored":["client \"Demo\": refresh_token.leeway has no effect with rotation_type non-rotating"]}`},
		{"PATCH", "clients/demo", `{"refresh_token":{"policies":[{"audience":"https://nope.example/"}]}}`, `"x-ignored":["client \"Demo\": refresh_token.leeway has no effect with rotation_type non-rotating","client \"Demo\": refresh_token.policies: no API in resourceServers has the identifier https://nope.example/"]}`},
		{"PATCH", "tenant", `{"default_audience":"https://nope.example/"}`, `"x-ignored":["tenant: default_audience: no API in resourceServers has the identifier https://nope.example/"]}`},
		{"POST", "client-grants", `{"client_id":"demo","audience":"https://nope.example/","scope":[]}`, `"x-ignored":["the client grant of \"demo\" for https://nope.example/ has no effect: `},
		{"POST", "client-grants", `{"client_id":"demo","audience":"` + api + `","scope":["nope"]}`, `has scopes that the API does not have: nope"]}`},
		{"POST", "roles", `{"name":"q","permissions":[{"permission_name":"nope","resource_server_identifier":"` + api + `"}]}`, `"x-ignored":["the permissions of role \"q\" for ` + api + ` have no effect: the API has no scope nope"]}`},
		{"PATCH", "users/" + guest, `{"permissions":[{"permission_name":"x","resource_server_identifier":"y"}]}`, `for y have no effect: no API in resourceServers has this identifier"]}`},
		{"POST", "databases", `{"name":"d2","enabled_clients":["demo","nope"]}`, `"x-ignored":["database \"d2\": enabled_clients: the tenant has no client nope"]}`},
		{"POST", "connections", `{"name":"c2","strategy":"email","enabled_clients":["nope"]}`, `"x-ignored":["connection \"c2\": enabled_clients: the tenant has no client nope"]}`},
		{
			"POST", "organizations", `{"name":"o2","connections":[{"name":"d2"},{"name":"c2"},{"name":"Username-Password-Authentication"},{"name":"nope"}],"member_roles":{"auth0|1":["agent","nope"]}}`,
			`"x-ignored":["organization \"o2\": the tenant has no connection \"nope\"","organization \"o2\": member_roles of auth0|1: the tenant has no role nope"]}`,
		},
		{"PATCH", "clients/rotating", `{"callbacks":["https://a.*.example.com/"]}`, `"x-ignored":["client \"rotating\": callbacks: \"https://a.*.example.com/\" never matches`},
	} {
		r := w.mustControl(c.method, "/_mock/"+c.path, c.body)
		if !strings.Contains(r.body, c.want) || !json.Valid([]byte(r.body)) {
			t.Errorf("%s %s: %s lacks %s", c.method, c.path, r.body, c.want)
		}
	}
	w.mustControl("PATCH", "/_mock/clients/demo", `{"refresh_token":null}`)
	if r := w.mustControl("PATCH", "/_mock/clients/demo", `{"name":"Demo"}`); strings.Contains(r.body, "x-ignored") {
		t.Errorf("%s", r.body)
	}
	lax := newWorld(t, mock.Config{Lax: true})
	if r := lax.mustControl("PATCH", "/_mock/clients/demo", `{"compliance_level":"fapi1_adv_pkj_par"}`); !strings.Contains(r.body, `"x-ignored":["clients.compliance_level: `) {
		t.Errorf("lax: %s", r.body)
	}
}

// A tenant that does not support PAR has no endpoint for it.
func TestPARSwitchedOff(t *testing.T) {
	w := newWorld(t, mock.Config{})
	push := func() reply {
		return w.post("/oauth/par", "client_id", "demo", "client_secret", "demo-secret", "response_type", "code", "redirect_uri", callback)
	}
	listed := func() bool {
		return strings.Contains(w.get("/.well-known/openid-configuration").body, "pushed_authorization_request_endpoint")
	}
	if r := push(); r.status != 201 || !listed() {
		t.Errorf("on: %d %s", r.status, r.body)
	}
	w.mustControl("PATCH", "/_mock/tenant", `{"pushed_authorization_requests_supported":false}`)
	if r := push(); r.status != 404 || listed() {
		t.Errorf("off: %d %s", r.status, r.body)
	}
}

// Changes by the control API must not modify the Config's tenant file.
func TestResetUndoesEverything(t *testing.T) {
	w := newWorld(t, mock.Config{Profile: mock.ProfileStrictOIDC})
	fingerprint := func() string {
		var b strings.Builder
		for _, path := range []string{"clients/demo", "clients/rotating", "clients/wild", "users/" + agent} {
			b.WriteString(w.mustControl("PATCH", "/_mock/"+path, `{}`).body + "\n")
		}
		b.WriteString(w.mustControl("PATCH", "/_mock/tenant", `{}`).body)
		return b.String()
	}
	before := fingerprint()
	tk := w.tokens("demo")
	for path, body := range map[string]string{
		"clients/rotating": `{"refresh_token":{"leeway":5,"policies":[{"audience":"x","scope":["y"]}]}}`,
		"clients/wild":     `{"callbacks":["http://a","http://b","http://c"]}`,
		"clients/demo":     `{"grant_types":["password"]}`,
		"users/" + agent:   `{"roles":["reader"],"app_metadata":{"a":1},"blocked":true}`,
		"tenant":           `{"allowed_logout_urls":["http://x","http://y"],"flags":{"revoke_refresh_token_grant":true}}`,
	} {
		w.mustControl("PATCH", "/_mock/"+path, body)
	}
	fail(t, w.Tenant, mock.Fault{Endpoint: "token", Kind: mock.FaultStatus, Status: 503})
	w.mustControl("POST", "/_mock/reset", `{}`)
	if after := fingerprint(); after != before {
		t.Errorf("got  %s\nwant %s", after, before)
	}
	if n := w.Journal().Count(mock.Query{}); n != 0 {
		t.Errorf("%d entries in the journal", n)
	}
	w.refresh("demo", tk.Refresh).refused(400, "invalid_grant", badRefresh)
	w.authorize("prompt", "none").redirectsError("login_required", "Login required")
	w.tokens("demo")
}

// A client of an export has neither id nor secret; the tenant derives and lists them.
func TestClientsAndUsersAreListed(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: &tenant.File{
		Clients: []tenant.Client{
			{Name: "Web", Callbacks: []string{callback}},
			{Name: "App", AppType: "native"},
			{Name: "Robot", ClientID: "robot", ClientSecret: "own", AppType: "non_interactive"},
		},
		ResourceServers: []tenant.ResourceServer{{Name: "API", Identifier: "https://api.example.com/"}},
		ClientGrants:    []tenant.ClientGrant{{ClientID: "Web", Audience: "https://api.example.com/"}},
		Users:           []tenant.User{{Email: "a@example.com", Password: "canary-password"}, {Email: "b@example.com"}},
	}})
	list := decodeJSON[struct {
		Count   int             `json:"count"`
		Clients []tenant.Client `json:"clients"`
	}](t, w.mustControl("GET", "/_mock/clients", "").body)
	if list.Count != 3 || len(list.Clients) != 3 {
		t.Fatalf("%+v", list)
	}
	web, app, robot := list.Clients[0], list.Clients[1], list.Clients[2]
	if web.Name != "Web" || len(web.ClientID) != 32 || len(web.ClientSecret) != 64 || len(web.GrantTypes) == 0 {
		t.Errorf("%+v", web)
	}
	if app.AppType != "native" || app.ClientSecret != "" || robot.ClientSecret != "own" {
		t.Errorf("%+v %+v", app, robot)
	}
	w.post("/oauth/token", "grant_type", "client_credentials", "client_id", web.ClientID, "client_secret", web.ClientSecret,
		"audience", "https://api.example.com/").tokens()
	body := w.mustControl("GET", "/_mock/users", "").body
	if !strings.Contains(body, `"count":2`) || !strings.Contains(body, `"email":"a@example.com"`) || strings.Contains(body, "canary") {
		t.Errorf("%s", body)
	}
}

// GET /_mock/ lists every call; each of them works and is in docs/mock.md.
func TestControlIndex(t *testing.T) {
	w := newWorld(t, mock.Config{})
	var index struct {
		Count int
		Calls []struct{ Method, Path, Does string }
	}
	if err := json.Unmarshal([]byte(w.mustControl("GET", "/_mock/", "").body), &index); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/mock.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## Control")
	_, table, _ := strings.Cut(section, "\n| | |\n")
	var text strings.Builder
	for _, c := range index.Calls {
		fmt.Fprintf(&text, "%s %s: %s\n", c.Method, c.Path, c.Does)
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // ends a stream of events
		r := w.do(httptest.NewRequest(c.Method, strings.TrimSuffix(issuer, "/")+c.Path, nil).WithContext(ctx))
		if strings.Contains(r.body, "lists all calls") {
			t.Errorf("%s %s does not exist: %s", c.Method, c.Path, r.body)
		}
		if name := strings.TrimPrefix(c.Path, "/_mock/"); !strings.Contains(table, name) {
			t.Errorf("docs/mock.md lacks %s", c.Path)
		}
	}
	if index.Count != len(index.Calls) {
		t.Errorf("count %d of %d", index.Count, len(index.Calls))
	}
	golden(t, "controls", text.String())
	if r := w.control("GET", "/_mock/fault", ""); r.status != 404 || r.body != `{"error":"no GET /_mock/fault; GET /_mock/ lists all calls"}` {
		t.Errorf("%d %s", r.status, r.body)
	}
}
