package tenant

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Complete checks a client and fills in what the Management API would.
func (c *Client) Complete() error {
	if c.ClientID == "" {
		if c.Name == "" {
			return fieldError("client_id", "a client needs a client_id or a name")
		}
		c.ClientID = derivedID(c.Name, 32)
	}
	if c.TokenEndpointAuthMethod == "" {
		c.TokenEndpointAuthMethod = defaultAuthMethod(*c)
	}
	if c.ClientSecret == "" && (strings.HasPrefix(c.TokenEndpointAuthMethod, "client_secret_") || c.JWT.Alg == "HS256") {
		c.ClientSecret = derivedID("client_secret of "+c.ClientID, 64) // exports leave it out
	}
	if c.GrantTypes == nil {
		c.GrantTypes = defaultGrantTypes(*c)
	}
	of := fmt.Sprintf("client %q", c.ClientID)
	return errors.Join(
		knownGrants(c.GrantTypes, of),
		oneOf("token_endpoint_auth_method", c.TokenEndpointAuthMethod, of, authMethods),
		oneOf("jwt_configuration.alg", c.JWT.Alg, of, signingAlgs),
		lifetime("jwt_configuration.lifetime_in_seconds", c.JWT.LifetimeInSeconds, of),
		oneOf("organization_usage", c.OrganizationUsage, of, organizationUsages),
		oneOf("redirection_policy", c.RedirectionPolicy, of, []string{"allow_always", "open_redirect_protection"}),
		c.Authentication.check(of),
		c.TokenExchange.check(of),
		c.DefaultOrganization.check(of),
		oneOf("organization_require_behavior", c.OrganizationRequire, of, []string{"no_prompt", "pre_login_prompt", "post_login_prompt"}),
		oneOf("x-login", c.Login, of, []string{"auto", "form"}),
		c.RefreshToken.check(of),
		c.OIDCLogout.check(of),
	)
}

// knownGrants returns an error for each grant type that is unknown and not a URI.
// Extension grants are URIs (RFC 6749 section 4.5).
func knownGrants(list []string, of string) error {
	var faults []error
	for i, g := range list {
		if !strings.Contains(g, ":") && !slices.Contains(list[:i], g) {
			faults = append(faults, oneOf("grant_types", g, of, []string{GrantAuthorizationCode, GrantImplicit, GrantRefreshToken, GrantClientCredentials, GrantPassword}))
		}
	}
	return errors.Join(faults...)
}

func (p *RefreshPolicy) check(of string) error {
	if p == nil {
		return nil
	}
	return errors.Join(
		oneOf("refresh_token.rotation_type", p.RotationType, of, []string{"rotating", "non-rotating"}),
		oneOf("refresh_token.expiration_type", p.ExpirationType, of, []string{"expiring", "non-expiring"}),
		lifetime("refresh_token.leeway", p.Leeway, of),
		lifetime("refresh_token.token_lifetime", p.TokenLifetime, of),
		lifetime("refresh_token.idle_token_lifetime", p.IdleTokenLifetime, of),
	)
}

var authMethods = []string{"none", "client_secret_post", "client_secret_basic", "private_key_jwt"}

func defaultAuthMethod(c Client) string {
	switch {
	case c.Authentication != nil:
		return "private_key_jwt"
	case c.AppType == "spa" || c.AppType == "native":
		return "none"
	}
	return "client_secret_post"
}

// defaultGrantTypes are those that the Management API sets for a new client of the type.
func defaultGrantTypes(c Client) []string {
	switch c.AppType {
	case "non_interactive":
		return []string{GrantClientCredentials}
	case "native":
		return []string{GrantAuthorizationCode, GrantImplicit, GrantRefreshToken, GrantDeviceCode}
	}
	return []string{GrantAuthorizationCode, GrantImplicit, GrantRefreshToken, GrantClientCredentials}
}

// ThirdParty reports whether the client is a third-party application.
func (c *Client) ThirdParty() bool { return c.IsFirstParty != nil && !*c.IsFirstParty }

// Public reports whether the client has no credential.
func (c *Client) Public() bool { return c.TokenEndpointAuthMethod == "none" }

// RefreshPolicy returns the client's refresh token settings, or the default.
func (c *Client) RefreshPolicy() RefreshPolicy {
	if c.RefreshToken == nil {
		return RefreshPolicy{RotationType: "non-rotating", ExpirationType: "non-expiring"}
	}
	return *c.RefreshToken
}

var organizationUsages = []string{"deny", "allow", "require"}

// UsesOrganizations reports whether users of the client can log in to an organization.
func (c *Client) UsesOrganizations() bool {
	return c.OrganizationUsage == "allow" || c.OrganizationUsage == "require"
}

// DefaultOrganizationFor returns the id of the organization of requests without one in
// a flow, or "".
func (c *Client) DefaultOrganizationFor(flow string) string {
	if c.DefaultOrganization == nil || !slices.Contains(c.DefaultOrganization.Flows, flow) {
		return ""
	}
	return c.DefaultOrganization.ID
}

// Check returns an error for values that are not valid.
func (g *ClientGrant) Check() error {
	if g.Audience == "" {
		return fieldError("audience", "a client grant needs an audience")
	}
	of := fmt.Sprintf("the client grant for %q", g.Audience)
	return errors.Join(
		oneOf("organization_usage", g.OrganizationUsage, of, organizationUsages),
		oneOf("subject_type", g.SubjectType, of, []string{"client", "user"}),
	)
}

func (a *ClientAuth) check(of string) error {
	if a == nil {
		return nil
	}
	const field = "client_authentication_methods.private_key_jwt.credentials"
	var faults []error
	for _, c := range a.PrivateKeyJWT.Credentials {
		faults = append(faults, oneOf(field, c.Alg, "alg of a credential of "+of, []string{"RS256", "RS384", "PS256"}))
	}
	return errors.Join(faults...)
}

func (x *TokenExchange) check(of string) error {
	if x == nil {
		return nil
	}
	var faults []error
	for _, kind := range x.AllowAnyProfileOfType {
		faults = append(faults, oneOf("token_exchange.allow_any_profile_of_type", kind, of, []string{"custom_authentication", "on_behalf_of_token_exchange"}))
	}
	return errors.Join(faults...)
}

func (d *DefaultOrganization) check(of string) error {
	if d == nil {
		return nil
	}
	var faults []error
	for _, flow := range d.Flows {
		faults = append(faults, oneOf("default_organization.flows", flow, of, []string{GrantClientCredentials}))
	}
	return errors.Join(faults...)
}

// AllowsGrant reports whether the client may use a grant type. Token exchange has its
// own setting in addition to grant_types.
func (c *Client) AllowsGrant(grantType string) bool {
	if grantType == GrantTokenExchange && c.TokenExchange != nil {
		return slices.Contains(c.TokenExchange.AllowAnyProfileOfType, "custom_authentication")
	}
	return slices.Contains(c.GrantTypes, grantType)
}

// readable reports whether the credential has a key that can verify an assertion.
func (c Credential) readable() bool {
	block, _ := pem.Decode([]byte(c.PEM))
	if block == nil {
		return false
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	_, isRSA := key.(*rsa.PublicKey)
	return err == nil && isRSA
}
