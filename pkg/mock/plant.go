package mock

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Planting state: what a tenant's administrator does in the dashboard, over
// /_mock/ in the Management API's schema.

// planted answers a planting call: the stored object, or the fault.
func planted(w http.ResponseWriter, v any, err error) {
	if err != nil {
		controlFault(w, http.StatusBadRequest, strings.TrimPrefix(err.Error(), "mock: "))
		return
	}
	respondJSON(w, v)
}

// plant decodes a body into a T and stores it under the tenant's lock.
func plant[T any](t *Tenant, store func(T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in T
		if err := decode(r, &in); err != nil {
			controlFault(w, http.StatusBadRequest, err.Error())
			return
		}
		t.mu.Lock()
		v, err := store(in)
		t.mu.Unlock()
		planted(w, v, err)
	}
}

func (t *Tenant) putClient(c Client) (any, error) {
	if c.ClientID == "" && c.Name != "" {
		c.ClientID = derivedID(c.Name, 32)
	}
	old := t.st.clients[c.ClientID]
	at := slices.Index(t.st.clientOrder, c.ClientID)
	delete(t.st.clients, c.ClientID)
	if err := t.st.addClient(c); err != nil {
		if old != nil {
			t.st.clients[c.ClientID] = old
		}
		return nil, err
	}
	if at >= 0 { // keeps its place: the first client is the default
		t.st.clientOrder = t.st.clientOrder[:len(t.st.clientOrder)-1]
	}
	return shownClient(t.st.clients[c.ClientID]), nil
}

func shownClient(c *Client) Client {
	out := *c
	out.ClientSecret = ""
	return out
}

func shownUser(u *User) User {
	out := *u
	out.Password = ""
	return out
}

func (t *Tenant) putAPI(api ResourceServer) (any, error) {
	old := t.st.apis[api.Identifier]
	first := t.st.firstAPI
	delete(t.st.apis, api.Identifier)
	err := t.st.addAPI(api)
	if first != "" {
		t.st.firstAPI = first
	}
	if err != nil {
		if old != nil {
			t.st.apis[api.Identifier] = old
		}
		return nil, err
	}
	return t.st.apis[api.Identifier], nil
}

func (t *Tenant) putUser(u User) (any, error) {
	if old := t.st.userByLogin(u.login()); old != nil {
		if u.UserID == "" {
			u.UserID = old.UserID
		}
		t.dropUser(old)
	}
	if err := t.st.addUser(u); err != nil {
		return nil, err
	}
	return shownUser(t.st.users[t.st.userOrder[len(t.st.userOrder)-1]]), nil
}

func (u User) login() string {
	for _, s := range []string{u.UserID, u.Email, u.Username} {
		if s != "" {
			return s
		}
	}
	return ""
}

func (t *Tenant) dropUser(u *User) {
	delete(t.st.users, u.UserID)
	t.st.userOrder = slices.DeleteFunc(t.st.userOrder, func(id string) bool { return id == u.UserID })
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
		return nil, faultf("user", "%q does not exist", in.User)
	case c == nil:
		return nil, faultf("client_id", "%q does not exist", in.ClientID)
	}
	t.st.consents[t.consentKey(&authRequest{client: c, audience: in.Audience, scopes: uniqueFields(in.Scope)}, u)] = true
	return in, nil
}

// settingsInput is the form of POST /_mock/settings.
type settingsInput struct {
	Login LoginMode `json:"login"`
}

func (t *Tenant) putSettings(in settingsInput) (any, error) {
	if in.Login != LoginAuto && in.Login != LoginForm {
		return nil, faultf("login", "%q is neither auto nor form", in.Login)
	}
	t.st.login = in.Login
	return in, nil
}

func (t *Tenant) putActions(list []Action) (any, error) {
	var faults faultList
	for i, a := range list {
		faults.add(a.check(), "actions[%d]", i)
	}
	if err := faults.err(); err != nil {
		return nil, err
	}
	t.st.actions = list
	return list, nil
}

// plantTable are the planting calls with a fixed path.
func (t *Tenant) plantTable() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"POST /_mock/clients":          plant(t, t.putClient),
		"POST /_mock/resource-servers": plant(t, t.putAPI),
		"POST /_mock/users":            plant(t, t.putUser),
		"POST /_mock/consents":         plant(t, t.putConsent),
		"POST /_mock/settings":         plant(t, t.putSettings),
		"PUT /_mock/actions":           plant(t, t.putActions),
		"POST /_mock/client-grants":    plant(t, func(g ClientGrant) (any, error) { return g, t.st.addGrant(g) }),
		"POST /_mock/roles":            plant(t, func(r Role) (any, error) { t.st.roles[r.Name] = r; return r, nil }),
		"POST /_mock/organizations":    plant(t, func(o Organization) (any, error) { return o, t.st.addOrganization(o) }),
		"PATCH /_mock/tenant":          t.patchTenant,
		"POST /_mock/faults":           t.armFault,
		"DELETE /_mock/faults":         func(w http.ResponseWriter, _ *http.Request) { t.Disarm(); respondJSON(w, struct{}{}) },
		"DELETE /_mock/consents": plant(t, func(struct{}) (any, error) {
			clear(t.st.consents)
			return struct{}{}, nil
		}),
		"DELETE /_mock/client-grants": t.deleteClientGrant,
	}
}

func (t *Tenant) armFault(w http.ResponseWriter, r *http.Request) {
	var f Fault
	err := decode(r, &f)
	if err == nil {
		_, err = t.Fail(f)
	}
	planted(w, f, err)
}

func (t *Tenant) patchTenant(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	s := t.st.settings
	err := decode(r, &s)
	if err == nil {
		t.st.settings = s
	}
	t.mu.Unlock()
	planted(w, s, err)
}

func (t *Tenant) deleteClientGrant(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	t.mu.Lock()
	for _, subject := range []string{"client", "user"} {
		delete(t.st.grants, grantKey(q.Get("client_id"), q.Get("audience"), subject))
	}
	t.mu.Unlock()
	respondJSON(w, struct{}{})
}

// one is a call on one client or user: PATCH merges, DELETE removes. It
// reports false when the path names neither.
func (t *Tenant) one(w http.ResponseWriter, r *http.Request) bool {
	kind, id, found := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), controlPrefix), "/")
	id, err := url.PathUnescape(id)
	if !found || err != nil || (kind != "clients" && kind != "users") || (r.Method != http.MethodPatch && r.Method != http.MethodDelete) {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c, u := t.st.clients[id], t.st.userByLogin(id)
	switch {
	case kind == "clients" && c == nil, kind == "users" && u == nil:
		controlFault(w, http.StatusNotFound, kind+": "+clip(id)+" does not exist")
	case r.Method == http.MethodDelete && kind == "clients":
		delete(t.st.clients, id)
		t.st.clientOrder = slices.DeleteFunc(t.st.clientOrder, func(s string) bool { return s == id })
		respondJSON(w, struct{}{})
	case r.Method == http.MethodDelete:
		t.dropUser(u)
		respondJSON(w, struct{}{})
	case kind == "clients":
		merged := *c
		v, err := any(nil), decode(r, &merged)
		if err == nil {
			v, err = t.putClient(merged)
		}
		planted(w, v, err)
	default:
		merged := *u
		if err := decode(r, &merged); err != nil {
			planted(w, nil, err)
			return true
		}
		*u = merged
		planted(w, shownUser(u), nil)
	}
	return true
}
