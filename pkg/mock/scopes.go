package mock

import (
	"slices"

	"example.com/tokend/pkg/mock/tenant"
)

// oidcScopes are granted to any client that asks (discovery's scopes_supported).
var oidcScopes = []string{
	"openid", "profile", "offline_access", "name", "given_name", "family_name", "nickname", "email",
	"email_verified", "picture", "created_at", "identities", "phone", "address",
}

// grantable is what remains of the scopes asked for: OpenID Connect's, and the
// API's own; with RBAC only those that the user's roles permit. Others vanish
// without an error, as at Auth0.
func (t *Tenant) grantable(asked []string, c *tenant.Client, api *tenant.ResourceServer, u *tenant.User) []string {
	var permitted []string
	if api != nil && u != nil {
		permitted = t.st.permissions(u, api.Identifier)
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
		case api != nil && api.HasScope(s) && (!api.EnforcePolicies || slices.Contains(permitted, s)):
			out = append(out, s)
		}
	}
	return out
}
