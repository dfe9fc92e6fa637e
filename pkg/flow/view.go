package flow

import (
	"cmp"
	"context"
	"fmt"
)

// view is a provider for one client: with the endpoints of the client's
// configuration, and requiring those that its grant needs.
type view struct {
	*Provider

	cfg   *Config
	tasks *tasks // owns the fetches that this client starts
}

// endpoints returns the metadata for the client's grant. It sends no request if
// everything needed is configured.
func (v *view) endpoints(ctx context.Context) (*metadata, error) {
	if m := v.configured(); v.missing(m) == "" {
		return m, nil // the configuration was checked
	}
	return v.discovered(ctx)
}

// discover returns the metadata for a revocation. It sends no request if its
// endpoint is configured.
func (v *view) discover(ctx context.Context) (*metadata, error) {
	if m := v.configured(); m.Revocation != "" {
		return m, nil
	}
	return v.discovered(ctx)
}

func (v *view) discovered(ctx context.Context) (*metadata, error) {
	doc, err := v.Provider.discover(ctx, v.tasks)
	if err != nil {
		return nil, err
	}
	m, e := v.complete(doc)
	if e != nil {
		v.expire(doc)
		return nil, e
	}
	return m, nil
}

// configured returns the configured endpoints as metadata.
func (v *view) configured() *metadata { return v.overlay(&metadata{Issuer: v.cfg.Issuer}) }

// overlay returns a copy of doc with the configured endpoints.
func (v *view) overlay(doc *metadata) *metadata {
	m := *doc
	e := &v.cfg.Endpoint
	m.Authorization = cmp.Or(e.AuthURL, m.Authorization)
	m.Token = cmp.Or(e.TokenURL, m.Token)
	m.Device = cmp.Or(e.DeviceAuthURL, m.Device)
	m.JWKS = cmp.Or(v.cfg.JWKSURL, m.JWKS)
	m.Revocation = cmp.Or(v.cfg.RevocationURL, m.Revocation)
	return &m
}

// complete returns a copy of doc for this client, or an error if an endpoint is
// missing or insecure.
func (v *view) complete(doc *metadata) (*metadata, *Error) {
	m := v.overlay(doc)
	if key := v.missing(m); key != "" {
		return nil, noEndpoint(doc, key)
	}
	if e := v.checkURLs(m); e != nil {
		return nil, e
	}
	if m.Revocation != "" && v.cfg.checkURL(m.Revocation) != "" {
		m.Revocation = ""
	}
	return m, nil
}

func noEndpoint(doc *metadata, key string) *Error {
	e := &Error{
		Op: opDiscovery, Class: ClassBadResponse, Description: fmt.Sprintf("the document at %s has no %q", doc.at, key),
		Hint: "check that the issuer is an OpenID or OAuth provider's",
	}
	if setting := settingOf(key); setting != "" {
		e.Hint += ", or set the endpoint (" + setting + ")"
	}
	return e
}

// settingOf returns the setting for an endpoint, "" if there is none.
func settingOf(key string) string {
	switch key {
	case "token_endpoint":
		return "token_url"
	case "authorization_endpoint":
		return "authorize_url"
	case "device_authorization_endpoint":
		return "device_url"
	case "jwks_uri":
		return "jwks_url"
	}
	return ""
}

// needed returns the endpoints that the client's grant needs.
func (v *view) needed(m *metadata) []struct{ key, url string } {
	list := []struct{ key, url string }{{"token_endpoint", m.Token}}
	switch v.cfg.Source.(type) {
	case AuthorizationCode:
		list = append(list, struct{ key, url string }{"authorization_endpoint", m.Authorization})
		if v.cfg.PAR {
			list = append(list, struct{ key, url string }{"pushed_authorization_request_endpoint", m.PAR})
		}
	case Device:
		list = append(list, struct{ key, url string }{"device_authorization_endpoint", m.Device})
	}
	return list
}

// missing returns the first needed endpoint that m lacks, or "".
func (v *view) missing(m *metadata) string {
	for _, e := range v.needed(m) {
		if e.url == "" {
			return e.key
		}
	}
	return ""
}

// checkURLs rejects endpoints with an unusable or insecure URL.
func (v *view) checkURLs(m *metadata) *Error {
	for _, e := range v.needed(m) {
		if why := v.cfg.checkURL(e.url); why != "" {
			return &Error{
				Op: opDiscovery, Class: ClassBadResponse, Description: fmt.Sprintf("%s %q %s", e.key, clean(e.url, 256), why),
				Hint: "the provider must announce an https:// address",
			}
		}
	}
	return nil
}

// NamesIssuer reports whether the provider announces the iss parameter of
// callbacks (RFC 9207), which prevents mix-up attacks.
func (c *Client) NamesIssuer(ctx context.Context) (bool, error) {
	m, err := c.provider.Provider.discover(ctx, &c.tasks)
	if err != nil {
		return false, err
	}
	return m.IssParameter, nil
}

// keySource returns where the keys are and which algorithms ID tokens may have.
// It fetches metadata only if the key URL is not configured.
func (v *view) keySource(ctx context.Context) (at string, algorithms []string, err error) {
	doc := v.cached()
	if doc == nil && v.cfg.JWKSURL != "" {
		return v.cfg.JWKSURL, nil, nil
	}
	if doc, err = v.Provider.discover(ctx, v.tasks); err != nil {
		return "", nil, err
	}
	at = cmp.Or(v.cfg.JWKSURL, doc.JWKS)
	switch why := v.cfg.checkURL(at); {
	case at == "":
		v.expire(doc)
		return "", nil, noEndpoint(doc, "jwks_uri")
	case why != "":
		return "", nil, &Error{Op: opDiscovery, Class: ClassBadResponse, Description: fmt.Sprintf("jwks_uri %q %s", clean(at, 256), why)}
	}
	return at, doc.Algorithms, nil
}
