package flow

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

// Client is one OAuth client at one tenant and the grant that it keeps. It is
// safe for concurrent use; [New] makes it.
type Client struct {
	cfg     Config
	key     string // of the grant in the store
	kind    kind
	http    *http.Client
	idp     *view
	tasks   tasks
	mem     atomic.Pointer[snapshot]
	turn    chan struct{} // one at a time uses the grant
	changed chan struct{} // wakes Run

	mu           sync.Mutex // guards what follows
	flights      map[string]*flight
	gates        map[string]*gate // by request; "" holds all back
	stalls       map[string]stall // by request: successes in a row that brought no time
	failure      *Failure         // the last one of the client's own token
	probe        bool             // ask once more, although the provider refuses the client
	unsaved      *Grant           // issued by the provider, not in the store yet
	replaces     *time.Time       // login of the row that unsaved was made in place of; nil: unknown
	ownTransport bool
	spread       float64   // of the advisory window, ±10 %
	next         time.Time // when Run refreshes
	guessed      bool      // a lifetime was guessed, and that was logged

	device  shared[Login]
	polling *poll // the last device login, pending or over; guarded by mu

	hashOnce sync.Once
	hashed   string // of a password: see credentialHash

	notify   sync.Mutex // one OnChange at a time, in order
	notified Status
}

// Request is which access token is wanted.
type Request struct {
	MinValidity time.Duration // how long it must still be valid; more than the tenant gives is served as fresh as can be
	Audience    string        // "": the client's own
	Scopes      []string      // nil: the client's own
	Force       bool          // refresh although memory has a token
	Not         Secret        // a token other than this one, which an API has refused; refreshes only if there is none
}

// Name returns the client's name.
func (c *Client) Name() string { return c.cfg.Name }

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
	if e := c.mem.Load().find(c.own(r)); e != nil && c.satisfies(e, r.MinValidity) && (r.Not == "" || e.token.AccessToken != r.Not) {
		return e.token
	}
	return nil
}

// Get returns a token that satisfies r: from memory, or refreshed once for all
// that wait. A token that is valid is served even when a refresh fails, unless
// r.Force or r.Not is set; when it lives shorter than r.MinValidity, [Token.Remaining]
// shows it. When ctx ends, only this caller stops waiting.
func (c *Client) Get(ctx context.Context, r Request) (*Token, error) {
	if t := c.Cached(r); t != nil {
		return t, nil
	}
	if r.Force && c.mem.Load() == nil { // else the stored token would pass for another one
		select {
		case <-c.launch("load", c.look).done:
		case <-ctx.Done():
		}
	}
	w := c.want(r)
	w.probe = r.Force
	var f *flight
	for range 3 { // a flight that was joined may have wanted less, or have brought what w refuses
		f = c.join(w)
		select {
		case <-f.done:
		case <-ctx.Done():
			return c.staleToken(w, f.gaveUp(ctx))
		}
		if f.err != nil {
			return c.staleToken(w, f.err)
		}
		if t := c.found(w); t != nil {
			return t, nil
		}
		if f.fresh && (!w.force || f.seen == w.seen || f.token.AccessToken != w.seen) {
			return f.token, nil
		}
	}
	return f.token, nil
}

// staleToken returns the token that is still valid, if there is one, in place of
// err. When there is none, a refusal of the client's own refresh needs a person.
func (c *Client) staleToken(w want, err *Error) (*Token, error) {
	s := c.mem.Load()
	e := s.find(w.audience, w.scopes)
	valid := e != nil && e.remaining(c.cfg.Now()) > 0
	if valid && !w.force {
		return e.token, nil
	}
	if !valid && w.isOwn() && s != nil && c.noWayOn(s.grant, err.Class) {
		login := *err
		login.Class = ClassLoginRequired
		login.Hint = "log in again; or " + cmp.Or(err.Hint, "check the client's audience and scopes")
		return nil, &login
	}
	return nil, err
}

// noWayOn reports whether a refusal of the class leaves a grant without a way to
// another token but a login, once its access token has ended.
func (c *Client) noWayOn(g *Grant, class Class) bool {
	return c.kind.login && class == ClassRequest && g != nil && g.RefreshToken != ""
}

// want is a request in the form of the slow path.
type want struct {
	key      string
	min      time.Duration
	audience string   // "": the client's own
	scopes   []string // sorted; nil: the client's own
	force    bool
	seen     Secret // the access token that force wants another than
	signIn   bool   // a new grant, whatever there is
	relogin  bool   // a new grant in place of a dead one
	flush    bool   // first of all save what could not be saved
	probe    bool   // also while the provider refuses the client
}

func (c *Client) want(r Request) want {
	w := want{min: r.MinValidity, force: r.Force || r.Not != "", seen: r.Not}
	if r.Audience == "" {
		r.Audience = c.cfg.Audience
	}
	if r.Scopes == nil {
		r.Scopes = c.cfg.Scopes
	}
	w.audience, w.scopes = c.own(r)
	w.scopes = slices.Clone(w.scopes)
	slices.Sort(w.scopes)
	w.scopes = slices.Compact(w.scopes)
	w.key = "token " + w.audience + " " + strings.Join(w.scopes, " ")
	if e := c.mem.Load().find(w.audience, w.scopes); e != nil && r.Not == "" {
		w.seen = e.token.AccessToken
	}
	return w
}

// ownKey is the key of a request for the client's own token.
func (c *Client) ownKey() string { return c.want(Request{}).key }

// isOwn reports whether w is for the client's own token.
func (w *want) isOwn() bool { return w.audience == "" && len(w.scopes) == 0 }

// found returns the token in memory that satisfies w, or nil.
func (c *Client) found(w want) *Token {
	e := c.mem.Load().find(w.audience, w.scopes)
	if e == nil || !c.satisfies(e, w.min) || w.force && e.token.AccessToken == w.seen {
		return nil
	}
	return e.token
}

// Refresh refreshes now, once for all that ask at the same time, and returns
// the grant as it is afterwards.
func (c *Client) Refresh(ctx context.Context) (*Grant, error) {
	if _, err := c.Get(ctx, Request{Force: true}); err != nil {
		return nil, err
	}
	return c.grant(), nil
}

// grant returns a copy of the grant in memory, nil when there is none.
func (c *Client) grant() *Grant {
	if s := c.mem.Load(); s != nil && s.grant != nil {
		return s.grant.clone()
	}
	return nil
}

// Token implements [oauth2.TokenSource]. The result has no refresh token, which
// stays here; its Extra("id_token") and Extra("scope") are set. It waits for at
// most a minute.
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
