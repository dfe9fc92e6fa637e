package management

import (
	"net/http"
	"slices"
)

var errNoGrant = refuse(http.StatusNotFound, "inexistent_client_grant", "The grant does not exist.")

func (a *API) clientGrants() *family {
	return &family{
		kind: KindGrant, key: "client_grants", missing: errNoGrant,
		newID:    func(c *call) string { return "cgr_" + c.random(alphanumerics, 16) },
		complete: completeGrant, ended: endGrant,
	}
}

func completeGrant(c *call, d Doc) error {
	if _, found := c.byIdentifier(text(d, "audience")); !found {
		return refuse(http.StatusNotFound, "inexistent_resource_server", "No resource with identifier %s", clip(text(d, "audience")))
	}
	client, found := c.get(KindClient, text(d, "client_id"))
	switch {
	case d["client_id"] == nil && d["default_for"] == nil:
		return invalid("", "Missing required property: client_id")
	case !found && d["default_for"] == nil:
		return errNoClient
	case text(client, "app_type") == "express_configuration":
		return refuse(http.StatusBadRequest, "validation_error", "Client of type express_configuration cannot be used")
	}
	DefaultGrant(d)
	for _, g := range c.all(KindGrant, nil) {
		if text(g, "client_id") == text(d, "client_id") && text(g, "audience") == text(d, "audience") && subjectOf(g) == subjectOf(d) {
			return refuse(http.StatusConflict, "", "A client grant for this client and audience already exists")
		}
	}
	return nil
}

// DefaultGrant sets the members that every client grant has.
func DefaultGrant(d Doc) { setDefault(d, Doc{"subject_type": "client", "scope": []any{}}) }

func subjectOf(g Doc) string {
	if s := text(g, "subject_type"); s != "" {
		return s
	}
	return "client"
}

// endGrant removes a grant from the organizations that use it.
func endGrant(c *call, d Doc) {
	for _, o := range c.all(KindOrganization, func(o Doc) bool { return len(objects(o, "client_grants")) > 0 }) {
		o["client_grants"] = list(slices.DeleteFunc(objects(o, "client_grants"), func(g Doc) bool { return sameGrant(g, d) }))
		_ = c.put(KindOrganization, text(o, "id"), o) // it was valid before
	}
}

// sameGrant reports whether an organization's reference is to a grant.
func sameGrant(ref, grant Doc) bool {
	return text(ref, "client_id") == text(grant, "client_id") && text(ref, "audience") == text(grant, "audience")
}

func listedGrant(c *call, d Doc) bool {
	for _, name := range []string{"client_id", "audience", "subject_type", "default_for"} {
		if want := c.Query.Get(name); want != "" && text(d, name) != want {
			return false
		}
	}
	if want := c.Query.Get("allow_any_organization"); want != "" && (want == "true") != (d["allow_any_organization"] == true) {
		return false
	}
	return true
}

// organizationsOfGrant lists the organizations that use a grant.
func (a *API) organizationsOfGrant(c *call) (Answer, error) {
	g, err := a.clientGrants().must(c, c.params[0])
	if err != nil {
		return Answer{}, err
	}
	return c.list(a.organizations().listOf(c, c.all(KindOrganization, func(o Doc) bool {
		return slices.ContainsFunc(objects(o, "client_grants"), func(ref Doc) bool { return sameGrant(ref, g) })
	})))
}
