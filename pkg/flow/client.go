package flow

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/oauth2"
)

// Client is one OAuth client and the grant that it keeps. It is safe for
// concurrent use; [New] returns one.
type Client struct {
	cfg      *Config // a pointer, so that fmt shows no secret of a client in an unexported field
	key      string  // of the grant in the store
	kind     kind
	http     *http.Client
	provider *view
	tasks    tasks
	mem      atomic.Pointer[snapshot]
	turn     chan struct{} // held by the flight that uses the grant
	onWake   atomic.Pointer[func()]

	mu             sync.Mutex           // guards what follows
	flights        map[string]*flight   // nil while there is none, as the other maps
	backoffs       map[string]*backoff  // by request; "" is for all requests
	noGainRuns     map[string]noGainRun // by request: consecutive refreshes that gained no time
	failure        *Failure             // the last failure of the default token
	failedAt       *exchangeID          // what the grant's last exchange was then; nil: only this process can end it
	unsaved        *Grant               // issued by the provider, not in the store yet
	spilled        int64                // generation of the last grant that was spilled
	replaces       *time.Time           // login time of the row that unsaved replaces; nil: unknown
	jitter         float64              // in [0, 1): when this client refreshes, within what refreshAt allows
	nextRefresh    time.Time            // when the grant is refreshed
	probe          bool                 // send one request although the provider rejects the client
	stale          bool                 // the stored grant may have changed
	lifetimeWarned bool                 // the warning about a missing lifetime was logged
	ownTransport   bool

	device  shared[Login]
	polling *poll // the last device login, pending or finished; guarded by mu

	hashOnce sync.Once
	hashed   string // a password's hash: see credentialHash

	notify   sync.Mutex // serializes OnChange
	notified announced
}

// Request describes the wanted access token.
type Request struct {
	MinValidity time.Duration // how long it must still be valid; if tokens live shorter, a new one is served
	Audience    string        // "": the client's own
	Scopes      []string      // nil: the client's own
	Force       bool          // refresh even if a valid token is in memory
	Not         Secret        // a token that an API rejected; refreshes only if there is no other one
}

// String names the client and its issuer.
func (c *Client) String() string { return fmt.Sprintf("client %s of %s", c.cfg.Name, c.cfg.Issuer) }

// Format implements [fmt.Formatter] and masks the secrets of the client for every verb.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// Name returns the client's name.
func (c *Client) Name() string { return c.cfg.Name }

// Issuer returns the issuer of the client's provider.
func (c *Client) Issuer() string { return c.cfg.Issuer }

// Cached returns the token in memory that satisfies r, or nil. It takes no
// lock and allocates nothing. [Client.Get] uses it first.
func (c *Client) Cached(r Request) *Token {
	if r.Force {
		return nil
	}
	if r.Audience == "" {
		r.Audience = c.cfg.Audience
	}
	if r.Scopes == nil {
		r.Scopes = c.cfg.Scopes
	}
	if e := c.mem.Load().find(c.nonDefault(r)); e != nil && c.satisfies(e, r.MinValidity) && (r.Not == "" || e.token.AccessToken != r.Not) {
		return e.token
	}
	return nil
}

// Get returns a token that satisfies r: from memory, or from one refresh that all
// callers share. A valid token is returned even if a refresh fails, unless
// r.Force or r.Not is set; it may live shorter than r.MinValidity, see
// [Token.Remaining]. When ctx ends, only this caller stops waiting.
func (c *Client) Get(ctx context.Context, r Request) (*Token, error) {
	if t := c.Cached(r); t != nil {
		return t, nil
	}
	for _, s := range append([]string{r.Audience}, r.Scopes...) {
		if !utf8.ValidString(s) { // a stored token could not be found again
			return nil, &Error{Op: "token", Class: ClassRequest, Description: fmt.Sprintf("audience or scope %q is not UTF-8", s)}
		}
	}
	if r.Force && c.mem.Load() == nil { // otherwise the stored token would count as a new one
		select {
		case <-c.launch(ctx, "load", c.loadGrant).done:
		case <-ctx.Done():
		}
	}
	w := c.want(r)
	w.probe = r.Force
	var f *flight
	for range 3 { // a joined flight may have asked for less, or have returned w.not
		f = c.join(ctx, w)
		select {
		case <-f.done:
		case <-ctx.Done():
			return c.staleToken(w, f.timeoutError(ctx))
		}
		if f.err != nil {
			return c.staleToken(w, f.err)
		}
		if t := c.cachedFor(w); t != nil {
			return t, nil
		}
		if f.fresh && (!w.force || f.not == w.not || f.token.AccessToken != w.not) {
			return f.token, nil
		}
	}
	return f.token, nil
}

