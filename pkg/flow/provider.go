package flow

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	opDiscovery    = "discovery"
	metadataMaxAge = 24 * time.Hour
	metadataRetry  = 5 * time.Minute // after a failed refetch
	providerSlots  = 8               // concurrent requests
)

// ProviderConfig configures a provider. Issuer must be set.
type ProviderConfig struct {
	Issuer     string           // "https://acme.eu.auth0.com/", compared exactly, slash included
	HTTPClient *http.Client     // nil: one with deadlines; its redirect policy and jar are not used
	RootCAs    *x509.CertPool   // that the default HTTPClient trusts; nil: those of the system
	Now        func() time.Time // nil: time.Now
	Log        *slog.Logger     // nil: silent
}

// Provider is what the clients of one issuer share: metadata and keys, HTTP
// connections, the limit of eight concurrent requests, and rate limits of the
// whole provider. It is safe for concurrent use; [NewProvider] returns one.
type Provider struct {
	issuer   string
	http     *http.Client
	now      func() time.Time
	log      *slog.Logger
	slots    chan struct{}
	fetching shared[*metadata]

	mu      sync.Mutex // guards what follows
	meta    *metadata
	fetched time.Time // when meta was fetched
	tried   time.Time // the last refetch of meta, successful or not
	keys    map[string]*keySet
	until   time.Time // end of a rate limit of the provider
}

// Format implements [fmt.Formatter]. It reads nothing that clients change.
func (p *Provider) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "provider "+p.issuer) }

// NewProvider returns the provider of c. It does no I/O: metadata and keys are
// fetched when a client needs them. [New] checks the issuer.
func NewProvider(c ProviderConfig) *Provider {
	h := c.HTTPClient
	if h == nil {
		t := newTransport()
		if c.RootCAs != nil {
			t.TLSClientConfig = &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12}
		}
		h = &http.Client{Transport: t}
	}
	p := &Provider{
		issuer: c.Issuer, now: c.Now, log: c.Log,
		slots: make(chan struct{}, providerSlots), keys: map[string]*keySet{},
	}
	p.fetching.transient = true
	if p.now == nil {
		p.now = time.Now
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.http = &http.Client{Transport: &limitedTransport{p: p, next: h.Transport}, Timeout: h.Timeout, CheckRedirect: noRedirect}
	return p
}

// Issuer returns the provider's issuer.
func (p *Provider) Issuer() string { return p.issuer }

// Close closes idle connections. Fetches in flight belong to the clients that
// wait for them, and end with [Client.Close].
func (p *Provider) Close() error {
	p.http.CloseIdleConnections()
	return nil
}

