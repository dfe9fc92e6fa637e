package management

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// clients are the applications. A document has the PEM texts of its credentials too,
// which the tenant needs and answers do not show.
func (a *API) clients() *family {
	return &family{
		kind: KindClient, key: "clients", id: "client_id", missing: errNoClient,
		newID:    func(c *call) string { return c.random(alphanumerics, 32) },
		complete: completeClient, change: changeClient, ended: endClient, shown: showClient,
	}
}

var errNoClient = refuse(http.StatusNotFound, "inexistent_client", "The client does not exist")

// globalClient is the name of the client "All Applications", which every tenant has.
const globalClient = "All Applications"

var (
	allGrants   = []string{"authorization_code", "implicit", "refresh_token", "client_credentials"}
	byAppType   = map[string][]string{"spa": allGrants[:3], "native": allGrants[:3], "resource_server": {}, "express_configuration": {"authorization_code", "client_credentials"}}
	credentials = []string{"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"}
)

// completeClient sets the defaults of a create, as recorded.
func completeClient(c *call, d Doc) error {
	appType, method := text(d, "app_type"), text(d, "token_endpoint_auth_method")
	_, hasJWT := d["jwt_configuration"]
	DefaultClient(d)
	if method != "" && method != "none" {
		r := child(d, "refresh_token")
		if _, sent := child(c.body, "refresh_token")["token_lifetime"]; !sent {
			r["token_lifetime"] = 31557600
		}
		if _, sent := child(c.body, "refresh_token")["idle_token_lifetime"]; !sent {
			r["idle_token_lifetime"] = 2592000
		}
	}
	jwt := child(d, "jwt_configuration")
	if hasJWT {
		if _, sent := child(c.body, "jwt_configuration")["lifetime_in_seconds"]; !sent {
			delete(jwt, "lifetime_in_seconds")
		}
	}
	if appType == "resource_server" || appType == "express_configuration" {
		d["oidc_conformant"] = true
		setDefault(jwt, Doc{"alg": "RS256"})
	}
	if d["is_first_party"] == false {
		if c.body["refresh_token"] == nil {
			d["refresh_token"] = Doc{
				"rotation_type": "rotating", "expiration_type": "expiring", "leeway": 0, "token_lifetime": 2592000,
				"idle_token_lifetime": 1296000, "infinite_token_lifetime": false, "infinite_idle_token_lifetime": false,
			}
		}
		d["oidc_conformant"] = true
	}
	if d["third_party_security_mode"] == "strict" {
		d["client_id"] = "tpc_" + c.random(alphanumerics, 22)
	}
	setDefault(d, Doc{"client_secret": c.random(alphanumerics+"_-", 64)})
	if err := c.checkClient(d); err != nil {
		return err
	}
	if err := c.checkVault(d, c.body, true); err != nil {
		return err
	}
	if err := c.storeCredentials(d); err != nil {
		return err
	}
	return c.linkAPI(d, text(d, "client_id"))
}

// linkAPI notes at an API the client that stands for it.
func (c *call) linkAPI(d Doc, client string) error {
	identifier := text(d, "resource_server_identifier")
	if identifier == "" {
		return nil
	}
	api, found := c.findAPI(identifier)
	if !found {
		return nil
	}
	api["client_id"] = client
	if client == "" {
		delete(api, "client_id")
	}
	return c.put(KindAPI, text(api, "id"), api)
}

