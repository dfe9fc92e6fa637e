package flow

import (
	"context"
	"net/url"
	"reflect"
)

// Source is how a client gets its first grant: [AuthorizationCode], [Device],
// [Seed], [ClientCredentials], [Exchange] or [Password].
type Source interface{ source() string }

// AuthorizationCode is the authorization code flow with PKCE (RFC 6749 section
// 4.1, RFC 7636, OpenID Connect Core section 3.1).
type AuthorizationCode struct {
	Headless bool       // the client follows /authorize itself, in [Client.LoginHeadless] and [Client.Run]
	Params   url.Values // additional parameters of the authorization request, such as connection or prompt
}

// Device is the device flow (RFC 8628): a person confirms a code in any browser;
// [Client.Login] returns the code and the page. The redirect URL is not used.
type Device struct{}

// Seed starts from an existing refresh token (RFC 6749 section 6).
type Seed struct{ RefreshToken Secret }

// ClientCredentials is the client's own grant (RFC 6749 section 4.4). There is no
// refresh token: each new access token is a new request.
type ClientCredentials struct{}

// Exchange exchanges a token of another issuer for one of the provider (RFC 8693;
// Auth0's Custom Token Exchange). A refresh token in the answer is used; without
// one each new access token is a new exchange. Either SubjectTokenFile or
// SubjectToken must be set.
type Exchange struct {
	SubjectTokenType string                                // a URI; at Auth0 that of the Custom Token Exchange Profile
	SubjectTokenFile string                                // read at each exchange, because its content rotates
	SubjectToken     func(context.Context) (Secret, error) // called at each exchange; [GitHubActions] returns one
}

// Password uses a user's name and password (RFC 6749 section 4.3). With the scope
// offline_access there is a refresh token, which is used; without one each new
// access token is requested with the password. A rejected password is not sent
// again until it changes or [Client.LoginHeadless] is called, because accounts are
// blocked after a few attempts.
type Password struct {
	Username string
	Password Secret
	Realm    string // Auth0's connection, by its password-realm grant; "": the tenant's default directory
}

func (AuthorizationCode) source() string { return "authorization_code" }
func (Device) source() string            { return "device_code" }
func (Seed) source() string              { return "refresh_token" }
func (ClientCredentials) source() string { return "client_credentials" }
func (Exchange) source() string          { return "token_exchange" }
func (Password) source() string          { return "password" }

// valueOf returns the value of a source that was given by its address: everything else in
// this package expects a value.
func valueOf(s Source) Source {
	if v := reflect.ValueOf(s); v.Kind() == reflect.Pointer && !v.IsNil() {
		if value, ok := v.Elem().Interface().(Source); ok {
			return value
		}
	}
	return s
}

// kind describes how the sources differ.
type kind struct {
	unattended     bool             // a grant needs no person
	headless       bool             // the client follows /authorize itself
	interactive    bool             // a person can log in
	seed           Secret           // the refresh token to start from
	noRefreshToken bool             // each access token is a new request
	credentials    credentialSource // the source of the credential in the request; nil: none
}

// kindOf returns the kind of a source.
func kindOf(s Source) kind {
	switch s := s.(type) {
	case AuthorizationCode:
		return kind{unattended: s.Headless, headless: s.Headless, interactive: true}
	case Device:
		return kind{interactive: true}
	case Seed:
		return kind{unattended: true, seed: s.RefreshToken}
	case ClientCredentials:
		return kind{unattended: true, noRefreshToken: true}
	case credentialSource:
		return kind{unattended: true, credentials: s}
	}
	return kind{unattended: true}
}
