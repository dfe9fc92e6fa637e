package flow

import "net/url"

// Source is how a client's first grant is had: [AuthorizationCode], [Seed] or
// [ClientCredentials].
type Source interface{ source() string }

// AuthorizationCode has the grant by the authorization code flow with PKCE
// (RFC 6749 section 4.1, RFC 7636, OpenID Connect Core section 3.1).
type AuthorizationCode struct {
	Headless bool       // [Client.SignIn] and [Client.Run] follow /authorize themselves
	Params   url.Values // further parameters of the authorization request, such as connection or prompt
}

// Seed starts from a refresh token that was had elsewhere (RFC 6749 section 6).
type Seed struct{ RefreshToken Secret }

// ClientCredentials asks in the client's own name (RFC 6749 section 4.4). There
// is no refresh token: each new access token is a new request.
type ClientCredentials struct{}

func (AuthorizationCode) source() string { return "authorization_code" }
func (Seed) source() string              { return "refresh_token" }
func (ClientCredentials) source() string { return "client_credentials" }
