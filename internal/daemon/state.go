package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"example.com/tokend/internal/guard"
	"example.com/tokend/pkg/flow"
)

// ErrEnded is the error of [Daemon.Replace] after [Daemon.Run] has ended.
var ErrEnded = errors.New("daemon: the service has ended")

// api has the clients and keys of one configuration, and their routes. It never
// changes; a reload replaces it as a whole: a request sees one configuration from its
// guard to its answer.
type api struct {
	*Daemon
	clients map[string]*client
	names   []string // of clients, sorted
	guard   *guard.Guard
	engine  http.Handler
	routed  routeCounters

	replaced context.Context // ends when the next configuration is active
	end      context.CancelFunc
}

// newAPI checks clients and keys. It does not change d.
func (d *Daemon) newAPI(clients []Client, keys []Key) (*api, error) {
	a := &api{Daemon: d, clients: map[string]*client{}}
	before := d.active.Load()
	var faults []error
	for _, cl := range clients {
		if _, twice := a.clients[cl.Name()]; twice {
			faults = append(faults, fmt.Errorf("daemon: duplicate client %q", cl.Name()))
		}
		l := before.lifeOf(cl, &d.running)
		c := &client{Client: cl, life: l}
		if len(cl.Upstreams) > 0 { // otherwise forward makes one, which refuses
			c.upstreams = d.proxy.Client(cl.Name(), tokenSource{cl.Client, l}, cl.Upstreams)
		}
		a.clients[cl.Name()] = c
	}
	var held []guard.Key
	for _, k := range keys {
		g := guard.Key{
			Name: k.Name, Hash: k.Hash, UIDs: k.UIDs, GIDs: k.GIDs, Certificates: k.Certificates,
			Tokens: tokenRules(k.Tokens), Clients: k.Clients, Audiences: k.Audiences, ReadOnly: k.ReadOnly, Expires: k.Expires, Rate: k.Rate,
		}
		if k.Secret != "" {
			g.Secret = k.Secret
		}
		held = append(held, g)
	}
	var err error
	if a.guard, err = guard.New(guard.Config{Keys: held, Rate: d.rate, Limits: &d.limits, Sessions: d.sessions, Now: d.now}); err != nil {
		faults = append(faults, fmt.Errorf("daemon: %w", err))
	}
	a.replaced, a.end = context.WithCancel(context.Background())
	a.names = slices.Sorted(maps.Keys(a.clients))
	a.engine = a.routes()
	return a, errors.Join(faults...)
}

// lifeOf returns the life of a client: the one of the previous configuration if the
// client is the same, or a new one.
func (d *api) lifeOf(cl Client, of *lives) *life {
	if d != nil {
		if old := d.clients[cl.Name()]; old != nil && old.Client.Client == cl.Client {
			return old.life
		}
	}
	return &life{client: cl.Client, of: of}
}

// Replace replaces clients and API keys at once: the old ones answer requests that
// have begun, the new ones answer later requests. On an error nothing changes. A
// client with the same [flow.Client] keeps running, the others start. A removed
// client ends when no request waits for it; Run waits for that, Replace does not.
// A client's pending logins stay valid if its issuer, client id and redirect URL stay.
func (d *Daemon) Replace(clients []Client, keys []Key) error {
	d.running.mu.Lock()
	defer d.running.mu.Unlock()
	if d.running.ended {
		return ErrEnded
	}
	next, err := d.newAPI(clients, keys)
	if err != nil {
		return err
	}
	old := d.active.Swap(next)
	old.end()
	d.logins.retain(next.clients)
	if d.running.begun {
		d.running.replace(old, next)
	}
	return nil
}

// get calls flow's Get and counts as a use of the client.
func (cl *client) get(ctx context.Context, r flow.Request) (*flow.Token, error) {
	defer cl.life.use()()
	return cl.Client.Get(ctx, r)
}
