package management

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

var errNoConnection = refuse(http.StatusNotFound, "inexistent_connection", "The connection does not exist")

func (a *API) connections() *family {
	return &family{
		kind: KindConnection, key: "connections", missing: errNoConnection, kept: []string{"id", "authentication", "connected_accounts"},
		newID:    func(c *call) string { return "con_" + c.random(alphanumerics, 16) },
		complete: completeConnection, change: changeConnection, ended: endConnection, shown: showConnection,
	}
}

func (c *call) connectionNamed(name string) (Doc, bool) {
	for _, id := range c.State.IDs(KindConnection) {
		if d, found := c.get(KindConnection, id); found && text(d, "name") == name {
			return d, true
		}
	}
	return nil, false
}

func completeConnection(c *call, d Doc) error {
	if o, sent := c.body["options"]; sent && o != nil { // its members may be null
		var copied any
		if b, err := json.Marshal(o); err == nil && json.Unmarshal(b, &copied) == nil {
			d["options"] = copied
		}
	}
	name := text(d, "name")
	if name == "" || len(name) > 128 || strings.Trim(name, alphanumerics+"-") != "" || strings.HasPrefix(name, "-") || strings.HasSuffix(name, "-") {
		return invalid("name", "String does not match pattern ^[a-zA-Z0-9](-[a-zA-Z0-9]|[a-zA-Z0-9])*$: %s", clip(name))
	}
	if _, taken := c.connectionNamed(name); taken {
		return refuse(http.StatusConflict, "", "A connection with the same name already exists")
	}
	if !slices.Contains(strategies, text(d, "strategy")) {
		return invalid("strategy", "No enum match for: %s", clip(text(d, "strategy")))
	}
	if active, _ := child(d, "cross_app_access_requesting_app")["active"].(bool); active && text(d, "strategy") == "auth0" {
		return refuse(http.StatusBadRequest, "operation_not_supported", "Cross App Access Requesting App is not supported for this connection.")
	}
	if err := checkAttributes(d); err != nil {
		return err
	}
	setDefault(d, Doc{"enabled_clients": []any{}})
	DefaultConnection(d)
	return nil
}

func changeConnection(_ *call, old, d, sent Doc) error {
	o, replaced := sent["options"].(Doc)
	if !replaced {
		return nil
	}
	if email, wasThere := child(child(o, "attributes"), "email")["unique"]; wasThere && email == false &&
		child(child(child(old, "options"), "attributes"), "email")["unique"] != false {
		return refuse(http.StatusBadRequest, "invalid_body", "cannot add non-unique email attribute")
	}
	if err := checkAttributes(d); err != nil {
		return err
	}
	o = maps.Clone(o)
	was := child(old, "options")
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint"} { // null keeps them
		if value, named := o[name]; named && value == nil && was[name] != nil {
			o[name] = was[name]
		}
	}
	if text(d, "strategy") == "auth0" {
		for _, name := range []string{"authentication_methods", "passkey_options"} {
			if o[name] == nil && was[name] != nil {
				o[name] = was[name]
			}
		}
		keepMethods(o)
	}
	if slices.Contains([]string{"oidc", "okta"}, text(d, "strategy")) {
		for _, name := range []string{"schema_version", "type"} {
			if o[name] == nil && was[name] != nil {
				o[name] = was[name]
			}
		}
	}
	d["options"] = o
	return nil
}

// showConnection shows options.configuration as a tenant does, which encrypts it.
func showConnection(c *call, d Doc) Doc {
	setDefault(d, Doc{"enabled_clients": []any{}})
	o := child(d, "options")
	configuration := child(o, "configuration")
	if len(configuration) == 0 {
		return d
	}
	sealed := Doc{}
	for name := range configuration {
		sealed[name] = "2.0$" + c.random(hexDigits, 32)
	}
	o = maps.Clone(o)
	o["configuration"] = sealed
	d["options"] = o
	return d
}

