package mock

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"example.com/tokend/pkg/mock/tenant"
)

// The calls under /_mock/ that an administrator makes in the dashboard, with the
// objects of the Management API.

// writeResult answers with the stored object, or with the error.
func writeResult(w http.ResponseWriter, v any, err error) {
	if err != nil {
		writeInputError(w, err)
		return
	}
	respondJSON(w, v)
}

// put decodes a body into a T and stores it under the tenant's lock.
func put[T any](t *Tenant, store func(T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in T
		v, err := any(nil), decode(r, &in)
		if err == nil {
			t.mu.Lock()
			v, err = store(in)
			t.mu.Unlock()
		}
		writeResult(w, v, err)
	}
}

// putObject is put for an object of a section of the tenant file. The answer names the
// members that the mock does not use.
func putObject[T any](t *Tenant, section string, store func(T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in T
		body, err := io.ReadAll(r.Body)
		var ignored []string
		if err == nil {
			ignored, err = t.decodeObject(section, body, &in)
		}
		var v any
		if err == nil {
			t.mu.Lock()
			v, err = store(in)
			ignored = append(ignored, t.unresolved(in)...)
			t.mu.Unlock()
		}
		writeObject(w, v, ignored, err)
	}
}

// merge returns a copy of an object, changed by the members of a JSON body, and the
// members that the mock does not use. The copy shares nothing with the original, which
// other goroutines may read.
func merge[T any](t *Tenant, section string, old T, body []byte) (merged T, ignored []string, err error) {
	b, err := json.Marshal(old)
	if err == nil {
		err = json.Unmarshal(dropLists(b, body), &merged)
	}
	if err == nil {
		ignored, err = t.decodeObject(section, body, &merged)
	}
	return merged, ignored, err
}

// dropLists removes from an object the lists that a body replaces. Otherwise
// json.Unmarshal would keep members of their old elements, secrets among them.
func dropLists(object, body []byte) []byte {
	var old, change map[string]json.RawMessage
	if json.Unmarshal(object, &old) != nil || json.Unmarshal(body, &change) != nil {
		return object
	}
	for name, value := range change {
		switch {
		case len(old[name]) == 0:
		case value[0] == '[':
			delete(old, name)
		case value[0] == '{':
			old[name] = dropLists(old[name], value)
		}
	}
	if b, err := json.Marshal(old); err == nil {
		return b
	}
	return object
}

func (t *Tenant) putClient(c tenant.Client) (any, error) {
	if err := errors.Join(c.Complete(), t.st.checkDefaultOrganization(c)); err != nil {
		return nil, err
	}
	if _, known := t.st.clients[c.ClientID]; !known { // a replaced client keeps its place, because the first is the default
		t.st.clientOrder = append(t.st.clientOrder, c.ClientID)
	}
	t.st.clients[c.ClientID] = &c
	return shownClient(&c), nil
}

func shownClient(c *tenant.Client) tenant.Client {
	out := *c
	out.ClientSecret = ""
	return out
}

func shownUser(u *tenant.User) tenant.User {
	return u.Shown()
}

func (t *Tenant) putAPI(api tenant.ResourceServer) (any, error) {
	if err := errors.Join(api.Complete(), t.st.checkAPIID(&api)); err != nil {
		return nil, err
	}
	t.st.storeAPI(&api)
	shown := api
	shown.SigningSecret = ""
	return shown, nil
}

func (t *Tenant) putUser(u tenant.User) (any, error) {
	old := t.st.userByLogin(u.Login())
	if err := t.st.replaceUser(old, &u); err != nil {
		return nil, err
	}
	delete(t.st.attempts, attemptKey("password", u.UserID)) // a new password unblocks the user, as at Auth0
	return shownUser(&u), nil
}

func (t *Tenant) putGrant(g tenant.ClientGrant) (any, error) {
	if err := t.st.addGrant(g); err != nil {
		return nil, err
	}
	return t.st.grants[grantKey(t.st.client(g.ClientID).ClientID, t.st.normalAudience(g.Audience), g.SubjectType)], nil
}

func (t *Tenant) putOrganization(o tenant.Organization) (any, error) {
	if old := t.st.organizationNamed(o.Name); old != nil && o.ID != "" && o.ID != old.ID {
		return nil, duplicateName(true, o.Name)
	}
	if err := t.st.addOrganization(o); err != nil {
		return nil, err
	}
	return t.st.organization(o.Name), nil
}

// putDatabase adds a database or replaces the one of its name.
func (t *Tenant) putDatabase(d tenant.Database) (any, error) {
	if err := d.Complete(); err != nil {
		return nil, err
	}
	if err := t.st.checkConnectionID(d.ID, d.Name, true); err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(slices.Clone(t.st.databases), func(old tenant.Database) bool { return old.Name == d.Name })
	list = append(list, d)
	t.st.databases = list
	return d, nil
}

