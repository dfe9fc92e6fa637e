package mock

import (
	"cmp"
	"slices"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

// expiry is something that will expire on the tenant's clock.
type expiry struct {
	At     time.Time
	What   string // "code", "access token", …
	Client string
	User   string // user_id
}

// expiries returns what will expire, the next one first. The caller holds t.mu.
func (t *Tenant) expiries(now time.Time) []expiry {
	var list []expiry
	add := func(at time.Time, what, client, user string) {
		if at.After(now) {
			list = append(list, expiry{at, what, client, user})
		}
	}
	for _, i := range t.st.issued {
		add(i.expires, i.kind, i.client, i.user)
	}
	for _, cd := range t.st.codes {
		if !cd.used {
			add(cd.expires, "code", cd.grant.client, cd.grant.user)
		}
	}
	for _, s := range t.st.sessions {
		if s.user != "" {
			add(t.sessionEnd(s), "session", "", s.user)
		}
	}
	for _, f := range t.st.families {
		if end := t.familyEnd(f); f.revoked == "" && !end.IsZero() {
			add(end, "refresh token", f.grant.client, f.grant.user)
		}
	}
	for _, d := range t.st.devices {
		if d.state == "" {
			add(d.expires, "device code", d.client, "")
		}
	}
	for _, tx := range t.st.logins {
		if !tx.logout {
			add(tx.created.Add(loginLifetime+time.Second), "login page", tx.req.client.ClientID, "")
		}
	}
	for _, p := range t.st.pushed {
		add(p.expires, "pushed request", p.client, "")
	}
	slices.SortFunc(list, func(a, b expiry) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.What, b.What), cmp.Compare(a.Client, b.Client), cmp.Compare(a.User, b.User))
	})
	return list
}

// sessionEnd is the first second in which a session is over.
func (t *Tenant) sessionEnd(s *session) time.Time {
	absolute, idle := t.sessionLifetimes()
	end, idleEnd := s.created.Add(absolute), s.seen.Add(idle)
	if idleEnd.Before(end) {
		end = idleEnd
	}
	return end.Add(time.Second)
}

// familyEnd is when the refresh tokens of a family are over, zero for never.
func (t *Tenant) familyEnd(f *family) time.Time {
	client := t.st.clients[f.grant.client]
	if client == nil || client.RefreshPolicy().ExpirationType != "expiring" {
		return time.Time{}
	}
	p := client.RefreshPolicy()
	var ends []time.Time
	if !p.InfiniteTokenLifetime {
		ends = append(ends, f.created.Add(seconds(p.TokenLifetime)))
	}
	if !p.InfiniteIdleTokenLifetime {
		ends = append(ends, f.seen.Add(seconds(p.IdleTokenLifetime)))
	}
	if len(ends) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(ends, time.Time.Compare)
}

// seconds is a lifetime of refresh tokens; 0 is Auth0's default.
func seconds(n int) time.Duration {
	return time.Duration(cmp.Or(n, tenant.DefaultRefreshLifetime)) * time.Second
}
