package mock

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// FaultKind is a way to fail.
type FaultKind string

// The kinds of faults.
const (
	FaultStatus      FaultKind = "status"       // answers Status, with the tenant's own error for it unless Body is set
	FaultBody        FaultKind = "body"         // answers Body, with Status (0: 200)
	FaultGarbage     FaultKind = "garbage"      // answers random bytes, chosen by Seed, with Status (0: 200)
	FaultHTML        FaultKind = "html"         // answers a page, as a proxy or a portal does, with Status (0: 200)
	FaultEmpty       FaultKind = "empty"        // answers without a body, with Status (0: 200)
	FaultRedirect    FaultKind = "redirect"     // redirects to the Location of Headers, with Status (0: 307)
	FaultDelay       FaultKind = "delay"        // waits Delay, then answers normally
	FaultHang        FaultKind = "hang"         // never answers
	FaultReset       FaultKind = "reset"        // resets the connection
	FaultTruncate    FaultKind = "truncate"     // closes the connection after Bytes of the body (0: half)
	FaultDrip        FaultKind = "drip"         // sends one byte of the body per Delay (0: a second)
	FaultGlobalLimit FaultKind = "global_limit" // /oauth/token answers the tenant's limit as Auth0 does there, with 500 access_denied; others 429
	FaultRateLimit   FaultKind = "rate_limit"   // refuses calls above Limit; others get the headers of the limit
	FaultToken       FaultKind = "token"        // answers normally, but the tokens have a Defect; of token and authorize
)

var faultKinds = []FaultKind{
	FaultStatus, FaultBody, FaultGarbage, FaultHTML, FaultEmpty, FaultRedirect, FaultDelay, FaultHang, FaultReset, FaultTruncate,
	FaultDrip, FaultGlobalLimit, FaultRateLimit, FaultToken,
}

