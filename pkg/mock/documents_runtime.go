package mock

import (
	"cmp"
	"crypto/sha1" //nolint:gosec // Auth0's fingerprints
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"maps"
	"slices"
	"strings"
	"time"

	"example.com/tokend/pkg/mock/management"
	"example.com/tokend/pkg/mock/tenant"
)

// Documents that are made of the tenant's own state when they are read: sessions,
// refresh tokens, consents, blocked users, logs and signing keys.

type made struct {
	ids    func() []string
	read   func(id string) map[string]any // nil: no such object
	remove func(id string)
}

func (m *managed) made(kind string) (made, bool) {
	switch kind {
	case management.KindSession:
		return made{m.sessionIDs, m.session, m.endSession}, true
	case management.KindRefreshToken:
		return made{m.familyIDs, m.family, m.endFamily}, true
	case management.KindConsent:
		return made{m.consentIDs, m.consent, m.dropConsent}, true
	case management.KindBlock:
		return made{func() []string { return nil }, m.block, m.unblock}, true
	case management.KindLog:
		return made{m.logs, m.log, func(string) {}}, true
	case management.KindSigningKey:
		return made{m.keyIDs, m.key, func(id string) { _ = m.t.keys.revoke(id, m.c.now) }}, true // the current and the next key stay
	}
	return made{}, false
}

func formatTime(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

func parseTime(v any) time.Time {
	at, err := time.Parse(time.RFC3339, asText(v))
	if err != nil {
		return time.Time{}
	}
	return at
}

func (m *managed) sessionIDs() []string {
	var live []*session
	for _, s := range m.t.st.sessions {
		if s.user != "" && !m.t.sessionExpired(s, m.c.now) {
			live = append(live, s)
		}
	}
	slices.SortFunc(live, func(a, b *session) int { return cmp.Or(a.created.Compare(b.created), strings.Compare(a.sid, b.sid)) })
	out := make([]string, 0, len(live))
	for _, s := range live {
		out = append(out, s.sid)
	}
	return out
}

func (m *managed) sessionOf(sid string) *session {
	for _, s := range m.t.st.sessions {
		if s.sid == sid && s.user != "" && !m.t.sessionExpired(s, m.c.now) {
			return s
		}
	}
	return nil
}

func (m *managed) session(sid string) map[string]any {
	s := m.sessionOf(sid)
	if s == nil {
		return nil
	}
	absolute, idle := m.t.sessionLifetimes()
	clients := []any{}
	for _, id := range slices.Sorted(maps.Keys(s.clients)) {
		clients = append(clients, map[string]any{"client_id": id})
	}
	return map[string]any{
		"id": s.sid, "user_id": s.user, "created_at": formatTime(s.created), "updated_at": formatTime(s.seen),
		"authenticated_at": formatTime(s.authTime), "last_interacted_at": formatTime(s.seen),
		"idle_expires_at": formatTime(s.seen.Add(idle)), "expires_at": formatTime(s.created.Add(absolute)), "clients": clients,
		"authentication": map[string]any{"methods": []any{map[string]any{"name": "pwd", "timestamp": formatTime(s.authTime)}}},
		"device":         map[string]any{},
	}
}

func (m *managed) endSession(sid string) {
	if s := m.sessionOf(sid); s != nil {
		delete(m.t.st.sessions, s.id)
	}
}

func (m *managed) familyIDs() []string {
	var live []*family
	for _, f := range m.t.st.families {
		if f.revoked == "" {
			live = append(live, f)
		}
	}
	slices.SortFunc(live, func(a, b *family) int { return cmp.Or(a.created.Compare(b.created), strings.Compare(a.id, b.id)) })
	out := make([]string, 0, len(live))
	for _, f := range live {
		out = append(out, f.id)
	}
	return out
}

func (m *managed) family(id string) map[string]any {
	f := m.t.st.families[id]
	if f == nil || f.revoked != "" {
		return nil
	}
	var policy tenant.RefreshPolicy
	if client := m.t.st.clients[f.grant.client]; client != nil {
		policy = client.RefreshPolicy()
	}
	ends := func(from time.Time, seconds int, infinite bool) any {
		if infinite || policy.ExpirationType != "expiring" || seconds == 0 {
			return nil
		}
		return formatTime(from.Add(time.Duration(seconds) * time.Second))
	}
	var sid any
	if f.grant.sid != "" {
		sid = f.grant.sid
	}
	return map[string]any{
		"id": f.id, "user_id": f.grant.user, "client_id": f.grant.client, "created_at": formatTime(f.created), "session_id": sid,
		"rotating":         policy.RotationType == "rotating",
		"expires_at":       ends(f.created, policy.TokenLifetime, policy.InfiniteTokenLifetime),
		"idle_expires_at":  ends(f.seen, policy.IdleTokenLifetime, policy.InfiniteIdleTokenLifetime),
		"resource_servers": []any{map[string]any{"audience": f.grant.audience, "scopes": strings.Join(f.grant.scopes, " ")}},
	}
}

func (m *managed) endFamily(id string) {
	if f := m.t.st.families[id]; f != nil {
		m.t.revokeFamily(f, "revoked by the Management API")
	}
}

func consentID(key string) string { return management.DerivedID("cgr_", key, 16) }

func (m *managed) consentIDs() []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(m.t.st.consents)) {
		out = append(out, consentID(key))
	}
	return out
}

