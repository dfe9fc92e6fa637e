package doctor

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/tokend"
)

// findRemote finds a service with a configuration of its own: no client is configured
// here, and TOKEND_ADDR names the service or one answers at the default places.
func (x *examination) findRemote(ctx context.Context) {
	if !x.Settings.NoClient {
		return
	}
	if x.remote = x.Getenv(addrVariable); x.remote != "" {
		return
	}
	endpoints, err := x.endpoints()
	if err != nil {
		return
	}
	for _, e := range endpoints {
		if _, answers := x.probe(ctx, e); answers {
			x.remote = e.addr
			break
		}
	}
	x.running = running{}
}

// served are the clients asked for that only the service knows.
func (x *examination) served() []string {
	if x.remote == "" {
		return nil
	}
	all := slices.Sorted(maps.Keys(x.running.clients))
	if len(x.Names) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(name string) bool { return !slices.Contains(x.Names, name) })
}

// unknownNames reports the names that a remote service does not have.
func (x *examination) unknownNames(check string) []flow.Finding {
	if x.remote == "" {
		return nil
	}
	var found []flow.Finding
	for _, name := range x.Names {
		if _, exists := x.running.clients[name]; !exists {
			all := strings.Join(slices.Sorted(maps.Keys(x.running.clients)), ", ")
			found = append(found, problem(check, ClassUnknownClient, fmt.Sprintf("client %q is not one of the service's at %s", name, x.remote),
				"the clients are "+cmp.Or(all, "none"))...)
		}
	}
	return found
}

// checkServedClient makes the checks that need nothing but what the service reports.
func (x *examination) checkServedClient(st tokend.Status) []flow.Finding {
	c := Client{Config: flow.Config{Name: st.Client}, Login: st.Login}
	found := slices.Concat(x.checkState(c), x.checkFiles(c), x.checkGrantEnd(c), x.checkWindows(c))
	if x.ProbeSecret {
		found = append(found, warning("secret", "not tried: the secret is in the service's settings", "run tokend doctor "+st.Client+" --probe-secret with the service's variables, as its user")...)
	}
	return append(found, skipped("tenant", "its settings are the service's: run tokend doctor with the variables of the service")...)
}
