// Package guard decides which requests tokend answers, and for whom.
//
// [Guard.Admit] checks a request before any route sees it: its Host against DNS
// rebinding, the headers of browsers against web pages, forwarding headers against
// proxies, and over TCP the API key. The answer is a [Caller] or a [Refusal]. On a
// unix socket [Peers] checks the user that connects instead.
package guard

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Access is what a route requires of a request.
type Access int

// What a route may require.
const (
	NeedsKey     Access = iota // every check, and a key that may use the client in the path
	Manages                    // as NeedsKey, and the key may change the client's grant
	Proxied                    // as NeedsKey, for a request that is forwarded to an upstream
	Open                       // every check but the key: the answer says nothing about a client
	CallbackOnly               // the Host only: the browser comes from the provider's page, and the state is its credential

	// Of the dashboard, whose own pages may send their Origin and Referer.
	OwnPage        // every check but the session: the answer says nothing about a client
	Session        // as OwnPage, and the cookie of a session
	Acts           // as Session, and the session's CSRF token
	ActsAndManages // as Acts, and the session may change the client's grant
)

// Config is who is admitted. The zero value admits only callers of a unix socket.
type Config struct {
	Keys     []Key
	Rate     float64          // requests per second of each caller without a rate of its own; 0: any number
	Limits   *Limits          // nil: new ones
	Sessions *Sessions        // of the dashboard; nil: new ones
	Now      func() time.Time // nil: time.Now
}

// Guard holds the API keys of one configuration.
type Guard struct {
	keys      keyring
	keyless   keyless
	verified  verified
	socket    Caller
	anonymous Caller
	sessions  *Sessions
	now       func() time.Time
}

// New checks the keys and returns their guard. Without a key only a unix socket's
// callers are admitted.
func New(c Config) (*Guard, error) {
	if c.Limits == nil {
		c.Limits = &Limits{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sessions == nil {
		c.Sessions = NewSessions(nil, nil, c.Now)
	}
	limitOf := func(k Key) *limit {
		rate := k.Rate
		if rate == 0 {
			rate = c.Rate
		}
		return c.Limits.get(k.Name, rate)
	}
	ring, err := newKeyring(c.Keys, limitOf)
	others, oerr := newKeyless(c.Keys, limitOf)
	if err := errors.Join(err, oerr); err != nil {
		return nil, err
	}
	own := Key{Name: "socket"}
	return &Guard{keys: ring, keyless: others, socket: callerOf(own, limitOf(own)), sessions: c.Sessions, now: c.Now}, nil
}

// Admit runs the checks in order and returns the caller, and the first refusal.
// The client is the one in the request's path, "" when there is none. The caller
// of a refusal, and of a route that needs no key, has no name unless its key is
// known.
func (g *Guard) Admit(r *http.Request, need Access, client string) (*Caller, *Refusal) {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if f := checkHost(r, local); f != nil || need == CallbackOnly {
		return &g.anonymous, f
	}
	if need.dashboard() {
		return g.admitPage(r, need, client)
	}
	if f := checkBrowser(r, need == Proxied && ownReferer(r, client)); f != nil {
		return &g.anonymous, f
	}
	if f := checkForwarded(r); f != nil || need == Open {
		return &g.anonymous, f
	}
	caller, f := g.identify(r, local)
	if f != nil {
		return caller, f
	}
	return caller, g.authorize(caller, need, client)
}

// identify stops other users and programs of the machine: over TCP the key says who
// calls, or a token of a configured issuer, or else the client certificate, and on a unix
// socket its user.
func (g *Guard) identify(r *http.Request, local net.Addr) (*Caller, *Refusal) {
	if _, ok := local.(*net.UnixAddr); ok {
		return g.ofSocket(PeerOf(r.Context()))
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 && r.Header["Authorization"] == nil {
		return g.ofCertificate(r)
	}
	key, f := bearer(r.Header)
	if f != nil {
		return &g.anonymous, f
	}
	caller := g.keys.caller(key)
	if caller == nil {
		return g.ofToken(r.Context(), key)
	}
	if !caller.expires.IsZero() && !g.now().Before(caller.expires) {
		return &g.anonymous, unauthorized("invalid_token", "this API key expired at "+caller.expires.UTC().Format(time.RFC3339),
			"make another one: tokend key add, and revoke this one")
	}
	return caller, nil
}

// authorize stops callers that may not do this, or do too much.
func (g *Guard) authorize(caller *Caller, need Access, client string) *Refusal {
	if caller.limit != nil {
		if wait := caller.limit.take(g.now()); wait > 0 {
			return tooMany(wait)
		}
	}
	if client != "" && !caller.May(client) {
		return &Refusal{
			Status: http.StatusForbidden, Code: "client_forbidden", Client: client,
			Description: "this API key may not use this client", Hint: "use another key, or give this one the client: in the configuration if it is there, or else by tokend key revoke and tokend key add",
		}
	}
	if need == Manages && !caller.MayManage() {
		return &Refusal{
			Status: http.StatusForbidden, Code: "manage_forbidden", Client: client,
			Description: "this caller may only read tokens and states", Hint: "use an API key that may manage: tokend key add --manage",
		}
	}
	return nil
}

// Refusal says why a request is refused.
type Refusal struct {
	Status            int // 401, 403 or 503
	Code              string
	Description, Hint string
	Client            string // that the key may not use
	Challenge         string // WWW-Authenticate of a 401
	RetryAfter        int    // seconds, of a 503
	Cause             error  // that the answer does not have; nil: none
}

// Log writes the refusal of a request to a log.
func (f *Refusal) Log(log *slog.Logger, r *http.Request, caller *Caller) {
	level := slog.LevelWarn
	if f.RetryAfter > 0 && f.Cause == nil {
		level = slog.LevelDebug // there are many, of a caller that sends too many requests
	}
	attrs := []any{
		"error", f.Code, "reason", f.Description, "hint", f.Hint, "caller", caller.Name, "method", r.Method, "remote", r.RemoteAddr,
	}
	if f.Cause != nil {
		attrs = append(attrs, "cause", f.Cause)
	}
	log.Log(r.Context(), level, "refused", attrs...)
}

func forbidden(check, description, hint string) *Refusal {
	return &Refusal{Status: http.StatusForbidden, Code: "forbidden_" + check, Description: description, Hint: hint}
}
