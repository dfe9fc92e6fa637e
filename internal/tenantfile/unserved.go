package tenantfile

import (
	"fmt"
	"slices"
	"strings"

	"example.com/tokend/pkg/mock/tenant"
)

// The grant types and application types of the mock. Auth0 has more of both
// (https://auth0.com/docs/get-started/applications/application-grant-types).
var (
	servedGrants = []string{
		tenant.GrantAuthorizationCode, tenant.GrantImplicit, tenant.GrantRefreshToken, tenant.GrantClientCredentials,
		tenant.GrantPassword, tenant.GrantPasswordRealm, tenant.GrantPasswordlessOTP, tenant.GrantDeviceCode, tenant.GrantTokenExchange,
		tenant.GrantMFAOTP, tenant.GrantMFAOOB, tenant.GrantMFARecoveryCode,
	}
	servedTypes = []string{"", "regular_web", "spa", "native", "non_interactive"}
)

// unserved returns one line for each valid value that has no effect in the mock.
func unserved(e *tenant.File) []string {
	var out []string
	for _, c := range e.Clients {
		for i, g := range c.GrantTypes {
			isError, isRepeated := !strings.Contains(g, ":"), slices.Contains(c.GrantTypes[:i], g)
			if !isError && !isRepeated && !slices.Contains(servedGrants, g) {
				out = append(out, fmt.Sprintf("client %q: the mock does not support the grant %s", c.Name, g))
			}
		}
		if !slices.Contains(servedTypes, c.AppType) {
			out = append(out, fmt.Sprintf("client %q: the mock treats app_type %s as regular_web", c.Name, c.AppType))
		}
	}
	hasAPI := func(audience string) bool {
		return slices.ContainsFunc(e.ResourceServers, func(r tenant.ResourceServer) bool { return r.Identifier == audience })
	}
	for _, g := range e.ClientGrants {
		hasClient := slices.ContainsFunc(e.Clients, func(c tenant.Client) bool { return g.ClientID == c.ClientID || g.ClientID == c.Name })
		if hasClient && !hasAPI(g.Audience) && !tenant.IsManagementAPI(g.Audience) {
			out = append(out, fmt.Sprintf("the client grant of %q for %s has no effect: no API in resourceServers has this identifier", g.ClientID, g.Audience))
		}
	}
	for _, r := range e.Roles {
		var unknown []string // one line for each API
		for _, p := range r.Permissions {
			if p.Resource != "" && !hasAPI(p.Resource) && !slices.Contains(unknown, p.Resource) {
				unknown = append(unknown, p.Resource)
				out = append(out, fmt.Sprintf("the permissions of role %q for %s have no effect: no API in resourceServers has this identifier", r.Name, p.Resource))
			}
		}
	}
	return out
}
