package flow

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// GrantState is what is known about a grant's refresh token.
type GrantState string

// States of a grant (docs/rotation.md has the transitions).
const (
	GrantActive    GrantState = "active"     // the refresh token is believed to be valid
	GrantUncertain GrantState = "uncertain"  // a refresh was sent, its outcome is unknown
	GrantDead      GrantState = "dead"       // the provider rejected the refresh token; a login is needed
	GrantLoggedOut GrantState = "logged_out" // logged out, until the next login
	GrantNone      GrantState = "none"       // no login yet; the row only says why nothing is sent
)

// Grant is what is stored for one client: the refresh token, the access tokens,
// and enough history to recover after a crash. Printing one masks its secrets;
// its JSON contains them and belongs only in a sealed store.
type Grant struct {
	Issuer   string `json:"issuer"`    // a grant of another issuer
	ClientID string `json:"client_id"` // or client is never used
	Subject  string `json:"sub,omitempty"`

	Revision   int64      `json:"-"`          // of the stored row, kept by the Store: compare-and-set
	Restored   bool       `json:"-"`          // kept by the Store: an older copy was restored, so the refresh token may already be used
	Generation int64      `json:"generation"` // counts exchanges; 1 after the login
	State      GrantState `json:"state"`

	RefreshToken Secret   `json:"-"`
	IDToken      Secret   `json:"-"`
	Scopes       []string `json:"scopes,omitempty"` // granted at login
	Rotation     Rotation `json:"rotation,omitempty"`

	LoggedIn  time.Time `json:"logged_in"`          // when the login finished
	Exchanged time.Time `json:"exchanged"`          // when the refresh token was last used successfully
	AuthTime  time.Time `json:"auth_time,omitzero"` // of the ID token, when it has one
	Intent    *Intent   `json:"intent,omitempty"`   // a refresh whose outcome is not known yet
	Tokens    []*Token  `json:"-"`                  // access tokens, one per audience and scopes
	Failure   *Failure  `json:"failure,omitempty"`  // of the last attempt; nil after a success
	Held      time.Time `json:"held,omitzero"`      // no request before this time: the provider has limited the rate
	Rejected  *rejected `json:"rejected,omitempty"` // the provider rejects the client itself
	Moved     bool      `json:"moved,omitempty"`    // another store has the grant, too: nothing is sent until Resume or a login
	Seed      string    `json:"seed,omitempty"`     // base64url SHA-256 of the seed that it started from
	Reported  reported  `json:"reported,omitzero"`  // the last events
	Refused   string    `json:"refused,omitempty"`  // of a dead grant: hash of the credential that the provider rejected
}

// exists reports whether there is a grant, valid or dead. A row without one only
// says why nothing is sent.
func (g *Grant) exists() bool {
	return g != nil && g.State != GrantNone && g.State != GrantLoggedOut
}

// String describes the grant without its secrets.
func (g Grant) String() string {
	return fmt.Sprintf("grant of %s at %s, generation %d, %s", g.ClientID, g.Issuer, g.Generation, g.State)
}

// LogValue implements [slog.LogValuer] and masks.
func (g Grant) LogValue() slog.Value {
	return slog.GroupValue(slog.String("issuer", g.Issuer), slog.String("client_id", g.ClientID),
		slog.Int64("generation", g.Generation), slog.String("state", string(g.State)))
}

// Rotation is what is known about refresh-token rotation for this client.
type Rotation string

// Known from an answer with a successor ("on") or without one ("off"); "" until
// the first refresh.
const (
	RotationUnknown Rotation = ""
	RotationOn      Rotation = "on"
	RotationOff     Rotation = "off"
)

// Intent records, before the request, that a refresh token is about to be sent,
// so that a crash can be recovered from.
type Intent struct {
	Time       time.Time `json:"time"`
	Generation int64     `json:"generation"`
	Hash       string    `json:"hash"` // base64url SHA-256 of the token sent
	Replays    int       `json:"replays,omitempty"`
}

// rejected records that the provider rejects the client, and when to probe again.
type rejected struct {
	Probes     int       `json:"probes"`               // rejected requests so far
	Next       time.Time `json:"next"`                 // time of the next request
	Credential string    `json:"credential,omitempty"` // hash of the credential of the rejected requests
}

