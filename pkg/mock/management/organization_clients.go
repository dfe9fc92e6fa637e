package management

import (
	"net/http"
	"slices"
	"strings"
)

var errNoOrgClient = refuse(http.StatusNotFound, "", "No client found by that id")

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
