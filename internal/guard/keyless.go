package guard

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// keyless are the callers without an API key.
type keyless struct {
	own          int // the user of this process
	uids, gids   map[int]*Caller
	certificates map[string]*Caller     // by their names
	tokens       map[string][]tokenRule // by their issuers
	callers      []*Caller
}

func newKeyless(keys []Key, limitOf func(Key) *limit) (keyless, error) {
	l := keyless{own: os.Geteuid(), uids: map[int]*Caller{}, gids: map[int]*Caller{}, certificates: map[string]*Caller{}, tokens: map[string][]tokenRule{}}
	var faults []error
	for _, k := range keys {
		if !k.keyless() {
			continue
		}
		caller := callerOf(k, limitOf(k))
		l.callers = append(l.callers, &caller)
		faults = append(faults, addAll(l.uids, k.UIDs, "uid", &caller), addAll(l.gids, k.GIDs, "gid", &caller),
			addAll(l.certificates, k.Certificates, "certificate", &caller), l.addTokens(k.Tokens, &caller))
	}
	return l, errors.Join(faults...)
}

func addAll[T comparable](to map[T]*Caller, ids []T, kind string, caller *Caller) error {
	for _, id := range ids {
		if other := to[id]; other != nil {
			return fmt.Errorf("%s %v is of two callers, %q and %q", kind, id, other.Name, caller.Name)
		}
		to[id] = caller
	}
	return nil
}

// peer returns the caller of a process, or nil if no rule matches it.
func (l *keyless) peer(p Peer) *Caller {
	if c := l.uids[p.UID]; c != nil {
		return c
	}
	return l.gids[p.GID]
}

// Knows reports whether a process on the unix socket is a caller: every one of this user,
// and those of the users and groups of the configuration.
func (g *Guard) Knows(p Peer) bool { return p.UID == g.keyless.own || g.keyless.peer(p) != nil }

// ofSocket returns the caller on a unix socket. Its peer was checked when it connected,
// perhaps by another configuration.
func (g *Guard) ofSocket(p *Peer) (*Caller, *Refusal) {
	if p == nil || p.UID == g.keyless.own {
		return &g.socket, nil
	}
	if c := g.keyless.peer(*p); c != nil {
		return c, nil
	}
	return &g.anonymous, unauthorized("", "this user is not a caller", "add its uid or gid to a caller of the configuration")
}

// ofCertificate returns the caller whose certificate the TLS listener has verified.
func (g *Guard) ofCertificate(r *http.Request) (*Caller, *Refusal) {
	leaf := r.TLS.VerifiedChains[0][0]
	if !g.now().Before(leaf.NotAfter) { // since the handshake
		return &g.anonymous, unauthorized("", "the client certificate expired at "+leaf.NotAfter.UTC().Format(time.RFC3339), "renew it, and connect again")
	}
	names := namesOf(leaf)
	if len(names) == 0 {
		return &g.anonymous, unauthorized("", "the client certificate has no subject alternative name",
			"issue one with a DNS name, a URI or an email address, or send an API key")
	}
	for _, name := range names {
		if c := g.keyless.certificates[name]; c != nil {
			return c, nil
		}
	}
	return &g.anonymous, unauthorized("", "the client certificate is not one of a caller", "add "+names[0]+" to the certificates of a caller, or send an API key")
}

// namesOf returns the names of a certificate as the configuration writes them. The
// subject is not one of them: its authority checks the alternative names (RFC 9525).
func namesOf(c *x509.Certificate) []string {
	var names []string
	for _, n := range c.URIs {
		names = append(names, "uri:"+n.String())
	}
	for _, n := range c.DNSNames {
		names = append(names, "dns:"+strings.ToLower(n))
	}
	for _, n := range c.EmailAddresses {
		names = append(names, "email:"+n)
	}
	return names
}
