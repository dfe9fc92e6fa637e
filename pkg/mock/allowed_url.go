package mock

import (
	"net/url"
	"slices"
	"strings"

	"example.com/tokend/pkg/mock/tenant"
)

// allowedURL reports whether a list has a URL, as a whole or by a placeholder. equal
// compares an entry without its placeholder with the URL. organization is the name of
// the organization of a login, or "". For third-party clients only whole URLs count.
func allowedURL(c *tenant.Client, list []string, raw, organization string, equal func(allowed, raw string) bool) bool {
	if c != nil && !c.UsesOrganizations() {
		organization = ""
	}
	return slices.ContainsFunc(list, func(entry string) bool {
		p, err := tenant.ParsePattern(entry)
		if err != nil || !p.Whole() && c != nil && c.ThirdParty() {
			return false
		}
		allowed := p.For(raw, organization)
		return allowed != "" && equal(allowed, raw)
	})
}

func equalURL(a, b string) bool { return a == b }

// allowsCallback compares a redirect_uri with the client's Allowed Callback URLs.
func allowsCallback(c *tenant.Client, uri, organization string) bool {
	u, err := url.Parse(uri)
	if err != nil || !u.IsAbs() || u.Fragment != "" || strings.ContainsAny(uri, "\r\n\t ") {
		return false
	}
	return allowedURL(c, c.Callbacks, uri, organization, equalURL)
}

// allowsOrigin reports whether a client may call the token endpoint from a page of the
// origin: "Allowed Web Origins", "Allowed Origins (CORS)", "Allowed Callback URLs". The
// placeholder {organization_name} stands for any of the names, because the request of a
// page has no organization.
func allowsOrigin(c *tenant.Client, origin string, organizations []string) bool {
	if origin == "" || origin == "null" {
		return false
	}
	callbacks := make([]string, 0, len(c.Callbacks))
	for _, callback := range c.Callbacks {
		callbacks = append(callbacks, originOf(callback))
	}
	if allowedURL(c, slices.Concat(c.WebOrigins, c.AllowedOrigins, callbacks), origin, "", equalURL) {
		return true
	}
	withNames := slices.Concat(c.AllowedOrigins, callbacks)
	return slices.ContainsFunc(organizations, func(name string) bool {
		return allowedURL(c, withNames, origin, name, equalURL)
	})
}

// allowsWebMessage reports whether the origin of a redirect_uri is an Allowed Web
// Origin. Its callbacks do not count.
func allowsWebMessage(c *tenant.Client, redirectURI string) bool {
	return allowedURL(c, c.WebOrigins, originOf(redirectURI), "", equalURL)
}

// originOf returns scheme://host[:port] of a URL or of an entry with a placeholder, ""
// when it has none.
func originOf(raw string) string {
	scheme, rest, found := strings.Cut(raw, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	if !found || rest == "" {
		return ""
	}
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		rest = rest[at+1:]
	}
	return strings.ToLower(scheme + "://" + rest)
}
