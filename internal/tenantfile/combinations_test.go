package tenantfile

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// Any combination of settings is a tenant that answers, or an error with file and line.
// No login and no token request makes it panic or answer 5xx.
func TestAnyCombinationOfSettings(t *testing.T) {
	dir, valid := t.TempDir(), 0
	located := regexp.MustCompile(`^f\.yaml:\d+: |^tenant: clients: a tenant needs at least one`)
	rapid.Check(t, func(t *rapid.T) {
		text := drawTenant(t)
		t.Log(text)
		path := filepath.Join(dir, "f.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Load([]string{path}, Options{Lax: rapid.Bool().Draw(t, "lax")})
		var m *mock.Tenant
		if err == nil {
			m, err = mock.New(mock.Config{Tenant: r.Tenant, Issuer: "http://localhost:8400/", Login: drawLogin(t), Profile: drawProfile(t)})
			err = explain(r, err)
		}
		if err != nil {
			for line := range strings.SplitSeq(strings.ReplaceAll(err.Error(), dir+"/", ""), "\n") {
				if !located.MatchString(line) {
					t.Fatalf("an error without file and line: %q", line)
				}
			}
			return
		}
		valid++
		use(t, m)
	})
	if valid < 5 {
		t.Errorf("only %d of the drawn tenants are valid", valid)
	}
}

func explain(r *Result, err error) error {
	if err == nil {
		return nil
	}
	return r.Explain(err)
}

func drawLogin(t *rapid.T) mock.LoginMode {
	return rapid.SampledFrom([]mock.LoginMode{mock.LoginAuto, mock.LoginForm}).Draw(t, "login")
}

func drawProfile(t *rapid.T) mock.Profile {
	return rapid.SampledFrom([]mock.Profile{mock.ProfileAuth0, mock.ProfileStrictOIDC}).Draw(t, "profile")
}

// The names that objects refer to each other by, few so that references often resolve.
var drawnNames = []any{"a", "b", "a@example.com", "http://localhost:3000/cb", "https://*.example.com/cb", "DB", "auth0|1", "*", "", "{organization_name}"}

// drawnValues are values of fields with values of their own; any field can have the others.
var drawnValues = map[string][]any{
	"grant_types": {
		[]any{
			"authorization_code", "implicit", "refresh_token", "client_credentials", "password", tenant.GrantDeviceCode, tenant.GrantTokenExchange,
			tenant.GrantPasswordlessOTP, tenant.GrantMFAOTP, tenant.GrantMFAOOB, tenant.GrantMFARecoveryCode,
		},
		[]any{"authorization_code"},
		[]any{},
	},
	"token_endpoint_auth_method":    {"none", "client_secret_post", "client_secret_basic", "private_key_jwt"},
	"app_type":                      {"spa", "native", "regular_web", "non_interactive", "rms"},
	"alg":                           {"RS256", "HS256", "PS256"},
	"signing_alg":                   {"RS256", "HS256", "PS256"},
	"token_dialect":                 {"access_token", "access_token_authz", "rfc9068_profile", "rfc9068_profile_authz"},
	"rotation_type":                 {"rotating", "non-rotating"},
	"expiration_type":               {"expiring", "non-expiring"},
	"organization_usage":            {"deny", "allow", "require"},
	"organization_require_behavior": {"no_prompt", "pre_login_prompt", "post_login_prompt"},
	"url":                           {"http://localhost:3000/error"},
	"organization_id":               {"a"},
	"backchannel_logout_urls":       {[]any{"http://localhost:1/logout"}},
	"resource_parameter_profile":    {"audience", "compatibility"},
	"passwordPolicy":                {"none", "low", "good", "excellent"},
	"mechanism":                     {"none", "mtls", "dpop"},
	"required_for":                  {"all_clients", "public_clients"},
	"roles":                         {[]any{"a"}, []any{}},
	"members":                       {[]any{"a@example.com"}, []any{}},
	"policy":                        {"allow_all", "require_client_grant", "deny_all"},
	"subject_type":                  {"client", "user"},
	"trigger":                       {"post-login", "credentials-exchange"},
	"callbacks":                     {[]any{"http://localhost:3000/cb"}, []any{"http://localhost:3000/cb", "https://*.example.com/cb"}},
	"set_id_token":                  {map[string]any{"https://x/y": "{{.User.Email}} {{.Client.Name}}", "iss": "x"}, map[string]any{"name": 1}},
	"set_access_token":              {map[string]any{"https://x/y": "{{.User.AppMetadata.team}}", "aud": "x", "a": []any{1, nil}}},
	"updated_at":                    {"2025-01-01T00:00:00Z"},
	"user_id":                       {"auth0|1", "x"},
	"type":                          {"totp", "push", "phone", "email", "recovery-code"},
	"totp_secret":                   {"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"},
}

// drawTenant draws a tenant file in which every section may have any of its fields. A
// careful one has values of the right type and resolved references, so that it is
// mostly valid; another may have anything anywhere.
func drawTenant(t *rapid.T) string {
	careful := rapid.IntRange(0, 9).Draw(t, "careful") > 2
	bySection := map[string][]string{}
	for _, f := range tenant.Fields() {
		section, name, _ := strings.Cut(f.Path, ".")
		bySection[section] = append(bySection[section], name)
	}
	file := map[string]any{}
	for _, section := range []string{"tenant", "clients", "resourceServers", "clientGrants", "roles", "organizations", "databases", "connections", "users", "x-actions"} {
		object := func() map[string]any {
			o := map[string]any{}
			for _, name := range rapid.SliceOfN(rapid.SampledFrom(bySection[section]), 0, 8).Draw(t, section) {
				setMember(o, section, strings.Split(name, "."), drawValue(t, section+"."+name, careful))
			}
			return o
		}
		if section == "tenant" {
			file[section] = object()
			continue
		}
		list := []any{}
		for range rapid.IntRange(0, 2).Draw(t, "objects") {
			list = append(list, object())
		}
		file[section] = list
	}
	if careful {
		identify(file, "clients", "client_id", "name")
		identify(file, "users", "user_id", "")
		identify(file, "resourceServers", "identifier", "")
		identify(file, "roles", "name", "")
		identify(file, "organizations", "name", "id")
		identify(file, "databases", "name", "")
		identify(file, "connections", "name", "")
		for _, c := range file["connections"].([]any) {
			c.(map[string]any)["strategy"], c.(map[string]any)["name"] = "email", "passwordless "+c.(map[string]any)["name"].(string)
		}
		for i, g := range file["clientGrants"].([]any) {
			g.(map[string]any)["client_id"], g.(map[string]any)["audience"] = "a", string(rune('a'+i))
		}
		for _, u := range file["users"].([]any) {
			if list, isList := u.(map[string]any)["authentication_methods"].([]any); isList {
				setMember(list[0].(map[string]any), "users.authentication_methods", []string{"type"}, drawValue(t, "users.authentication_methods.type", true))
			}
		}
		for _, api := range file["resourceServers"].([]any) {
			if pop, isObject := api.(map[string]any)["proof_of_possession"].(map[string]any); isObject && pop["mechanism"] == nil {
				pop["mechanism"] = drawValue(t, "resourceServers.proof_of_possession.mechanism", true)
			}
		}
		for _, a := range file["x-actions"].([]any) {
			a.(map[string]any)["trigger"] = "post-login"
			delete(a.(map[string]any), "error") // without deny an error
		}
		if rapid.Bool().Draw(t, "mfa") {
			complete(file, "x-actions", map[string]any{"trigger": "post-login", "mfa": true, "client_id": "", "deny": ""})
		}
		complete(file, "clients", map[string]any{"callbacks": []any{"http://localhost:3000/cb"}})
		if rapid.Bool().Draw(t, "grants") {
			complete(file, "clients", map[string]any{"grant_types": drawnValues["grant_types"][0]})
		}
		complete(file, "users", map[string]any{"email": "a@example.com", "password": "password"})
		complete(file, "roles", nil)
	}
	b, err := json.MarshalIndent(file, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// identify gives every object of a section a name of its own; a section that others
// refer to has an object.
func identify(file map[string]any, section, field, drop string) {
	complete(file, section, nil)
	for i, o := range file[section].([]any) {
		o.(map[string]any)[field] = string(rune('a' + i))
		delete(o.(map[string]any), drop)
	}
}

// complete gives the first object of a section what it needs.
func complete(file map[string]any, section string, members map[string]any) {
	list := file[section].([]any)
	if len(list) == 0 {
		list = []any{map[string]any{}}
	}
	for k, v := range members {
		list[0].(map[string]any)[k] = v
	}
	file[section] = list
}

func drawValue(t *rapid.T, path string, careful bool) any {
	name := path[strings.LastIndexByte(path, '.')+1:]
	if own := drawnValues[name]; own != nil && (careful || rapid.Bool().Draw(t, "own")) {
		return rapid.SampledFrom(own).Draw(t, name)
	}
	text := func() any { return rapid.SampledFrom(drawnNames).Draw(t, name) }
	number := func() any { return rapid.SampledFrom([]int{0, 60, 3600, 86400}).Draw(t, name) }
	yes := func() any { return rapid.Bool().Draw(t, name) }
	list := func() any { return []any{text()} }
	object := func() any { return map[string]any{} }
	kinds := map[reflect.Kind]func() any{
		reflect.Bool: yes, reflect.String: text, reflect.Int: number, reflect.Float64: number, reflect.Slice: list, reflect.Map: object,
	}
	if draw := kinds[schemaKind(path)]; draw != nil && careful {
		return draw()
	}
	negative := func() any { return rapid.SampledFrom([]int{-1, 1 << 40}).Draw(t, name) }
	nothing := func() any { return nil }
	return rapid.SampledFrom([]func() any{text, number, yes, list, object, negative, nothing}).Draw(t, "kind")()
}

// schemaKind returns the kind of a field of the schema, or Invalid for others.
func schemaKind(path string) reflect.Kind {
	at := reflect.TypeFor[tenant.File]()
	for name := range strings.SplitSeq(path, ".") {
		for at.Kind() == reflect.Pointer || at.Kind() == reflect.Slice {
			at = at.Elem()
		}
		var next reflect.Type
		if at.Kind() == reflect.Struct {
			for f := range at.Fields() {
				if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name {
					next = f.Type
				}
			}
		}
		if next == nil {
			return reflect.Invalid
		}
		at = next
	}
	if at.Kind() == reflect.Pointer {
		at = at.Elem()
	}
	return at.Kind()
}

// setMember sets a member of the object at a path, below others that it makes. Those
// that the schema has as lists are lists of one object.
func setMember(o map[string]any, path string, names []string, value any) {
	if len(names) == 1 {
		o[names[0]] = value
		return
	}
	child, isObject := o[names[0]].(map[string]any)
	if list, isList := o[names[0]].([]any); isList && len(list) > 0 {
		child, isObject = list[0].(map[string]any)
	}
	if !isObject {
		child = map[string]any{}
	}
	path += "." + names[0]
	if o[names[0]] = child; schemaKind(path) == reflect.Slice {
		o[names[0]] = []any{child}
	}
	setMember(child, path, names[1:], value)
}

// use logs in at a client and asks for tokens with every grant.
func use(t *rapid.T, m *mock.Tenant) {
	clients := m.Clients()
	c := clients[rapid.IntRange(0, len(clients)-1).Draw(t, "client")]
	later := time.Duration(rapid.SampledFrom([]int{0, 1, 3600, 86400}).Draw(t, "later")) * time.Second
	for _, audience := range []string{"", "a"} {
		for _, organization := range []string{"", "a"} {
			for _, responseType := range []string{"code", "token id_token", "code id_token"} {
				b := &browser{T: t, m: m, jar: map[string]string{}, client: url.Values{"client_id": {c.ClientID}, "client_secret": {c.ClientSecret}}}
				b.use(url.Values{"audience": {audience}, "organization": {organization}, "response_type": {responseType}}, later)
			}
		}
	}
}

// browser is one browser and one client.
type browser struct {
	*rapid.T
	m      *mock.Tenant
	jar    map[string]string
	client url.Values
	proof  string // DPoP
}

// do sends a request; an answer of 5xx fails the test.
func (b *browser) do(method, path string, form url.Values) *http.Response {
	r := httptest.NewRequest(method, "http://localhost:8400"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if b.proof != "" {
		r.Header.Set("DPoP", b.proof)
	}
	for k, v := range b.jar {
		r.AddCookie(&http.Cookie{Name: k, Value: v})
	}
	w := httptest.NewRecorder()
	b.m.ServeHTTP(w, r)
	res := w.Result()
	for _, c := range res.Cookies() {
		b.jar[c.Name] = c.Value
	}
	if res.StatusCode >= 500 {
		b.Fatalf("%s %s: %d %s", method, path, res.StatusCode, w.Body)
	}
	return res
}

// token asks for tokens.
func (b *browser) token(grant string, more url.Values) (tk tokens) {
	form := url.Values{"grant_type": {grant}}
	maps.Copy(form, b.client)
	maps.Copy(form, more)
	res := b.do(http.MethodPost, "/oauth/token", form)
	defer res.Body.Close()                    //nolint:errcheck // in memory
	_ = json.NewDecoder(res.Body).Decode(&tk) // an error has none
	return tk
}

// logIn returns a code, if there is one.
func (b *browser) logIn(request url.Values) string {
	res := b.do(http.MethodGet, "/authorize?"+request.Encode(), nil)
	for range 6 { // login, consent, and back
		at, err := res.Location()
		if err != nil || at.Host != "" && at.Host != "localhost:8400" {
			break
		}
		if !strings.HasPrefix(at.Path, "/u/") {
			res = b.do(http.MethodGet, at.RequestURI(), nil)
			continue
		}
		b.do(http.MethodGet, at.RequestURI(), nil)
		res = b.do(http.MethodPost, at.RequestURI(), url.Values{
			"state": {at.Query().Get("state")}, "username": {"a@example.com"}, "password": {"password"}, "action": {"accept"},
		})
	}
	if at, err := res.Location(); err == nil {
		return at.Query().Get("code") + strings.TrimPrefix(at.Fragment, "code=")
	}
	return ""
}

func (b *browser) use(request url.Values, later time.Duration) {
	audience := url.Values{"audience": request["audience"], "organization": request["organization"]}
	for k, v := range map[string]string{
		"client_id": b.client.Get("client_id"), "redirect_uri": "http://localhost:3000/cb", "scope": "openid profile email offline_access a", "nonce": "n",
	} {
		request.Set(k, v)
	}
	code := b.logIn(request)
	tk := b.token("authorization_code", url.Values{"code": {code}, "redirect_uri": {"http://localhost:3000/cb"}})
	b.m.Advance(later)
	for range 2 {
		b.token("refresh_token", url.Values{"refresh_token": {tk.Refresh}})
	}
	user := url.Values{"username": {"a@example.com"}, "password": {"password"}, "subject_token": {"a@example.com"}, "subject_token_type": {"urn:x"}}
	maps.Copy(user, audience)
	password := b.token("password", user)
	b.secondFactor(password.MFA)
	b.token("client_credentials", audience)
	b.token(tenant.GrantTokenExchange, user)
	b.do(http.MethodGet, "/userinfo?access_token="+url.QueryEscape(tk.Access+password.Access), nil)
	person := url.Values{
		"client_id": b.client["client_id"], "connection": {"a"}, "email": {"a@example.com"}, "password": {"password"}, "send": {"code"},
	}
	b.do(http.MethodPost, "/dbconnections/signup", person)
	b.do(http.MethodPost, "/dbconnections/change_password", person)
	b.do(http.MethodPost, "/passwordless/start", url.Values{"client_id": person["client_id"], "connection": {"passwordless a"}, "email": {"a@example.com"}, "send": {"code"}})
	mails := b.m.Mails()
	for _, m := range mails[max(0, len(mails)-2):] {
		b.token(tenant.GrantPasswordlessOTP, url.Values{"username": {m.To}, "realm": {m.Connection}, "otp": {m.Code}})
	}
	b.proof = "x.y.z"
	b.token("client_credentials", audience)
	b.proof = ""
	b.do(http.MethodPost, "/oauth/par", b.client)
	b.do(http.MethodPost, "/oauth/device/code", b.client)
	b.do(http.MethodGet, "/.well-known/openid-configuration", nil)
	b.do(http.MethodGet, "/v2/logout?client_id="+url.QueryEscape(b.client.Get("client_id")), nil)
	b.do(http.MethodGet, "/oidc/logout?id_token_hint="+url.QueryEscape(tk.ID), nil)
}

// secondFactor answers mfa_required with every kind of second factor.
func (b *browser) secondFactor(token string) {
	with := url.Values{"mfa_token": {token}, "otp": {"000000"}, "recovery_code": {"a"}}
	challenge := maps.Clone(with)
	maps.Copy(challenge, b.client)
	res := b.do(http.MethodPost, "/mfa/challenge", challenge)
	defer res.Body.Close() //nolint:errcheck // in memory
	var sent struct {
		Code string `json:"oob_code"`
	}
	_ = json.NewDecoder(res.Body).Decode(&sent) // an error has none
	with.Set("oob_code", sent.Code)
	if mails := b.m.Mails(); len(mails) > 0 {
		with.Set("binding_code", mails[len(mails)-1].Code)
	}
	for _, grant := range []string{tenant.GrantMFAOTP, tenant.GrantMFAOOB, tenant.GrantMFARecoveryCode} {
		b.token(grant, with)
	}
}

type tokens struct {
	MFA     string `json:"mfa_token"`
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
}
