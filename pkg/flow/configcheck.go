package flow

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// check returns all config errors of c, joined.
func (c *Config) check() error {
	var faults []error
	report := func(hint, format string, a ...any) {
		faults = append(faults, configError(hint, format, a...))
	}
	if c.Issuer == "" {
		report("set issuer to the tenant's issuer, such as https://acme.eu.auth0.com/", "the issuer is missing")
	} else if why := c.checkURL(c.Issuer); why != "" {
		report("use https://, or set insecure_allow_http for your own provider", "issuer %q %s", withoutSecrets(c.Issuer), why)
	}
	if c.ClientID == "" {
		report("set it to the application's Client ID", "the client id is missing")
	}
	if strings.ContainsFunc(c.ClientID, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }) { // a stored grant could not be found again
		report("set it to the application's Client ID", "client id %q has a control character, or is not UTF-8", c.ClientID)
	}
	if p := c.Provider; p != nil && p.issuer != c.Issuer {
		report("use the provider of this issuer", "the issuer is %q, and the provider's is %q", c.Issuer, p.issuer)
	}
	if c.Provider != nil && c.HTTPClient != nil {
		report("set the HTTP client of the provider instead", "both a provider and an HTTP client are set")
	}
	for _, r := range c.Resources {
		if u, err := url.Parse(r); err != nil || u.Scheme == "" || strings.Contains(r, "#") {
			report("set it to the URI that the provider knows the API by", "resource %q is not an absolute URI without a fragment", r) // RFC 8707 section 2
		}
	}
	c.checkAuth(report)
	c.checkSource(report)
	for _, e := range []struct{ key, url string }{{"authorization endpoint", c.Endpoint.AuthURL}, {"token endpoint", c.Endpoint.TokenURL}, {"device authorization endpoint", c.Endpoint.DeviceAuthURL}, {"key URL", c.JWKSURL}, {"revocation endpoint", c.RevocationURL}} {
		if e.url == "" {
			continue
		}
		if why := c.checkURL(e.url); why != "" {
			report("remove it to use discovery", "%s %q %s", e.key, withoutSecrets(e.url), why)
		}
	}
	for _, d := range []struct {
		key string
		d   time.Duration
	}{{"leeway", c.Leeway}, {"advisory", c.Advisory}, {"mandatory", c.Mandatory}, {"lifetime", c.Lifetime}, {"idle", c.Idle}, {"absolute", c.Absolute}} {
		if d.d < 0 {
			report("leave it out for the default", "%s %v is negative", d.key, d.d)
		}
	}
	return errors.Join(faults...)
}

func (c *Config) checkAuth(report func(hint, format string, a ...any)) {
	secret, key := c.ClientSecret != "" || c.ClientSecretFrom != nil, c.PrivateKey != nil || c.AssertionFrom != nil
	if c.ClientSecret != "" && c.ClientSecretFrom != nil {
		report("set one of them", "both a client secret and a function that reads it are set")
	}
	if c.PrivateKey != nil && c.AssertionFrom != nil {
		report("set one of them", "both a private key and a function that reads a client assertion are set")
	}
	switch c.Auth {
	case AuthPost, AuthBasic:
		if !secret {
			report("set the client secret, or use none for a public client", "client authentication %q needs a client secret", c.Auth)
		}
	case AuthNone, AuthPrivateKeyJWT:
		if secret {
			report("use post or basic, or leave the secret out", "a client secret is set, but client authentication is %q", c.Auth)
		}
	default:
		report("use post, basic, private_key_jwt or none", "client authentication %q is unknown", c.Auth)
	}
	if key != (c.Auth == AuthPrivateKeyJWT) {
		report("use private_key_jwt together with a private key or a client assertion", "client authentication is %q, and a private key is set: %t", c.Auth, key)
	}
	switch c.Rotation {
	case RotationUnknown, RotationOn, RotationOff:
	default:
		report("use on or off, or leave it out", "rotation %q is unknown", c.Rotation)
	}
}

