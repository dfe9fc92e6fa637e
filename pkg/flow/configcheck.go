package flow

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

// check returns every fault of c, joined.
func (c *Config) check() error {
	var faults []error
	fault := func(hint, format string, a ...any) {
		faults = append(faults, configError(hint, format, a...))
	}
	if c.Issuer == "" {
		fault("set issuer to the tenant's issuer, such as https://acme.eu.auth0.com/", "the issuer is missing")
	} else if why := c.plain(c.Issuer); why != "" {
		fault("use https://, or insecure_allow_http for a tenant of your own", "issuer %q %s", c.Issuer, why)
	}
	if c.ClientID == "" {
		fault("set it to the application's Client ID", "the client id is missing")
	}
	if p := c.Provider; p != nil && p.issuer != c.Issuer {
		fault("give the provider of this issuer", "the issuer is %q, and the provider's is %q", c.Issuer, p.issuer)
	}
	if c.Provider != nil && c.HTTPClient != nil {
		fault("give the HTTP client to the provider", "there are both a provider and an HTTP client")
	}
	c.checkAuth(fault)
	c.checkSource(fault)
	for _, e := range []struct{ key, url string }{{"authorization endpoint", c.Endpoint.AuthURL}, {"token endpoint", c.Endpoint.TokenURL}, {"device authorization endpoint", c.Endpoint.DeviceAuthURL}, {"key URL", c.JWKSURL}, {"revocation endpoint", c.RevocationURL}} {
		if e.url == "" {
			continue
		}
		if why := c.plain(e.url); why != "" {
			fault("leave it out to have it discovered", "%s %q %s", e.key, e.url, why)
		}
	}
	for _, d := range []struct {
		key string
		d   time.Duration
	}{{"leeway", c.Leeway}, {"advisory", c.Advisory}, {"mandatory", c.Mandatory}, {"lifetime", c.Lifetime}, {"idle", c.Idle}, {"absolute", c.Absolute}} {
		if d.d < 0 {
			fault("leave it out for the default", "%s %v is negative", d.key, d.d)
		}
	}
	return errors.Join(faults...)
}

func (c *Config) checkAuth(fault func(hint, format string, a ...any)) {
	secret, key := c.ClientSecret != "" || c.ClientSecretFrom != nil, c.PrivateKey != nil || c.AssertionFrom != nil
	if c.ClientSecret != "" && c.ClientSecretFrom != nil {
		fault("set one of them", "there are both a client secret and a function that reads it")
	}
	if c.PrivateKey != nil && c.AssertionFrom != nil {
		fault("set one of them", "there are both a private key and a function that reads a client assertion")
	}
	switch c.Auth {
	case AuthPost, AuthBasic:
		if !secret {
			fault("set the client secret, or use none for a public client", "client authentication %q needs a client secret", c.Auth)
		}
	case AuthNone, AuthPrivateKeyJWT:
		if secret {
			fault("use post or basic, or leave the secret out", "a client secret is set, yet client authentication is %q", c.Auth)
		}
	default:
		fault("use post, basic, private_key_jwt or none", "client authentication %q is unknown", c.Auth)
	}
	if key != (c.Auth == AuthPrivateKeyJWT) {
		fault("private_key_jwt and a private key (or a client assertion) go together", "client authentication is %q, and there is a private key: %t", c.Auth, key)
	}
	switch c.Rotation {
	case RotationUnknown, RotationOn, RotationOff:
	default:
		fault("use on or off, or leave it out", "rotation %q is unknown", c.Rotation)
	}
}

func (c *Config) checkSource(fault func(hint, format string, a ...any)) {
	if c.RedirectURL != "" {
		if u, err := url.Parse(c.RedirectURL); err != nil || u.Scheme == "" || u.Fragment != "" || u.User != nil {
			fault("set it to a callback URL of the application, without a fragment", "redirect_uri %q is not an absolute URL", c.RedirectURL)
		}
	}
	c.checkTokenParams(fault)
	switch s := c.Source.(type) {
	case AuthorizationCode:
		if s.Headless && c.RedirectURL == "" {
			fault("set it to one of the application's allowed callback URLs", "a headless login needs a redirect_uri")
		}
		for k := range s.Params {
			if slices.Contains(ownParams, k) {
				fault("leave it out", "authorization parameter %q is set by the client itself", k)
			}
		}
	case Seed:
		if s.RefreshToken == "" {
			fault("give the refresh token to start from", "the seed has no refresh token")
		}
	case ClientCredentials:
		if c.Auth == AuthNone {
			fault("set the client secret", "client credentials need client authentication")
		}
	case Exchange:
		s.check(fault)
	case Password:
		if s.Username == "" {
			fault("set the user's name or e-mail address", "the username is missing")
		}
		if s.Password == "" {
			fault("set the user's password", "the password is missing")
		}
	}
}

// ownTokenParams are the parameters of token requests that the client sets.
var ownTokenParams = []string{
	"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "refresh_token", "code", "redirect_uri",
	"code_verifier", "audience", "scope", "username", "password", "realm", "subject_token", "subject_token_type", "device_code",
}

// checkTokenParams refuses parameters that the client sets itself, and those of
// grants whose token requests have none: what a refresh token or a code may bring
// was decided when it was granted.
func (c *Config) checkTokenParams(fault func(hint, format string, a ...any)) {
	for k := range c.TokenParams {
		if slices.Contains(ownTokenParams, k) {
			fault("leave it out", "token parameter %q is set by the client itself", k)
		}
	}
	switch c.Source.(type) {
	case ClientCredentials, Exchange, Password:
	default:
		if len(c.TokenParams) > 0 {
			fault("leave them out", "token parameters have no effect with grant %s", c.Source.source())
		}
	}
}

// check refuses an exchange that no tenant could answer.
func (s Exchange) check(fault func(hint, format string, a ...any)) {
	u, err := url.Parse(s.SubjectTokenType)
	switch {
	case s.SubjectTokenType == "":
		fault("set it to that of the tenant's Custom Token Exchange Profile", "the subject token type is missing")
	case err != nil || u.Scheme == "":
		fault("set it to that of the tenant's Custom Token Exchange Profile", "the subject token type %q is not a URI", s.SubjectTokenType)
	}
	if (s.SubjectTokenFile == "") == (s.SubjectToken == nil) {
		fault("set one: a file that holds the token, or a function", "an exchange needs one source of subject tokens")
	}
}

// plain says why a URL of the tenant cannot be used, or "". Plain HTTP is for
// loopback, where nobody listens in.
func (c *Config) plain(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return "is not an absolute URL"
	case u.RawQuery != "" && raw == c.Issuer || u.Fragment != "":
		return "has a query or a fragment"
	case u.Scheme == "https":
		return ""
	case u.Scheme != "http":
		return "is not an https URL"
	case c.InsecureAllowHTTP || loopback(u.Hostname()):
		return ""
	}
	return "is plain HTTP to another machine"
}

// loopback reports whether host is this machine: localhost, 127.0.0.0/8 or ::1.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() && !ip.Is4In6()
}
