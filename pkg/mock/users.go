package mock

import (
	"slices"
	"strings"
	"time"
)

// Users returns the users in the order in which they were added, without their
// passwords.
func (t *Tenant) Users() []User {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]User, 0, len(t.st.userOrder))
	for _, id := range t.st.userOrder {
		out = append(out, shownUser(t.st.users[id]))
	}
	return out
}

func (st *description) addUser(u *User) error {
	if err := st.completeUser(u); err != nil {
		return err
	}
	if _, dup := st.users[u.UserID]; dup {
		return faultf("user_id", "%q is used twice", u.UserID)
	}
	st.users[u.UserID] = u
	st.userOrder = append(st.userOrder, u.UserID)
	st.indexUser(u)
	return nil
}

// completeUser checks a user and fills in what the Management API would.
func (st *description) completeUser(u *User) error {
	if u.Email == "" && u.Username == "" && u.UserID == "" {
		return faultf("email", "a user needs an email, a username or a user_id")
	}
	switch {
	case u.UserID == "":
		u.UserID = "auth0|" + derivedID(u.Email+u.Username, 24)
	case !strings.Contains(u.UserID, "|"):
		u.UserID = "auth0|" + u.UserID // as the Management API does
	}
	if u.Connection == "" {
		u.Connection = st.settings.DefaultDirectory
	}
	if u.UpdatedAt == "" {
		u.UpdatedAt = "2026-01-01T00:00:00.000Z"
	} else if _, err := time.Parse(time.RFC3339, u.UpdatedAt); err != nil {
		return faultf("updated_at", "%q of user %q is not in RFC 3339's form", clip(u.UpdatedAt), u.login())
	}
	for _, r := range u.Roles {
		if _, known := st.roles[r]; !known {
			return faultf("roles", "user %q has the role %q, which is not among roles", u.login(), r)
		}
	}
	return nil
}

// login names a user in messages and lookups.
func (u *User) login() string {
	for _, s := range []string{u.UserID, u.Email, u.Username} {
		if s != "" {
			return s
		}
	}
	return ""
}

// logins are the names under which byLogin has a user; "" is none.
func (u *User) logins() [2]string {
	return [2]string{strings.ToLower(u.Email), strings.ToLower(u.Username)}
}

func (st *description) indexUser(u *User) {
	for _, l := range u.logins() {
		if l != "" && st.byLogin[l] == nil {
			st.byLogin[l] = u
		}
	}
}

// userByLogin finds a user by e-mail address, username or id.
func (st *description) userByLogin(login string) *User {
	if u := st.users[login]; u != nil {
		return u
	}
	return st.byLogin[strings.ToLower(login)]
}

// replaceUser puts a user in the place of old, who keeps his when it is faulty.
// A user without an id gets old's.
func (st *description) replaceUser(old, u *User) error {
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
		return faultf("user_id", "%q cannot become %q", old.UserID, u.UserID)
	}
	st.unindexUser(old)
	st.users[u.UserID] = u
	st.indexUser(u)
	return nil
}

func (st *description) dropUser(u *User) {
	delete(st.users, u.UserID)
	st.userOrder = slices.DeleteFunc(st.userOrder, func(id string) bool { return id == u.UserID })
	st.unindexUser(u)
}

// unindexUser takes a user out of the index; another of the same name takes the place.
func (st *description) unindexUser(u *User) {
	for _, l := range u.logins() {
		if l == "" || st.byLogin[l] != u {
			continue
		}
		delete(st.byLogin, l)
		for _, id := range st.userOrder {
			if other := st.users[id]; other != nil && other != u && (other.logins()[0] == l || other.logins()[1] == l) {
				st.byLogin[l] = other
				break
			}
		}
	}
}

// permissions returns the user's permissions at an API, through roles.
func (st *description) permissions(u *User, audience string) []string {
	var out []string
	for _, r := range u.Roles {
		for _, p := range st.roles[r].Permissions {
			if p.Resource == audience && !slices.Contains(out, p.Name) {
				out = append(out, p.Name)
			}
		}
	}
	slices.Sort(out)
	return out
}
