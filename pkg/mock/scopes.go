package mock

import (
	"slices"

	"example.com/tokend/pkg/mock/tenant"
)

// oidcScopes are granted to every client (scopes_supported in discovery).
var oidcScopes = []string{
	"openid", "profile", "offline_access", "name", "given_name", "family_name", "nickname", "email",
	"email_verified", "picture", "created_at", "identities", "phone", "address",
}

// grantable returns the scopes to grant: those of OpenID Connect and of the API, with
// RBAC only those of the user. It drops others without an error, as Auth0
// does.
func (t *Tenant) grantable(asked []string, c *tenant.Client, api *tenant.ResourceServer, u *tenant.User, organization string) []string {
	var permitted []string
	if api != nil && u != nil {
		permitted = t.st.permissions(u, api.Identifier, organization)
	}
	var out []string
	for _, s := range asked {
		switch {
		case s == "offline_access":
			if slices.Contains(c.GrantTypes, tenant.GrantRefreshToken) && (api == nil || api.AllowOfflineAccess) {
				out = append(out, s)
			}
		case slices.Contains(oidcScopes, s):
			out = append(out, s)
		case api != nil && api.ID == managementID:
			if slices.Contains(currentUserScopes, s) {
				out = append(out, s)
			}
		case api != nil && api.HasScope(s) && (!api.EnforcePolicies || slices.Contains(permitted, s)):
			out = append(out, s)
		}
	}
	return out
}
