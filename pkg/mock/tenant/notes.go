package tenant

import (
	"fmt"
	"slices"
	"strings"
)

// Notes returns one line for each setting that Auth0 accepts and then does not use: a
// URL that can match no request, a claim that it drops.
func (e *File) Notes() []string {
	var out []string
	for _, c := range e.Clients {
		out = append(out, c.notes()...)
	}
	for _, api := range e.ResourceServers {
		if p := api.ProofOfPossession; p != nil && p.Required && p.Mechanism == "none" {
			out = append(out, fmt.Sprintf("API %q: proof_of_possession.required has no effect with the mechanism none", api.Identifier))
		}
	}
	for i, a := range e.Actions {
		if a.ClientID != "" && len(e.Clients) > 0 && !slices.ContainsFunc(e.Clients, func(c Client) bool { return c.ClientID == a.ClientID }) {
			out = append(out, fmt.Sprintf("x-actions[%d]: no client has the client_id %q", i, a.ClientID))
		}
		if dropped := a.Dropped(); len(dropped) > 0 {
			out = append(out, fmt.Sprintf("x-actions[%d]: Auth0 drops the claims %s: their names are reserved", i, strings.Join(dropped, ", ")))
		}
	}
	return out
}

func (c *Client) notes() []string {
	var out []string
	note := func(field, url, why string) {
		out = append(out, fmt.Sprintf("client %q: %s: %q never matches: %s", c.title(), field, clip(url), why))
	}
	for _, list := range []struct {
		field         string
		urls          []string
		organizations bool // takes {organization_name}
		origins       bool
	}{
		{"callbacks", c.Callbacks, true, false},
		{"allowed_logout_urls", c.AllowedLogoutURLs, false, false},
		{"web_origins", c.WebOrigins, false, true},
		{"allowed_origins", c.AllowedOrigins, true, true},
	} {
		for _, url := range list.urls {
			p, err := ParsePattern(url)
			switch {
			case err != nil:
				note(list.field, url, err.Error())
			case !p.Whole() && c.ThirdParty():
				note(list.field, url, "third-party clients have no placeholders")
			case p.HasOrganization() && !list.organizations:
				note(list.field, url, "the field has no "+organizationName)
			case p.HasOrganization() && !c.UsesOrganizations():
				note(list.field, url, organizationName+" needs organization_usage allow or require")
			case list.origins && strings.Count(url, "/") > 2:
				note(list.field, url, "an origin has no path, not even a slash")
			}
		}
	}
	if c.Authentication != nil {
		for _, credential := range c.Authentication.PrivateKeyJWT.Credentials {
			if !credential.readable() {
				out = append(out, fmt.Sprintf("client %q: the credential %q verifies nothing: pem is not an RSA public key in PEM", c.title(), credential.KID))
			}
		}
	}
	if c.OrganizationRequire == "pre_login_prompt" && c.OrganizationUsage != "require" {
		out = append(out, fmt.Sprintf("client %q: organization_require_behavior pre_login_prompt has no effect without organization_usage require", c.title()))
	}
	return out
}

// title returns the client's name, or its id.
func (c *Client) title() string {
	if c.Name != "" {
		return c.Name
	}
	return c.ClientID
}

func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
