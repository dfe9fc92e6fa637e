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
	aud := r.Get("audience")
	if aud == "" {
		aud = t.st.settings.DefaultAudience
	}
	if aud == "" {
		return nil, refuse("access_denied", "Non-global clients are not allowed access to APIv1")
	}
	api := t.st.apis[aud]
	if api == nil {
		return nil, refuse("access_denied", "Service not enabled within domain: "+clip(aud))
	}
	cg, granted := t.st.grants[grantKey(client.ClientID, aud, "client")]
	if !granted || api.ClientPolicy() == "deny_all" {
		return nil, refuse("access_denied", fmt.Sprintf("Client is not authorized to access %q. You need to create a "+
			"\"client-grant\" associated to this API. See: https://auth0.com/docs/api/v2#!/Client_Grants/post_client_grants", aud))
	}
	scopes := cg.Scope
	if asked := uniqueFields(r.Get("scope")); len(asked) > 0 {
		lacking := slices.DeleteFunc(slices.Clone(asked), func(s string) bool { return slices.Contains(cg.Scope, s) })
		if len(lacking) > 0 {
			return nil, refuse("access_denied", "Client has not been granted scopes: "+strings.Join(lacking, ", "))
		}
		scopes = asked
	}
	organization := ""
	if name := r.Get("organization"); name != "" {
		org := t.st.organization(name)
		if org == nil {
			return nil, refuse("invalid_request", "parameter organization is invalid: "+clip(name))
		}
		organization = org.ID
	}
	if bad := t.denied(tenant.TriggerCredentialsExchange, client.ClientID); bad != nil {
		return nil, bad
	}
	g := grant{client: client.ClientID, audience: aud, scopes: scopes, gty: "client-credentials", organization: organization}
	if bad := t.constrain(client, &g, r.proof); bad != nil {
		return nil, bad
	}
	o := t.prepare(c, g)
	return func() {
		t.respond(c, o, func(access, id string) object {
			return o.tokenBody(access, "", id, len(scopes) > 0)
		})
	}, nil
}
