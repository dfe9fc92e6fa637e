package mock

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

const (
	shownEntries = 100 // of the journal
	shownRows    = 50  // of other lists
)

// expiryRow is an expiry as the console shows it.
type expiryRow struct {
	expiry
	Name string // of the user
	In   time.Duration
}

func (t *Tenant) expiryRow(e expiry, now time.Time) expiryRow {
	return expiryRow{e, t.userName(e.User), e.At.Sub(now)}
}

// userName returns what a person calls a user. The caller holds t.mu.
func (t *Tenant) userName(id string) string {
	if u := t.st.users[id]; u != nil {
		return nameOf(u)
	}
	return id
}

// entryRow is a call of the journal with the numbers of those before it in its flow.
type entryRow struct {
	Entry
	UserName string
	Lineage  []int
}

type journalData struct {
	Query     Query
	Rows      []entryRow
	Count     int // of the entries that match
	Dropped   int
	Endpoints []string
	Clients   []string
	Problem   string
}

// Filtered reports whether the page shows a part of the journal only.
func (d journalData) Filtered() bool { return d.Query != Query{} }

func (t *Tenant) fillJournal(r *http.Request, v *consoleView) {
	q, err := t.requestQuery(r.URL.Query())
	d := journalData{Query: q}
	if err != nil {
		d.Problem, d.Query = err.Error(), Query{}
	}
	all := t.journal.Find(Query{})
	number, parent := map[string]int{}, map[string]string{}
	for _, e := range all {
		number[e.ID], parent[e.ID] = e.Number, e.Parent
	}
	d.Dropped = t.journal.Dropped()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range slices.Backward(all) {
		if !d.Query.matches(&e) || e.Number <= d.Query.After {
			continue
		}
		if d.Count++; d.Count > shownEntries {
			continue
		}
		row := entryRow{Entry: e, UserName: t.userName(e.User)}
		for id := e.Parent; number[id] > 0 && len(row.Lineage) < 4; id = parent[id] {
			row.Lineage = append([]int{number[id]}, row.Lineage...)
		}
		d.Rows = append(d.Rows, row)
	}
	d.Endpoints, d.Clients = t.endpoints(), slices.Clone(t.st.clientOrder)
	v.Data = d
}

// loginLink logs a user in to a client.
type loginLink struct{ Name, URL string }

type clientCard struct {
	tenant.Client
	Logins  []loginLink
	More    int    // users without a link
	Problem string // why there are no links
}

func (t *Tenant) fillClients(_ *http.Request, v *consoleView) {
	const most = 6
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []clientCard
	for _, id := range t.st.clientOrder {
		c := clientCard{Client: *t.st.clients[id]}
		if !slices.Contains(c.GrantTypes, tenant.GrantAuthorizationCode) {
			c.Problem = "grant_types has no authorization_code, so no user can log in"
		}
		for _, user := range t.st.userOrder {
			switch {
			case c.Problem != "":
			case len(c.Logins) == most:
				c.More++
			default:
				c.Logins = append(c.Logins, loginLink{t.userName(user), t.loginURL(v.at, &c.Client, user)})
			}
		}
		list = append(list, c)
	}
	v.Data = list
}

// loginURL is an authorization request that ends at the console's callback page.
func (t *Tenant) loginURL(at address, c *tenant.Client, user string) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {c.ClientID}, "redirect_uri": {at.pageURL(callbackPath)},
		"scope": {"openid profile email offline_access"}, "login_hint": {t.userName(user)}, "prompt": {"login"}, "state": {"console"},
		"nonce": {"console"}, "code_challenge": {consoleChallenge()}, "code_challenge_method": {"S256"},
	}
	if audience := t.st.firstAPI(); audience != "" {
		q.Set("audience", audience)
		for _, s := range t.st.apis[audience].Scopes {
			q.Set("scope", q.Get("scope")+" "+s.Value)
		}
	}
	return at.pageURL("/authorize") + "?" + q.Encode()
}

type userRow struct {
	tenant.User
	Name  string
	Roles []roleBox
}

