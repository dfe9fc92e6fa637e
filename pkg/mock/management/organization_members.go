package management

import (
	"net/http"
	"slices"
	"strings"
)

func dropMember(o Doc, user string) {
	o["members"] = list(without(texts(o, "members"), user))
	if roles := child(o, "member_roles"); roles != nil {
		delete(roles, user)
	}
}

func (a *API) listMembers(c *call, o Doc) (Answer, error) {
	var all []Doc
	for _, id := range texts(o, "members") {
		if u, found := c.get(KindUser, id); found {
			all = append(all, u)
		}
	}
	l := briefUsers("members", all)
	l.more = true
	brief := l.item
	wantsRoles := slices.Contains(strings.Split(c.Query.Get("fields"), ","), "roles")
	l.item = func(i int) any {
		d := brief(i).(Doc)
		if wantsRoles {
			roles := []any{}
			for _, r := range c.rolesOf(texts(child(o, "member_roles"), text(d, "user_id"))) {
				roles = append(roles, Doc{"id": r["id"], "name": r["name"]})
			}
			d["roles"] = roles
		}
		return c.selectFields(d)
	}
	return c.list(l)
}

func (a *API) changeMembers(c *call, o Doc) (Answer, error) {
	for _, id := range texts(c.body, "members") {
		if c.Method == http.MethodDelete {
			dropMember(o, id)
			continue
		}
		if _, found := c.get(KindUser, id); !found {
			return Answer{}, errNoUser
		}
		o["members"] = list(with(texts(o, "members"), id))
	}
	if err := c.storeOrganization(o); err != nil {
		return Answer{}, err
	}
	return empty()
}

func (a *API) memberRoles(c *call, o Doc) (Answer, error) {
	user := c.params[1]
	if !slices.Contains(texts(o, "members"), user) {
		if c.Method == http.MethodGet {
			return c.list(docs("roles", nil))
		}
		return Answer{}, refuse(http.StatusBadRequest, "", "The user is not a member of the organization")
	}
	all := child(o, "member_roles")
	if all == nil {
		all = Doc{}
	}
	own := texts(all, user)
	switch c.Method {
	case http.MethodGet:
		return c.list(a.roles().listOf(c, c.rolesOf(own)))
	case http.MethodDelete:
		own = without(own, texts(c.body, "roles")...)
	default:
		for _, id := range texts(c.body, "roles") {
			if _, found := c.get(KindRole, id); !found {
				return Answer{}, errNoRole
			}
		}
		own = with(own, texts(c.body, "roles")...)
	}
	all[user] = list(own)
	o["member_roles"] = all
	if err := c.storeOrganization(o); err != nil {
		return Answer{}, err
	}
	return empty()
}

// membersWithRole lists the members of an organization that have a role in it.
func (a *API) membersWithRole(c *call, o Doc) (Answer, error) {
	var all []Doc
	for _, id := range texts(o, "members") {
		if u, found := c.get(KindUser, id); found && slices.Contains(texts(child(o, "member_roles"), id), c.params[1]) {
			all = append(all, u)
		}
	}
	return c.list(briefUsers("members", all).as(checkpoint))
}
