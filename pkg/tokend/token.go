package tokend

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// TokenRequest describes the wanted token.
type TokenRequest struct {
	Client      string        // its name in tokend's configuration
	MinValidity time.Duration // how long the token must be valid from now; 0: any
	Audience    string        // the API; "": the client's own
	Scopes      []string      // nil: the client's own
	IDToken     bool          // also return the ID token
}

// Token is an access token as the service answers. It must not be changed.
type Token struct {
	AccessToken Secret    `json:"access_token"`
	TokenType   string    `json:"token_type"`
	IDToken     Secret    `json:"id_token"`
	ExpiresIn   int64     `json:"expires_in"` // seconds, at the time of the request
	ExpiresAt   time.Time `json:"expires_at"`
	Scope       string    `json:"scope"` // granted, separated by spaces
	Audience    string    `json:"audience"`
	Client      string    `json:"client"`

	// MinValiditySatisfied is false if the token is valid, but not for as long as
	// requested.
	MinValiditySatisfied bool `json:"min_validity_satisfied"`

	raw Secret // the answer
}

// RawJSON returns the service's answer, which contains the token.
func (t *Token) RawJSON() []byte { return []byte(t.raw.Reveal()) }

// String describes the token without its secrets.
func (t Token) String() string {
	return fmt.Sprintf("access token of client %s, audience %q, scope %q, until %s", t.Client, t.Audience, t.Scope, t.ExpiresAt.Format(time.RFC3339))
}

// Format implements [fmt.Formatter] and masks the token for every verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// Token gets a token from the service, which refreshes it first if needed.
func (c *Client) Token(ctx context.Context, r TokenRequest) (*Token, error) {
	query := url.Values{}
	if r.MinValidity > 0 {
		query.Set("min_validity", r.MinValidity.String())
	}
	if r.Audience != "" {
		query.Set("audience", r.Audience)
	}
	if r.Scopes != nil {
		query.Set("scope", strings.Join(r.Scopes, " "))
	}
	if r.IDToken {
		query.Set("id_token", "true")
	}
	path := clientPath(r.Client, "/token")
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	body, err := c.call(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	t := &Token{raw: Secret(body)}
	if json.Unmarshal(body, t) != nil || t.AccessToken == "" {
		return nil, c.unreadable("a token")
	}
	// A line break would end a header or a line of the caller. RFC 6749 does not
	// allow one (appendix A.12).
	if strings.ContainsFunc(t.AccessToken.Reveal(), func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return nil, c.unreadable("a token: it contains a control character, or one outside of ASCII")
	}
	return t, nil
}

// ActionsIDToken gets the client's token in the form of GitHub Actions' ID token
// request, for audience or, if that is "", the client's own.
func (c *Client) ActionsIDToken(ctx context.Context, name, audience string) (Secret, error) {
	query := url.Values{"api-version": {"2.0"}}
	if audience != "" {
		query.Set("audience", audience)
	}
	var answer struct {
		Value Secret `json:"value"`
	}
	body, err := c.call(ctx, http.MethodGet, ActionsPath(name)+"?"+query.Encode(), nil)
	if err != nil {
		return "", err
	}
	if json.Unmarshal(body, &answer) != nil || answer.Value == "" {
		return "", c.unreadable("a token in GitHub's form")
	}
	return answer.Value, nil
}

// ActionsPath is the path of that request, for ACTIONS_ID_TOKEN_REQUEST_URL.
func ActionsPath(name string) string { return clientPath(name, "/actions-id-token") }

// Lacks returns the requested scopes that were not granted.
func (t *Token) Lacks(requested []string) []string {
	granted := strings.Fields(t.Scope)
	return slices.DeleteFunc(slices.Clone(requested), func(scope string) bool { return slices.Contains(granted, scope) })
}