// staleToken returns the current token, if it is still valid, instead of err.
// Otherwise a rejected refresh of the default token requires a login.
func (c *Client) staleToken(w want, err *Error) (*Token, error) {
	s := c.mem.Load()
	e := s.find(w.audience, w.scopes)
	valid := e != nil && e.remaining(c.cfg.Now()) > 0
	if valid && !w.force {
		return e.token, nil
	}
	if !valid && w.isDefault() && s != nil && c.onlyLoginHelps(s.grant, err.Class) {
		login := *err
		login.Class = ClassLoginRequired
		login.Hint = "log in again; or " + cmp.Or(err.Hint, "check the client's audience and scopes")
		return nil, &login
	}
	return nil, err
}

// onlyLoginHelps reports whether an error of that class leaves a login as the
// only way to another token, once the access token has expired.
func (c *Client) onlyLoginHelps(g *Grant, class Class) bool {
	return c.kind.interactive && class == ClassRequest && g != nil && g.RefreshToken != ""
}

// want is a normalized request that memory could not answer.
type want struct {
	key      string
	min      time.Duration
	audience string   // "": the client's own
	scopes   []string // sorted; nil: the client's own
	force    bool
	not      Secret // with force: a token other than this one
	newLogin bool   // log in even if there is a grant
	relogin  bool   // log in if the grant is dead
	flush    bool   // save the unsaved grant first
	probe    bool   // even while the provider rejects the client
}

func (c *Client) want(r Request) want {
	w := want{min: r.MinValidity, force: r.Force || r.Not != "", not: r.Not}
	if r.Audience == "" {
		r.Audience = c.cfg.Audience
	}
	if r.Scopes == nil {
		r.Scopes = c.cfg.Scopes
	}
	w.audience, w.scopes = c.nonDefault(r)
	w.scopes = slices.Clone(w.scopes)
	slices.Sort(w.scopes)
	w.scopes = slices.Compact(w.scopes)
	w.key = "token " + w.audience + " " + strings.Join(w.scopes, " ")
	if e := c.mem.Load().find(w.audience, w.scopes); e != nil && r.Not == "" {
		w.not = e.token.AccessToken
	}
	return w
}

// defaultKey is the key of a request for the default token.
func (c *Client) defaultKey() string { return c.want(Request{}).key }

// isDefault reports whether w asks for the client's default audience and scopes.
func (w *want) isDefault() bool { return w.audience == "" && len(w.scopes) == 0 }

// cachedFor returns the token in memory that satisfies w, or nil.
func (c *Client) cachedFor(w want) *Token {
	e := c.mem.Load().find(w.audience, w.scopes)
	if e == nil || !c.satisfies(e, w.min) || w.force && e.token.AccessToken == w.not {
		return nil
	}
	return e.token
}

// Refresh refreshes now and returns the new grant. Concurrent calls share one
// refresh.
func (c *Client) Refresh(ctx context.Context) (*Grant, error) {
	if _, err := c.Get(ctx, Request{Force: true}); err != nil {
		return nil, err
	}
	return c.grant(), nil
}

// grant returns a copy of the grant in memory, nil if there is none.
func (c *Client) grant() *Grant {
	if s := c.mem.Load(); s != nil && s.grant != nil {
		return s.grant.clone()
	}
	return nil
}

// Token implements [oauth2.TokenSource]. The result has no refresh token; its
// Extra("id_token") and Extra("scope") are set. It waits for at most a minute.
func (c *Client) Token() (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t, err := c.Get(ctx, Request{})
	if err != nil {
		return nil, err
	}
	o := &oauth2.Token{AccessToken: t.AccessToken.Reveal(), TokenType: t.TokenType, Expiry: t.Expiry}
	return o.WithExtra(map[string]any{"id_token": t.IDToken.Reveal(), "scope": t.Scope}), nil
}