type roleBox struct {
	Name string
	Has  bool
}

type usersData struct {
	Rows  []userRow
	Count int
	Roles []string
}

func (t *Tenant) fillUsers(_ *http.Request, v *consoleView) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := usersData{Count: len(t.st.userOrder), Roles: slices.Sorted(maps.Keys(t.st.roles))}
	for _, id := range t.st.userOrder[:min(d.Count, shownRows)] {
		u := t.st.users[id]
		row := userRow{User: shownUser(u), Name: nameOf(u)}
		for _, r := range d.Roles {
			row.Roles = append(row.Roles, roleBox{r, slices.Contains(u.Roles, r)})
		}
		d.Rows = append(d.Rows, row)
	}
	v.Data = d
}

type familyRow struct {
	FamilyState
	Base   string    // the path of the tenant
	End    time.Time // zero: never
	Tokens []tokenRow
}

type sessionRow struct {
	Key      string // hash of the session's id, which is a secret
	Name     string
	Since    time.Time
	End      time.Time
	Clients  []string
	Families []familyRow
	Tokens   []tokenRow
}

type sessionsData struct {
	Sessions []sessionRow
	Others   []familyRow // families without a live session
	Count    int
	Kept     map[string]int
	Dropped  int
}

func (t *Tenant) fillSessions(_ *http.Request, v *consoleView) {
	d := sessionsData{}
	d.Kept, d.Dropped = t.kept()
	families := t.Families()
	t.mu.Lock()
	defer t.mu.Unlock()
	bySID := map[string][]familyRow{}
	for _, f := range slices.Backward(families) {
		state := t.st.families[f.ID]
		if state == nil {
			continue
		}
		row := familyRow{FamilyState: f, Base: v.Base, End: t.familyEnd(state)}
		row.User = t.userName(f.User)
		bySID[state.grant.sid] = append(bySID[state.grant.sid], row)
	}
	live := slices.SortedFunc(maps.Values(t.st.sessions), func(a, b *session) int {
		return cmp.Or(b.authTime.Compare(a.authTime), cmp.Compare(a.id, b.id))
	})
	for _, s := range live {
		if s.user == "" || t.sessionExpired(s, v.Now) {
			continue
		}
		if d.Count++; d.Count > shownRows {
			continue
		}
		d.Sessions = append(d.Sessions, sessionRow{
			Key: hash(s.id), Name: t.userName(s.user), Since: s.authTime, End: t.sessionEnd(s),
			Clients: slices.Sorted(maps.Keys(s.clients)), Families: bySID[s.sid], Tokens: t.liveTokens(s.sid, v.Now),
		})
		delete(bySID, s.sid)
	}
	for _, rows := range bySID {
		d.Others = append(d.Others, rows...)
	}
	slices.SortFunc(d.Others, func(a, b familyRow) int { return cmp.Or(b.Seen.Compare(a.Seen), strings.Compare(a.ID, b.ID)) })
	d.Others = d.Others[:min(len(d.Others), shownRows)]
	v.Data = d
}

// tokenRow is an issued token as the console shows it.
type tokenRow struct {
	Kind    string
	Client  string
	User    string
	Scope   string
	Number  int // of the call in the journal
	Issued  time.Time
	Expires time.Time
	Header  string
	Claims  string
}

// Expired reports whether the token is over at a time.
func (r tokenRow) Expired(now time.Time) bool { return !r.Expires.After(now) }

func (t *Tenant) tokenRow(i issuedToken) tokenRow {
	row := tokenRow{
		Kind: i.kind, Client: i.client, User: t.userName(i.user), Scope: i.scope, Number: t.journal.numberOf(i.entry),
		Issued: i.issued, Expires: i.expires,
	}
	row.Header, row.Claims = i.parts()
	row.Header, row.Claims = indented(row.Header), indented(row.Claims)
	return row
}

