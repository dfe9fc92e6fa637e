package mock_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

// organizations has the client b2b and the organizations acme, with agent as a member,
// and globex, with agent and guest.
func organizations(tb testing.TB, c mock.Config, client string) *world {
	tb.Helper()
	w := newWorld(tb, c)
	w.mustControl("POST", "/_mock/organizations", `{"id":"org_globex","name":"globex","display_name":"Globex Inc.","members":["`+agent+`","`+guest+`"]}`)
	w.mustControl("PATCH", "/_mock/clients/b2b", client)
	return w
}

// orgOf returns the org_id of the tokens of a code, "" for none.
func (w *world) orgOf(r reply) string {
	w.Helper()
	tk := w.exchange(r.param("code"), "client_id", "b2b", "client_secret", "b2b-secret").tokens()
	a, id := claims(w.TB, tk.Access), claims(w.TB, tk.ID)
	if a["org_id"] != id["org_id"] || a["org_name"] != id["org_name"] {
		w.Errorf("access token %v, ID token %v", a, id)
	}
	org, _ := id["org_id"].(string)
	return org
}

// submit posts the form of a page of organizations and follows its redirect.
func (w *world) submit(r reply, path, organization string) reply {
	w.Helper()
	state := r.state(path)
	if page := w.get(path + "?state=" + state); page.status != http.StatusOK {
		w.Fatalf("%d %s", page.status, page.body)
	}
	r = w.post(path+"?state="+state, "state", state, "organization", organization)
	if r.status != http.StatusFound || strings.HasPrefix(r.location().Path, "/u/") {
		return r
	}
	return w.get(r.location().String())
}

func TestOrganizationPickedAfterTheLogin(t *testing.T) {
	w := organizations(t, mock.Config{Login: mock.LoginForm}, `{"organization_require_behavior":"post_login_prompt"}`)
	r := w.signIn(w.authorize("client_id", "b2b"), agent)
	page := w.get("/u/organization/picker?state=" + r.state("/u/organization/picker"))
	if !strings.Contains(page.body, ">acme</button>") || !strings.Contains(page.body, ">Globex Inc.</button>") || strings.Contains(page.body, "Personal account") {
		t.Errorf("the picker is %s", page.body)
	}
	if bad := w.submit(r, "/u/organization/picker", "org_nope"); bad.status != http.StatusBadRequest {
		t.Errorf("an unknown organization: %d", bad.status)
	}
	if bad := w.submit(r, "/u/organization/picker", ""); bad.status != http.StatusBadRequest {
		t.Errorf("no organization where one is required: %d", bad.status)
	}
	r = w.submit(r, "/u/organization/picker", "org_globex")
	if got := w.orgOf(w.consent(r, "accept")); got != "org_globex" {
		t.Errorf("org_id %q", got)
	}
	w.authorize("client_id", "b2b", "prompt", "none").redirectsError("interaction_required", "The user has to choose an organization")
	one := w.otherBrowser()
	if got := one.orgOf(one.consent(one.signIn(one.authorize("client_id", "b2b"), guest), "accept")); got != "org_globex" {
		t.Errorf("the only organization of a user: %q", got)
	}
}

func TestOrganizationEnteredBeforeTheLogin(t *testing.T) {
	w := organizations(t, mock.Config{Login: mock.LoginForm}, `{"organization_require_behavior":"pre_login_prompt"}`)
	start := w.authorize("client_id", "b2b")
	if bad := w.submit(start, "/u/organization", "nope"); bad.status != http.StatusBadRequest || !strings.Contains(bad.body, "The organization you entered is invalid.") {
		t.Errorf("%d %s", bad.status, bad.body)
	}
	r := w.submit(start, "/u/organization", "ACME")
	r = w.signIn(r, agent)
	if got := w.orgOf(w.consent(r, "accept")); got != "org_acme" {
		t.Errorf("org_id %q", got)
	}
	other := w.otherBrowser()
	r = other.submit(other.authorize("client_id", "b2b"), "/u/organization", "acme")
	if r = other.signIn(r, guest); r.param("error") != "access_denied" {
		t.Errorf("a user who is not a member: %s", r.header.Get("Location"))
	}
	w.authorize("client_id", "b2b", "prompt", "none", "organization", "org_nope").redirectsError("invalid_request", "parameter organization is invalid: org_nope")
}

