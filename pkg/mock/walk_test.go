package mock_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// Objects change and go while logins, refreshes and second factors wait. No step is
// answered with 5xx, and the state stays a valid tenant file.
func TestAnyOrderOfStepsAndChanges(t *testing.T) {
	for seed := range uint64(60) {
		w := newWalk(t, seed)
		for range 250 {
			w.step()
		}
		w.check("export", w.get("/_mock/export"))
		if t.Failed() {
			return
		}
	}
}

// walk is random steps of clients, browsers and an administrator.
type walk struct {
	*world
	rnd  *rand.Rand
	seed uint64
	seen map[string][]string // values of earlier answers, by name
	log  []string
}

func newWalk(t *testing.T, seed uint64) *walk {
	t.Helper()
	e, _ := probedTenant(t)
	no := false
	grants := []string{
		"authorization_code", "implicit", "refresh_token", "client_credentials", "password", tenant.GrantPasswordRealm, tenant.GrantDeviceCode,
		tenant.GrantTokenExchange, tenant.GrantPasswordlessOTP, tenant.GrantMFAOOB, tenant.GrantMFARecoveryCode,
	}
	e.Clients[0].GrantTypes = grants
	e.Clients = append(e.Clients, tenant.Client{
		Name: "Third", ClientID: "third", AppType: "spa", IsFirstParty: &no, GrantTypes: grants, Callbacks: []string{callback},
		OrganizationUsage: "require", OrganizationRequire: "post_login_prompt",
	})
	e.Users[0].AuthenticationMethods = []tenant.AuthenticationMethod{{Type: "push"}, {Type: "email"}, {Type: "recovery-code", RecoveryCode: "rc"}}
	w := &walk{rnd: rand.New(rand.NewPCG(seed, 1)), seed: seed, seen: map[string][]string{}} //nolint:gosec // a test's steps repeat
	w.world = newWorld(t, mock.Config{
		Tenant: e, Profile: mock.Profile(w.pick("auth0", "strict-oidc")), Login: mock.LoginMode(w.pick("auto", "form")),
	})
	return w
}

func (w *walk) pick(list ...string) string { return list[w.rnd.IntN(len(list))] }

// last returns the last value of a name, or sometimes an earlier one.
func (w *walk) last(name string) string {
	list := w.seen[name]
	switch {
	case len(list) == 0:
		return "x"
	case w.rnd.IntN(4) == 0:
		return list[w.rnd.IntN(len(list))]
	}
	return list[len(list)-1]
}

// note keeps what later steps can send: parameters of a redirect, members of a body.
func (w *walk) note(r reply) {
	if at, err := url.Parse(r.header.Get("Location")); err == nil {
		fragment, _ := url.ParseQuery(at.Fragment)
		for _, v := range []url.Values{at.Query(), fragment} {
			for name := range v {
				w.seen[name] = append(w.seen[name], v.Get(name))
			}
		}
	}
	var body map[string]any
	if json.Unmarshal([]byte(r.body), &body) != nil {
		return
	}
	for name, value := range body {
		if s, isText := value.(string); isText {
			w.seen[name] = append(w.seen[name], s)
		}
	}
}

func (w *walk) check(what string, r reply) {
	w.log = append(w.log, fmt.Sprintf("%s: %d %.100s %.200s", what, r.status, r.header.Get("Location"), r.body))
	if r.status >= 500 {
		w.Fatalf("seed %d\n%s", w.seed, strings.Join(w.log[max(0, len(w.log)-20):], "\n"))
	}
}

func (w *walk) step() {
	steps := clientSteps
	if w.rnd.IntN(9) == 0 {
		steps = changeSteps
	}
	i := w.rnd.IntN(len(steps))
	r := steps[i](w)
	w.check(fmt.Sprint("step ", i), r)
	w.note(r)
}

// form sends a form without its empty parameters.
func (w *walk) form(path string, params ...string) reply {
	v := pairs(params...)
	for name := range v {
		if v.Get(name) == "" {
			v.Del(name)
		}
	}
	if path == "/authorize" {
		return w.get(path + "?" + v.Encode())
	}
	return w.do(formRequest(path, v))
}

func (w *walk) token(params ...string) reply {
	client, secret := w.pick("a", "a", "third", "keyed", "new"), ""
	if client == "a" {
		secret = "a-secret"
	}
	return w.form("/oauth/token", append(params, "client_id", client, "client_secret", secret, "audience", w.audience(), "scope", "openid offline_access read:calls")...)
}

