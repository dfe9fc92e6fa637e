package tokend

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Login is a pending login of a person.
type Login struct {
	Client    string    `json:"client"`
	ExpiresAt time.Time `json:"expires_at"`
	ExpiresIn int64     `json:"expires_in"` // seconds

	// An authorization code login: the page, and the state that belongs to it.
	AuthorizeURL string `json:"authorize_url"`
	State        string `json:"state"`

	// A device login (RFC 8628). The service polls the provider by itself.
	VerificationURIComplete string `json:"verification_uri_complete"`
	VerificationURI         string `json:"verification_uri"`
	UserCode                string `json:"user_code"`
}

// Login starts a login for a person.
func (c *Client) Login(ctx context.Context, name string) (*Login, error) {
	var l Login
	body, err := c.call(ctx, http.MethodPost, clientPath(name, "/login"), struct{}{})
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(body, &l) != nil || l.AuthorizeURL == "" && (l.VerificationURIComplete == "" || l.UserCode == "") {
		return nil, c.unreadable("a login")
	}
	return &l, nil
}

// LoginHeadless logs in a client that needs no person and returns its status.
func (c *Client) LoginHeadless(ctx context.Context, name string) (*Status, error) {
	return c.status(ctx, http.MethodPost, clientPath(name, "/login"), map[string]bool{"headless": true})
}

// Finish finishes a login with the URL that the browser was redirected to.
func (c *Client) Finish(ctx context.Context, name, callbackURL string) (*Status, error) {
	return c.status(ctx, http.MethodPost, clientPath(name, "/code"), map[string]string{"callback_url": callbackURL})
}

// FinishCode finishes a login with its authorization code and state.
func (c *Client) FinishCode(ctx context.Context, name string, code Secret, state string) (*Status, error) {
	return c.status(ctx, http.MethodPost, clientPath(name, "/code"), map[string]string{"code": code.Reveal(), "state": state})
}