// putConnection adds a passwordless connection or replaces the one of its name.
func (t *Tenant) putConnection(c tenant.Connection) (any, error) {
	if err := c.Complete(); err != nil {
		return nil, err
	}
	if err := t.st.checkConnectionID(c.ID, c.Name, false); err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(slices.Clone(t.st.passwordless), func(old tenant.Connection) bool { return old.Name == c.Name })
	list = append(list, c)
	t.st.passwordless = list
	return c, nil
}

// consentInput is the form of POST /_mock/consents.
type consentInput struct {
	User     string `json:"user"`
	ClientID string `json:"client_id"`
	Audience string `json:"audience"`
	Scope    string `json:"scope"`
}

func (t *Tenant) putConsent(in consentInput) (any, error) {
	u, c := t.st.userByLogin(in.User), t.st.client(in.ClientID)
	switch {
	case u == nil:
		return nil, fieldError("user", "%q does not exist", in.User)
	case c == nil:
		return nil, fieldError("client_id", "%q does not exist", in.ClientID)
	}
	t.keepConsent(t.consentKey(&authRequest{client: c, audience: in.Audience, scopes: uniqueFields(in.Scope)}, u), t.clock.Now())
	return in, nil
}

// settingsInput is the form of POST /_mock/settings.
type settingsInput struct {
	Login     LoginMode   `json:"login"`
	DPoPNonce noncePolicy `json:"dpop_nonce,omitempty"`
}

func (t *Tenant) putSettings(in settingsInput) (any, error) {
	if in.Login == "" && in.DPoPNonce != "" { // each can be changed alone
		in.Login = t.st.login
	}
	switch {
	case in.Login != LoginAuto && in.Login != LoginForm:
		return nil, fieldError("login", "%q is neither auto nor form", in.Login)
	case in.DPoPNonce == "":
		in.DPoPNonce = t.st.noncePolicy
	case in.DPoPNonce != noncePublic && in.DPoPNonce != nonceAll && in.DPoPNonce != nonceNone:
		return nil, fieldError("dpop_nonce", "%q is not one of public, all, none", in.DPoPNonce)
	}
	t.st.login, t.st.noncePolicy = in.Login, in.DPoPNonce
	return in, nil
}

// adminTable lists the calls that show and change the tenant's objects.
func (t *Tenant) adminTable() []control {
	return []control{
		{"GET /_mock/faults", "the armed faults: how many calls each has hit, and whether it is still active", t.showFaults},
		{"POST /_mock/faults", `arms one: {"endpoint":"token","times":1,"kind":"status","status":503}`, t.armFault},
		{"DELETE /_mock/faults", "disarms all", t.disarm},
		{"GET /_mock/clients", "the clients, with their secrets", t.showClients},
		{"POST /_mock/clients", "adds or replaces one", putObject(t, "clients", t.putClient)},
		{"PATCH /_mock/clients/ID", "changes members of one", nil},
		{"DELETE /_mock/clients/ID", "removes one", nil},
		{"GET /_mock/users", "the users, without passwords", t.showUsers},
		{"POST /_mock/users", "adds or replaces one", putObject(t, "users", t.putUser)},
		{"PATCH /_mock/users/ID-OR-EMAIL", "changes members of one", nil},
		{"DELETE /_mock/users/ID-OR-EMAIL", "removes one", nil},
		{"POST /_mock/resource-servers", "adds or replaces an API", putObject(t, "resourceServers", t.putAPI)},
		{"POST /_mock/client-grants", "adds or replaces one", putObject(t, "clientGrants", t.putGrant)},
		{"DELETE /_mock/client-grants", "removes the one of client_id= and audience=", t.deleteClientGrant},
		{"POST /_mock/organizations", "adds or replaces one", putObject(t, "organizations", t.putOrganization)},
		{"POST /_mock/organizations/ID/invitations", "adds one: invitee, client_id; the answer has its ticket_id", nil},
		{"POST /_mock/databases", "adds or replaces one", putObject(t, "databases", t.putDatabase)},
		{"POST /_mock/connections", "adds or replaces a passwordless one", putObject(t, "connections", t.putConnection)},
		{"POST /_mock/roles", "adds or replaces one", putObject(t, "roles", func(r tenant.Role) (any, error) { return r, t.st.addRole(r) })},
		{"PATCH /_mock/tenant", "changes members of the tenant's settings", t.patchTenant},
		{"POST /_mock/consents", "adds one: user, client_id, audience, scope", put(t, t.putConsent)},
		{"DELETE /_mock/consents", "removes all", put(t, t.dropConsents)},
		{"POST /_mock/settings", `{"login":"form"} or {"login":"auto"}; {"dpop_nonce":"all"}, "public" (as Auth0) or "none"`, put(t, t.putSettings)},
		{"POST /_mock/push", `answers a user's push notification: {"user":"agent@example.com","answer":"accept"} or "reject"`, put(t, t.answerPush)},
		{"PUT /_mock/actions", "replaces the effects of Actions", t.replaceActions},
	}
}

