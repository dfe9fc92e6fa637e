package tenantfile

import (
	"fmt"
	"slices"
	"strings"

	"example.com/tokend/pkg/mock/tenant"
)

// served are the grants and application types that the mock knows. Auth0 has
// more of both (https://auth0.com/docs/get-started/applications/application-grant-types);
// what it refuses of a name that is none at all, mock.New refuses.
var (
	servedGrants = []string{
		"authorization_code", "implicit", "refresh_token", "client_credentials", "password",
		"http://auth0.com/oauth/grant-type/password-realm",
		"urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange",
	}
	servedTypes = []string{"", "regular_web", "spa", "native", "non_interactive"}
)

// unserved makes one line of each value that is read and has no effect. What
// mock.New calls a fault is not among them.
func unserved(e *tenant.File) []string {
	var out []string
	for _, c := range e.Clients {
		for i, g := range c.GrantTypes {
			isFault, isTold := !strings.Contains(g, ":"), slices.Contains(c.GrantTypes[:i], g)
			if !isFault && !isTold && !slices.Contains(servedGrants, g) {
				out = append(out, fmt.Sprintf("client %q: the grant %s is not emulated: /oauth/token refuses it", c.Name, g))
			}
		}
		if !slices.Contains(servedTypes, c.AppType) {
			out = append(out, fmt.Sprintf("client %q: app_type %s is taken for regular_web", c.Name, c.AppType))
		}
	}
	for _, g := range e.ClientGrants {
		hasClient := slices.ContainsFunc(e.Clients, func(c tenant.Client) bool { return g.ClientID == c.ClientID || g.ClientID == c.Name })
		hasAPI := slices.ContainsFunc(e.ResourceServers, func(r tenant.ResourceServer) bool { return r.Identifier == g.Audience })
		if hasClient && !hasAPI {
			out = append(out, fmt.Sprintf("the client grant of %q for %s has no effect: resourceServers has no such identifier", g.ClientID, g.Audience))
		}
	}
	return out
}