func (w *walk) audience() string {
	return w.pick("", api, "https://second.example/", "https://gone.example/")
}

func (w *walk) person() string { return w.pick(agent, guest, "new@example.com") }

var clientSteps = []func(w *walk) reply{
	func(w *walk) reply {
		return w.form(w.pick("/authorize", "/authorize", "/authorize", "/oauth/par"),
			"response_type", w.pick("code", "code", "token", "id_token", "code id_token token"), "client_id", w.pick("a", "third"), "client_secret", "a-secret",
			"redirect_uri", callback, "nonce", "n", "scope", "openid offline_access profile read:calls", "audience", w.audience(),
			"prompt", w.pick("", "", "none", "login", "consent", "select_account"), "organization", w.pick("", "", "org_one", "org_two", "one"),
			"max_age", w.pick("", "", "0"), "screen_hint", w.pick("", "signup"), "connection", w.pick("", "", "DB", "email"),
			"response_mode", w.pick("", "", "form_post", "web_message", "fragment"), "id_token_hint", w.pick("", "", w.last("id_token")))
	},
	func(w *walk) reply {
		return w.form("/authorize", "client_id", w.pick("a", "third"), "request_uri", w.last("request_uri"))
	},
	func(w *walk) reply {
		return w.form(w.pick("/u/login", "/u/login", "/u/consent", "/u/consent", "/u/signup", "/u/organization", "/u/organization/picker", "/u/logout-consent"),
			"state", w.last("state"), "username", w.person(), "email", w.person(), "password", w.pick("password", "password", "x"),
			"organization", w.pick("one", "org_one", "two", "", "x"), "action", w.pick("accept", "accept", "deny"))
	},
	func(w *walk) reply {
		return w.get(w.pick("/authorize/resume", "/authorize/resume", "/u/login", "/u/consent", "/u/organization/picker", "/u/logout-consent") + "?state=" + w.last("state"))
	},
	func(w *walk) reply {
		return w.token("grant_type", "authorization_code", "code", w.last("code"), "redirect_uri", callback)
	},
	func(w *walk) reply {
		return w.token("grant_type", "refresh_token", "refresh_token", w.last("refresh_token"))
	},
	func(w *walk) reply {
		return w.token("grant_type", w.pick("password", tenant.GrantPasswordRealm), "realm", w.pick("DB", "email", "New"), "username", w.person(), "password", "password")
	},
	func(w *walk) reply {
		return w.token("grant_type", "client_credentials", "organization", w.pick("", "org_one", "org_new"))
	},
	func(w *walk) reply {
		return w.token("grant_type", tenant.GrantTokenExchange, "subject_token", w.person(), "subject_token_type", "urn:x")
	},
	func(w *walk) reply {
		return w.form("/oauth/device/code", "client_id", w.pick("a", "third"), "scope", "openid offline_access", "audience", w.audience())
	},
	func(w *walk) reply {
		return w.form("/activate", "user_code", w.last("user_code"), "action", w.pick("accept", "accept", "cancel"))
	},
	func(w *walk) reply {
		return w.token("grant_type", tenant.GrantDeviceCode, "device_code", w.last("device_code"))
	},
	func(w *walk) reply { return w.call("/userinfo", "Bearer "+w.last("access_token"), "") },
	func(w *walk) reply { return w.call("/_mock/resource/x", "Bearer "+w.last("access_token"), "") },
	func(w *walk) reply {
		return w.form("/dbconnections/signup", "client_id", w.pick("a", "third"), "connection", w.pick("DB", "DB", "New", "email"), "email", w.person(), "password", "password12")
	},
	func(w *walk) reply {
		return w.form("/dbconnections/change_password", "client_id", w.pick("a", "third", ""), "connection", w.pick("DB", "New"), "email", w.person())
	},
	func(w *walk) reply {
		return w.form("/passwordless/start", "client_id", w.pick("a", "third"), "connection", w.pick("email", "email", "New"), "email", w.person(), "send", w.pick("code", "link"))
	},
	(*walk).openMail,
	func(w *walk) reply {
		return w.form("/mfa/challenge", "client_id", "a", "client_secret", "a-secret", "mfa_token", w.last("mfa_token"), "challenge_type", w.pick("oob", "oob otp", ""))
	},
	func(w *walk) reply {
		return w.token("grant_type", tenant.GrantMFARecoveryCode, "mfa_token", w.last("mfa_token"), "recovery_code", "rc")
	},
	func(w *walk) reply {
		return w.control("POST", "/_mock/push", `{"user":"`+agent+`","answer":"`+w.pick("accept", "reject")+`"}`)
	},
	func(w *walk) reply {
		return w.get(w.pick("/v2/logout?client_id="+w.pick("a", "third", ""), "/oidc/logout?id_token_hint="+w.last("id_token"), "/oidc/logout?client_id=third"))
	},
	func(w *walk) reply {
		return w.form("/oauth/revoke", "client_id", "a", "client_secret", "a-secret", "token", w.last("refresh_token"))
	},
	func(w *walk) reply {
		w.Advance(time.Duration(w.rnd.IntN(200)) * time.Second)
		return w.get("/_mock/families")
	},
	func(w *walk) reply { return w.get(w.pick("/_mock/export", "/_mock/state", "/_mock/requests")) },
	func(w *walk) reply {
		r := request(http.MethodGet, w.pick("/_mock/", "/_mock/clients", "/_mock/users", "/_mock/sessions", "/_mock/tokens", "/_mock/clock"), "")
		r.Header.Set("Accept", "text/html")
		return w.do(r)
	},
}