func (c *Config) checkSource(report func(hint, format string, a ...any)) {
	if c.RedirectURL != "" {
		if u, err := url.Parse(c.RedirectURL); err != nil || u.Scheme == "" || u.Fragment != "" || u.User != nil {
			report("set it to a callback URL of the application, without a fragment", "redirect_uri %q is not an absolute URL", withoutSecrets(c.RedirectURL))
		}
	}
	switch c.Source.(type) {
	case AuthorizationCode, Device, Seed, ClientCredentials, Exchange, Password:
	default:
		report("use one of this package, such as flow.ClientCredentials{}", "the source is a %T", c.Source)
		return
	}
	c.checkTokenParams(report)
	switch s := c.Source.(type) {
	case AuthorizationCode:
		if s.Headless && c.RedirectURL == "" {
			report("set it to one of the application's allowed callback URLs", "a headless login needs a redirect_uri")
		}
		for k := range s.Params {
			if slices.Contains(ownParams, k) || k == "resource" && c.Resources != nil {
				report("leave it out", "authorization parameter %q is set by the client itself", k)
			}
		}
	case Seed:
		if s.RefreshToken == "" {
			report("set the refresh token to start from", "the seed has no refresh token")
		}
	case ClientCredentials:
		if c.Auth == AuthNone {
			report("set the client secret", "client credentials need client authentication")
		}
	case Exchange:
		s.check(report)
	case Password:
		if s.Username == "" {
			report("set the user's name or e-mail address", "the username is missing")
		}
		if s.Password == "" {
			report("set the user's password", "the password is missing")
		}
	}
}

// ownTokenParams are the token request parameters that the client sets.
var ownTokenParams = []string{
	"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "refresh_token", "code", "redirect_uri",
	"code_verifier", "audience", "scope", "username", "password", "realm", "subject_token", "subject_token_type", "device_code",
}

// checkTokenParams rejects parameters that the client sets itself, and parameters
// for grants that cannot use them: a refresh token or a code has the permissions
// that it was granted with.
func (c *Config) checkTokenParams(report func(hint, format string, a ...any)) {
	for k := range c.TokenParams {
		if slices.Contains(ownTokenParams, k) || k == "resource" && c.Resources != nil {
			report("leave it out", "token parameter %q is set by the client itself", k)
		}
	}
	switch c.Source.(type) {
	case ClientCredentials, Exchange, Password:
	default:
		if len(c.TokenParams) > 0 {
			report("leave them out", "token parameters have no effect with grant %s", c.Source.source())
		}
	}
}

// check rejects an exchange that no provider could answer.
func (s Exchange) check(report func(hint, format string, a ...any)) {
	u, err := url.Parse(s.SubjectTokenType)
	switch {
	case s.SubjectTokenType == "":
		report("set it to that of the tenant's Custom Token Exchange Profile", "the subject token type is missing")
	case err != nil || u.Scheme == "":
		report("set it to that of the tenant's Custom Token Exchange Profile", "the subject token type %q is not a URI", s.SubjectTokenType)
	}
	if (s.SubjectTokenFile == "") == (s.SubjectToken == nil) {
		report("set either a file that holds the token or a function", "an exchange needs exactly one source of subject tokens")
	}
}

// withoutSecrets returns a URL for an error, without what may be secret in it: user,
// password, query and fragment.
func withoutSecrets(raw string) string {
	if i := strings.IndexAny(raw, "?#"); i >= 0 {
		raw = raw[:i+1] + "…"
	}
	start := 0
	if i := strings.Index(raw, "://"); i >= 0 {
		start = i + len("://")
	}
	authority := raw[start:]
	if _, err := url.Parse(raw); err == nil { // otherwise a slash may be one of the password
		authority, _, _ = strings.Cut(authority, "/")
	}
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		raw = raw[:start] + "xxxxx" + raw[start+at:]
	}
	return raw
}

// checkURL returns what is wrong with a URL of the provider, or "". Plain HTTP is
// accepted for loopback.
func (c *Config) checkURL(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "":
		return "is not an absolute URL"
	case u.User != nil:
		return "has a user"
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
