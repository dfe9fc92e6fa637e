package tenant

import (
	"fmt"
	"net"
	"net/url"
)

// OIDCLogout says where the tenant reports logouts to a client
// (https://auth0.com/docs/authenticate/login/logout/back-channel-logout).
type OIDCLogout struct {
	BackchannelLogoutURLs []string `json:"backchannel_logout_urls,omitempty"` // at most one, as at Auth0
}

// BackchannelLogoutURL returns the client's back-channel logout URL, or "".
func (c *Client) BackchannelLogoutURL() string {
	if c.OIDCLogout == nil || len(c.OIDCLogout.BackchannelLogoutURLs) == 0 {
		return ""
	}
	return c.OIDCLogout.BackchannelLogoutURLs[0]
}

func (l *OIDCLogout) check(of string) error {
	const field = "oidc_logout.backchannel_logout_urls"
	switch {
	case l == nil || len(l.BackchannelLogoutURLs) == 0:
		return nil
	case len(l.BackchannelLogoutURLs) > 1:
		return fieldError(field, "%d URLs of %s; one is allowed", len(l.BackchannelLogoutURLs), of)
	}
	if err := checkBackchannelURL(l.BackchannelLogoutURLs[0]); err != nil {
		return fieldError(field, "%.200q of %s %v", l.BackchannelLogoutURLs[0], of, err)
	}
	return nil
}

// checkBackchannelURL accepts https, and http for a loopback host. Auth0 accepts
// https and public hosts only.
func checkBackchannelURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return fmt.Errorf("is not a URL")
	case u.Fragment != "":
		return fmt.Errorf("has a fragment")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("is neither https nor http on a loopback host")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