// openMail uses the code or the link of the newest mail.
func (w *walk) openMail() reply {
	mails := w.Mails()
	if len(mails) == 0 {
		return w.get("/_mock/mails")
	}
	m := mails[len(mails)-1]
	_, ticket, isReset := strings.Cut(m.Link, "ticket=")
	switch {
	case isReset && w.rnd.IntN(2) == 0:
		return w.form("/u/reset-password", "ticket", ticket, "password", "password")
	case m.Link != "":
		return w.get(strings.TrimPrefix(m.Link, strings.TrimSuffix(issuer, "/")))
	case m.Kind == "mfa_code":
		return w.token("grant_type", tenant.GrantMFAOOB, "mfa_token", w.last("mfa_token"), "oob_code", w.last("oob_code"), "binding_code", m.Code)
	}
	return w.token("grant_type", tenant.GrantPasswordlessOTP, "realm", m.Connection, "username", m.To, "otp", m.Code)
}

var changeSteps = []func(w *walk) reply{
	func(w *walk) reply {
		return w.control("PATCH", "/_mock/clients/"+w.pick("a", "third", "keyed"), w.pick(
			`{"organization_usage":"require"}`, `{"organization_usage":"deny"}`, `{"callbacks":[]}`, `{"grant_types":[]}`, `{"refresh_token":null}`,
			`{"jwt_configuration":{"alg":"HS256"}}`, `{"require_proof_of_possession":true}`, `{"is_first_party":false}`, `{"x-login":"form"}`,
			`{"organization_require_behavior":"pre_login_prompt"}`, `{"token_endpoint_auth_method":"none"}`, `{"token_endpoint_auth_method":"client_secret_post"}`,
			`{"default_organization":{"organization_id":"org_one","flows":["client_credentials"]}}`))
	},
	func(w *walk) reply { return w.control("DELETE", "/_mock/clients/"+w.pick("a", "third"), "") },
	func(w *walk) reply {
		return w.control("POST", "/_mock/clients", `{"client_id":"`+w.pick("a", "a", "third", "new")+`","client_secret":"a-secret","callbacks":["`+callback+`"],
			"grant_types":["authorization_code","implicit","refresh_token","password","client_credentials","`+tenant.GrantMFAOOB+`"]}`)
	},
	func(w *walk) reply { return w.control("DELETE", "/_mock/users/"+w.person(), "") },
	func(w *walk) reply {
		return w.control("POST", "/_mock/users", `{"email":"`+w.person()+`","password":"password","connection":"`+w.pick("DB", "New", "email")+`"}`)
	},
	func(w *walk) reply {
		return w.control("PATCH", "/_mock/users/"+w.person(), w.pick(`{"blocked":true}`, `{"blocked":false}`, `{"email":""}`, `{"authentication_methods":[]}`, `{"connection":"Gone"}`, `{"connection":""}`))
	},
	func(w *walk) reply {
		return w.control("PATCH", "/_mock/tenant", w.pick(
			`{"default_audience":"`+api+`"}`, `{"default_audience":""}`, `{"default_directory":"Gone"}`, `{"default_directory":""}`, `{"error_page":{"url":"http://e.example/"}}`,
			`{"allow_organization_name_in_authentication_api":true}`, `{"resource_parameter_profile":"audience"}`, `{"session_lifetime":0.00001}`))
	},
	func(w *walk) reply {
		return w.control("PUT", "/_mock/actions", w.pick(`[]`, `[{"trigger":"post-login","mfa":true}]`, `[{"trigger":"post-login","set_id_token":{"name":null,"x":{"a":[1]}}}]`, `null`))
	},
	func(w *walk) reply {
		return w.control("POST", "/_mock/organizations", `{`+w.pick("", `"id":"org_one",`, `"id":"org_new",`)+`"name":"`+w.pick("one", "new")+`",
			"members":`+w.pick(`[]`, `["`+agent+`"]`)+`,"connections":`+w.pick(`null`, `[]`, `[{"name":"DB","assign_membership_on_login":true}]`)+`}`)
	},
	func(w *walk) reply {
		return w.control("POST", "/_mock/resource-servers", `{`+w.pick("", `"id":"api_1",`)+`"identifier":"`+w.pick(api, "https://gone.example/")+`","allow_offline_access":true,
			"signing_alg":"`+w.pick("RS256", "HS256", "PS256")+`","enforce_policies":`+w.pick("true", "false")+`,"token_dialect":"`+w.pick("rfc9068_profile_authz", "access_token")+`",
			"subject_type_authorization":`+w.pick("null", `{"user":{"policy":"deny_all"}}`, `{"client":{"policy":"allow_all"}}`, `{}`)+`}`)
	},
	func(w *walk) reply {
		return w.control("POST", "/_mock/databases", `{`+w.pick("", `"id":"con_1",`)+`"name":"`+w.pick("DB", "New", "email")+`","enabled_clients":`+w.pick("null", "[]", `["a"]`)+`}`)
	},
	func(w *walk) reply {
		return w.control("POST", "/_mock/connections", `{`+w.pick("", `"id":"con_1",`)+`"name":"`+w.pick("email", "DB", "New")+`","strategy":"`+w.pick("sms", "email")+`"}`)
	},
	func(w *walk) reply {
		return w.control("POST", "/_mock/roles", `{`+w.pick("", `"id":"rol_1",`)+`"name":"`+w.pick("agent", "new")+`"}`)
	},
	func(w *walk) reply {
		return w.control("POST", "/_mock/client-grants", `{`+w.pick("", `"id":"cgr_1",`)+`"client_id":"`+w.pick("a", "third", "Probe")+`","audience":"`+w.audience()+`"}`)
	},
	func(w *walk) reply {
		return w.manage(http.MethodPost, w.pick("clients", "roles", "organizations"), `{"name":"`+w.pick("Probe", "agent", "one", "new")+`"}`)
	},
	func(w *walk) reply {
		return w.manage(http.MethodPost, "connections", `{"name":"`+w.pick("New", "google", "DB")+`","strategy":"`+w.pick("google-oauth2", "auth0", "email")+`"}`)
	},
	(*walk).deleteSomething,
	func(w *walk) reply {
		if w.rnd.IntN(6) > 0 {
			return w.get("/_mock/health")
		}
		return w.control("POST", "/_mock/reset", "{}")
	},
}