func TestPersonalAccountWhereAnOrganizationIsOptional(t *testing.T) {
	w := organizations(t, mock.Config{Login: mock.LoginForm}, `{"organization_usage":"allow","organization_require_behavior":"post_login_prompt"}`)
	r := w.signIn(w.authorize("client_id", "b2b"), agent)
	r = w.submit(r, "/u/organization/picker", "")
	if got := w.orgOf(w.consent(r, "accept")); got != "" {
		t.Errorf("org_id %q", got)
	}
	w.mustControl("PATCH", "/_mock/clients/b2b", `{"organization_require_behavior":"pre_login_prompt"}`) // for require only
	if got := w.orgOf(w.authorize("client_id", "b2b")); got != "" {
		t.Errorf("org_id %q", got)
	}
}

func TestOrganizationOfAutomaticLogins(t *testing.T) {
	for _, behaviour := range []string{"pre_login_prompt", "post_login_prompt"} {
		w := organizations(t, mock.Config{}, `{"organization_require_behavior":"`+behaviour+`"}`)
		if got := w.orgOf(w.authorize("client_id", "b2b")); got != "org_acme" {
			t.Errorf("%s: the first organization of the user: %q", behaviour, got)
		}
		w.otherBrowser().authorize("client_id", "b2b", "login_hint", "absent@example.com").location()
		w.mustControl("PATCH", "/_mock/clients/b2b", `{"organization_usage":"allow"}`)
		if got := w.orgOf(w.authorize("client_id", "b2b")); got != "" {
			t.Errorf("%s: personal account: %q", behaviour, got)
		}
	}
	for _, mode := range []mock.LoginMode{mock.LoginAuto, mock.LoginForm} {
		w := organizations(t, mock.Config{Login: mode}, `{"organization_require_behavior":"post_login_prompt"}`)
		back, err := w.Approve(t.Context(), strings.TrimSuffix(issuer, "/")+authorizeURL("client_id", "b2b"), mock.AsUser(agent))
		if err != nil || back.Get("code") == "" {
			t.Errorf("Approve, %s: %v, %v", mode, back, err)
		}
		w.mustControl("PATCH", "/_mock/clients/b2b", `{"organization_require_behavior":"pre_login_prompt"}`)
		if back, err = w.Approve(t.Context(), strings.TrimSuffix(issuer, "/")+authorizeURL("client_id", "b2b"), mock.AsUser(agent)); err != nil || back.Get("code") == "" {
			t.Errorf("Approve, %s: %v, %v", mode, back, err)
		}
	}
}

// Names work only if the tenant allows them, and then every token has org_name.
func TestOrganizationByName(t *testing.T) {
	w := organizations(t, mock.Config{}, `{}`)
	w.authorize("client_id", "b2b", "organization", "acme").redirectsError("invalid_request", "parameter organization is invalid: acme")
	if id := claims(t, w.tokens("b2b", "organization", "org_acme").ID); id["org_id"] != "org_acme" || id["org_name"] != nil {
		t.Errorf("names are off: %v", id)
	}
	w.mustControl("PATCH", "/_mock/tenant", `{"allow_organization_name_in_authentication_api":true}`)
	for _, ref := range []string{"acme", "ACME", "org_acme"} {
		tk := w.tokens("b2b", "organization", ref)
		if id := claims(t, tk.ID); id["org_id"] != "org_acme" || id["org_name"] != "acme" {
			t.Errorf("%s: %v", ref, id)
		}
		if a := claims(t, w.refresh("b2b", tk.Refresh).tokens().Access); a["org_id"] != "org_acme" || a["org_name"] != "acme" {
			t.Errorf("%s, refreshed: %v", ref, a)
		}
	}
}

