package guard

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// CSRFHeader has the CSRF token of a POST of the dashboard's script.
const CSRFHeader = "Tokend-Csrf"

const (
	linkLifetime    = time.Minute
	sessionLifetime = 8 * time.Hour
	maxLinks        = 32 // that wait to be used
	maxSessions     = 32 // one more ends the oldest
	payloadSize     = 48 // of a cookie, in bytes
)

// Sessions are the sessions of the dashboard and the links that open them. They outlive
// a [Guard].
//
// A session is a cookie with a MAC, so that it survives a restart of the service. A
// browser sends cookies to every port of a host, so the cookie alone only reads. Every
// POST needs the CSRF token, too, which is in no page but the one that a link opens: the
// script keeps it in the storage of the origin, which no other port can read.
type Sessions struct {
	key  []byte
	rand io.Reader
	now  func() time.Time

	mu    sync.Mutex
	links map[[sha256.Size]byte]*link // by the hash of their secret
	open  map[sessionID]time.Time     // when each has begun
	ended map[sessionID]time.Time     // likewise; until it would have expired
}

type (
	sessionID [16]byte
	callerID  [16]byte
)

// link opens one session.
type link struct {
	of      callerID
	expires time.Time
	ends    time.Time // when its session ends at the latest; zero: no such time
	used    bool
}

// session is what the cookie says.
type session struct {
	id    sessionID
	began time.Time
	ends  time.Time
	of    callerID
}

// NewSessions returns sessions whose cookies are valid in every process with the same
// key; nil: in this process only. random and now may be nil.
func NewSessions(key []byte, random io.Reader, now func() time.Time) *Sessions {
	if random == nil {
		random = rand.Reader
	}
	if now == nil {
		now = time.Now
	}
	s := &Sessions{rand: random, now: now, links: map[[sha256.Size]byte]*link{}, open: map[sessionID]time.Time{}, ended: map[sessionID]time.Time{}}
	if s.key = key; s.key == nil {
		s.key = s.random(32)
	}
	return s
}

func (s *Sessions) random(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.rand, b); err != nil {
		panic(err) // the system has no randomness
	}
	return b
}

// idOf identifies a caller in a cookie: an API key that was replaced is another caller,
// even with the same name.
func idOf(kind, name string, hash []byte) (id callerID) {
	sum := sha256.Sum256([]byte(kind + "\x00" + name + "\x00" + string(hash)))
	copy(id[:], sum[:])
	return id
}

// Link returns the secret of a link with which a browser acts as the caller. It is valid
// for a minute and opens one session.
func (g *Guard) Link(c *Caller) (secret string, expires time.Time) {
	s := g.sessions
	secret = base64.RawURLEncoding.EncodeToString(s.random(32))
	expires = s.now().Add(linkLifetime)
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.links, func(_ [sha256.Size]byte, l *link) bool { return !s.now().Before(l.expires) })
	if len(s.links) >= maxLinks {
		dropOldest(s.links, func(l *link) time.Time { return l.expires })
	}
	s.links[sha256.Sum256([]byte(secret))] = &link{of: c.id, expires: expires, ends: c.expires}
	return secret, expires
}

// Opened is a session that a link has opened.
type Opened struct {
	Cookie, CSRF string
	Lifetime     time.Duration
}

// Open opens the session of a link.
func (g *Guard) Open(secret string) (*Opened, *Refusal) {
	s := g.sessions
	s.mu.Lock()
	defer s.mu.Unlock()
	l, refusal := s.link(secret)
	if refusal != nil {
		return nil, refusal
	}
	l.used = true
	if g.callerWith(l.of) == nil {
		return nil, noSession("the caller who made the link was removed", "make another one: tokend dashboard")
	}
	v := session{id: sessionID(s.random(16)), began: s.now().Truncate(time.Second), of: l.of}
	v.ends = v.began.Add(sessionLifetime)
	if !l.ends.IsZero() && l.ends.Before(v.ends) {
		v.ends = l.ends.Truncate(time.Second) // a token of an issuer is proof until then only
	}
	if !s.now().Before(v.ends) {
		return nil, noSession("the token or the key that made the link has expired", "make another link with a new one: tokend dashboard")
	}
	s.enter(v)
	return &Opened{Cookie: s.seal(v), CSRF: s.csrf(v), Lifetime: v.ends.Sub(v.began)}, nil
}

