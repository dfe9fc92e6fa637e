// Package guard decides which requests tokend answers, and for whom.
//
// [Guard.Admit] checks a request before any route sees it: its Host against DNS
// rebinding, the headers of browsers against web pages, forwarding headers against
// proxies, and over TCP the API key. The answer is a [Caller] or a [Refusal]. On a
// unix socket [OwnPeers] checks the user that connects instead.
package guard

import (
	"log/slog"
	"net"
	"net/http"
)

// Access is what a route requires of a request.
type Access int

// What a route may require.
const (
	NeedsKey     Access = iota // every check, and a key that may use the client in the path
	Proxied                    // as NeedsKey, for a request that is forwarded to an upstream
	Open                       // every check but the key: the answer says nothing about a client
	CallbackOnly               // the Host only: the browser comes from the provider's page, and the state is its credential
)

// Guard holds the API keys of one configuration.
type Guard struct {
	keys      keyring
	socket    Caller
	anonymous Caller
}

// New checks the keys and returns their guard. Without a key only a unix socket's
// callers are admitted.
func New(keys []Key) (*Guard, error) {
	ring, err := newKeyring(keys)
	if err != nil {
		return nil, err
	}
	return &Guard{keys: ring, socket: Caller{Name: "socket", all: true}}, nil
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
	if f := checkBrowser(r, need == Proxied && ownReferer(r, client)); f != nil {
		return &g.anonymous, f
	}
	if f := checkForwarded(r); f != nil || need == Open {
		return &g.anonymous, f
	}
	return g.identify(r.Header, local, client)
}

// identify stops other users and programs of the machine: over TCP the key says
// who calls and which clients they may use. The peer of a unix socket was checked
// when it connected.
func (g *Guard) identify(h http.Header, local net.Addr, client string) (*Caller, *Refusal) {
	if _, ok := local.(*net.UnixAddr); ok {
		return &g.socket, nil
	}
	caller, f := g.keys.caller(h)
	if f != nil {
		return &g.anonymous, f
	}
	if client != "" && !caller.May(client) {
		return caller, &Refusal{
			Status: http.StatusForbidden, Code: "client_forbidden", Client: client,
			Description: "this API key may not use this client", Hint: "use another key, or add the client to those of this key in the configuration",
		}
	}
	return caller, nil
}

// Refusal says why a request is refused.
type Refusal struct {
	Status            int // 401 or 403
	Code              string
	Description, Hint string
	Client            string // that the key may not use
	Challenge         string // WWW-Authenticate of a 401
}

// Log writes the refusal of a request to a log.
func (f *Refusal) Log(log *slog.Logger, r *http.Request, caller *Caller) {
	log.WarnContext(r.Context(), "refused", "error", f.Code, "reason", f.Description, "hint", f.Hint,
		"caller", caller.Name, "method", r.Method, "remote", r.RemoteAddr)
}

func forbidden(check, description, hint string) *Refusal {
	return &Refusal{Status: http.StatusForbidden, Code: "forbidden_" + check, Description: description, Hint: hint}
}
