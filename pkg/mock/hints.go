package mock

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

// Hints say to a developer what to change. They are in the journal, in the console and
// below the tenant's error page, and in no answer to a client.

// withHint sets what a developer should change.
func (e *oauthError) withHint(format string, args ...any) *oauthError {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// refused records in the journal why the call failed, and what to change.
func (c *call) refused(e *oauthError) {
	c.setReason(e.Error())
	c.entry.Hint = e.Hint
}

// setHint records in the journal what to change.
func (c *call) setHint(format string, args ...any) { c.entry.Hint = fmt.Sprintf(format, args...) }

// addTo is the hint for a value that is missing in a list of a client.
func addTo(list, value string, c *tenant.Client) string {
	return fmt.Sprintf("add %s to %s of client %s", clip(value), list, c.ClientID)
}

// orHas adds to a hint what the list has.
func orHas(hint string, list []string) string {
	if len(list) == 0 {
		return hint + ", which is empty"
	}
	return hint + ", which has " + few(list)
}

// few returns the first names of a list.
func few(list []string) string {
	const most = 4
	if more := len(list) - most; more > 0 {
		return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(list, ", ")
}

// unknownClient is the hint for a client_id that the tenant does not have.
func (t *Tenant) unknownClient(id string) string {
	if id == "" {
		return "send a client_id; the clients are " + few(t.st.clientOrder)
	}
	return fmt.Sprintf("no client has the client_id %s; the clients are %s", clip(id), few(t.st.clientOrder))
}

// unknownAPI is the hint for an audience that the tenant does not have.
func (t *Tenant) unknownAPI(audience string) string {
	var known []string
	for id := range t.st.apis {
		known = append(known, id)
	}
	slices.Sort(known)
	if len(known) == 0 {
		return "the tenant has no API; add one to resourceServers"
	}
	return fmt.Sprintf("no API has the identifier %s; the APIs are %s", clip(audience), few(known))
}

// by names the call with an id: "by request 17", or "by a request that the journal no
// longer has".
func (t *Tenant) by(id string) string {
	if n := t.journal.numberOf(id); n > 0 {
		return fmt.Sprintf("by request %d", n)
	}
	return "by a request that the journal no longer has"
}

// usedHint says when a code was used, and by which call.
func (t *Tenant) usedHint(cd *code, now time.Time) string {
	return fmt.Sprintf("the code was used %s ago %s; a code works once", span(now.Sub(cd.usedAt)), t.by(cd.usedBy))
}

// reuseHint says which refresh token was sent.
func (t *Tenant) reuseHint(rt *refreshToken, leeway time.Duration, now time.Time) string {
	f := rt.family
	return fmt.Sprintf("this token is number %d of its family; number %d replaced it %s ago, the last was issued %s; "+
		"refresh_token.leeway of client %s is %s", rt.generation, f.generation, span(now.Sub(f.rotated)), t.by(f.last),
		f.grant.client, span(leeway))
}

// endedHint says when a family ended, and by which call.
func (t *Tenant) endedHint(f *family, now time.Time) string {
	if f.endedBy == "" {
		return "log in again"
	}
	return fmt.Sprintf("the family ended %s ago %s; log in again", span(now.Sub(f.ended)), t.by(f.endedBy))
}

// span returns a duration as a person reads it: "3.2 s", "15 min", "25 h", "7 days".
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + span(-d)
	case d < time.Minute:
		return trimmed(d.Seconds()) + " s"
	case d < time.Hour:
		return trimmed(d.Minutes()) + " min"
	case d < 72*time.Hour:
		return trimmed(d.Hours()) + " h"
	}
	return trimmed(d.Hours()/24) + " days"
}

func trimmed(f float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") }

// loginHint says whether a connection has a user.
func (t *Tenant) loginHint(login, connection string) string {
	u := t.st.userIn(login, func(u *tenant.User) bool { return u.Connection == connection })
	if u == nil {
		return fmt.Sprintf("connection %s has no user %s", connection, clip(login))
	}
	if u.Password == "" {
		return fmt.Sprintf("user %s has no password", nameOf(u))
	}
	return fmt.Sprintf("user %s has another password", nameOf(u))
}

// nameOf returns what a person calls a user.
func nameOf(u *tenant.User) string { return cmp.Or(u.Email, u.Username, u.UserID) }

func blockedHint(u *tenant.User) string {
	return fmt.Sprintf(`PATCH /_mock/users/%s {"blocked":false} unblocks the user`, nameOf(u))
}

// sessionHint says why a request is not logged in.
func (t *Tenant) sessionHint(c *call, s *session) string {
	_, err := c.r.Cookie(sessionCookie)
	switch {
	case err != nil:
		return "the request has no session cookie: no user logged in in this browser, or it is a frame of another site, to which browsers send none"
	case s == nil:
		return "the session of the cookie has ended or expired on the tenant's clock"
	case s.user == "":
		return "no user logged in in this session yet"
	case t.st.users[s.user] == nil:
		return "the user of the session was deleted"
	}
	return "the request asks for a newer login than that of the session"
}

// lostHint says why a page has no transaction.
func (t *Tenant) lostHint(c *call) string {
	if _, err := c.r.Cookie(sessionCookie); err != nil {
		return "the browser sent no session cookie; start again at the application"
	}
	return "this login is over, older than an hour, or was started in another browser or before a reset; start again at the application"
}

func logoutHint(target string, c *tenant.Client) string {
	if c == nil {
		return "add " + clip(target) + " to allowed_logout_urls of the tenant, or send client_id"
	}
	return orHas(addTo("allowed_logout_urls", target, c), c.AllowedLogoutURLs)
}

// tokenHint says what to change when a valid token of the tenant is refused.
func tokenHint(claims map[string]any, now time.Time, problem string) string {
	exp, _ := claims["exp"].(float64)
	switch {
	case strings.Contains(problem, "expired"):
		return fmt.Sprintf("it expired %s ago on the tenant's clock", span(now.Sub(time.Unix(int64(exp), 0))))
	case strings.Contains(problem, "openid"):
		return "log in with the scope openid"
	case strings.Contains(problem, "audience"):
		return fmt.Sprintf("the token's aud is %v; /_mock/resource/ is the tenant's first API", claims["aud"])
	case strings.Contains(problem, "role"):
		return fmt.Sprintf("add the role %s to the user %v", eligibleRole, claims["sub"])
	}
	return ""
}
