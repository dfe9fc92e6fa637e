package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"example.com/tokend/internal/config"
	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/tokend"
)

// elsewhere settles whether the service has a configuration of its own: here is
// none, and TOKEND_ADDR names it or one answers at the default places.
func (d *doctor) elsewhere(ctx context.Context) bool {
	if !d.faults.NoClient() {
		return false
	}
	if d.remote = os.Getenv(addrVariable); d.remote != "" {
		return true
	}
	doors, err := d.doors()
	if err != nil {
		return false
	}
	for _, door := range doors {
		if _, answers := d.knock(ctx, door); answers {
			d.remote = door.addr
			break
		}
	}
	d.running = running{}
	return d.remote != ""
}

// served are the clients that only the service knows, of those asked for.
func (d *doctor) served() []string {
	if d.remote == "" {
		return nil
	}
	all := slices.Sorted(maps.Keys(d.running.clients))
	if len(d.names) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(name string) bool { return !slices.Contains(d.names, name) })
}

// unknown is a name that the service elsewhere does not have, once it has told
// its clients.
func (d *doctor) unknown() error {
	if d.remote == "" || !d.running.listed {
		return nil
	}
	for _, name := range d.names {
		if _, there := d.running.clients[name]; !there {
			all := strings.Join(slices.Sorted(maps.Keys(d.running.clients)), ", ")
			return hintf(exitNoClient, fmt.Sprintf("the clients are %s", cmp.Or(all, "none")),
				"client %q is not one of the service's at %s", name, d.remote)
		}
	}
	return nil
}

// checkServedClient makes the checks that need the service's word alone.
func (d *doctor) checkServedClient(st tokend.Status) []flow.Finding {
	c := config.Client{Login: st.Login}
	c.Name = st.Client
	found := slices.Concat(d.checkState(c), d.checkFiles(c), d.checkGrantEnd(c), d.checkWindows(c))
	return append(found, skip("tenant", "its settings are the service's: run tokend doctor with the variables of the service")...)
}
