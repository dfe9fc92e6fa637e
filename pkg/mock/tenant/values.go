package tenant

import "net/url"

// The values of grant_type (RFC 6749, RFC 8628, RFC 8693, Auth0's extensions).
const (
	GrantAuthorizationCode = "authorization_code"
	GrantImplicit          = "implicit"
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
	GrantPassword          = "password"
	GrantPasswordRealm     = "http://auth0.com/oauth/grant-type/password-realm" //nolint:gosec // a name
	GrantDeviceCode        = "urn:ietf:params:oauth:grant-type:device_code"
	GrantMFAOTP            = "http://auth0.com/oauth/grant-type/mfa-otp"
	GrantMFAOOB            = "http://auth0.com/oauth/grant-type/mfa-oob"
	GrantMFARecoveryCode   = "http://auth0.com/oauth/grant-type/mfa-recovery-code"
	GrantPasswordlessOTP   = "http://auth0.com/oauth/grant-type/passwordless/otp" //nolint:gosec // a name
	GrantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"    //nolint:gosec // a name
)

// Lifetimes that Auth0 documents, in seconds (docs/mock.md has the sources), and
// the database that a new tenant has.
const (
	DefaultAPILifetime     = 86400
	DefaultWebLifetime     = 7200
	DefaultIDTokenLifetime = 36000
	DefaultRefreshLifetime = 2592000
	DefaultConnection      = "Username-Password-Authentication"

	// ManagementAPI is the audience of a client grant for the tenant's own Management
	// API, whose identifier depends on the issuer.
	ManagementAPI = "https://mockauth0/api/v2/"
)

// IsManagementAPI reports whether an audience is the Management API of a tenant. In an
// export it has the domain of the tenant that was exported.
func IsManagementAPI(audience string) bool {
	u, err := url.Parse(audience)
	return err == nil && u.Host != "" && u.Path == "/api/v2/" && u.RawQuery == ""
}