// Membership counts before Actions run, and a connection can make members.
func TestMembership(t *testing.T) {
	w := organizations(t, mock.Config{}, `{}`)
	w.mustControl("PUT", "/_mock/actions", `[{"trigger":"post-login","deny":"not today"}]`)
	r := w.authorize("client_id", "b2b", "organization", "org_acme", "login_hint", guest)
	r.redirectsError("access_denied", "user "+w.Users()[1].UserID+" is not part of the org_acme organization")
	w.mustControl("PUT", "/_mock/actions", `[]`)
	w.mustControl("POST", "/_mock/organizations", `{"name":"acme","members":[],"connections":[{"name":"Username-Password-Authentication","assign_membership_on_login":true}]}`)
	if got := w.orgOf(w.otherBrowser().authorize("client_id", "b2b", "organization", "org_acme", "login_hint", guest)); got != "org_acme" {
		t.Errorf("org_id %q", got)
	}
}

func TestInvitations(t *testing.T) {
	w := organizations(t, mock.Config{}, `{"initiate_login_uri":"https://app.example.com/login?a=b"}`)
	invite := func(body string) (ticket, link string) {
		t.Helper()
		in := decodeJSON[map[string]any](t, w.mustControl("POST", "/_mock/organizations/org_acme/invitations", body).body)
		link, _ = in["invitation_url"].(string)
		return in["ticket_id"].(string), link
	}
	accept := func(ticket, organization string) reply {
		return w.otherBrowser().authorize("client_id", "b2b", "organization", organization, "invitation", ticket, "login_hint", guest)
	}
	const unknown = "invitation not found or already used"
	body := `{"inviter":{"name":"Ann"},"invitee":{"email":"GUEST@example.com"},"client_id":"b2b"}`

	first, link := invite(body)
	if want := "https://app.example.com/login?a=b&invitation=" + first + "&organization=org_acme&organization_name=acme"; link != want {
		t.Errorf("invitation_url %q, want %q", link, want)
	}
	second, _ := invite(body)
	accept(first, "org_acme").redirectsError("invalid_request", unknown) // replaced by the second one
	accept(second, "org_globex").redirectsError("invalid_request", unknown)
	if got := w.orgOf(accept(second, "org_acme")); got != "org_acme" {
		t.Errorf("org_id %q", got)
	}
	if u := w.Users()[1]; !u.EmailVerified {
		t.Error("accepting an invitation must verify the address")
	}
	accept(second, "org_acme").redirectsError("invalid_request", unknown)
	if got := w.orgOf(w.otherBrowser().authorize("client_id", "b2b", "organization", "org_acme", "login_hint", guest)); got != "org_acme" {
		t.Errorf("the member that the invitation made: %q", got)
	}

	other, _ := invite(`{"invitee":{"email":"other@example.com"},"client_id":"b2b"}`)
	accept(other, "org_acme").redirectsError("access_denied", "the specified account is not allowed to accept the current invitation")
	accept(other, "org_acme").redirectsError("invalid_request", unknown)

	late, _ := invite(`{"invitee":{"email":"` + guest + `"},"client_id":"b2b","ttl_sec":60}`)
	w.Advance(time.Minute)
	accept(late, "org_acme").redirectsError("invalid_request", unknown)

	for bad, status := range map[string]int{
		`{"invitee":{"email":"guest"},"client_id":"b2b"}`:                           http.StatusBadRequest,
		`{"invitee":{"email":"a@example.com"},"client_id":"nope"}`:                  http.StatusBadRequest,
		`{"invitee":{"email":"a@example.com"},"client_id":"demo"}`:                  http.StatusBadRequest, // organization_usage deny
		`{"invitee":{"email":"a@example.com"},"client_id":"b2b","ttl_sec":2592001}`: http.StatusBadRequest,
		`{"invitee":{"email":"a@example.com"},"client_id":"b2b","ttl_sec":-1}`:      http.StatusBadRequest,
		`{"x":1}`: http.StatusBadRequest,
	} {
		if r := w.control("POST", "/_mock/organizations/org_acme/invitations", bad); r.status != status {
			t.Errorf("%s: %d %s", bad, r.status, r.body)
		}
	}
	if r := w.control("POST", "/_mock/organizations/org_nope/invitations", body); r.status != http.StatusNotFound {
		t.Errorf("an unknown organization: %d", r.status)
	}
}