// manage calls the Management API with the scopes of these steps.
func (w *walk) manage(method, path, body string) reply {
	var list []string
	for _, kind := range []string{"organizations", "connections", "resource_servers", "roles", "users", "clients", "client_grants"} {
		list = append(list, "read:"+kind, "create:"+kind, "delete:"+kind)
	}
	token, err := w.Issue(mock.TokenSpec{Audience: issuer + "api/v2/", Scope: strings.Join(list, " ")})
	if err != nil {
		return w.get("/_mock/health") // all clients are gone
	}
	r := request(method, "/api/v2/"+path, body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	return w.do(r)
}

// deleteSomething deletes an object by the Management API.
func (w *walk) deleteSomething() reply {
	kind := w.pick("organizations", "connections", "resource-servers", "roles", "users", "clients", "client-grants")
	r := w.manage(http.MethodGet, kind, "")
	var list []map[string]any
	if json.Unmarshal([]byte(r.body), &list) != nil || len(list) == 0 {
		return r
	}
	object, id := list[w.rnd.IntN(len(list))], ""
	for _, name := range []string{"id", "client_id", "user_id"} {
		if s, isText := object[name].(string); isText && id == "" && (name != "client_id" || kind == "clients") {
			id = s
		}
	}
	return w.manage(http.MethodDelete, kind+"/"+url.PathEscape(id), "")
}
