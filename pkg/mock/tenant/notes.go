package tenant

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Notes returns one line for each setting that has no effect: a URL that can match no
// request, a claim that Auth0 drops, a grant that the mock does not have, a reference to
// nothing.
func (e *File) Notes() []string { return append(e.ObjectNotes(), e.Unresolved(e.known())...) }

// ObjectNotes is Notes without references to other objects.
func (e *File) ObjectNotes() []string {
	var out []string
	for _, c := range e.Clients {
		out = append(out, c.notes()...)
	}
	for _, api := range e.ResourceServers {
		if slices.ContainsFunc(api.Scopes, func(s Scope) bool { return len(strings.Fields(s.Value)) != 1 || strings.TrimSpace(s.Value) != s.Value }) {
			out = append(out, fmt.Sprintf("API %q: a scope that is empty or has a space cannot be requested", api.Identifier))
		}
		if p := api.ProofOfPossession; p != nil && p.Required && p.Mechanism == "none" {
			out = append(out, fmt.Sprintf("API %q: proof_of_possession.required has no effect with the mechanism none", api.Identifier))
		}
	}
	for _, o := range e.Organizations {
		if strings.Trim(o.Name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			out = append(out, fmt.Sprintf("organization %q: logins cannot name it: a name has lower-case letters, digits, - and _ only", o.Name))
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
	note := func(field, entry, why string) {
		out = append(out, fmt.Sprintf("client %q: %s: %q never matches: %s", c.title(), field, clip(entry), why))
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
		for _, entry := range list.urls {
			p, err := ParsePattern(entry)
			switch {
			case err != nil:
				note(list.field, entry, err.Error())
			case !p.Whole() && c.ThirdParty():
				note(list.field, entry, "third-party clients have no placeholders")
			case p.HasOrganization() && !list.organizations:
				note(list.field, entry, "the field has no "+organizationName)
			case p.HasOrganization() && !c.UsesOrganizations():
				note(list.field, entry, organizationName+" needs organization_usage allow or require")
			case list.origins && strings.Count(entry, "/") > 2:
				note(list.field, entry, "an origin has no path, not even a slash")
			case list.origins && !isOrigin(entry):
				note(list.field, entry, "a browser's origin is like http://localhost:3000, in lower case and without the port of its scheme")
			case list.field == "callbacks" && !isCallback(entry):
				note(list.field, entry, "a redirect_uri has a scheme and no fragment or space")
			}
		}
	}
	out = append(out, c.unserved()...)
	out = append(out, c.refreshNotes()...)
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

// isOrigin reports whether browsers send an origin, with any label for a star.
func isOrigin(raw string) bool {
	u, err := url.Parse(strings.NewReplacer("*", "x", organizationName, "x").Replace(raw))
	return err == nil && u.Scheme != "" && u.Host != "" && u.User == nil && raw == strings.ToLower(raw) &&
		(u.Scheme != "http" || u.Port() != "80") && (u.Scheme != "https" || u.Port() != "443")
}

// isCallback reports whether a URL can be a redirect_uri.
func isCallback(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.IsAbs() && !strings.Contains(raw, "#") && !strings.ContainsAny(raw, "\r\n\t ")
}

// The grant types and application types of the mock. Auth0 has more of both
// (https://auth0.com/docs/get-started/applications/application-grant-types).
var (
	servedGrants = []string{
		GrantAuthorizationCode, GrantImplicit, GrantRefreshToken, GrantClientCredentials,
		GrantPassword, GrantPasswordRealm, GrantPasswordlessOTP, GrantDeviceCode, GrantTokenExchange,
		GrantMFAOTP, GrantMFAOOB, GrantMFARecoveryCode,
	}
	servedTypes = []string{"", "regular_web", "spa", "native", "non_interactive"}
)

// unserved returns one line for each valid value that has no effect in the mock.
func (c *Client) unserved() []string {
	var out []string
	for i, g := range c.GrantTypes {
		isError, isRepeated := !strings.Contains(g, ":"), slices.Contains(c.GrantTypes[:i], g)
		if !isError && !isRepeated && !slices.Contains(servedGrants, g) {
			out = append(out, fmt.Sprintf("client %q: the mock does not support the grant %s", c.title(), g))
		}
	}
	if !slices.Contains(servedTypes, c.AppType) {
		out = append(out, fmt.Sprintf("client %q: the mock treats app_type %s as regular_web", c.title(), c.AppType))
	}
	return out
}

// refreshNotes returns what of refresh_token has no effect.
func (c *Client) refreshNotes() []string {
	p := c.RefreshToken
	switch {
	case p == nil:
		return nil
	case p.RotationType == "":
		return []string{fmt.Sprintf("client %q: refresh_token has no rotation_type, so refresh tokens do not rotate", c.title())}
	case p.RotationType != "rotating" && p.Leeway > 0:
		return []string{fmt.Sprintf("client %q: refresh_token.leeway has no effect with rotation_type %s", c.title(), p.RotationType)}
	}
	return nil
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