// An invitation that waits for the consent page is accepted once.
func TestInvitationByForms(t *testing.T) {
	w := organizations(t, mock.Config{Login: mock.LoginForm}, `{}`)
	invite := func(email string) string {
		return decodeJSON[map[string]any](t, w.mustControl("POST", "/_mock/organizations/org_acme/invitations",
			`{"invitee":{"email":"`+email+`"},"client_id":"b2b"}`).body)["ticket_id"].(string)
	}
	ticket, invited := invite(guest), invite("other@example.com")
	r := w.signIn(w.authorize("client_id", "b2b", "organization", "org_acme", "invitation", ticket), guest)
	second := w.otherBrowser()
	late := second.authorize("client_id", "b2b", "organization", "org_acme", "invitation", invited)
	if got := w.orgOf(w.consent(r, "accept")); got != "org_acme" {
		t.Errorf("org_id %q", got)
	}
	other := w.otherBrowser()
	other.signIn(other.authorize("client_id", "b2b", "organization", "org_acme", "invitation", invited), agent).
		redirectsError("access_denied", "the specified account is not allowed to accept the current invitation")
	second.signIn(late, agent).redirectsError("invalid_request", "invitation not found or already used")
}

// The rules of organization_usage of a client grant.
func TestOrganizationOfClientCredentials(t *testing.T) {
	w := newWorld(t, mock.Config{})
	cc := func(client, organization string) reply {
		return w.post("/oauth/token", "grant_type", "client_credentials", "client_id", client, "client_secret", client+"-secret",
			"audience", api, "organization", organization)
	}
	grant := func(client, usage string, all bool) {
		w.mustControl("POST", "/_mock/client-grants", fmt.Sprintf(
			`{"client_id":%q,"audience":%q,"scope":[],"organization_usage":%q,"allow_any_organization":%v}`, client, api, usage, all))
	}
	has := func(r reply, want any) {
		t.Helper()
		if got := claims(t, r.tokens().Access)["org_id"]; got != want {
			t.Errorf("org_id %v, want %v", got, want)
		}
	}
	has(cc("machine", ""), nil)
	for _, usage := range []string{"", "deny"} {
		grant("machine", usage, true)
		cc("machine", "org_acme").refused(400, "invalid_request", "parameter organization is not allowed for this client")
	}
	grant("machine", "allow", true)
	has(cc("machine", ""), nil)
	has(cc("machine", "org_acme"), "org_acme")
	cc("machine", "org_nope").refused(400, "invalid_request", "parameter organization is invalid: org_nope")
	cc("machine", "acme").refused(400, "invalid_request", "parameter organization is invalid: acme")
	grant("machine", "allow", false)
	cc("machine", "org_acme").refused(403, "access_denied", "The organization org_acme does not have the client grant")
	w.mustControl("POST", "/_mock/organizations", `{"name":"acme","client_grants":[{"client_id":"machine","audience":"`+api+`"}]}`)
	has(cc("machine", "org_acme"), "org_acme")
	grant("machine", "require", false)
	cc("machine", "").refused(400, "invalid_request", "parameter organization is required for this client")
	w.mustControl("PATCH", "/_mock/clients/machine", `{"default_organization":{"organization_id":"org_acme","flows":[]}}`)
	cc("machine", "").refused(400, "invalid_request", "parameter organization is required for this client")
	w.mustControl("PATCH", "/_mock/clients/machine", `{"default_organization":{"organization_id":"org_acme","flows":["client_credentials"]}}`)
	has(cc("machine", ""), "org_acme")

	grant("third", "allow", true) // allow_any_organization is not for third-party clients
	w.mustControl("POST", "/_mock/organizations", `{"name":"acme","client_grants":[]}`)
	w.mustControl("PATCH", "/_mock/clients/third", `{"grant_types":["client_credentials"]}`)
	cc("third", "org_acme").refused(403, "access_denied", "The organization org_acme does not have the client grant")

	for path, bad := range map[string]string{
		"clients":       `{"client_id":"x","default_organization":{"organization_id":"org_nope","flows":[]}}`,
		"organizations": `{"name":"x","client_grants":[{"client_id":"nope","audience":"a"}]}`,
		"client-grants": `{"client_id":"demo","audience":"a","organization_usage":"required"}`,
		"databases":     `{"strategy":"auth0"}`,
	} {
		if r := w.control("POST", "/_mock/"+path, bad); r.status != http.StatusBadRequest {
			t.Errorf("%s %s: %d", path, bad, r.status)
		}
	}
}
