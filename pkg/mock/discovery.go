package mock

import (
	"net/http"

	"example.com/tokend/pkg/mock/tenant"
)

// discovery is /.well-known/openid-configuration and its OAuth alias. It lists an
// endpoint only if the route table has it.
func (t *Tenant) discovery(c *call) {
	t.mu.Lock()
	namesIssuer := t.st.settings.ResponseIssuer
	t.mu.Unlock()
	o := object{{"issuer", c.issuer}}
	add := func(name, path, url string) {
		if _, served := t.routes[path]; served {
			o = append(o, member{name, url})
		}
	}
	page := func(name, path string) { add(name, path, c.pageURL(path)) } // opened by a browser
	endpoint := func(name, path string) { add(name, path, c.url(path)) } // called by a program
	page("authorization_endpoint", "/authorize")
	endpoint("token_endpoint", "/oauth/token")
	endpoint("device_authorization_endpoint", "/oauth/device/code")
	endpoint("userinfo_endpoint", "/userinfo")
	endpoint("mfa_challenge_endpoint", "/mfa/challenge")
	endpoint("jwks_uri", "/.well-known/jwks.json")
	endpoint("registration_endpoint", "/oidc/register")
	endpoint("revocation_endpoint", "/oauth/revoke")
	o = append(o,
		member{"scopes_supported", oidcScopes},
		member{"response_types_supported", []string{
			"code", "token", "id_token", "code token", "code id_token", "token id_token", "code token id_token",
		}},
		member{"code_challenge_methods_supported", []string{"S256", "plain"}},
		member{"response_modes_supported", []string{"query", "fragment", "form_post"}},
		member{"subject_types_supported", []string{"public"}},
		member{"token_endpoint_auth_methods_supported", []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}},
		member{"claims_supported", []string{
			"aud", "auth_time", "created_at", "email", "email_verified", "exp", "family_name", "given_name", "iat",
			"identities", "iss", "name", "nickname", "phone_number", "picture", "sub",
		}},
		member{"request_uri_parameter_supported", false},
		member{"request_parameter_supported", false},
		member{"id_token_signing_alg_values_supported", []string{"HS256", "RS256", "PS256"}},
		member{"token_endpoint_auth_signing_alg_values_supported", []string{"RS256", "RS384", "PS256"}},
		member{"backchannel_logout_supported", true},
		member{"backchannel_logout_session_supported", true},
	)
	if namesIssuer {
		o = append(o, member{"authorization_response_iss_parameter_supported", true})
	}
	page("end_session_endpoint", "/oidc/logout")
	if t.parSupported() {
		endpoint("pushed_authorization_request_endpoint", "/oauth/par")
	}
	o = append(o, member{"dpop_signing_alg_values_supported", proofAlgs})
	if t.cfg.Profile == ProfileStrictOIDC { // its default in OpenID Connect Discovery is authorization_code and implicit only
		o = append(o, member{"grant_types_supported", []string{
			tenant.GrantAuthorizationCode, tenant.GrantImplicit, tenant.GrantRefreshToken, tenant.GrantClientCredentials, tenant.GrantPassword, tenant.GrantDeviceCode, tenant.GrantTokenExchange,
		}})
	}
	c.w.Header().Set("Cache-Control", "public, max-age=15, stale-while-revalidate=15, stale-if-error=86400")
	write(c.w, http.StatusOK, jsonTypeUTF8, o.bytes())
}

// jwks is /.well-known/jwks.json.
func (t *Tenant) jwks(c *call) {
	doc, err := t.keys.document(c.issuer)
	if err != nil {
		c.setReason(err.Error())
		writeTokenError(c.w, refuse("invalid_request", "The keys cannot be certified for the host of the request"))
		return
	}
	c.w.Header().Set("Cache-Control", "public, max-age=15, stale-while-revalidate=15, stale-if-error=86400")
	write(c.w, http.StatusOK, jsonTypeUTF8, doc)
}