// liveTokens returns the access tokens of a session that have not expired.
func (t *Tenant) liveTokens(sid string, now time.Time) []tokenRow {
	var out []tokenRow
	for _, i := range slices.Backward(t.st.issued) {
		if i.sid == sid && sid != "" && i.kind == "access token" && i.expires.After(now) && len(out) < 5 {
			out = append(out, t.tokenRow(i))
		}
	}
	return out
}

// choice is an option of a form.
type choice struct{ Value, Name string }

type tokensData struct {
	Rows   []tokenRow
	Users  []choice // for whom a token can be issued
	APIs   []string
	Opened *openedToken
}

func (t *Tenant) fillTokens(_ *http.Request, v *consoleView) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := tokensData{}
	for _, i := range slices.Backward(t.st.issued) {
		if len(d.Rows) < shownRows {
			d.Rows = append(d.Rows, t.tokenRow(i))
		}
	}
	for _, id := range t.st.userOrder[:min(len(t.st.userOrder), shownRows)] {
		d.Users = append(d.Users, choice{id, t.userName(id)})
	}
	d.APIs = slices.Sorted(maps.Keys(t.st.apis))
	v.Data = d
}

type faultRow struct {
	FaultState
	Index int
	Facts []string
}

type faultsData struct {
	Rows      []faultRow
	Presets   []faultPreset
	Profiles  []faultProfile
	Endpoints []string
	Kinds     []FaultKind
	Clients   []string
}

func (t *Tenant) fillFaults(_ *http.Request, v *consoleView) {
	d := faultsData{Presets: faultPresets(), Profiles: faultProfiles(), Endpoints: faultEndpoints, Kinds: consoleKinds()}
	for i, f := range t.Faults() {
		d.Rows = append(d.Rows, faultRow{f, i, faultFacts(f)})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	d.Clients = slices.Clone(t.st.clientOrder)
	v.Data = d
}

// faultFacts says which calls a fault hits, and how.
func faultFacts(f FaultState) []string {
	var out []string
	add := func(is bool, text string) {
		if is {
			out = append(out, text)
		}
	}
	add(f.Profile != "", "profile "+f.Profile)
	add(f.Status != 0, "status "+strconv.Itoa(f.Status))
	add(f.Delay != "", "delay "+f.Delay)
	add(f.Limit != 0, strconv.Itoa(f.Limit)+" calls in "+f.Per)
	add(f.AfterCommit, "after the tenant has handled the call")
	add(f.Grant != "", "grant "+f.Grant)
	add(f.ClientID != "", "client "+f.ClientID)
	add(f.Rate != 0, strconv.FormatFloat(100*f.Rate, 'f', -1, 64)+" % of the calls")
	add(f.Times == 1, "one call")
	add(f.Times > 1, strconv.Itoa(f.Times)+" calls")
	return out
}

func (t *Tenant) fillClock(_ *http.Request, v *consoleView) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var rows []expiryRow
	for _, e := range t.expiries(v.Now) {
		if len(rows) < shownRows {
			rows = append(rows, t.expiryRow(e, v.Now))
		}
	}
	v.Data = rows
}

type keyRow struct {
	KeyState
	Bits int // 0: revoked
}

type tenantData struct {
	Keys    []keyRow
	Ignored []string
	APIs    []tenant.ResourceServer
	Mails   []Mail
	Login   LoginMode
	Profile Profile
}

func (t *Tenant) fillTenant(_ *http.Request, v *consoleView) {
	d := tenantData{Profile: t.cfg.Profile}
	for _, k := range t.Keys() {
		row := keyRow{KeyState: k}
		if key, valid := t.keys.byID(k.ID); valid {
			row.Bits = key.Private.N.BitLen()
		}
		d.Keys = append(d.Keys, row)
	}
	mails := t.Mails()
	slices.Reverse(mails)
	d.Mails = mails[:min(len(mails), shownRows)]
	t.mu.Lock()
	defer t.mu.Unlock()
	d.Login, d.Ignored = t.st.login, t.st.ignored
	for _, id := range slices.Sorted(maps.Keys(t.st.apis)) {
		d.APIs = append(d.APIs, *t.st.apis[id])
	}
	v.Data = d
}
