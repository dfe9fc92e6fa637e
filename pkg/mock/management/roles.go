package management

import (
	"net/http"
	"slices"
	"strings"
)

var errNoRole = refuse(http.StatusNotFound, "", "The role does not exist.")

// roles have permissions in their documents. Users have the ids of their roles.
func (a *API) roles() *family {
	return &family{
		kind: KindRole, key: "roles", hidden: []string{"permissions"}, missing: errNoRole, created: http.StatusOK,
		deleted: http.StatusOK, strict: true, ended: endRole,
		newID: func(c *call) string { return "rol_" + c.random(alphanumerics, 16) },
		complete: func(_ *call, d Doc) error {
			if text(d, "name") == "" {
				return invalid("name", "String is too short (0 chars), minimum 1")
			}
			DefaultRole(d)
			d["permissions"] = []any{}
			return nil
		},
	}
}

// DefaultRole sets the members that every role has.
func DefaultRole(d Doc) { setDefault(d, Doc{"type": "tenant"}) }

func endRole(c *call, d Doc) {
	id := text(d, "id")
	for _, u := range c.all(KindUser, func(u Doc) bool { return slices.Contains(texts(u, "roles"), id) }) {
		u["roles"] = list(without(texts(u, "roles"), id))
		_ = c.put(KindUser, text(u, "user_id"), u) // it was valid before
	}
	for _, o := range c.all(KindOrganization, func(o Doc) bool { return o["member_roles"] != nil }) {
		roles := child(o, "member_roles")
		for user := range roles {
			roles[user] = list(without(texts(roles, user), id))
		}
		_ = c.put(KindOrganization, text(o, "id"), o)
	}
}

func listedRole(c *call, d Doc) bool {
	part, owner, kind := c.Query.Get("name_filter"), c.Query.Get("owner_id"), c.Query.Get("type")
	return strings.Contains(strings.ToLower(text(d, "name")), strings.ToLower(part)) &&
		(owner == "" || text(d, "owner_id") == owner) && (kind == "" || text(d, "type") == kind)
}

// permissionsOf are the permissions of a role or user.
func (a *API) permissionsOf(f *family) func(*call) (Answer, error) {
	return func(c *call) (Answer, error) {
		d, err := f.must(c, c.params[0])
		if err != nil {
			return Answer{}, err
		}
		own := objects(d, "permissions")
		apis := c.all(KindAPI, nil)
		l := items{key: "permissions", n: len(own), id: func(i int) string { return text(own[i], "permission_name") }}
		l.item = func(i int) any { return permission(own[i], apis, f.kind == KindUser) }
		return c.list(l)
	}
}

// permission shows a permission with the texts of its API.
func permission(p Doc, apis []Doc, direct bool) Doc {
	out := Doc{"permission_name": p["permission_name"], "resource_server_identifier": p["resource_server_identifier"], "description": ""}
	for _, api := range apis {
		if text(api, "identifier") != text(p, "resource_server_identifier") {
			continue
		}
		out["resource_server_name"] = text(api, "name")
		for _, s := range objects(api, "scopes") {
			if text(s, "value") == text(p, "permission_name") {
				out["description"] = text(s, "description")
			}
		}
	}
	if direct {
		out["sources"] = []any{Doc{"source_id": "", "source_name": "", "source_type": "DIRECT"}}
	}
	return out
}

// changePermissions adds or removes permissions of a role or user.
func (a *API) changePermissions(f *family, add bool) func(*call) (Answer, error) {
	return func(c *call) (Answer, error) {
		d, err := f.must(c, c.params[0])
		if err != nil {
			return Answer{}, err
		}
		own := objects(d, "permissions")
		for _, p := range objects(c.body, "permissions") {
			same := func(o Doc) bool {
				return text(o, "permission_name") == text(p, "permission_name") && text(o, "resource_server_identifier") == text(p, "resource_server_identifier")
			}
			switch {
			case !add:
				own = slices.DeleteFunc(own, same)
			case !c.permissionExists(p):
				return Answer{}, refuse(http.StatusNotFound, "inexistent_resource_server_permission", "This permission does not exist: '%s - %s'",
					clip(text(p, "resource_server_identifier")), clip(text(p, "permission_name")))
			case !slices.ContainsFunc(own, same):
				own = append(own, Doc{"permission_name": p["permission_name"], "resource_server_identifier": p["resource_server_identifier"]})
			}
		}
		d["permissions"] = list(own)
		if err := c.put(f.kind, idOf(f.kind, d), d); err != nil {
			return Answer{}, err
		}
		if add {
			return emptyObject(http.StatusCreated)
		}
		return empty()
	}
}

func (c *call) permissionExists(p Doc) bool {
	api, found := c.byIdentifier(text(p, "resource_server_identifier"))
	return found && slices.ContainsFunc(objects(api, "scopes"), func(s Doc) bool { return text(s, "value") == text(p, "permission_name") })
}

// usersOfRole lists the users that have a role.
func (a *API) usersOfRole(c *call) (Answer, error) {
	if _, err := a.roles().must(c, c.params[0]); err != nil {
		return Answer{}, err
	}
	return c.list(briefUsers("users", c.all(KindUser, func(u Doc) bool { return slices.Contains(texts(u, "roles"), c.params[0]) })))
}

func (a *API) addUsersToRole(c *call) (Answer, error) {
	if _, err := a.roles().must(c, c.params[0]); err != nil {
		return Answer{}, err
	}
	for _, id := range texts(c.body, "users") {
		if err := a.changeRoles(c, id, true, c.params[0]); err != nil {
			return Answer{}, err
		}
	}
	return emptyObject(http.StatusOK)
}

// changeRoles gives a user roles, or takes them away.
func (a *API) changeRoles(c *call, user string, add bool, ids ...string) error {
	u, err := a.users().must(c, user)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, found := c.get(KindRole, id); !found && add {
			return errNoRole
		}
	}
	if add {
		u["roles"] = list(with(texts(u, "roles"), ids...))
	} else {
		u["roles"] = list(without(texts(u, "roles"), ids...))
	}
	return c.put(KindUser, text(u, "user_id"), u)
}

// rolesOfUser lists the roles of a user.
func (a *API) rolesOfUser(c *call) (Answer, error) {
	u, err := a.users().must(c, c.params[0])
	if err != nil {
		return Answer{}, err
	}
	return c.list(a.roles().listOf(c, c.rolesOf(texts(u, "roles"))))
}

func (c *call) rolesOf(ids []string) []Doc {
	out := []Doc{}
	for _, id := range ids {
		if r, found := c.get(KindRole, id); found {
			out = append(out, r)
		}
	}
	return out
}

func (a *API) changeRolesOfUser(add bool) func(*call) (Answer, error) {
	return func(c *call) (Answer, error) {
		if err := a.changeRoles(c, c.params[0], add, texts(c.body, "roles")...); err != nil {
			return Answer{}, err
		}
		return empty()
	}
}
