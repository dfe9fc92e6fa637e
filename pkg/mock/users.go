package mock

import (
	"slices"
	"strings"

	"example.com/tokend/pkg/mock/tenant"
)

// Users returns the users in the order in which they were added, without their
// passwords.
func (t *Tenant) Users() []tenant.User {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]tenant.User, 0, len(t.st.userOrder))
	for _, id := range t.st.userOrder {
		out = append(out, shownUser(t.st.users[id]))
	}
	return out
}

func (st *description) addUser(u *tenant.User) error {
	if err := st.completeUser(u); err != nil {
		return err
	}
	if _, dup := st.users[u.UserID]; dup {
		return fieldError("user_id", "%q is used twice", u.UserID)
	}
	if err := st.checkLogins(nil, u); err != nil {
		return err
	}
	st.revision++
	st.users[u.UserID] = u
	st.userOrder = append(st.userOrder, u.UserID)
	st.indexUser(u)
	return nil
}

// checkLogins returns an error when another user of the same connection has the e-mail
// address or username of a user, who replaces old.
func (st *description) checkLogins(old, u *tenant.User) error {
	logins := u.Logins()
	for i, field := range []string{"email", "username"} {
		if logins[i] == "" || st.byLogin[logins[i]] == nil {
			continue
		}
		if other := st.userIn(logins[i], func(o *tenant.User) bool { return o != old && o.Connection == u.Connection }); other != nil {
			return fieldError(field, "%q is used by two users of the connection %q", logins[i], u.Connection)
		}
	}
	return nil
}

func (st *description) indexUser(u *tenant.User) {
	for _, l := range u.Logins() {
		if l != "" && st.byLogin[l] == nil {
			st.byLogin[l] = u
		}
	}
}

// userByLogin finds a user by e-mail address, username or id.
func (st *description) userByLogin(login string) *tenant.User {
	if u := st.users[login]; u != nil {
		return u
	}
	return st.byLogin[strings.ToLower(login)]
}

// replaceUser replaces a user, or returns an error and changes nothing. A user
// without an id gets the id of the old one.
func (st *description) replaceUser(old, u *tenant.User) error {
	if old == nil {
		return st.addUser(u)
	}
	if u.UserID == "" {
		u.UserID = old.UserID
	}
	if err := st.completeUser(u); err != nil {
		return err
	}
	if u.UserID != old.UserID {
		return fieldError("user_id", "%q cannot be changed to %q", old.UserID, u.UserID)
	}
	if err := st.checkLogins(old, u); err != nil {
		return err
	}
	st.revision++
	st.unindexUser(old)
	st.users[u.UserID] = u
	st.indexUser(u)
	return nil
}

func (st *description) dropUser(u *tenant.User) {
	delete(st.users, u.UserID)
	st.userOrder = slices.DeleteFunc(st.userOrder, func(id string) bool { return id == u.UserID })
	st.unindexUser(u)
}

// unindexUser removes a user from the index and adds the next one with the same login.
func (st *description) unindexUser(u *tenant.User) {
	for _, l := range u.Logins() {
		if l == "" || st.byLogin[l] != u {
			continue
		}
		delete(st.byLogin, l)
		for _, id := range st.userOrder {
			if other := st.users[id]; other != nil && other != u && (other.Logins()[0] == l || other.Logins()[1] == l) {
				st.byLogin[l] = other
				break
			}
		}
	}
}

// permissions returns the permissions of a user at an API: their own and those of
// their roles, also of the roles in the organization of the login.
func (st *description) permissions(u *tenant.User, audience, organization string) []string {
	var out []string
	add := func(list []tenant.Permission) {
		for _, p := range list {
			if p.Resource == audience && !slices.Contains(out, p.Name) {
				out = append(out, p.Name)
			}
		}
	}
	add(u.Permissions)
	roles := u.Roles
	if o := st.orgs[organization]; o != nil {
		roles = slices.Concat(roles, o.MemberRoles[u.UserID])
	}
	for _, name := range roles {
		if r := st.roles[name]; r != nil {
			add(r.Permissions)
		}
	}
	slices.Sort(out)
	return out
}

// completeUser fills in what the Management API would and checks the user's roles.
func (st *description) completeUser(u *tenant.User) error {
	if err := u.Complete(st.settings.DefaultDirectory); err != nil {
		return err
	}
	if !slices.Contains(st.connections, u.Connection) {
		st.connections = append(st.connections, u.Connection)
	}
	for _, r := range u.Roles {
		if _, known := st.roles[r]; !known {
			return fieldError("roles", "user %q has the role %q, which is not in roles", u.Login(), r)
		}
	}
	return nil
}
