package management

import (
	"maps"
	"net/http"
	"slices"
)

// SCIM and directory provisioning of connections, which are stored only.

const (
	kindSCIM      = "scim_configuration"
	kindSCIMToken = "scim_token"
	kindDirectory = "directory_provisioning"
	kindGroup     = "synchronized_group"
)

var errNoSCIM = refuse(http.StatusNotFound, "", "This connection type does not support SCIM. Please see our documentation for the currently supported connection types: https://auth0.com/docs/authenticate/protocols/scim/configure-inbound-scim.")

func scimMapping() []any {
	out := []any{}
	for _, pair := range [][2]string{
		{"preferred_username", "userName"},
		{"email", "emails[primary eq true].value"},
		{"app_metadata.external_id", "externalId"},
		{"blocked", "active"},
		{"name", "displayName"},
		{"given_name", "name.givenName"},
		{"family_name", "name.familyName"},
		{"app_metadata.middle_name", "name.middleName"},
		{"nickname", "nickName"},
		{"picture", "photos[type eq \"photo\"].value"},
	} {
		out = append(out, Doc{"auth0": pair[0], "scim": pair[1]})
	}
	return out
}

// scim is the SCIM configuration of a connection, which is stored only.
func (a *API) scim(c *call, conn Doc) (Answer, error) {
	id := text(conn, "id")
	d, found := c.get(kindSCIM, id)
	switch {
	case c.Method == http.MethodDelete:
		c.State.Remove(kindSCIM, id)
		return empty()
	case c.Method == http.MethodPost && !slices.Contains([]string{"okta", "oidc", "samlp", "waad"}, text(conn, "strategy")):
		return Answer{}, errNoSCIM
	case c.Method == http.MethodPost:
		d = Doc{
			"connection_id": id, "connection_name": conn["name"], "strategy": conn["strategy"], "tenant_name": hostOf(c.Issuer),
			"created_at": c.at(), "updated_on": c.at(), "user_id_attribute": "externalId", "mapping": scimMapping(),
		}
		maps.Copy(d, withoutNull(c.body))
		if err := c.put(kindSCIM, id, d); err != nil {
			return Answer{}, err
		}
		return answer(http.StatusCreated, d)
	case !found:
		return Answer{}, errNotFound
	case c.Method == http.MethodPatch:
		d = patch(kindSCIM, d, c.body)
		d["updated_on"] = c.at()
		if err := c.put(kindSCIM, id, d); err != nil {
			return Answer{}, err
		}
	}
	return answer(http.StatusOK, d)
}

func (a *API) scimTokens(c *call, conn Doc) (Answer, error) {
	id := text(conn, "id")
	switch c.Method {
	case http.MethodDelete:
		c.State.Remove(kindSCIMToken, c.params[1])
		return empty()
	case http.MethodPost:
		if _, found := c.get(kindSCIM, id); !found {
			return Answer{}, errNotFound
		}
		d := Doc{"token_id": "tok_" + c.random(alphanumerics, 16), "created_at": c.at(), "connection": id}
		maps.Copy(d, withoutNull(c.body))
		if err := c.put(kindSCIMToken, text(d, "token_id"), d); err != nil {
			return Answer{}, err
		}
		delete(d, "connection")
		d["token"] = "tok_" + c.random(alphanumerics, 42)
		return answer(http.StatusCreated, d)
	}
	all := c.all(kindSCIMToken, func(d Doc) bool { return text(d, "connection") == id })
	for _, d := range all {
		delete(d, "connection")
	}
	return c.list(docs("tokens", all).as(bare))
}

func (a *API) scimDefault(*call, Doc) (Answer, error) {
	return answer(http.StatusOK, Doc{"mapping": scimMapping()})
}

// directory is the directory provisioning of a connection, which is stored only.
func (a *API) directory(c *call, conn Doc) (Answer, error) {
	id := text(conn, "id")
	d, found := c.get(kindDirectory, id)
	switch {
	case c.Method == http.MethodDelete:
		c.State.Remove(kindDirectory, id)
		return empty()
	case c.Method == http.MethodPost:
		d = Doc{
			"connection_id": id, "connection_name": conn["name"], "strategy": conn["strategy"], "created_at": c.at(), "updated_at": c.at(),
			"mapping": directoryMapping(), "synchronize_automatically": false,
		}
		maps.Copy(d, withoutNull(c.body))
		if err := c.put(kindDirectory, id, d); err != nil {
			return Answer{}, err
		}
		return answer(http.StatusCreated, d)
	case !found:
		return Answer{}, errNotFound
	case c.Method == http.MethodPatch:
		d = patch(kindDirectory, d, c.body)
		d["updated_at"] = c.at()
		if err := c.put(kindDirectory, id, d); err != nil {
			return Answer{}, err
		}
	}
	return answer(http.StatusOK, d)
}

// synchronize starts a synchronization, which finds nothing new.
func (a *API) synchronize(c *call, conn Doc) (Answer, error) {
	if _, found := c.get(kindDirectory, text(conn, "id")); !found {
		return Answer{}, errNotFound
	}
	return answer(http.StatusCreated, Doc{"connection_id": conn["id"], "synchronization_id": "sync_" + c.random(alphanumerics, 16), "status": "pending"})
}

func directoryMapping() []any {
	return []any{Doc{"auth0": "external_id", "idp": "id"}, Doc{"auth0": "email", "idp": "primaryEmail"}, Doc{"auth0": "name", "idp": "name.fullName"}}
}

func (a *API) directoryDefault(*call, Doc) (Answer, error) {
	return answer(http.StatusOK, Doc{"mapping": directoryMapping()})
}

// groups are the synchronized groups of a connection.
func (a *API) groups(c *call, conn Doc) (Answer, error) {
	id := text(conn, "id")
	stored, _ := c.get(kindGroup, id)
	all := objects(stored, "groups")
	isSent := func(g Doc) bool {
		return slices.ContainsFunc(objects(c.body, "groups"), func(s Doc) bool { return text(s, "id") == text(g, "id") })
	}
	switch c.Method {
	case http.MethodGet:
		return c.list(docs("groups", all).as(checkpoint))
	case http.MethodPut:
		all = objects(c.body, "groups")
	case http.MethodPost:
		all = append(slices.DeleteFunc(all, isSent), objects(c.body, "groups")...)
	default:
		all = slices.DeleteFunc(all, isSent)
	}
	if err := c.put(kindGroup, id, Doc{"groups": list(all)}); err != nil {
		return Answer{}, err
	}
	return empty()
}
