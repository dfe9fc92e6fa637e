package tenant

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Known reports which objects a tenant has. A reference to another one has no effect.
type Known struct {
	API        func(identifier string) *ResourceServer // nil for none
	Client     func(ref string) bool                   // by id or name
	Connection func(name string) bool
	Role       func(name string) bool
}

// known returns what the file has.
func (e *File) known() Known {
	return Known{
		API: func(identifier string) *ResourceServer {
			if i := slices.IndexFunc(e.ResourceServers, func(r ResourceServer) bool { return r.Identifier == identifier }); i >= 0 {
				return &e.ResourceServers[i]
			}
			return nil
		},
		Client: func(ref string) bool {
			return slices.ContainsFunc(e.Clients, func(c Client) bool { return ref == c.ClientID || ref == c.Name })
		},
		Connection: func(name string) bool {
			return name == e.Tenant.DefaultDirectory || name == DefaultConnection && e.Tenant.DefaultDirectory == "" ||
				slices.ContainsFunc(e.Databases, func(d Database) bool { return d.Name == name }) ||
				slices.ContainsFunc(e.Connections, func(c Connection) bool { return c.Name == name }) ||
				slices.ContainsFunc(e.Users, func(u User) bool { return u.Connection == name })
		},
		Role: func(name string) bool {
			return slices.ContainsFunc(e.Roles, func(r Role) bool { return r.Name == name || r.ID != "" && r.ID == name })
		},
	}
}

// Unresolved returns one line for each reference to something that the tenant does not
// have. Auth0 refuses most of them; here they have no effect.
func (e *File) Unresolved(k Known) []string {
	var out []string
	note := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	hasAPI := func(audience string) bool { return k.API(audience) != nil || IsManagementAPI(audience) }
	if a := e.Tenant.DefaultAudience; a != "" && !hasAPI(a) {
		note("tenant: default_audience: no API in resourceServers has the identifier %s", clip(a))
	}
	if d := e.Tenant.DefaultDirectory; d != "" && len(e.Databases) > 0 && !slices.ContainsFunc(e.Databases, func(db Database) bool { return db.Name == d }) {
		note("tenant: default_directory: no database has the name %q", clip(d))
	}
	for _, c := range e.Clients {
		for _, p := range c.RefreshPolicy().Policies {
			if !hasAPI(p.Audience) {
				note("client %q: refresh_token.policies: no API in resourceServers has the identifier %s", c.title(), clip(p.Audience))
			}
		}
	}
	for _, g := range e.ClientGrants {
		switch unknown := unknownScopes(k.API(g.Audience), g.Scope); {
		case !k.Client(g.ClientID) || g.Audience == "": // an error
		case !hasAPI(g.Audience):
			note("the client grant of %q for %s has no effect: no API in resourceServers has this identifier", g.ClientID, clip(g.Audience))
		case len(unknown) > 0:
			note("the client grant of %q for %s has scopes that the API does not have: %s", g.ClientID, clip(g.Audience), few(unknown))
		}
	}
	for _, r := range e.Roles {
		out = append(out, unresolvedPermissions(k, fmt.Sprintf("role %q", r.Name), r.Permissions)...)
	}
	for _, u := range e.Users {
		out = append(out, unresolvedPermissions(k, fmt.Sprintf("user %q", u.Login()), u.Permissions)...)
	}
	for _, o := range e.Organizations {
		out = append(out, o.unresolved(k)...)
	}
	for _, d := range e.Databases {
		if unknown := missing(d.EnabledClients, k.Client); len(unknown) > 0 {
			note("database %q: enabled_clients: the tenant has no client %s", d.Name, few(unknown))
		}
	}
	for _, c := range e.Connections {
		if unknown := missing(c.EnabledClients, k.Client); len(unknown) > 0 {
			note("connection %q: enabled_clients: the tenant has no client %s", c.Name, few(unknown))
		}
	}
	return out
}

// unresolvedPermissions returns one line for each API.
func unresolvedPermissions(k Known, of string, list []Permission) []string {
	byAPI, order := map[string][]string{}, []string{}
	for _, p := range list {
		if byAPI[p.Resource] == nil {
			order = append(order, p.Resource)
		}
		byAPI[p.Resource] = append(byAPI[p.Resource], p.Name)
	}
	var out []string
	for _, identifier := range order {
		api := k.API(identifier)
		switch unknown := unknownScopes(api, byAPI[identifier]); {
		case identifier == "" || IsManagementAPI(identifier):
		case api == nil:
			out = append(out, fmt.Sprintf("the permissions of %s for %s have no effect: no API in resourceServers has this identifier", of, clip(identifier)))
		case len(unknown) > 0:
			out = append(out, fmt.Sprintf("the permissions of %s for %s have no effect: the API has no scope %s", of, clip(identifier), few(unknown)))
		}
	}
	return out
}

func (o *Organization) unresolved(k Known) []string {
	var out []string
	note := func(format string, args ...any) {
		out = append(out, fmt.Sprintf("organization %q: ", o.Name)+fmt.Sprintf(format, args...))
	}
	for _, c := range o.Connections {
		switch {
		case c.Name == "":
			note("a connection has no name; connection_id has no effect")
		case !k.Connection(c.Name):
			note("the tenant has no connection %q", clip(c.Name))
		}
	}
	for _, g := range o.ClientGrants {
		if k.API(g.Audience) == nil && !IsManagementAPI(g.Audience) {
			note("client_grants: no API in resourceServers has the identifier %s", clip(g.Audience))
		}
	}
	for _, user := range slices.Sorted(maps.Keys(o.MemberRoles)) {
		if unknown := missing(o.MemberRoles[user], k.Role); len(unknown) > 0 {
			note("member_roles of %s: the tenant has no role %s", clip(user), few(unknown))
		}
	}
	return out
}

// unknownScopes returns the scopes that an API does not have; none without an API.
func unknownScopes(api *ResourceServer, scopes []string) []string {
	if api == nil {
		return nil
	}
	return missing(scopes, api.HasScope)
}

// missing returns the names that are not known, each once.
func missing(names []string, known func(string) bool) []string {
	var out []string
	for _, name := range names {
		if !known(name) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// few joins names for a line.
func few(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return clip(strings.Join(names[:most], ", ")) + fmt.Sprintf(" and %d more", more)
	}
	return clip(strings.Join(names, ", "))
}