// metadata is the used part of OpenID Connect Discovery 1.0 section 3 and RFC
// 8414.
type metadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	JWKS          string   `json:"jwks_uri"`
	Revocation    string   `json:"revocation_endpoint"`
	Device        string   `json:"device_authorization_endpoint"`                  // RFC 8628
	PAR           string   `json:"pushed_authorization_request_endpoint"`          // RFC 9126
	RequirePAR    bool     `json:"require_pushed_authorization_requests"`          // RFC 9126
	IssParameter  bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`

	at string // its URL
}

// discover returns the provider's metadata. All waiting callers share one fetch,
// in one of the caller's tasks. After a day it is fetched again; if that fails,
// the old metadata is used.
func (p *Provider) discover(ctx context.Context, ts *tasks) (*metadata, error) {
	old := p.cached()
	if old != nil && p.fresh() {
		return old, nil
	}
	m, err := p.fetching.get(ctx, ts, p.refetch)
	if err != nil && old != nil {
		p.log.WarnContext(ctx, "cannot refetch the provider's metadata: using the old one", "issuer", p.issuer, "error", err)
		return old, nil
	}
	return m, err
}

// cached returns the metadata in memory, however old, or nil.
func (p *Provider) cached() *metadata {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.meta
}

func (p *Provider) fresh() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	return within(now, p.fetched, metadataMaxAge) || within(now, p.tried, metadataRetry)
}

// within reports whether t is at most d ago. A time in the future is not, because
// then the clock was set back.
func within(now, t time.Time, d time.Duration) bool {
	age := now.Sub(t)
	return !t.IsZero() && age >= 0 && age < d
}

// expire makes the next use fetch the metadata again, because m lacks something
// that a client needs.
func (p *Provider) expire(m *metadata) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.meta == m {
		p.fetched, p.tried = time.Time{}, time.Time{}
	}
}

func (p *Provider) refetch(ctx context.Context) (*metadata, error) {
	m, err := p.fetchDocument(ctx)
	if err == nil {
		if e := p.compareIssuer(m); e != nil {
			err = e
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tried = p.now()
	if err != nil {
		return nil, err
	}
	p.meta, p.fetched = m, p.tried
	return m, nil
}

// metadataURLs returns where metadata may be: OpenID Connect's place, then those
// of RFC 8414 section 3, before the issuer's path and, as some providers do it,
// after it.
func (p *Provider) metadataURLs() []string {
	base := strings.TrimSuffix(p.issuer, "/")
	urls := []string{base + "/.well-known/openid-configuration"}
	const oauth = "/.well-known/oauth-authorization-server"
	if u, err := url.Parse(base); err == nil && u.Path != "" {
		path := u.EscapedPath()
		urls = append(urls, strings.TrimSuffix(base, path)+oauth+path)
	}
	return append(urls, base+oauth)
}

// fetchDocument reads the metadata from the first place that has it. If none has,
// it returns the error of the first place.
func (p *Provider) fetchDocument(ctx context.Context) (*metadata, error) {
	var first error
	for _, at := range p.metadataURLs() {
		body, _, err := p.fetch(ctx, opDiscovery, at)
		if err != nil {
			first = cmp.Or(first, err)
			if notFound(err) {
				continue
			}
			return nil, err
		}
		m := metadata{at: at}
		if err := json.Unmarshal(trimBody(body), &m); err != nil {
			return nil, &Error{Op: opDiscovery, Class: ClassBadResponse, Description: fmt.Sprintf("the document at %s is not JSON metadata", at)}
		}
		return &m, nil
	}
	return nil, p.noMetadata(first)
}

// noMetadata completes the error of metadata that none of its places has: the issuer
// is not a provider's.
func (p *Provider) noMetadata(err error) error {
	e := *asError(opDiscovery, err)
	e.Class = ClassConfig
	e.Hint = "set issuer to the provider's address, of Auth0 https://DOMAIN/; or set the endpoints (token_url, …)"
	return &e
}

// notFound reports whether a document does not exist at that place.
func notFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusGone || e.Status == http.StatusMethodNotAllowed)
}

// compareIssuer checks that the issuer is exactly the configured one (OpenID
// Connect Discovery 1.0 section 4.3, RFC 8414 section 3.3). The hint has the string
// to configure.
func (p *Provider) compareIssuer(m *metadata) *Error {
	if m.Issuer == p.issuer {
		return nil
	}
	said := clean(m.Issuer, 256)
	e := &Error{
		Op: opDiscovery, Class: ClassConfig,
		Description: fmt.Sprintf("the issuer is configured as %q, and %s says %q", p.issuer, m.at, said),
	}
	if e.Hint = issuerHint(p.issuer, said); e.Hint == "" {
		e.Class, e.Hint = ClassBadResponse, "check that the issuer is an OpenID or OAuth provider's"
	}
	return e
}

// issuerHint says how to configure the issuer that a provider gives itself, "" when
// that cannot be one.
func issuerHint(configured, said string) string {
	u, err := url.Parse(said)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return ""
	}
	hint := "set issuer to " + said + " exactly"
	own, err := url.Parse(configured)
	switch {
	case sameButSlash(said, configured):
		return hint + ": the slash at the end counts"
	case err == nil && own.Host == u.Host && own.Scheme != u.Scheme && sameButSlash(u.Path, own.Path):
		return hint + ": " + u.Scheme + ", not " + own.Scheme
	}
	return hint + ", if that is the provider you mean"
}

func sameButSlash(a, b string) bool { return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/") }

// fetch reads a public document of the provider. It follows up to three redirects
// within its origin.
func (p *Provider) fetch(ctx context.Context, op, at string) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	first := at
	for range 4 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
		if err != nil {
			return nil, nil, &Error{Op: op, Class: ClassConfig, Err: err}
		}
		req.Header.Set("Accept", "application/json")
		setRequestID(ctx, req.Header)
		r, err := p.http.Do(req)
		if err != nil {
			return nil, nil, networkError(op, err)
		}
		body, err := readBody(r.Body)
		switch {
		case r.StatusCode >= 300 && r.StatusCode < 400:
			to := r.Header.Get("Location")
			next, err := sameOrigin(at, to)
			if err != nil {
				return nil, nil, p.redirected(&Error{Op: op, Class: ClassRedirect, Status: r.StatusCode, Err: err}, at, to)
			}
			at = next
			continue
		case r.StatusCode != http.StatusOK:
			return nil, nil, statusError(op, r, p.now())
		case errors.Is(err, errTooLarge):
			return nil, nil, &Error{Op: op, Class: ClassBadResponse, Status: r.StatusCode, Err: err}
		case err != nil:
			return nil, nil, networkError(op, err)
		}
		return body, r.Header, nil
	}
	return nil, nil, &Error{Op: op, Class: ClassRedirect, Description: fmt.Sprintf("%s redirects more than three times", first)}
}

// redirected completes the error of a redirect to another origin. Metadata that has
// moved names the issuer to configure.
func (p *Provider) redirected(e *Error, from, to string) *Error {
	suffix, known := strings.CutPrefix(from, strings.TrimSuffix(p.issuer, "/"))
	issuer, moved := strings.CutSuffix(to, suffix)
	if e.Op != opDiscovery || !known || !moved {
		return e
	}
	if strings.HasSuffix(p.issuer, "/") {
		issuer += "/"
	}
	if hint := issuerHint(p.issuer, clean(issuer, 256)); hint != "" {
		e.Class, e.Hint = ClassConfig, hint
	}
	return e
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

// sameOrigin resolves a redirect, which must keep scheme, host and port.
func sameOrigin(from, to string) (string, error) {
	base, err := url.Parse(from)
	if err != nil {
		return "", err
	}
	u, err := base.Parse(to)
	if err != nil || to == "" {
		return "", errors.New("a redirect without a valid Location")
	}
	if u.Scheme != base.Scheme || u.Host != base.Host {
		return "", fmt.Errorf("a redirect from %s to another origin, %s", base.Host, clean(u.Scheme+"://"+u.Host, 256))
	}
	return u.String(), nil
}
