package mock

import (
	"slices"
	"strings"

	"example.com/tokend/pkg/mock/tenant"
)

// connectionsOf returns the names of the connections that a client may use. Inside an
// organization its connections replace those of the client.
func (t *Tenant) connectionsOf(client *tenant.Client, organization string) []string {
	var out []string
	if o := t.st.orgs[organization]; o != nil && o.Connections != nil {
		for _, c := range o.Connections {
			out = append(out, c.Name)
		}
		return out
	}
	listed := map[string]bool{}
	for _, db := range t.st.databases {
		listed[db.Name] = true
		if db.Enables(client) {
			out = append(out, db.Name)
		}
	}
	for _, c := range t.st.passwordless {
		listed[c.Name] = true
		if c.Enables(client) {
			out = append(out, c.Name)
		}
	}
	for _, name := range append([]string{t.st.settings.DefaultDirectory}, t.st.connections...) { // of users, and without databases in the file
		if !listed[name] {
			listed[name] = true
			out = append(out, name)
		}
	}
	return out
}

// checkConnection reads the parameter connection.
func (t *Tenant) checkConnection(req *authRequest, p parameters) *oauthError {
	req.connection = p.Get("connection")
	if req.connection != "" && !slices.Contains(t.connectionsOf(req.client, req.organization), req.connection) {
		return refuse("invalid_request", "the connection was not found")
	}
	return nil
}

// hasConnection returns the error of a login for which no connection is enabled.
func (t *Tenant) hasConnection(req *authRequest) *oauthError {
	if len(t.connectionsOf(req.client, req.organization)) == 0 {
		return refuse("invalid_request", "no connections enabled for the client")
	}
	return nil
}

// mayUse reports whether a user can log in by a connection of the request.
func (t *Tenant) mayUse(req *authRequest, u *tenant.User) bool {
	if req.connection != "" {
		return u.Connection == req.connection
	}
	return slices.Contains(t.connectionsOf(req.client, req.organization), u.Connection)
}

// userIn returns the user with a login whose connection is accepted.
func (st *description) userIn(login string, accepts func(u *tenant.User) bool) *tenant.User {
	u := st.userByLogin(login)
	if u == nil || accepts(u) {
		return u
	}
	for _, id := range st.userOrder { // two connections may have the same address
		other := st.users[id]
		if other == nil || !accepts(other) {
			continue
		}
		if logins := other.Logins(); slices.Contains(logins[:], strings.ToLower(login)) {
			return other
		}
	}
	return nil
}
