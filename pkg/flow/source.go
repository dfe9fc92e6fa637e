package flow

import (
	"context"
	"net/url"
)

// Source is how a client's first grant is had: [AuthorizationCode], [Device],
// [Seed], [ClientCredentials], [Exchange] or [Password].
type Source interface{ source() string }

// AuthorizationCode has the grant by the authorization code flow with PKCE
// (RFC 6749 section 4.1, RFC 7636, OpenID Connect Core section 3.1).
type AuthorizationCode struct {
	Headless bool       // [Client.SignIn] and [Client.Run] follow /authorize themselves
	Params   url.Values // further parameters of the authorization request, such as connection or prompt
}

// Device has the grant by the device flow (RFC 8628): a person confirms a code
// in a browser anywhere, and [Client.Login] says where. Its redirect URL is not used.
type Device struct{}

// Seed starts from a refresh token that was had elsewhere (RFC 6749 section 6).
type Seed struct{ RefreshToken Secret }

// ClientCredentials asks in the client's own name (RFC 6749 section 4.4). There
// is no refresh token: each new access token is a new request.
type ClientCredentials struct{}

// Exchange trades a token of somebody else's for one of the tenant's (RFC 8693;
// Auth0's Custom Token Exchange). A refresh token that comes with it is kept and
// used; without one each new access token is a new exchange. One of
// SubjectTokenFile and SubjectToken must be set.
type Exchange struct {
	SubjectTokenType string                                // a URI; at Auth0 that of the Custom Token Exchange Profile
	SubjectTokenFile string                                // read at each exchange: what is in it rotates
	SubjectToken     func(context.Context) (Secret, error) // called at each exchange; [GitHubActions] makes one
}

// Password asks with a user's name and password (RFC 6749 section 4.3). A
// refresh token, which the scope offline_access brings, is kept and used;
// without one each new access token is asked for with the password. A password
// that was refused is not sent again until it changes or [Client.SignIn] is
// called, because accounts are blocked after a few attempts.
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

// kind is what the sources of grants differ in, for the code that keeps a grant.
type kind struct {
	unattended  bool             // a grant needs no person
	headless    bool             // the client follows /authorize itself
	login       bool             // a person can log in
	seed        Secret           // the refresh token to start from
	direct      bool             // there is no refresh token: each access token is asked for
	credentials credentialSource // what a grant is asked for with; nil: not with that
}

// kindOf returns the kind of a source.
func kindOf(s Source) kind {
	switch s := s.(type) {
	case AuthorizationCode:
		return kind{unattended: s.Headless, headless: s.Headless, login: true}
	case Device:
		return kind{login: true}
	case Seed:
		return kind{unattended: true, seed: s.RefreshToken}
	case ClientCredentials:
		return kind{unattended: true, direct: true}
	case credentialSource:
		return kind{unattended: true, credentials: s}
	}
	return kind{unattended: true}
}
