package mock

import (
	"slices"

	"example.com/tokend/pkg/mock/tenant"
)

// A tenant file and the control API may give an object the id of another one. The
// Management API could then show only one of them.

// repeatedID returns an error when another object has the id.
func repeatedID(id string, other bool) error {
	if id == "" || !other {
		return nil
	}
	return fieldError("id", "%q is used twice", id)
}

func (st *description) checkAPIID(api *tenant.ResourceServer) error {
	for _, other := range st.apis {
		if other.ID == api.ID && other.Identifier != api.Identifier {
			return repeatedID(api.ID, true)
		}
	}
	return nil
}

func (st *description) checkGrantID(key string, g *tenant.ClientGrant) error {
	for other, old := range st.grants {
		if old.ID == g.ID && other != key {
			return repeatedID(g.ID, true)
		}
	}
	return nil
}

func (st *description) checkRoleID(r *tenant.Role) error {
	key, other := st.roleByID(r.ID)
	return repeatedID(r.ID, other != nil && key != r.Name)
}

// checkConnectionID checks the id and the name of a database, or of a passwordless
// connection. Another one of its kind and name is replaced.
func (st *description) checkConnectionID(id, name string, database bool) error {
	for _, d := range st.databases {
		switch {
		case d.Name == name && !database:
			return duplicateName(true, name)
		case d.ID == id && (d.Name != name || !database):
			return repeatedID(id, true)
		}
	}
	if i := slices.IndexFunc(st.passwordless, func(c tenant.Connection) bool {
		return c.Name == name && database || c.ID == id && c.Name != name
	}); i >= 0 && st.passwordless[i].Name == name {
		return duplicateName(true, name)
	} else if i >= 0 {
		return repeatedID(id, true)
	}
	return nil
}