// DefaultClient sets the members that every client has.
func DefaultClient(d Doc) {
	grants, known := byAppType[text(d, "app_type")]
	if !known {
		grants = allGrants
	}
	setDefault(d, Doc{
		"custom_login_page_on": true, "cross_origin_authentication": false, "grant_types": list(grants), "is_first_party": true,
		"is_token_endpoint_ip_header_trusted": false, "oidc_conformant": false, "sso_disabled": false,
		"jwt_configuration": Doc{}, "refresh_token": Doc{},
	})
	if d["is_first_party"] == false {
		setDefault(d, Doc{"third_party_security_mode": "permissive"})
	}
	if jwt := child(d, "jwt_configuration"); jwt != nil {
		setDefault(jwt, Doc{"lifetime_in_seconds": 36000, "secret_encoded": false})
	}
	if r := child(d, "refresh_token"); r != nil {
		never := text(r, "expiration_type") != "expiring"
		setDefault(r, Doc{
			"rotation_type": "non-rotating", "expiration_type": "non-expiring", "leeway": 0, "token_lifetime": 2592000,
			"idle_token_lifetime": 1296000, "infinite_token_lifetime": never, "infinite_idle_token_lifetime": never,
		})
	}
}

func changeClient(c *call, old, d, sent Doc) error {
	if sent["client_authentication_methods"] != nil {
		delete(d, "token_endpoint_auth_method")
	} else if sent["token_endpoint_auth_method"] != nil {
		delete(d, "client_authentication_methods")
	}
	if r, was := child(sent, "refresh_token"), child(old, "refresh_token"); r != nil {
		merged := maps.Clone(was)
		maps.Copy(merged, r)
		d["refresh_token"] = withoutNull(merged)
	}
	if err := c.checkClient(d); err != nil {
		return err
	}
	if err := c.checkVault(d, sent, false); err != nil {
		return err
	}
	return c.storeCredentials(d)
}

// checkClient checks what refers to other objects or members.
func (c *call) checkClient(d Doc) error {
	if text(d, "name") == "" || strings.ContainsAny(text(d, "name"), "<>") {
		return invalid("name", "Object didn't pass validation for format client-name: %s", text(d, "name"))
	}
	if d["client_authentication_methods"] != nil && text(d, "token_endpoint_auth_method") != "" {
		return refuse(http.StatusBadRequest, "invalid_body", "token_endpoint_auth_method and client_authentication_methods are mutually exclusive")
	}
	if api := text(d, "resource_server_identifier"); api != "" {
		if _, found := c.findAPI(api); !found {
			return refuse(http.StatusNotFound, "inexistent_resource_server", "No resource with identifier %s", api)
		}
	}
	if o := child(d, "default_organization"); o != nil {
		if _, found := c.get(KindOrganization, text(o, "organization_id")); !found {
			return errNoOrganization
		}
	}
	return nil
}

// showClient cuts a client by the scopes of the token.
func showClient(c *call, d Doc) Doc {
	keys := c.has("read:client_keys") || c.has("read:client_credentials") || c.Method != http.MethodGet
	if !keys {
		for _, name := range []string{"client_secret", "client_authentication_methods", "signing_keys", "encryption_key"} {
			delete(d, name)
		}
	}
	if !keys && !c.has("read:clients") {
		for name := range d {
			if !slices.Contains([]string{"client_id", "app_type", "name", "description"}, name) {
				delete(d, name)
			}
		}
	}
	if methods := child(d, "client_authentication_methods"); methods != nil {
		d["client_authentication_methods"] = withoutKeys(methods, false)
	}
	if vault := child(d, "token_vault_privileged_access"); vault != nil { // the answer to a create has the whole credential
		d["token_vault_privileged_access"] = withoutKeys(Doc{"": vault}, c.Method == http.MethodPost)[""]
	}
	return d
}

// withoutKeys shows the credentials of authentication methods as references.
func withoutKeys(methods Doc, whole bool) Doc {
	out := Doc{}
	for name, value := range methods {
		m, isObject := value.(Doc)
		if !isObject {
			out[name] = value
			continue
		}
		refs := []any{}
		for _, cred := range objects(m, "credentials") {
			shown := Doc{"id": cred["id"]}
			if whole {
				shown = maps.Clone(cred)
				delete(shown, "pem")
			}
			refs = append(refs, shown)
		}
		m = maps.Clone(m)
		m["credentials"] = refs
		out[name] = m
	}
	return out
}

