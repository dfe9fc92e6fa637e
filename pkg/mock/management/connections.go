package management

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

var errNoConnection = refuse(http.StatusNotFound, "inexistent_connection", "The connection does not exist")

const (
	kindSCIM      = "scim_configuration"
	kindSCIMToken = "scim_token"
	kindDirectory = "directory_provisioning"
	kindGroup     = "synchronized_group"
)

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

// DefaultConnection sets the members that every connection has.
func DefaultConnection(d Doc) {
	strategy := text(d, "strategy")
	setDefault(d, Doc{
		"is_domain_connection": false, "realms": []any{d["name"]},
		"connected_accounts": Doc{"active": false}, "options": Doc{},
	})
	if strategy != "oauth1" {
		setDefault(d, Doc{"authentication": Doc{"active": true}})
	}
	if slices.Contains(enterprise, strategy) {
		setDefault(d, Doc{"show_as_button": false})
	}
	if slices.Contains([]string{"waad", "okta", "oidc"}, strategy) {
		setDefault(d, Doc{"display_name": d["name"]})
	}
	o := child(d, "options")
	if o == nil {
		return
	}
	switch strategy {
	case "auth0":
		setDefault(o, Doc{
			"mfa": Doc{"active": true, "return_enroll_settings": true}, "brute_force_protection": true, "strategy_version": 2,
		})
		if o["password_options"] == nil {
			setDefault(o, Doc{"passwordPolicy": "good"})
		}
		keepMethods(o)
	case "oidc", "okta":
		kind, mode := "front_channel", "bind_all"
		if strategy == "okta" {
			kind, mode = "back_channel", "basic_profile"
		}
		setDefault(o, Doc{
			"schema_version": "oidc-V4", "type": kind, "attribute_map": Doc{"mapping_mode": mode}, "connection_settings": Doc{"pkce": "auto"},
		})
		if domain := text(o, "domain"); domain != "" {
			for name, path := range map[string]string{"token_endpoint": "token", "userinfo_endpoint": "userinfo", "authorization_endpoint": "authorize", "jwks_uri": "keys"} {
				if o[name] == nil {
					o[name] = "https://" + domain + "/oauth2/v1/" + path
				}
			}
			setDefault(o, Doc{"issuer": "https://" + domain})
		}
	}
}

// keepMethods sets the options that a database never loses.
func keepMethods(o Doc) {
	setDefault(o, Doc{
		"passkey_options": Doc{"challenge_ui": "both", "local_enrollment_enabled": true, "progressive_enrollment_enabled": true},
		"authentication_methods": Doc{
			"password": Doc{"enabled": true, "api_behavior": "required", "signup_behavior": "allow"}, "passkey": Doc{"enabled": false},
			"email_otp": Doc{"enabled": false}, "phone_otp": Doc{"enabled": false},
		},
	})
}

var (
	enterprise = []string{"ad", "adfs", "waad", "google-apps", "okta", "oidc", "samlp", "pingfederate"}
	strategies = append([]string{
		"auth0", "email", "sms", "ad", "adfs", "amazon", "apple", "dropbox", "bitbucket", "auth0-adldap", "auth0-oidc", "baidu", "bitly", "box",
		"custom", "daccount", "dwolla", "evernote-sandbox", "evernote", "exact", "facebook", "fitbit", "github", "google-apps", "google-oauth2",
		"instagram", "ip", "line", "linkedin", "oauth1", "oauth2", "office365", "oidc", "okta", "paypal", "paypal-sandbox", "pingfederate",
		"planningcenter", "salesforce-community", "salesforce-sandbox", "salesforce", "samlp", "sharepoint", "shopify", "shop", "soundcloud",
		"thirtysevensignals", "twitter", "untappd", "vkontakte", "waad", "weibo", "windowslive", "wordpress", "yahoo", "yandex",
	}, enterprise...)
)

// checkAttributes checks options of a database that contradict one another.
func checkAttributes(d Doc) error {
	o := child(d, "options")
	attributes := child(o, "attributes")
	bad := func(text string) error { return refuse(http.StatusBadRequest, "invalid_body", "%s", text) }
	if attributes == nil {
		return nil
	}
	active := func(name string) bool {
		is, _ := child(child(attributes, name), "identifier")["active"].(bool)
		return is
	}
	phone := child(attributes, "phone_number")
	switch {
	case o["requires_username"] == true:
		return bad("Cannot set both options.attributes and options.requires_username")
	case o["validation"] != nil:
		return bad("Cannot set both options.attributes and options.validation")
	case !active("email") && !active("phone_number") && !active("username"):
		return bad("attributes must contain one active identifier")
	case phone["profile_required"] == true && text(child(phone, "signup"), "status") == "inactive":
		return bad("attribute phone_number must also be required on signup")
	}
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

func hostOf(issuer string) string {
	_, host, _ := strings.Cut(strings.TrimSuffix(issuer, "/"), "://")
	return host
}
