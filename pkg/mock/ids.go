package mock

import "example.com/tokend/pkg/mock/tenant"

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
// connection, against all others.
func (st *description) checkConnectionID(id, name string, database bool) error {
	for _, d := range st.databases {
		if err := connectionConflict(id, name, d.ID, d.Name, database); err != nil {
			return err
		}
	}
	for i := range st.passwordless {
		c := &st.passwordless[i]
		if err := connectionConflict(id, name, c.ID, c.Name, !database); err != nil {
			return err
		}
	}
	return nil
}

// connectionConflict returns an error when a connection conflicts with another one. One
// of its kind and name it replaces.
func connectionConflict(id, name, otherID, otherName string, sameKind bool) error {
	switch {
	case name == otherName && sameKind:
		return nil
	case name == otherName:
		return duplicateName(true, name)
	}
	return repeatedID(id, id == otherID)
}
