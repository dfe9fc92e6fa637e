package management

import (
	"net/http"
	"slices"
	"strings"
)

var errNoOrgConnection = refuse(http.StatusNotFound, "", "No connection found by that id")

// newOrgConnection makes an entry of an organization's connections, with its defaults.
func (c *call) newOrgConnection(sent Doc) (Doc, error) {
	conn, found := c.get(KindConnection, text(sent, "connection_id"))
	if !found {
		return nil, errNoConnection
	}
	entry := Doc{
		"connection_id": conn["id"], "name": conn["name"], "assign_membership_on_login": false, "is_signup_enabled": false,
		"organization_access_level": "none", "show_as_button": true, "is_enabled": true,
	}
	for name, value := range withoutNull(sent) {
		entry[name] = value
	}
	return entry, checkOrgConnection(entry)
}

func checkOrgConnection(entry Doc) error {
	if entry["is_signup_enabled"] == true && entry["assign_membership_on_login"] != true {
		return refuse(http.StatusBadRequest, "invalid_body", "Only database connections with assign_membership_on_login = true support is_signup_enabled = true.")
	}
	return nil
}

// connectionsOfOrg returns the entries, with the ids of those that a tenant file has by
// their names.
func (c *call) connectionsOfOrg(o Doc) []Doc {
	out := objects(o, "connections")
	for _, entry := range out {
		if entry["connection_id"] == nil {
			conn, _ := c.connectionNamed(text(entry, "name"))
			entry["connection_id"] = text(conn, "id")
			setDefault(entry, Doc{"assign_membership_on_login": false, "is_signup_enabled": false, "organization_access_level": "none", "show_as_button": true, "is_enabled": true})
		}
	}
	return out
}

// showOrgConnection shows an entry; the older path shows less.
func (c *call) showOrgConnection(entry Doc, older bool) Doc {
	conn, _ := c.get(KindConnection, text(entry, "connection_id"))
	out := Doc{
		"connection_id": entry["connection_id"], "assign_membership_on_login": entry["assign_membership_on_login"], "show_as_button": entry["show_as_button"],
		"connection": Doc{"name": conn["name"], "strategy": conn["strategy"]}, "is_signup_enabled": entry["is_signup_enabled"],
	}
	if !older {
		for _, name := range []string{"organization_access_level", "is_enabled", "organization_connection_name"} {
			if entry[name] != nil {
				out[name] = entry[name]
			}
		}
	}
	return out
}

func (a *API) listOrgConnections(key string) func(*call, Doc) (Answer, error) {
	return func(c *call, o Doc) (Answer, error) {
		all := c.connectionsOfOrg(o)
		if only := c.Query.Get("is_enabled"); only != "" {
			all = slices.DeleteFunc(all, func(e Doc) bool { return (e["is_enabled"] != false) != (only == "true") })
		}
		l := docs(key, all)
		l.id = func(i int) string { return text(all[i], "connection_id") }
		l.item = func(i int) any { return c.showOrgConnection(all[i], key == "enabled_connections") }
		return c.list(l)
	}
}

func (a *API) addOrgConnection(c *call, o Doc) (Answer, error) {
	entry, err := c.newOrgConnection(c.body)
	if err != nil {
		return Answer{}, err
	}
	all := c.connectionsOfOrg(o)
	if slices.ContainsFunc(all, func(e Doc) bool { return e["connection_id"] == entry["connection_id"] }) {
		return Answer{}, refuse(http.StatusConflict, "", "The connection is already enabled for the organization")
	}
	o["connections"] = list(append(all, entry))
	if err := c.storeOrganization(o); err != nil {
		return Answer{}, err
	}
	return answer(http.StatusCreated, c.showOrgConnection(entry, strings.Contains(c.Path, "/enabled_connections")))
}

func (a *API) orgConnection(c *call, o Doc) (Answer, error) {
	all := c.connectionsOfOrg(o)
	at := slices.IndexFunc(all, func(e Doc) bool { return text(e, "connection_id") == c.params[1] })
	switch {
	case at < 0 && c.Method == http.MethodDelete:
		return empty()
	case at < 0:
		return Answer{}, errNoOrgConnection
	case c.Method == http.MethodDelete:
		o["connections"] = list(slices.Delete(all, at, at+1))
		if err := c.storeOrganization(o); err != nil {
			return Answer{}, err
		}
		return empty()
	case c.Method == http.MethodPatch:
		all[at] = patch("", all[at], c.body)
		if err := checkOrgConnection(all[at]); err != nil {
			return Answer{}, err
		}
		o["connections"] = list(all)
		if err := c.storeOrganization(o); err != nil {
			return Answer{}, err
		}
	}
	return answer(http.StatusOK, c.showOrgConnection(all[at], strings.Contains(c.Path, "/enabled_connections")))
}