// CheckLink returns why a link would open no session, or nil. It does not use the link up.
func (g *Guard) CheckLink(secret string) *Refusal {
	g.sessions.mu.Lock()
	defer g.sessions.mu.Unlock()
	_, refusal := g.sessions.link(secret)
	return refusal
}

// link returns a link that was not used yet; mu is held.
func (s *Sessions) link(secret string) (*link, *Refusal) {
	l := s.links[sha256.Sum256([]byte(secret))]
	switch {
	case l == nil || !s.now().Before(l.expires):
		return nil, noSession("the link is unknown or older than a minute", "make another one: tokend dashboard")
	case l.used:
		return nil, noSession("the link was used before, and works once", "make another one: tokend dashboard")
	}
	return l, nil
}

// enter counts an open session, and ends the oldest if there are too many; mu is held.
func (s *Sessions) enter(v session) {
	expired := func(_ sessionID, began time.Time) bool { return s.now().Sub(began) >= sessionLifetime }
	maps.DeleteFunc(s.open, expired)
	maps.DeleteFunc(s.ended, expired)
	if _, known := s.open[v.id]; !known && len(s.open) >= maxSessions {
		id, began := dropOldest(s.open, func(began time.Time) time.Time { return began })
		s.end(id, began)
	}
	s.open[v.id] = v.began
}

// end makes a cookie invalid; mu is held.
func (s *Sessions) end(id sessionID, began time.Time) {
	delete(s.open, id)
	s.ended[id] = began
}

// dropOldest removes the entry with the earliest time.
func dropOldest[K comparable, V any](m map[K]V, at func(V) time.Time) (oldest K, value V) {
	first := true
	for k, v := range m {
		if first || at(v).Before(at(value)) {
			oldest, value, first = k, v, false
		}
	}
	delete(m, oldest)
	return oldest, value
}

func (s *Sessions) mac(use string, payload []byte) []byte {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(use))
	m.Write(payload)
	return m.Sum(nil)
}

func (v session) payload() []byte {
	b := append([]byte{}, v.id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(v.began.Unix())) //nolint:gosec // after 1970
	b = binary.BigEndian.AppendUint64(b, uint64(v.ends.Unix()))  //nolint:gosec // likewise
	return append(b, v.of[:]...)
}

func (s *Sessions) seal(v session) string {
	p := v.payload()
	return base64.RawURLEncoding.EncodeToString(append(p, s.mac("session", p)...))
}

func (s *Sessions) csrf(v session) string {
	return base64.RawURLEncoding.EncodeToString(s.mac("csrf", v.payload()))
}