func endConnection(c *call, d Doc) {
	id, name := text(d, "id"), text(d, "name")
	for _, u := range c.all(KindUser, func(u Doc) bool { return text(u, "connection") == name }) {
		endUser(c, u)
		c.State.Remove(KindUser, text(u, "user_id"))
	}
	for _, o := range c.all(KindOrganization, nil) {
		left := slices.DeleteFunc(objects(o, "connections"), func(e Doc) bool { return text(e, "name") == name })
		if len(left) != len(objects(o, "connections")) {
			o["connections"] = list(left)
			_ = c.put(KindOrganization, text(o, "id"), o) // it was valid before
		}
	}
	for _, kind := range []string{kindSCIM, kindDirectory} {
		c.State.Remove(kind, id)
	}
}

// deleteConnection answers 202, and 204 when the connection is gone.
func (a *API) deleteConnection(c *call) (Answer, error) {
	f := a.connections()
	d, found := c.get(KindConnection, c.params[0])
	if !found {
		return empty()
	}
	f.ended(c, d)
	c.State.Remove(KindConnection, c.params[0])
	return answer(http.StatusAccepted, Doc{"deleted_at": c.at()})
}

func listedConnection(c *call, d Doc) bool {
	name, wanted := c.Query.Get("name"), c.Query["strategy"]
	return (name == "" || text(d, "name") == name) && (len(wanted) == 0 || slices.Contains(wanted, text(d, "strategy")))
}

// clientsOfConnection lists the clients that may use a connection.
func (a *API) clientsOfConnection(c *call) (Answer, error) {
	d, err := a.connections().must(c, c.params[0])
	if err != nil {
		return Answer{}, err
	}
	out := []Doc{}
	if _, limited := d["enabled_clients"]; !limited { // of a tenant file: every client
		for _, id := range c.State.IDs(KindClient) {
			out = append(out, Doc{"client_id": id})
		}
	}
	for _, id := range texts(d, "enabled_clients") {
		out = append(out, Doc{"client_id": id})
	}
	return c.list(docs("clients", out).as(checkpoint))
}

func (a *API) changeClientsOfConnection(c *call) (Answer, error) {
	d, err := a.connections().must(c, c.params[0])
	if err != nil {
		return Answer{}, err
	}
	enabled := texts(d, "enabled_clients")
	if _, limited := d["enabled_clients"]; !limited {
		enabled = c.State.IDs(KindClient)
	}
	for _, item := range c.items {
		entry, _ := item.(Doc)
		id := text(entry, "client_id")
		if _, found := c.get(KindClient, id); !found && entry["status"] == true {
			return Answer{}, errNoClient
		}
		if entry["status"] == true {
			enabled = with(enabled, id)
		} else {
			enabled = without(enabled, id)
		}
	}
	d["enabled_clients"] = list(enabled)
	if err := c.put(KindConnection, text(d, "id"), d); err != nil {
		return Answer{}, err
	}
	return empty()
}

func (a *API) deleteUserOfConnection(c *call) (Answer, error) {
	d, err := a.connections().must(c, c.params[0])
	if err != nil {
		return Answer{}, err
	}
	for _, u := range c.all(KindUser, func(u Doc) bool {
		return text(u, "connection") == text(d, "name") && strings.EqualFold(text(u, "email"), c.Query.Get("email"))
	}) {
		endUser(c, u)
		c.State.Remove(KindUser, text(u, "user_id"))
	}
	return empty()
}

// ofConnection is an endpoint below a connection.
func (a *API) ofConnection(handle func(c *call, conn Doc) (Answer, error)) func(*call) (Answer, error) {
	return func(c *call) (Answer, error) {
		d, err := a.connections().must(c, c.params[0])
		if err != nil {
			return Answer{}, err
		}
		return handle(c, d)
	}
}

func hostOf(issuer string) string {
	_, host, _ := strings.Cut(strings.TrimSuffix(issuer, "/"), "://")
	return host
}
