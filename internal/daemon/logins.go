package daemon

import (
	"maps"
	"slices"
	"sync"
	"time"

	"example.com/tokend/pkg/flow"
)

// maxLogins bounds the pending logins of one client: one more drops the oldest of
// that client.
const maxLogins = 16

// logins keeps pending logins in memory: a restart loses them.
type logins struct {
	now func() time.Time

	mu       sync.Mutex
	pending  map[string][]pendingLogin // by client, oldest first
	failures map[string]*flow.Failure  // by client, of the last login
}

type pendingLogin struct {
	flow.Login
	begun time.Time
	of    registration
}

// registration identifies the client that a login belongs to: the provider gives the
// code to this client at this URL only.
type registration struct{ issuer, clientID, redirectURL string }

func (c Client) registration() registration {
	return registration{issuer: c.Status().Issuer, clientID: c.ClientID, redirectURL: c.RedirectURL}
}

func newLogins(now func() time.Time) *logins {
	return &logins{now: now, pending: map[string][]pendingLogin{}, failures: map[string]*flow.Failure{}}
}

// put keeps a login until it is taken, expires or is dropped for newer ones.
func (s *logins) put(l flow.Login, of registration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := append(s.alive(l.Client), pendingLogin{Login: l, begun: s.now(), of: of})
	s.pending[l.Client] = list[max(0, len(list)-maxLogins):]
}

// take returns the login of a state and drops it: a state works once. With a client
// name it finds that client's logins only.
func (s *logins) take(state, client string) (pendingLogin, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.pending {
		if client != "" && name != client {
			continue
		}
		list := s.alive(name)
		for i, l := range list {
			if l.State == state {
				s.pending[name] = append(list[:i:i], list[i+1:]...)
				return l, true
			}
		}
	}
	return pendingLogin{}, false
}

// offered returns the newest pending login of a client if at least half its time is
// left, so that repeated requests for a URL start one login.
func (s *logins) offered(client string, of registration) (flow.Login, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.alive(client)
	if len(list) == 0 {
		return flow.Login{}, false
	}
	l := list[len(list)-1]
	now := s.now()
	return l.Login, l.of == of && l.Expires.Sub(now) >= now.Sub(l.begun)
}

// drop drops the pending logins of a client.
func (s *logins) drop(client string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, client)
}

// retain drops the logins and failures of clients that were removed, or whose
// registration changed.
func (s *logins) retain(clients map[string]*client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, list := range s.pending {
		s.pending[name] = slices.DeleteFunc(list, func(l pendingLogin) bool {
			return clients[name] == nil || clients[name].registration() != l.of
		})
		if len(s.pending[name]) == 0 {
			delete(s.pending, name)
		}
	}
	maps.DeleteFunc(s.failures, func(name string, _ *flow.Failure) bool { return clients[name] == nil })
}

// ended records the result of a client's login; nil: it succeeded.
func (s *logins) ended(client string, p *problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.failures, client)
	if p != nil {
		s.failures[client] = &flow.Failure{Time: s.now(), Class: flow.Class(p.Code), Description: p.Description, Hint: p.Hint, Remedy: flow.Remedy(p.Remedy)}
	}
}

func (s *logins) failure(client string) *flow.Failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures[client]
}

// alive returns a client's logins that have not expired. mu must be held.
func (s *logins) alive(client string) []pendingLogin {
	var list []pendingLogin
	for _, l := range s.pending[client] {
		if s.now().Before(l.Expires) {
			list = append(list, l)
		}
	}
	return list
}
