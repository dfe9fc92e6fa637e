package flow

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// machine runs processes that share a store, against a rotating tenant that loses
// answers, with crashes at any step of the store. It checks what the protocol
// promises:
//   - a refresh token is sent once, unless the outcome of sending it was lost;
//   - a family is revoked for reuse only if that cannot be avoided: the answer
//     was lost and the overlap is over;
//   - nothing is served that was not durable before.
type machine struct {
	t       *rapid.T
	s       *tenant
	store   *MemoryStore
	procs   [2]*process
	sent    map[string]int  // token requests by refresh token
	lost    map[string]bool // refresh tokens whose answer was lost
	durable map[Secret]bool // access tokens that were stored
	bad     string          // the broken promise
}

// process is a client that can die.
type process struct {
	m      *machine
	client *Client
	left   int // store operations until it dies; negative: it does not die
	after  bool
	dead   bool
	last   string // the refresh token that it sent last, until the successor is stored
}

var errDead = errors.New("the process is dead")

func (m *machine) start() *process {
	p := &process{m: m, left: -1}
	cfg := m.s.config()
	cfg.Leeway = m.s.overlap
	cfg.Rand = rand.NewChaCha8([32]byte{}) // deterministic
	cfg.Store = &brokenStore{Store: m.store, fail: p.before, lose: p.done}
	cfg.HTTPClient = &http.Client{Transport: roundTripper(p.roundTrip)}
	c, err := New(cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	p.client = c
	return p
}

func (p *process) die() error {
	p.dead = true
	if p.last != "" {
		p.m.lost[p.last] = true
	}
	return errDead
}

func (p *process) before(string, *Grant) error {
	if p.dead {
		return errDead
	}
	if p.left == 0 && !p.after {
		return p.die()
	}
	return nil
}

func (p *process) done(op string, g *Grant) error {
	if op == "save" {
		for _, t := range g.Tokens {
			p.m.durable[t.AccessToken] = true
		}
		if g.Intent == nil {
			p.last = ""
		}
	}
	if p.left == 0 {
		return p.die()
	}
	if p.left > 0 {
		p.left--
	}
	return nil
}

func (p *process) roundTrip(r *http.Request) (*http.Response, error) {
	if p.dead {
		return nil, errDead
	}
	before := p.m.s.count("")
	resp, err := p.m.s.RoundTrip(r)
	if p.m.s.count("") == before {
		return resp, err
	}
	if rt := p.m.s.post(before).Get("refresh_token"); rt != "" {
		p.last = rt
		if p.m.sent[rt]++; p.m.sent[rt] > 1 && !p.m.lost[rt] {
			p.m.bad = "sent twice: " + rt
		}
		if err == nil && resp.StatusCode == http.StatusTooManyRequests {
			p.m.sent[rt], p.last = p.m.sent[rt]-1, "" // rejected: not used
		}
		if err != nil || resp.StatusCode >= 500 || resp.Header.Get("Content-Type") == "text/html" {
			p.m.lost[rt] = true
		}
	}
	return resp, err
}

func garbageAfter(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	next(discard{http.Header{}}, r)
	raw(200, "text/html", "<html>")(w, r, nil)
}

func errorAfter(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	next(discard{http.Header{}}, r)
	refuse(503, "")(w, r, nil)
}

func hangAfter(_ http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	next(discard{http.Header{}}, r)
	<-r.Context().Done()
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func (m *machine) get(p *process, r Request) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	tok, err := p.client.Get(ctx, r)
	p.client.tasks.wait()
	if err == nil && !m.durable[tok.AccessToken] {
		m.t.Fatalf("served before it was durable: %s", tok.AccessToken.Reveal())
	}
	if err == nil && tok.Remaining(time.Now()) <= 0 {
		m.t.Fatalf("served %v after its end", tok)
	}
}

func (m *machine) check(*rapid.T) {
	if m.bad != "" {
		m.t.Fatal(m.bad)
	}
	for i, p := range m.procs {
		if p.dead {
			p.client.tasks.wait()
			m.procs[i] = m.start()
		}
	}
}

func runMachine(t *rapid.T, overlap time.Duration) {
	s := newTenant()
	s.overlap = overlap
	m := &machine{t: t, s: s, store: NewMemoryStore(), sent: map[string]int{}, lost: map[string]bool{}, durable: map[Secret]bool{}}
	s.onReuse = func(rt string, since time.Duration) {
		if !m.lost[rt] || since < overlap {
			m.bad = "a family was ended for " + rt
		}
	}
	m.procs = [2]*process{m.start(), m.start()}
	if _, err := m.procs[0].client.LoginHeadless(context.Background()); err != nil {
		t.Fatal(err)
	}
	pick := func(t *rapid.T) *process { return m.procs[rapid.IntRange(0, 1).Draw(t, "process")] }
	faults := []handler{drop, dropAfter, refuse(500, "server_error"), errorAfter, garbageAfter, hang, hangAfter, refuse(429, "too_many_requests")}
	t.Repeat(map[string]func(*rapid.T){
		"":        m.check,
		"get":     func(t *rapid.T) { m.get(pick(t), Request{}) },
		"refresh": func(t *rapid.T) { m.get(pick(t), Request{Force: true}) },
		"child":   func(t *rapid.T) { m.get(pick(t), Request{Audience: "https://other.test/"}) },
		"seconds": func(t *rapid.T) { time.Sleep(time.Duration(rapid.IntRange(1, 40).Draw(t, "s")) * time.Second) },
		"minutes": func(t *rapid.T) { time.Sleep(time.Duration(rapid.IntRange(1, 70).Draw(t, "min")) * time.Minute) },
		"fault":   func(t *rapid.T) { s.script(faults[rapid.IntRange(0, len(faults)-1).Draw(t, "fault")]) },
		"id token": func(t *rapid.T) {
			s.answer = nil
			if rapid.Bool().Draw(t, "without") {
				s.answer = func(b map[string]any) { delete(b, "id_token") }
			}
		},
		"crash": func(t *rapid.T) {
			p := pick(t)
			p.left, p.after = rapid.IntRange(0, 9).Draw(t, "operations"), rapid.Bool().Draw(t, "after")
			m.get(p, Request{Force: rapid.Bool().Draw(t, "force")})
		},
	})
	m.end()
}

// end stops all faults: then the grant works, or it is dead because an answer was
// lost.
func (m *machine) end() {
	m.s.script()
	m.s.answer = nil
	for _, p := range m.procs {
		p.left = -1
	}
	time.Sleep(3 * time.Hour)
	p := m.start()
	_, err := p.client.Get(context.Background(), Request{})
	if err != nil && (!errors.Is(err, ErrLogin) || len(m.lost) == 0) {
		m.t.Fatalf("at the end: %v", err)
	}
	m.check(nil)
	if err != nil {
		if _, err := p.client.LoginHeadless(context.Background()); err != nil {
			m.t.Fatalf("after a login: %v", err)
		}
	}
	p.client.tasks.wait()
	for _, p := range m.procs {
		p.client.tasks.wait()
	}
}

// Crashes at every step, with and without overlap (F16).
//
// Row F16 of docs/guarantees.md.
func TestProtocol_RandomCrashes(t *testing.T) {
	testKey()
	for name, overlap := range map[string]time.Duration{"overlap 30 s": 30 * time.Second, "overlap 0": 0} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				var failure any // passed from the bubble to rapid, which shrinks it
				synctest.Test(t, func(*testing.T) {
					defer func() { failure = recover() }()
					runMachine(rt, overlap)
				})
				if failure != nil {
					panic(failure)
				}
			})
		})
	}
}
