package mock

import (
	"fmt"
	"slices"
	"strings"

	"example.com/tokend/pkg/mock/tenant"
)

// clientCredentials is grant_type=client_credentials
// (https://auth0.com/docs/api/authentication/client-credential-flow/get-token).
func (t *Tenant) clientCredentials(c *call, client *tenant.Client, r tokenRequest) (func(), *oauthError) {
	aud := t.requestedAPI(r.parameters)
	if aud == "" {
		aud = t.st.settings.DefaultAudience
	}
	if aud == "" {
		return nil, refuse("access_denied", "Non-global clients are not allowed access to APIv1").
			withHint("send audience, or set default_audience of the tenant")
	}
	api := t.api(c.issuer, aud)
	if api == nil {
		return nil, refuse("access_denied", "Service not enabled within domain: "+clip(aud)).withHint("%s", t.unknownAPI(aud))
	}
	cg := t.machineGrant(client, api)
	if cg == nil {
		return nil, refuse("access_denied", fmt.Sprintf("Client is not authorized to access %q. You need to create a "+
			"\"client-grant\" associated to this API. See: https://auth0.com/docs/api/v2#!/Client_Grants/post_client_grants", aud)).
			withHint("add a client grant of client %s for %s", client.ClientID, aud)
	}
	scopes := cg.Scope
	if cg.AllScopes {
		scopes = api.ScopeNames()
	}
	if asked := uniqueFields(r.Get("scope")); len(asked) > 0 {
		lacking := slices.DeleteFunc(slices.Clone(asked), func(s string) bool { return slices.Contains(scopes, s) })
		if len(lacking) > 0 {
			return nil, refuse("access_denied", "Client has not been granted scopes: "+strings.Join(lacking, ", ")).
				withHint("add %s to scope of the client grant of client %s for %s", clip(strings.Join(lacking, ", ")), client.ClientID, aud)
		}
		scopes = asked
	}
	organization, bad := t.machineOrganization(client, *cg, r.Get("organization"))
	if bad != nil {
		return nil, bad
	}
	if bad := t.denied(tenant.TriggerCredentialsExchange, client.ClientID); bad != nil {
		return nil, bad
	}
	g := grant{client: client.ClientID, audience: aud, scopes: scopes, gty: "client-credentials", organization: organization}
	if bad := t.constrain(c.issuer, client, &g, r.proof); bad != nil {
		return nil, bad
	}
	o := t.prepare(c, g)
	return func() {
		t.respond(c, o, func(access, id string) object {
			return o.tokenBody(access, "", id, len(scopes) > 0)
		})
	}, nil
}

// machineGrant returns the grant with which a client calls an API on its own behalf, or
// nil. An API that allows all clients needs none.
func (t *Tenant) machineGrant(client *tenant.Client, api *tenant.ResourceServer) *tenant.ClientGrant {
	cg := t.st.grants[grantKey(client.ClientID, grantAudience(api), "client")]
	switch policy := api.ClientPolicy(); {
	case policy == "deny_all":
		return nil
	case cg == nil && policy == "allow_all":
		return &tenant.ClientGrant{ClientID: client.ClientID, Audience: api.Identifier, AllScopes: true}
	}
	return cg
}

// machineOrganization returns the id of the organization of a token, "" for none, as
// the client grant's organization_usage says
// (https://auth0.com/docs/manage-users/organizations/organizations-for-m2m-applications).
// Code and text of its refusals are not documented.
func (t *Tenant) machineOrganization(client *tenant.Client, g tenant.ClientGrant, ref string) (string, *oauthError) {
	if ref == "" && g.OrganizationUsage == "require" {
		ref = client.DefaultOrganizationFor(tenant.GrantClientCredentials)
		if ref == "" {
			return "", refuse("invalid_request", "parameter organization is required for this client")
		}
	}
	if ref == "" {
		return "", nil
	}
	org := t.st.requestedOrganization(ref)
	if org == nil {
		return "", refuse("invalid_request", "parameter organization is invalid: "+clip(ref))
	}
	if g.OrganizationUsage == "" || g.OrganizationUsage == "deny" {
		return "", refuse("invalid_request", "parameter organization is not allowed for this client")
	}
	anyOrganization := g.AllowAnyOrg && !client.ThirdParty()
	if !anyOrganization && !org.Grants(client.ClientID, g.Audience) {
		return "", refuse("access_denied", "The organization "+org.ID+" does not have the client grant")
	}
	return org.ID, nil
}
