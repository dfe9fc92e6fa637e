package daemon

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// logins keeps pending logins in the store, where every process of it finds them, and
// the failures of the last ones in memory.
type logins struct {
	keeper flow.LoginKeeper
	now    func() time.Time

	mu       sync.Mutex
	failures map[string]*flow.Failure // by client, of the last login
}

func newLogins(keeper flow.LoginKeeper, now func() time.Time) *logins {
	if keeper == nil {
		keeper = &flow.MemoryStore{Now: now}
	}
	return &logins{keeper: keeper, now: now, failures: map[string]*flow.Failure{}}
}

// key identifies the client that a login belongs to: the provider gives the code to
// this client only.
func (c Client) key() string { return flow.GrantKey(c.Status().Issuer, c.ClientID, c.Name()) }

// owns reports whether a login was begun for this client, with its redirect URI.
func (c Client) owns(l flow.PendingLogin) bool {
	return l.Key == c.key() && l.Login.RedirectURL == c.RedirectURL
}

// put keeps a login until it is taken, expires or is dropped for newer ones.
func (s *logins) put(ctx context.Context, cl Client, l flow.Login) error {
	return loginStoreError(s.keeper.KeepLogin(ctx, flow.PendingLogin{Key: cl.key(), Started: s.now().Round(0), Login: l}))
}

// take returns the login of a state and drops it: a state works once. With a client
// (nil: any) it finds that client's logins only.
func (s *logins) take(ctx context.Context, state string, cl *Client) (flow.PendingLogin, error) {
	key := ""
	if cl != nil {
		key = cl.key()
	}
	l, err := s.keeper.TakeLogin(ctx, key, state)
	if errors.Is(err, flow.ErrNotFound) || err == nil && l.Login.State != state { // the device code of another client
		return flow.PendingLogin{}, flow.ErrState
	}
	return l, loginStoreError(err)
}

// offered returns the newest pending login of a client if at least half its time is
// left, so that repeated requests for a URL start one login.
func (s *logins) offered(ctx context.Context, cl Client) (flow.Login, bool) {
	list, err := s.keeper.PendingLogins(ctx, cl.key())
	if err != nil || len(list) == 0 {
		return flow.Login{}, false
	}
	l, now := list[len(list)-1], s.now()
	return l.Login, cl.owns(l) && l.Login.State != "" && l.Login.Expires.Sub(now) >= now.Sub(l.Started)
}

// drop drops the pending logins of a client.
func (s *logins) drop(ctx context.Context, cl Client) error {
	return loginStoreError(s.keeper.DropLogins(ctx, cl.key()))
}

// loginStoreError classifies an error of the store that keeps the logins.
func loginStoreError(err error) error {
	if err == nil || errors.Is(err, flow.ErrCorrupt) {
		return err
	}
	return &flow.Error{
		Op: "login", Class: flow.ClassStoreUnavailable, Description: "the store of pending logins does not answer: " + err.Error(),
		Hint: cmp.Or(hint.Of(err), "try again"), RetryAfter: storeRetry, Err: err,
	}
}

// storeRetry is the retry_after if the store does not answer.
const storeRetry = 5 * time.Second

// retain drops the failures of clients that were removed. Their pending logins expire
// in the store: another process may still serve them.
func (s *logins) retain(clients map[string]*client) {
	s.mu.Lock()
	defer s.mu.Unlock()
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

// failure returns why the last login of a client failed. A token that it got since, by
// a refresh or by another login, ends the failure: nothing is left to do about it.
func (s *logins) failure(st *flow.Status) *flow.Failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.failures[st.Client]
	if f == nil || st.Obtained.After(f.Time) || st.LastExchange.After(f.Time) || st.LoggedIn.After(f.Time) {
		return nil
	}
	return f
}
