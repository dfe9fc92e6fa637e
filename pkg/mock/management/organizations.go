package management

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

var (
	errNoOrganization   = refuse(http.StatusNotFound, "", "No organization found by that id or name")
	errNoOrgConnection  = refuse(http.StatusNotFound, "", "No connection found by that id")
	errNoInvitation     = refuse(http.StatusNotFound, "inexistent_invitation", "The invitation does not exist.")
	errNoDomain         = refuse(http.StatusNotFound, "", "No organization domain found by that id")
	errNoOrgClient      = refuse(http.StatusNotFound, "", "No client found by that id")
	invitationLife      = 7 * 24 * time.Hour
	invitationMost      = 30 * 24 * time.Hour
	kindDiscoveryDomain = "discovery_domain"
)

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

// Connections.

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

// Members.

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

// Client grants and clients.

func (c *call) grantsOfOrg(o Doc) []Doc {
	return c.all(KindGrant, func(g Doc) bool {
		return slices.ContainsFunc(objects(o, "client_grants"), func(ref Doc) bool { return sameGrant(ref, g) })
	})
}

func (a *API) listOrgGrants(c *call, o Doc) (Answer, error) {
	ids := strings.Join(c.Query["grant_ids"], ",")
	all := slices.DeleteFunc(c.grantsOfOrg(o), func(g Doc) bool {
		return !listedGrant(c, g) || ids != "" && !slices.Contains(strings.Split(ids, ","), text(g, "id"))
	})
	for _, g := range all {
		setDefault(g, Doc{"organization_usage": "deny", "allow_any_organization": false})
	}
	return c.list(docs("client_grants", all))
}

func (a *API) addOrgGrant(c *call, o Doc) (Answer, error) {
	g, found := c.get(KindGrant, text(c.body, "grant_id"))
	if !found {
		return Answer{}, errNoGrant
	}
	refs := objects(o, "client_grants")
	if !slices.ContainsFunc(refs, func(ref Doc) bool { return sameGrant(ref, g) }) {
		refs = append(refs, Doc{"client_id": g["client_id"], "audience": g["audience"]})
	}
	o["client_grants"] = list(refs)
	if err := c.storeOrganization(o); err != nil {
		return Answer{}, err
	}
	out := Doc{"grant_id": g["id"], "client_id": g["client_id"], "audience": g["audience"], "scope": g["scope"]}
	for _, name := range []string{"organization_usage", "allow_any_organization"} {
		if g[name] != nil {
			out[name] = g[name]
		}
	}
	return answer(http.StatusCreated, out)
}

func (a *API) removeOrgGrant(c *call, o Doc) (Answer, error) {
	if g, found := c.get(KindGrant, c.params[1]); found {
		o["client_grants"] = list(slices.DeleteFunc(objects(o, "client_grants"), func(ref Doc) bool { return sameGrant(ref, g) }))
		if err := c.storeOrganization(o); err != nil {
			return Answer{}, err
		}
	}
	return empty()
}

func (c *call) showOrgClient(entry Doc) Doc {
	client, _ := c.get(KindClient, text(entry, "client_id"))
	brief := Doc{}
	for _, name := range []string{"name", "grant_types", "is_first_party", "organization_usage"} {
		if client[name] != nil {
			brief[name] = client[name]
		}
	}
	return Doc{"client_id": entry["client_id"], "use_for_member_access": entry["use_for_member_access"] == true, "client": brief}
}

func (a *API) orgClients(c *call, o Doc) (Answer, error) {
	all := objects(o, "clients")
	switch c.Method {
	case http.MethodGet:
		l := docs("clients", all).as(checkpoint)
		l.item = func(i int) any { return c.showOrgClient(all[i]) }
		return c.list(l)
	case http.MethodDelete:
		gone := texts(c.body, "clients")
		o["clients"] = list(slices.DeleteFunc(all, func(e Doc) bool { return slices.Contains(gone, text(e, "client_id")) }))
		if err := c.storeOrganization(o); err != nil {
			return Answer{}, err
		}
		return empty()
	}
	added := []any{}
	for _, sent := range objects(c.body, "clients") {
		if _, found := c.get(KindClient, text(sent, "client_id")); !found {
			return Answer{}, errNoClient
		}
		all = append(slices.DeleteFunc(all, func(e Doc) bool { return text(e, "client_id") == text(sent, "client_id") }), sent)
		added = append(added, c.showOrgClient(sent))
	}
	o["clients"] = list(all)
	if err := c.storeOrganization(o); err != nil {
		return Answer{}, err
	}
	return answer(http.StatusCreated, added)
}

func (a *API) orgClient(c *call, o Doc) (Answer, error) {
	all := objects(o, "clients")
	at := slices.IndexFunc(all, func(e Doc) bool { return text(e, "client_id") == c.params[1] })
	if at < 0 {
		return Answer{}, errNoOrgClient
	}
	if c.Method == http.MethodPatch {
		all[at] = patch("", all[at], c.body)
		o["clients"] = list(all)
		if err := c.storeOrganization(o); err != nil {
			return Answer{}, err
		}
	}
	return answer(http.StatusOK, c.showOrgClient(all[at]))
}