func (m *managed) consentKeyOf(id string) string {
	for key := range m.t.st.consents {
		if consentID(key) == id {
			return key
		}
	}
	return ""
}

func (m *managed) consent(id string) map[string]any {
	part := strings.Split(m.consentKeyOf(id), "\x00")
	if len(part) != 4 {
		return nil
	}
	return map[string]any{"id": id, "user_id": part[0], "clientID": part[1], "audience": part[2], "scope": strings.Fields(part[3])}
}

func (m *managed) dropConsent(id string) { delete(m.t.st.consents, m.consentKeyOf(id)) }

// block is the address from which a user is blocked; the mock blocks from all.
func (m *managed) block(user string) map[string]any {
	if !m.t.blocked(attemptKey("password", user), m.c.now) {
		return nil
	}
	identifier := user
	if u := m.t.st.users[user]; u != nil {
		identifier = cmp.Or(u.Email, u.Username, user)
	}
	return map[string]any{"identifier": identifier, "ip": "127.0.0.1"}
}

func (m *managed) unblock(user string) { delete(m.t.st.attempts, attemptKey("password", user)) }

// logTypes are the types of the log of a real tenant, for the calls of the journal that
// it has a log of: of success, and of failure.
var logTypes = map[string][2]string{
	"login": {"s", "fp"}, "authorize": {"ssa", "fsa"}, "logout": {"slo", "flo"}, "signup": {"ss", "fs"}, "change_password": {"scpr", "fcpr"},
	"revoke": {"srrt", "frrt"}, "userinfo": {"", ""}, "management": {"sapi", "fapi"}, "device": {"sede", "fede"}, "passwordless": {"cls", "fcls"},
}

var grantLogTypes = map[string][2]string{
	tenant.GrantAuthorizationCode: {"seacft", "feacft"}, tenant.GrantClientCredentials: {"seccft", "feccft"}, tenant.GrantRefreshToken: {"sertft", "fertft"},
	tenant.GrantPassword: {"sepft", "fepft"}, tenant.GrantPasswordRealm: {"sepft", "fepft"}, tenant.GrantDeviceCode: {"sede", "fede"},
}

func logType(e Entry) string {
	types := logTypes[e.Endpoint]
	if e.Endpoint == "token" {
		types = grantLogTypes[e.Grant]
	}
	if e.Status >= 400 {
		return types[1]
	}
	if e.Endpoint == "management" && e.Method == "GET" {
		return "" // a real tenant logs changes only
	}
	return types[0]
}

const mostLogs = 1000 // calls of the journal that the API reads

// logs reads the journal once for a request.
func (m *managed) logs() []string {
	if m.logged != nil {
		return m.logIDs
	}
	m.logged = map[string]Entry{}
	all := m.t.journal.Find(Query{})
	for _, e := range all[max(0, len(all)-mostLogs):] {
		if logType(e) != "" {
			m.logged[e.ID] = e
			m.logIDs = append(m.logIDs, e.ID)
		}
	}
	return m.logIDs
}

func (m *managed) log(id string) map[string]any {
	m.logs()
	e, found := m.logged[id]
	if !found {
		return nil
	}
	name := ""
	if client := m.t.st.clients[e.ClientID]; client != nil {
		name = client.Name
	}
	return map[string]any{
		"_id": e.ID, "log_id": e.ID, "date": formatTime(e.Time), "type": logType(e), "description": e.Reason, "client_id": e.ClientID,
		"client_name": name, "user_id": "", "user_name": "", "ip": "127.0.0.1", "hostname": m.c.r.Host, "connection": nil, "connection_id": nil,
		"audience": nil, "scope": nil, "isMobile": false, "strategy": nil, "strategy_type": nil, "user_agent": "",
		"details": map[string]any{"request": map[string]any{"method": e.Method, "path": e.Path}, "response": map[string]any{"statusCode": e.Status}},
	}
}

func (m *managed) keyIDs() []string {
	var out []string
	for _, k := range m.t.keys.states() {
		if !k.Revoked {
			out = append(out, k.ID)
		}
	}
	return out
}

func (m *managed) key(id string) map[string]any {
	var state KeyState
	for _, s := range m.t.keys.states() {
		if s.ID == id {
			state = s
		}
	}
	for _, k := range m.t.keys.list() {
		if k.ID != id {
			continue
		}
		der, err := k.certificate(m.c.issuer)
		if err != nil {
			return nil
		}
		cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		sum := sha1.Sum(der) //nolint:gosec // see the import
		return map[string]any{
			"kid": k.ID, "cert": cert, "pkcs7": "-----BEGIN PKCS7-----\r\n" + base64.StdEncoding.EncodeToString(der) + "\r\n-----END PKCS7-----\r\n",
			"current": state.Current, "previous": state.Previous, "next": state.Next, "revoked": false,
			"fingerprint": strings.ToUpper(hex.EncodeToString(sum[:])), "thumbprint": strings.ToUpper(hex.EncodeToString(sum[:])),
		}
	}
	return nil
}