// Failure describes a failed attempt. It never contains a secret.
type Failure struct {
	Time        time.Time `json:"time"`
	Class       Class     `json:"class"`
	Code        string    `json:"code,omitempty"`
	Description string    `json:"description,omitempty"`
	Hint        string    `json:"hint,omitempty"`
	Remedy      Remedy    `json:"remedy,omitempty"` // of ClassLoginRequired
}

// Token is one access token. Printing it masks its secrets. It must not be
// changed.
type Token struct {
	AccessToken Secret
	TokenType   string // "Bearer"
	Scope       string // granted, space-separated
	Audience    string // requested; "" is the client's default
	IDToken     Secret // of the same answer; "" without one
	Obtained    time.Time
	Expiry      time.Time // counted from before the request was sent
	Generation  int64     // of the grant that it was issued for

	requested  []string // requested scopes, sorted; nil: the client's default
	unverified bool     // its ID token is not verified yet: it must not be served
}

// Remaining returns how long the token is still valid, negative after its expiry.
func (t *Token) Remaining(now time.Time) time.Duration { return t.Expiry.Sub(now) }

// String describes the token without its secrets.
func (t Token) String() string {
	return fmt.Sprintf("access token for %q, scope %q, until %s", t.Audience, t.Scope, t.Expiry.Format(time.RFC3339))
}

// Format implements [fmt.Formatter] and masks. Without it, a verb that does not
// fit, such as %s of a struct with a *Token in it, would print the raw fields.
func (t Token) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// LogValue implements [slog.LogValuer] and masks.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// The stored form, with secrets in the clear, for the sealed store.
type grantFile struct {
	*grantAlias
	RefreshToken string      `json:"refresh_token,omitempty"`
	IDToken      string      `json:"id_token,omitempty"`
	Tokens       []tokenFile `json:"tokens,omitempty"`
}

type grantAlias Grant

type tokenFile struct {
	AccessToken string    `json:"access_token"`
	TokenType   string    `json:"token_type"`
	Scope       string    `json:"scope,omitempty"`
	Audience    string    `json:"audience,omitempty"`
	IDToken     string    `json:"id_token,omitempty"`
	Obtained    time.Time `json:"obtained"`
	Expiry      time.Time `json:"expiry"`
	Generation  int64     `json:"generation"`
	Requested   []string  `json:"requested,omitempty"`
	Unverified  bool      `json:"unverified,omitempty"`
}

// MarshalJSON writes the stored form, secrets included.
func (g *Grant) MarshalJSON() ([]byte, error) {
	f := grantFile{grantAlias: (*grantAlias)(g), RefreshToken: g.RefreshToken.Reveal(), IDToken: g.IDToken.Reveal()}
	for _, t := range g.Tokens {
		f.Tokens = append(f.Tokens, tokenFile{
			AccessToken: t.AccessToken.Reveal(), TokenType: t.TokenType, Scope: t.Scope, Audience: t.Audience,
			IDToken: t.IDToken.Reveal(), Obtained: t.Obtained, Expiry: t.Expiry, Generation: t.Generation,
			Requested: t.requested, Unverified: t.unverified,
		})
	}
	return json.Marshal(f)
}

// UnmarshalJSON reads the stored form.
func (g *Grant) UnmarshalJSON(b []byte) error {
	f := grantFile{grantAlias: (*grantAlias)(g)}
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	g.RefreshToken, g.IDToken, g.Tokens = Secret(f.RefreshToken), Secret(f.IDToken), nil
	for _, t := range f.Tokens {
		g.Tokens = append(g.Tokens, &Token{
			AccessToken: Secret(t.AccessToken), TokenType: t.TokenType, Scope: t.Scope, Audience: t.Audience,
			IDToken: Secret(t.IDToken), Obtained: t.Obtained, Expiry: t.Expiry, Generation: t.Generation,
			requested: t.Requested, unverified: t.Unverified,
		})
	}
	return nil
}

// clone returns a copy that shares only its immutable tokens.
func (g *Grant) clone() *Grant {
	n := *g
	n.Scopes, n.Tokens = slices.Clone(g.Scopes), slices.Clone(g.Tokens)
	if g.Intent != nil {
		in := *g.Intent
		n.Intent = &in
	}
	if g.Failure != nil {
		f := *g.Failure
		n.Failure = &f
	}
	if g.Rejected != nil {
		r := *g.Rejected
		n.Rejected = &r
	}
	return &n
}
