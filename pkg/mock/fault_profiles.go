package mock

import (
	"maps"
	"slices"
	"strings"
)

// profiles are the named sets of faults.
func profiles() map[string][]Fault {
	flaky := func(endpoint string, f Fault) Fault {
		f.Endpoint, f.Rate = endpoint, 0.1
		return f
	}
	unavailable := Fault{Kind: FaultStatus, Status: 503}
	all := map[string][]Fault{
		// No answer is lost after the tenant has handled the request: a client that
		// tries again succeeds.
		"flaky": {
			flaky("token", unavailable), flaky("token", Fault{Kind: FaultReset}), flaky("token", Fault{Kind: FaultDelay, Delay: "300ms"}),
			flaky("authorize", unavailable), flaky("userinfo", unavailable), flaky("jwks", unavailable), flaky("discovery", unavailable),
		},
		"rotation-lost": {{Endpoint: "token", Grant: "refresh_token", Kind: FaultReset, AfterCommit: true, Times: 1}},
	}
	for _, endpoint := range faultEndpoints {
		outage := unavailable
		outage.Endpoint = endpoint
		all["outage"] = append(all["outage"], outage)
		all["rate-limited"] = append(all["rate-limited"], Fault{Endpoint: endpoint, Kind: FaultRateLimit, Limit: 5, Per: "10s"})
	}
	return all
}

// expand returns the faults of a profile, with the members that a fault with a profile
// may have.
func (f Fault) expand() ([]Fault, error) {
	all := profiles()
	parts, known := all[f.Profile]
	if !known {
		return nil, fieldError("profile", "%q is not one of %s", f.Profile, strings.Join(slices.Sorted(maps.Keys(all)), ", "))
	}
	if f.Endpoint != "" || f.Kind != "" {
		return nil, fieldError("profile", "%q has its own endpoints and kinds; a fault has either a profile or these", f.Profile)
	}
	for i := range parts {
		p := &parts[i]
		p.Profile, p.ClientID, p.Seed = f.Profile, f.ClientID, f.Seed+uint64(i) //nolint:gosec // a small index
		if f.Times != 0 {
			p.Times = f.Times
		}
		if f.Rate != 0 {
			p.Rate = f.Rate
		}
	}
	return parts, nil
}

// failProfile arms the faults of a profile, all or none.
func (t *Tenant) failProfile(f Fault) (*Armed, error) {
	parts, err := f.expand()
	if err != nil {
		return nil, err
	}
	group := &Armed{fault: f}
	for _, p := range parts {
		a, err := newArmed(p)
		if err != nil {
			return nil, err
		}
		group.parts = append(group.parts, a)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, group.parts...)
	return group, nil
}