// endClient removes what belongs to a client.
func endClient(c *call, d Doc) {
	id := text(d, "client_id")
	_ = c.linkAPI(d, "") // the API was valid before
	for _, g := range c.all(KindGrant, func(g Doc) bool { return text(g, "client_id") == id }) {
		endGrant(c, g)
		c.State.Remove(KindGrant, text(g, "id"))
	}
	for _, cred := range c.all(KindCredential, func(cred Doc) bool { return text(cred, "client_id") == id }) {
		c.State.Remove(KindCredential, text(cred, "id"))
	}
	for _, conn := range c.all(KindConnection, func(conn Doc) bool { return slices.Contains(texts(conn, "enabled_clients"), id) }) {
		conn["enabled_clients"] = list(without(texts(conn, "enabled_clients"), id))
		_ = c.put(KindConnection, text(conn, "id"), conn) // it was valid before
	}
	for _, t := range c.all(KindRefreshToken, func(t Doc) bool { return text(t, "client_id") == id }) {
		c.State.Remove(KindRefreshToken, text(t, "id"))
	}
	for _, o := range c.all(KindOrganization, func(o Doc) bool { return len(objects(o, "clients")) > 0 }) {
		o["clients"] = list(slices.DeleteFunc(objects(o, "clients"), func(e Doc) bool { return text(e, "client_id") == id }))
		_ = c.put(KindOrganization, text(o, "id"), o)
	}
}

func (a *API) listClients(c *call) (Answer, error) {
	f := a.clients()
	if c.Query.Get("is_global") == "true" {
		l := docs("clients", []Doc{{"client_id": DerivedID("", globalClient, 32), "name": globalClient, "global": true, "callbacks": []any{}, "tenant": "mockauth0"}})
		item := l.item
		l.item = func(i int) any { return c.selectFields(item(i).(Doc)) }
		return c.list(l)
	}
	organization, byGrant := strings.CutPrefix(c.Query.Get("q"), "client_grant.organization_id:")
	l := f.listOf(c, c.all(KindClient, func(d Doc) bool {
		if first := c.Query.Get("is_first_party"); first != "" && (first == "true") != (d["is_first_party"] != false) {
			return false
		}
		if types := c.Query.Get("app_type"); types != "" && !slices.Contains(strings.Split(types, ","), text(d, "app_type")) {
			return false
		}
		if ext := c.Query.Get("external_client_id"); ext != "" && text(d, "external_client_id") != ext {
			return false
		}
		return !byGrant || c.inOrganization(organization, text(d, "client_id"))
	}))
	if c.Query.Has("page") {
		l.extra = Doc{"length": 0, "next": ""}
	}
	return c.list(l)
}

// inOrganization reports whether a client has a grant in an organization.
func (c *call) inOrganization(organization, client string) bool {
	o, _ := c.get(KindOrganization, organization)
	return slices.ContainsFunc(objects(o, "client_grants"), func(g Doc) bool { return text(g, "client_id") == client })
}

func (a *API) rotateSecret(c *call) (Answer, error) {
	f := a.clients()
	d, err := f.must(c, c.params[0])
	if err != nil {
		return Answer{}, err
	}
	d["client_secret"] = c.random(alphanumerics+"_-", 64)
	if err := c.put(KindClient, c.params[0], d); err != nil {
		return Answer{}, err
	}
	return f.answer(c, http.StatusOK, c.params[0])
}

// connectionsOfClient lists the connections that a client may use.
func (a *API) connectionsOfClient(c *call) (Answer, error) {
	if _, err := a.clients().must(c, c.params[0]); err != nil {
		return Answer{}, err
	}
	strategies := c.Query["strategy"]
	f := a.connections()
	return c.list(f.listOf(c, c.all(KindConnection, func(d Doc) bool {
		_, limited := d["enabled_clients"]
		return (!limited || slices.Contains(texts(d, "enabled_clients"), c.params[0])) && (len(strategies) == 0 || slices.Contains(strategies, text(d, "strategy")))
	})).as(checkpoint))
}