// Invitations.

func (a *API) listInvitations(c *call, o Doc) (Answer, error) {
	l := docs("invitations", c.all(KindInvitation, func(in Doc) bool { return text(in, "organization_id") == text(o, "id") })).as(noTotal)
	item := l.item
	l.item = func(i int) any { return c.selectFields(item(i).(Doc)) }
	return c.list(l)
}

func (a *API) createInvitation(c *call, o Doc) (Answer, error) {
	client, found := c.get(KindClient, text(c.body, "client_id"))
	email := text(child(c.body, "invitee"), "email")
	life, ttl := invitationLife, c.body["ttl_sec"]
	if n, sent := ttl.(float64); sent {
		life = time.Duration(n) * time.Second
	}
	switch {
	case !found:
		return Answer{}, errNoClient
	case text(client, "organization_usage") != "allow" && text(client, "organization_usage") != "require":
		return Answer{}, refuse(http.StatusBadRequest, "invalid_body", "The client does not support organizations")
	case !strings.Contains(email, "@"):
		return Answer{}, invalid("invitee.email", "Object didn't pass validation for format email: %s", clip(email))
	case life < 0 || life > invitationMost:
		return Answer{}, invalid("ttl_sec", "Value %v is greater than maximum 2592000", ttl)
	}
	link := text(client, "initiate_login_uri")
	if link == "" {
		link = c.Issuer + "login"
	}
	ticket := c.random(alphanumerics, 32)
	q := url.Values{"invitation": {ticket}, "organization": {text(o, "id")}, "organization_name": {text(o, "name")}}
	d := Doc{
		"id": "uinv_" + c.random(alphanumerics, 16), "organization_id": o["id"], "client_id": client["client_id"],
		"inviter": c.body["inviter"], "invitee": c.body["invitee"], "invitation_url": link + "?" + q.Encode(), "ticket_id": ticket,
		"created_at": c.at(), "expires_at": stamp(c.Now.Add(life)),
	}
	for _, name := range []string{"app_metadata", "user_metadata", "connection_id", "roles"} {
		if c.body[name] != nil {
			d[name] = c.body[name]
		}
	}
	if err := c.put(KindInvitation, text(d, "id"), d); err != nil {
		return Answer{}, err
	}
	if c.body["send_invitation_email"] != false {
		c.State.Send(Message{Kind: "invitation", To: email, Link: text(d, "invitation_url")})
	}
	return answer(http.StatusCreated, d)
}

func (a *API) invitation(c *call, o Doc) (Answer, error) {
	d, found := c.get(KindInvitation, c.params[1])
	found = found && text(d, "organization_id") == text(o, "id")
	if c.Method == http.MethodDelete {
		if found {
			c.State.Remove(KindInvitation, c.params[1])
		}
		return empty()
	}
	if !found {
		return Answer{}, errNoInvitation
	}
	return answer(http.StatusOK, c.selectFields(d))
}

// Discovery domains, which are stored only.

func (c *call) domainsOf(o Doc) []Doc {
	return c.all(kindDiscoveryDomain, func(d Doc) bool { return text(d, "organization") == text(o, "id") })
}

func showDomain(d Doc) Doc {
	delete(d, "organization")
	return d
}

func (a *API) listDomains(c *call, o Doc) (Answer, error) {
	all := c.domainsOf(o)
	for _, d := range all {
		showDomain(d)
	}
	return c.list(docs("domains", all).as(checkpoint))
}

func (a *API) createDomain(c *call, o Doc) (Answer, error) {
	domain := text(c.body, "domain")
	for _, d := range c.all(kindDiscoveryDomain, nil) {
		if text(d, "domain") == domain && text(d, "organization") == text(o, "id") {
			return Answer{}, refuse(http.StatusConflict, "", "The domain already exists in the organization")
		}
	}
	d := Doc{
		"id": "ord_" + c.random(alphanumerics, 22), "organization": o["id"], "domain": domain, "status": "pending", "use_for_organization_discovery": true,
		"verification_host": "_ss-verification." + text(o, "id") + "." + domain, "verification_txt": c.random(hexDigits, 32),
	}
	for name, value := range withoutNull(c.body) {
		d[name] = value
	}
	if err := c.put(kindDiscoveryDomain, text(d, "id"), d); err != nil {
		return Answer{}, err
	}
	return answer(http.StatusCreated, showDomain(d))
}

func (a *API) discoveryDomain(c *call, o Doc) (Answer, error) {
	named := strings.Contains(c.Path, "/discovery-domains/name/")
	for _, d := range c.domainsOf(o) {
		if !named && text(d, "id") != c.params[1] || named && text(d, "domain") != c.params[1] {
			continue
		}
		switch c.Method {
		case http.MethodDelete:
			c.State.Remove(kindDiscoveryDomain, text(d, "id"))
			return empty()
		case http.MethodPatch:
			d = patch("", d, c.body)
			if err := c.put(kindDiscoveryDomain, text(d, "id"), d); err != nil {
				return Answer{}, err
			}
		}
		return answer(http.StatusOK, showDomain(d))
	}
	if c.Method == http.MethodDelete {
		return empty()
	}
	return Answer{}, errNoDomain
}
