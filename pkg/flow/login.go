package flow

import (
	"context"
	"net/url"
	"time"
)

// Login is a login that was begun: what its callback must be checked against.
// The [Client] keeps nothing of it; the caller keeps it, once, until
// [Client.Finish] or Expires. Its JSON holds the secrets that a Login is made
// of; printing it masks them.
type Login struct {
	Client      string    `json:"client"` // its Config.Name
	URL         string    `json:"url"`    // where the person's browser goes
	State       string    `json:"state"`
	Verifier    Secret    `json:"-"` // of PKCE (RFC 7636); in the JSON as "verifier"
	Nonce       string    `json:"nonce"`
	RedirectURL string    `json:"redirect_uri"`
	Audience    string    `json:"audience,omitempty"`
	Scopes      []string  `json:"scopes,omitempty"`
	Expires     time.Time `json:"expires"` // 10 minutes after it was begun
}

// Login begins a login: discovery, fresh state, PKCE verifier and nonce.
func (c *Client) Login(ctx context.Context) (Login, error) { return Login{}, errNotYet }

// Finish ends a login with the query of its callback: it checks state, expiry
// and issuer, exchanges the code, verifies the ID token and stores the grant
// durably. A state that does not fit is [ErrState]; a refusal by the tenant is
// an [*Error] with the tenant's code.
func (c *Client) Finish(ctx context.Context, l Login, callback url.Values) (*Grant, error) {
	return nil, errNotYet
}

// SignIn has a grant without a person: headless, by the seed, or by client
// credentials. Where a page wants a person it is an [*Error] of
// [ClassLoginRequired] that names the page.
func (c *Client) SignIn(ctx context.Context) (*Grant, error) { return nil, errNotYet }