// read returns the session of a cookie if it was sealed here, has not expired and was
// not ended.
func (s *Sessions) read(cookie string) (v session, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil || len(b) != payloadSize+sha256.Size {
		return v, false
	}
	if subtle.ConstantTimeCompare(b[payloadSize:], s.mac("session", b[:payloadSize])) != 1 {
		return v, false
	}
	copy(v.id[:], b)
	v.began = time.Unix(int64(binary.BigEndian.Uint64(b[16:])), 0) //nolint:gosec // sealed here
	v.ends = time.Unix(int64(binary.BigEndian.Uint64(b[24:])), 0)  //nolint:gosec // likewise
	copy(v.of[:], b[32:])
	if s.now().Before(v.began.Add(-time.Minute)) || !s.now().Before(v.ends) {
		return v, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ended := s.ended[v.id]; ended {
		return v, false
	}
	s.enter(v) // after a restart it is not known yet
	_, open := s.open[v.id]
	return v, open
}

// dashboard reports whether a route is one of the dashboard's pages.
func (a Access) dashboard() bool { return a >= OwnPage }

// admitPage is Admit for the pages of the dashboard, after the check of the Host.
func (g *Guard) admitPage(r *http.Request, need Access, client string) (*Caller, *Refusal) {
	if f := checkOwnPage(r); f != nil {
		return &g.anonymous, f
	}
	if f := checkForwarded(r); f != nil || need == OwnPage {
		return &g.anonymous, f
	}
	caller, f := g.ofSession(r)
	if f == nil && need != Session {
		f = checkCSRF(r, g.sessions.csrf(*caller.session))
	}
	if f != nil {
		return &g.anonymous, f
	}
	as := NeedsKey
	if need == ActsAndManages {
		as = Manages
	}
	return caller, g.authorize(caller, as, client)
}

// checkOwnPage is checkBrowser for the dashboard: a request of its own page passes. A
// page on another port has another origin.
func checkOwnPage(r *http.Request) *Refusal {
	own := "http://" + r.Host
	const hint = "open the dashboard by its address: tokend dashboard"
	if r.Method == http.MethodOptions {
		return forbidden("preflight", "other origins may not use the dashboard", hint)
	}
	for _, origin := range r.Header["Origin"] {
		if origin != own {
			return forbidden("origin", "a page of another origin may not use the dashboard", hint)
		}
	}
	for _, from := range r.Header["Referer"] {
		if from != own && !strings.HasPrefix(from, own+"/") {
			return forbidden("referer", "another page leads to the dashboard", hint)
		}
	}
	for _, site := range r.Header["Sec-Fetch-Site"] {
		if site != "none" && site != "same-origin" {
			return forbidden("sec_fetch_site", "the browser says that another site caused this request", hint)
		}
	}
	return nil
}

// ofSession returns the caller whose link has opened the session of a request, with the
// rights that this caller has now.
func (g *Guard) ofSession(r *http.Request) (*Caller, *Refusal) {
	cookie, err := r.Cookie(CookieName(r.Host))
	if err != nil || r.TLS != nil {
		return nil, noSession("the dashboard needs a session", "run tokend dashboard, which opens one")
	}
	v, ok := g.sessions.read(cookie.Value)
	if !ok {
		return nil, noSession("the session of the dashboard has ended", "run tokend dashboard, which opens another one")
	}
	of := g.callerWith(v.of)
	if of == nil || !of.expires.IsZero() && !g.now().Before(of.expires) {
		return nil, noSession("the caller of this session was removed, or its key has expired", "run tokend dashboard, which opens another session")
	}
	c := *of
	c.Name, c.session = "dashboard:"+of.Name, &v
	return &c, nil
}

// CookieName is the name of the session's cookie: a browser sends the cookies of all
// services on a host to each of them.
func CookieName(host string) string {
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		port = "80"
	}
	return "tokend-" + port
}

// checkCSRF requires what only the script of the dashboard can send.
func checkCSRF(r *http.Request, csrf string) *Refusal {
	if r.Header["Origin"] == nil {
		return forbidden("origin", "the request has no Origin header", "use the buttons of the dashboard")
	}
	if subtle.ConstantTimeCompare([]byte(r.Header.Get(CSRFHeader)), []byte(csrf)) != 1 {
		return forbidden("csrf", "the request has not the CSRF token of this session", "open the dashboard again in this browser: tokend dashboard")
	}
	return nil
}

// callerWith returns the caller with an id, nil if the configuration has it no longer.
func (g *Guard) callerWith(id callerID) *Caller {
	for i := range g.keys {
		if g.keys[i].caller.id == id {
			return &g.keys[i].caller
		}
	}
	for _, c := range g.keyless.callers {
		if c.id == id {
			return c
		}
	}
	if g.socket.id == id {
		return &g.socket
	}
	return nil
}

// StillMay reports whether a caller that an earlier configuration has admitted may use a
// client in this one.
func (g *Guard) StillMay(c *Caller, client string) bool {
	now := g.callerWith(c.id)
	return now != nil && now.May(client)
}

// Alive reports whether the session of a caller is still open; a caller without one is.
func (g *Guard) Alive(c *Caller) bool {
	if c.session == nil {
		return true
	}
	_, ok := g.sessions.read(g.sessions.seal(*c.session))
	return ok && g.callerWith(c.session.of) != nil
}

// End ends the session of a caller.
func (g *Guard) End(c *Caller) {
	if c.session == nil {
		return
	}
	g.sessions.mu.Lock()
	defer g.sessions.mu.Unlock()
	g.sessions.end(c.session.id, c.session.began)
}

// noSession is a 401 of the dashboard.
func noSession(description, hint string) *Refusal { return unauthorized("", description, hint) }