// Fault makes requests to one endpoint fail. There are none until [Tenant.Fail] arms
// one, or [Config] has one.
type Fault struct {
	Profile     string            `json:"profile,omitempty"`   // flaky, outage, rate-limited or rotation-lost; then only ClientID, Times, Rate and Seed count
	Endpoint    string            `json:"endpoint,omitempty"`  // authorize, token, userinfo, jwks, discovery, revoke, device, par
	Grant       string            `json:"grant,omitempty"`     // of /oauth/token; "": any
	ClientID    string            `json:"client_id,omitempty"` // "": any
	Times       int               `json:"times,omitempty"`     // how often; 0: until disarmed
	Kind        FaultKind         `json:"kind,omitempty"`
	Status      int               `json:"status,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Body        string            `json:"body,omitempty"`
	Policy      string            `json:"policy,omitempty"`       // "client": a 429 has the form of a per-client rate limit
	Delay       string            `json:"delay,omitempty"`        // a Go duration
	Bytes       int               `json:"bytes,omitempty"`        // of truncate
	Limit       int               `json:"limit,omitempty"`        // of rate_limit: calls until it is empty (0: the endpoint's recorded limit)
	Per         string            `json:"per,omitempty"`          // of rate_limit: in which an empty bucket is full again, by the tenant's clock (a Go duration; 1m)
	Defect      Defect            `json:"defect,omitempty"`       // of token
	Claim       string            `json:"claim,omitempty"`        // of the defect missing_claim
	Token       string            `json:"token,omitempty"`        // of token: access_token or id_token; "": both
	AfterCommit bool              `json:"after_commit,omitempty"` // the tenant handles the request, then the response fails
	Rate        float64           `json:"rate,omitempty"`         // 0 < rate < 1: hits this share of the calls, chosen by Seed
	Seed        uint64            `json:"seed,omitempty"`
}

var faultEndpoints = []string{"authorize", "token", "userinfo", "jwks", "discovery", "revoke", "device", "par"}

// Armed is an armed fault, or the faults of a profile.
type Armed struct {
	parts  []*Armed // of a profile
	delay  time.Duration
	limits *limiter // of rate_limit

	mu    sync.Mutex
	fault Fault
	rng   *rand.Rand
	count int
	off   bool
}

// Count returns how many calls the fault has hit.
func (a *Armed) Count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.count
	for _, p := range a.parts {
		n += p.Count()
	}
	return n
}

// Disarm ends the fault.
func (a *Armed) Disarm() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.off = true
	for _, p := range a.parts {
		p.Disarm()
	}
}

// Fail arms a fault, or those of a profile. The error names the field that is not
// valid.
func (t *Tenant) Fail(f Fault) (*Armed, error) {
	a, err := t.arm(f)
	if err != nil {
		return nil, fmt.Errorf("mock: fault: %w", err)
	}
	return a, nil
}

func (t *Tenant) arm(f Fault) (*Armed, error) {
	if f.Profile != "" {
		return t.failProfile(f)
	}
	a, err := newArmed(f)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, a)
	return a, nil
}

// armAll arms the faults of the Config, which are valid.
func (t *Tenant) armAll(list []Fault) {
	for _, f := range list {
		_, _ = t.arm(f)
	}
}

// location returns the Location header in any spelling.
func (f Fault) location() string {
	for k, v := range f.Headers {
		if http.CanonicalHeaderKey(k) == "Location" {
			return v
		}
	}
	return ""
}

// Disarm ends all faults.
func (t *Tenant) Disarm() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = nil
}

// FaultState is an armed fault and what it has hit so far.
type FaultState struct {
	Fault
	Hits  int  `json:"hits"`  // calls so far
	Armed bool `json:"armed"` // whether it still hits calls
}

// Faults returns all faults in the order in which they were armed, including those
// that have hit Times calls. [Tenant.Disarm] removes them.
func (t *Tenant) Faults() []FaultState {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]FaultState, 0, len(t.faults))
	for _, a := range t.faults {
		a.mu.Lock()
		out = append(out, FaultState{a.fault, a.count, !a.off})
		a.mu.Unlock()
	}
	return out
}

// faultFor returns the first armed fault that hits a call, and counts it.
func (t *Tenant) faultFor(c *call) *Armed {
	t.mu.Lock()
	armed := slices.Clone(t.faults)
	t.mu.Unlock()
	if len(armed) == 0 {
		return nil
	}
	grantType, client := c.peek()
	for _, a := range armed {
		if a.hits(c, grantType, client) {
			c.entry.Grant, c.entry.ClientID = clip(grantType), clip(client) // the handler may not run
			return a
		}
	}
	return nil
}

// hits reports whether the fault hits a call, and counts it.
func (a *Armed) hits(c *call, grantType, client string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.fault
	if a.off || f.Endpoint != c.entry.Endpoint || (f.Grant != "" && f.Grant != grantType) || (f.ClientID != "" && f.ClientID != client) {
		return false
	}
	if a.rng != nil && a.rng.Float64() >= f.Rate {
		return false
	}
	if a.limits != nil && a.admits(c, grantType, client) {
		return false
	}
	a.count++
	a.off = f.Times > 0 && a.count >= f.Times
	return true
}

// peek reads grant_type and client_id and restores the body for the handler.
func (c *call) peek() (grantType, client string) {
	body, bad := c.body()
	if bad != nil {
		return "", ""
	}
	c.r.Body = io.NopCloser(bytes.NewReader(body))
	r, bad := c.tokenRequest()
	c.r.Body = io.NopCloser(bytes.NewReader(body))
	if bad != nil {
		return "", ""
	}
	client = r.Get("client_id")
	if r.basic {
		client = r.basicID
	}
	if client == "" {
		client = c.query().Get("client_id")
	}
	return r.Get("grant_type"), client
}

// inject carries out a fault, instead of the handler or after it.
func (t *Tenant) inject(c *call, a *Armed, handle func(*call)) {
	f := a.fault
	out := c.w
	buffer := &bufferWriter{header: out.Header().Clone()}
	if f.AfterCommit || f.Kind == FaultTruncate || f.Kind == FaultDrip {
		c.w = buffer
		handle(c)
		c.w = out
	}
	c.entry.Reason = fmt.Sprintf("fault: %s", f.Kind)
	if f.Kind == FaultToken {
		c.entry.Reason += ", " + string(f.Defect)
	}
	c.entry.Hint = "a fault is armed for this call; DELETE /_mock/faults disarms all"
	switch f.Kind {
	case FaultDelay:
		if !wait(c, a.delay) {
			return
		}
		if f.AfterCommit {
			buffer.send(out, buffer.body.Len(), 0, c)
			return
		}
		handle(c)
	case FaultHang:
		<-c.r.Context().Done()
	case FaultReset:
		closeConnection(out, true)
	case FaultTruncate:
		n := f.Bytes
		if n == 0 || n > buffer.body.Len() {
			n = buffer.body.Len() / 2
		}
		buffer.send(out, n, 0, c)
		closeConnection(out, false)
	case FaultDrip:
		buffer.send(out, buffer.body.Len(), a.delay, c)
	case FaultToken:
		c.damage = damage{defects: []Defect{f.Defect}, claim: f.Claim, only: f.Token}
		handle(c)
	default:
		t.answerFault(c, f)
	}
}

// wait sleeps in real time, as a network does. It returns false when the client disconnects.
func wait(c *call, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.r.Context().Done():
		return false
	}
}

// closeConnection closes the connection before the response is complete: with a TCP
// reset, or normally so that the bytes sent so far arrive.
func closeConnection(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // HTTP/2
		panic(http.ErrAbortHandler)
	}
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// bufferWriter keeps a response in memory.
type bufferWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *bufferWriter) Header() http.Header { return b.header }

func (b *bufferWriter) WriteHeader(status int) { b.status = status }

func (b *bufferWriter) Write(p []byte) (int, error) { return b.body.Write(p) }

func (b *bufferWriter) copyTo(w http.ResponseWriter) {
	for k := range w.Header() {
		w.Header().Del(k)
	}
	for k, v := range b.header {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Length", strconv.Itoa(b.body.Len()))
	w.WriteHeader(b.status)
}

// send writes n bytes of the buffered response under its full Content-Length, one
// by one if there is a pause.
func (b *bufferWriter) send(w http.ResponseWriter, n int, pause time.Duration, c *call) {
	b.copyTo(w)
	body := b.body.Bytes()[:n]
	flush := http.NewResponseController(w)
	if pause == 0 {
		_, _ = w.Write(body)
		_ = flush.Flush()
		return
	}
	for i := range body {
		if _, err := w.Write(body[i : i+1]); err != nil || flush.Flush() != nil || !wait(c, pause) {
			return
		}
	}
}
