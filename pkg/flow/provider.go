package flow

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const opDiscovery = "discovery"

// provider is the tenant: its metadata and its keys, fetched at first use.
type provider struct {
	cfg   *Config
	http  *http.Client
	tasks *tasks
	meta  shared[*metadata]
	jwks  keySet
}

// metadata is what is used of OpenID Connect Discovery 1.0 section 3 and RFC 8414.
type metadata struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	JWKS          string `json:"jwks_uri"`
	Revocation    string `json:"revocation_endpoint"`
	Device        string `json:"device_authorization_endpoint"`                  // RFC 8628
	IssParameter  bool   `json:"authorization_response_iss_parameter_supported"` // RFC 9207
}

// discover returns the tenant's metadata, fetched once for all that wait.
func (p *provider) discover(ctx context.Context) (*metadata, error) {
	return p.meta.get(ctx, p.tasks, p.fetchMetadata)
}

func (p *provider) fetchMetadata(ctx context.Context) (*metadata, error) {
	m, err := p.fetchDocument(ctx)
	if err != nil {
		return nil, err
	}
	if e := p.compareIssuer(m); e != nil {
		return nil, e
	}
	if e := p.complete(m); e != nil {
		return nil, e
	}
	return m, nil
}

// discoveryURL is where the metadata is, with one slash whatever the issuer has.
func (p *provider) discoveryURL() string {
	return strings.TrimSuffix(p.cfg.Issuer, "/") + "/.well-known/openid-configuration"
}

// fetchDocument reads the metadata and judges nothing.
func (p *provider) fetchDocument(ctx context.Context) (*metadata, error) {
	at := p.discoveryURL()
	body, err := p.fetch(ctx, opDiscovery, at)
	if err != nil {
		return nil, err
	}
	var m metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, &Error{Op: opDiscovery, Class: ClassBadResponse, Description: fmt.Sprintf("the document at %s is not JSON metadata", at)}
	}
	return &m, nil
}

// compareIssuer wants the issuer exactly as configured (OpenID Connect
// Discovery 1.0 section 4.3). Where a slash is all that differs the error names
// the string to configure.
func (p *provider) compareIssuer(m *metadata) *Error {
	if m.Issuer == p.cfg.Issuer {
		return nil
	}
	e := &Error{
		Op: opDiscovery, Class: ClassBadResponse,
		Description: fmt.Sprintf("the issuer is configured as %q, and %s says %q", p.cfg.Issuer, p.discoveryURL(), clean(m.Issuer, 256)),
		Hint:        "configure the issuer exactly as the tenant gives it, slash included",
	}
	if sameButSlash(m.Issuer, p.cfg.Issuer) {
		e.Class, e.Hint = ClassConfig, "set issuer to "+m.Issuer+" exactly: the slash at the end counts"
	}
	return e
}

func sameButSlash(a, b string) bool { return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/") }

// complete puts configured endpoints in place and wants those that are needed.
func (p *provider) complete(m *metadata) *Error {
	if p.cfg.Endpoint.AuthURL != "" {
		m.Authorization = p.cfg.Endpoint.AuthURL
	}
	if p.cfg.Endpoint.TokenURL != "" {
		m.Token = p.cfg.Endpoint.TokenURL
	}
	m.Device = cmp.Or(p.cfg.Endpoint.DeviceAuthURL, m.Device)
	required := []struct{ key, url string }{{"token_endpoint", m.Token}, {"jwks_uri", m.JWKS}}
	switch p.cfg.Source.(type) {
	case AuthorizationCode:
		required = append(required, struct{ key, url string }{"authorization_endpoint", m.Authorization})
	case Device:
		required = append(required, struct{ key, url string }{"device_authorization_endpoint", m.Device})
	}
	for _, e := range required {
		if e.url == "" {
			return &Error{
				Op: opDiscovery, Class: ClassBadResponse,
				Description: fmt.Sprintf("the document at %s has no %q", p.discoveryURL(), e.key),
			}
		}
		if why := p.cfg.plain(e.url); why != "" {
			return &Error{Op: opDiscovery, Class: ClassBadResponse, Description: fmt.Sprintf("%s %q %s", e.key, clean(e.url, 256), why)}
		}
	}
	if m.Revocation != "" && p.cfg.plain(m.Revocation) != "" {
		m.Revocation = ""
	}
	return nil
}

// endpoints returns the metadata, without a request when both endpoints are configured.
func (p *provider) endpoints(ctx context.Context) (*metadata, error) {
	_, device := p.cfg.Source.(Device)
	if e := p.cfg.Endpoint; e.TokenURL != "" && (device && e.DeviceAuthURL != "" || !device && e.AuthURL != "") {
		return &metadata{Issuer: p.cfg.Issuer, Authorization: e.AuthURL, Token: e.TokenURL, Device: e.DeviceAuthURL}, nil
	}
	return p.discover(ctx)
}

// fetch reads a public document of the tenant. Up to three redirects are
// followed, within its origin.
func (p *provider) fetch(ctx context.Context, op, at string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	first := at
	for range 4 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
		if err != nil {
			return nil, &Error{Op: op, Class: ClassConfig, Err: err}
		}
		req.Header.Set("Accept", "application/json")
		r, err := p.http.Do(req)
		if err != nil {
			return nil, networkError(op, err)
		}
		body, err := readBody(r.Body)
		switch {
		case r.StatusCode >= 300 && r.StatusCode < 400:
			if at, err = sameOrigin(at, r.Header.Get("Location")); err != nil {
				return nil, &Error{Op: op, Class: ClassRedirect, Status: r.StatusCode, Err: err}
			}
			continue
		case r.StatusCode != http.StatusOK:
			return nil, statusError(op, r, p.cfg.Now())
		case errors.Is(err, errTooLarge):
			return nil, &Error{Op: op, Class: ClassBadResponse, Status: r.StatusCode, Err: err}
		case err != nil:
			return nil, networkError(op, err)
		}
		return body, nil
	}
	return nil, &Error{Op: op, Class: ClassRedirect, Description: fmt.Sprintf("%s redirects more than three times", first)}
}

var errTooLarge = fmt.Errorf("the answer is larger than %d KiB", maxBody>>10)

// readBody reads and closes a body, up to maxBody.
func readBody(b io.ReadCloser) ([]byte, error) {
	defer func() { _ = b.Close() }()
	body, err := io.ReadAll(io.LimitReader(b, maxBody+1))
	if err == nil && len(body) > maxBody {
		return nil, errTooLarge
	}
	return body, err
}

// sameOrigin resolves a redirect, which must stay at scheme, host and port.
func sameOrigin(from, to string) (string, error) {
	base, err := url.Parse(from)
	if err != nil {
		return "", err
	}
	u, err := base.Parse(to)
	if err != nil || to == "" {
		return "", errors.New("a redirect without a usable Location")
	}
	if u.Scheme != base.Scheme || u.Host != base.Host {
		return "", fmt.Errorf("a redirect from %s to another origin, %s", base.Host, clean(u.Scheme+"://"+u.Host, 256))
	}
	return u.String(), nil
}
