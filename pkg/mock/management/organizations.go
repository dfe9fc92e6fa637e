package management

import (
	"net/http"
	"strings"
)

var errNoOrganization = refuse(http.StatusNotFound, "", "No organization found by that id or name")

// organizations have in their documents their members, the roles of each, connections,
// client grants and clients.
func (a *API) organizations() *family {
	return &family{
		kind: KindOrganization, key: "organizations", missing: errNoOrganization, strict: true,
		hidden:   []string{"members", "member_roles", "connections", "client_grants", "clients", "enabled_connections"},
		newID:    func(c *call) string { return "org_" + c.random(alphanumerics, 16) },
		complete: completeOrganization, change: changeOrganization, ended: endOrganization,
	}
}

func (c *call) organizationNamed(name string) (Doc, bool) {
	for _, id := range c.State.IDs(KindOrganization) {
		if d, found := c.get(KindOrganization, id); found && text(d, "name") == name {
			return d, true
		}
	}
	return nil, false
}

func checkOrganizationName(c *call, d Doc) error {
	name := text(d, "name")
	if name == "" || len(name) > 50 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return invalid("name", "Object didn't pass validation for format organization-name-or-empty: %s", clip(name))
	}
	if other, taken := c.organizationNamed(name); taken && text(other, "id") != text(d, "id") {
		return refuse(http.StatusConflict, "organization_conflict", "An organization with this name already exists")
	}
	return nil
}

func completeOrganization(c *call, d Doc) error {
	if err := checkOrganizationName(c, d); err != nil {
		return err
	}
	connections := []any{}
	for _, sent := range objects(d, "enabled_connections") {
		entry, err := c.newOrgConnection(sent)
		if err != nil {
			return err
		}
		connections = append(connections, entry)
	}
	delete(d, "enabled_connections")
	d["connections"], d["members"], d["client_grants"], d["clients"] = connections, []any{}, []any{}, []any{}
	if m := child(d, "metadata"); m != nil && len(m) == 0 {
		delete(d, "metadata")
	}
	return nil
}

func changeOrganization(c *call, _, d, _ Doc) error {
	if m := child(d, "metadata"); m != nil && len(m) == 0 {
		delete(d, "metadata")
	}
	return checkOrganizationName(c, d)
}

func endOrganization(c *call, d Doc) {
	for _, in := range c.all(KindInvitation, func(in Doc) bool { return text(in, "organization_id") == text(d, "id") }) {
		c.State.Remove(KindInvitation, text(in, "id"))
	}
	for _, client := range c.all(KindClient, func(client Doc) bool {
		return text(child(client, "default_organization"), "organization_id") == text(d, "id")
	}) {
		delete(client, "default_organization")
		_ = c.put(KindClient, text(client, "client_id"), client) // it was valid before
	}
}

func (a *API) organizationByName(c *call) (Answer, error) {
	d, found := c.organizationNamed(c.params[0])
	if !found {
		return Answer{}, errNoOrganization
	}
	return answer(http.StatusOK, a.organizations().show(c, d))
}

// ofOrganization is an endpoint below an organization.
func (a *API) ofOrganization(handle func(c *call, o Doc) (Answer, error)) func(*call) (Answer, error) {
	return func(c *call) (Answer, error) {
		o, err := a.organizations().must(c, c.params[0])
		if err != nil {
			return Answer{}, err
		}
		return handle(c, o)
	}
}

func (c *call) storeOrganization(o Doc) error { return c.put(KindOrganization, text(o, "id"), o) }
