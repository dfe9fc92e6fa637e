package tenant

import (
	"errors"
	"fmt"
	"slices"
)

var tokenDialects = []string{"access_token", "access_token_authz", "rfc9068_profile", "rfc9068_profile_authz"}

// Complete checks an API and fills in what the Management API would.
func (api *ResourceServer) Complete() error {
	if api.Identifier == "" {
		return fieldError("identifier", "API %q needs an identifier", api.Name)
	}
	if api.ID == "" {
		api.ID = derivedID("API "+api.Identifier, 24)
	}
	if api.SigningAlg == "" {
		api.SigningAlg = "RS256"
	}
	if api.SigningAlg == "HS256" && api.SigningSecret == "" {
		api.SigningSecret = derivedID(api.Identifier, 64) // Auth0 generates one too
	}
	if api.TokenLifetime == 0 {
		api.TokenLifetime = DefaultAPILifetime
	}
	if api.TokenLifetimeForWeb == 0 {
		api.TokenLifetimeForWeb = min(DefaultWebLifetime, max(0, api.TokenLifetime))
	}
	if api.TokenDialect == "" {
		api.TokenDialect = "access_token"
	}
	of := fmt.Sprintf("API %q", api.Identifier)
	return errors.Join(
		oneOf("signing_alg", api.SigningAlg, of, signingAlgs),
		lifetime("token_lifetime", api.TokenLifetime, of),
		lifetime("token_lifetime_for_web", api.TokenLifetimeForWeb, of),
		oneOf("token_dialect", api.TokenDialect, of, tokenDialects),
		api.ProofOfPossession.check(of),
		oneOf("subject_type_authorization.user.policy", api.UserPolicy(), of, []string{"allow_all", "require_client_grant", "deny_all"}),
		oneOf("subject_type_authorization.client.policy", api.ClientPolicy(), of, []string{"allow_all", "require_client_grant", "deny_all"}),
	)
}

// UserPolicy returns the access policy for requests of a user, or the default.
func (api *ResourceServer) UserPolicy() string {
	if api.Authorization == nil {
		return "allow_all"
	}
	return api.Authorization.User.Policy
}

// ClientPolicy returns the access policy for client_credentials, or the default.
func (api *ResourceServer) ClientPolicy() string {
	if api.Authorization == nil {
		return "require_client_grant"
	}
	return api.Authorization.Client.Policy
}

// HasScope reports whether the API has a scope.
func (api *ResourceServer) HasScope(scope string) bool {
	return slices.ContainsFunc(api.Scopes, func(s Scope) bool { return s.Value == scope })
}

// ScopeNames returns the names of the API's scopes.
func (api *ResourceServer) ScopeNames() []string {
	out := make([]string, 0, len(api.Scopes))
	for _, s := range api.Scopes {
		out = append(out, s.Value)
	}
	return out
}