func (t *Tenant) dropConsents(struct{}) (any, error) {
	clear(t.st.consents)
	return struct{}{}, nil
}

func (t *Tenant) showFaults(w http.ResponseWriter, _ *http.Request) {
	list := t.Faults()
	respondJSON(w, struct {
		Count  int          `json:"count"`
		Faults []FaultState `json:"faults"`
	}{len(list), list})
}

func (t *Tenant) disarm(w http.ResponseWriter, _ *http.Request) {
	t.Disarm()
	respondJSON(w, struct{}{})
}

func (t *Tenant) armFault(w http.ResponseWriter, r *http.Request) {
	var f Fault
	err := decode(r, &f)
	if err == nil {
		_, err = t.arm(f)
	}
	writeResult(w, f, err)
}

func (t *Tenant) patchTenant(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var ignored []string
	t.mu.Lock()
	s := *t.st.settings
	if err == nil {
		s, ignored, err = merge(t, "tenant", s, body)
	}
	if err == nil {
		err = s.Check()
	}
	if err == nil {
		t.st.settings = &s
		ignored = append(ignored, t.unresolved(s)...)
	}
	t.mu.Unlock()
	writeObject(w, s, ignored, err)
}

func (t *Tenant) deleteClientGrant(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if name := unknownKey(q, "client_id", "audience"); name != "" {
		writeInputError(w, fieldError(clip(name), "unknown; there are client_id and audience"))
		return
	}
	id, audience := q.Get("client_id"), q.Get("audience")
	t.mu.Lock()
	if c := t.st.client(id); c != nil {
		id = c.ClientID
	}
	found := false
	for _, subject := range []string{"client", "user"} {
		key := grantKey(id, t.st.normalAudience(audience), subject)
		found = found || t.st.grants[key] != nil
		t.st.dropGrant(key)
	}
	t.mu.Unlock()
	if !found {
		controlError(w, http.StatusNotFound, "client-grants: client "+clip(id)+" has none for "+clip(audience))
		return
	}
	respondJSON(w, struct{}{})
}

// controlOne handles PATCH and DELETE of one client or user. It returns false for
// any other call.
func (t *Tenant) controlOne(w http.ResponseWriter, r *http.Request) bool {
	kind, id, found := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), controlPrefix), "/")
	id, err := url.PathUnescape(id)
	if !found || err != nil || (kind != "clients" && kind != "users") || (r.Method != http.MethodPatch && r.Method != http.MethodDelete) {
		return false
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		writeInputError(w, err)
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c, u := t.st.clients[id], t.st.userByLogin(id)
	switch {
	case kind == "clients" && c == nil, kind == "users" && u == nil:
		controlError(w, http.StatusNotFound, kind+": "+clip(id)+" does not exist")
	case r.Method == http.MethodDelete && kind == "clients":
		delete(t.st.clients, id)
		t.st.clientOrder = slices.DeleteFunc(t.st.clientOrder, func(s string) bool { return s == id })
		respondJSON(w, struct{}{})
	case r.Method == http.MethodDelete:
		t.st.dropUser(u)
		respondJSON(w, struct{}{})
	case kind == "clients":
		v, ignored, err := t.patchClient(c, body)
		writeObject(w, v, ignored, err)
	default:
		v, ignored, err := t.patchUser(u, body)
		writeObject(w, v, ignored, err)
	}
	return true
}

func (t *Tenant) patchClient(c *tenant.Client, body []byte) (any, []string, error) {
	merged, ignored, err := merge(t, "clients", *c, body)
	if err == nil && merged.ClientID != c.ClientID {
		err = fieldError("client_id", "%q cannot be changed", c.ClientID)
	}
	if err != nil {
		return nil, nil, err
	}
	v, err := t.putClient(merged)
	return v, append(ignored, t.unresolved(merged)...), err
}

func (t *Tenant) patchUser(u *tenant.User, body []byte) (any, []string, error) {
	merged, ignored, err := merge(t, "users", *u, body)
	if err == nil {
		err = t.st.replaceUser(u, &merged)
	}
	if err != nil {
		return nil, nil, err
	}
	return shownUser(&merged), append(ignored, t.unresolved(merged)...), nil
}
