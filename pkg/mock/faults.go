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
	FaultStatus   FaultKind = "status"   // answers Status, with the tenant's own error for it unless Body is set
	FaultBody     FaultKind = "body"     // answers Body, with Status (0: 200)
	FaultRedirect FaultKind = "redirect" // redirects to the Location of Headers, with Status (0: 307)
	FaultDelay    FaultKind = "delay"    // waits Delay, then answers normally
	FaultHang     FaultKind = "hang"     // never answers
	FaultReset    FaultKind = "reset"    // resets the connection
	FaultTruncate FaultKind = "truncate" // closes the connection after Bytes of the body (0: half)
	FaultDrip     FaultKind = "drip"     // sends one byte of the body per Delay (0: a second)
)

// Fault makes requests to one endpoint fail. There are none until [Tenant.Fail] arms one.
type Fault struct {
	Endpoint    string            `json:"endpoint"`            // authorize, token, userinfo, jwks, discovery, revoke, device, par
	Grant       string            `json:"grant,omitempty"`     // of /oauth/token; "": any
	ClientID    string            `json:"client_id,omitempty"` // "": any
	Times       int               `json:"times,omitempty"`     // how often; 0: until disarmed
	Kind        FaultKind         `json:"kind"`
	Status      int               `json:"status,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Body        string            `json:"body,omitempty"`
	Policy      string            `json:"policy,omitempty"`       // "client": a 429 has the form of a per-client rate limit
	Delay       string            `json:"delay,omitempty"`        // a Go duration
	Bytes       int               `json:"bytes,omitempty"`        // of truncate
	AfterCommit bool              `json:"after_commit,omitempty"` // the tenant handles the request, then the response fails
	Rate        float64           `json:"rate,omitempty"`         // 0 < rate < 1: hits this share of the calls, chosen by Seed
	Seed        uint64            `json:"seed,omitempty"`
}

var faultEndpoints = []string{"authorize", "token", "userinfo", "jwks", "discovery", "revoke", "device", "par"}

// Armed is an armed fault.
type Armed struct {
	mu    sync.Mutex
	fault Fault
	delay time.Duration
	rng   *rand.Rand
	count int
	off   bool
}

// Count returns how many calls the fault has hit.
func (a *Armed) Count() int { a.mu.Lock(); defer a.mu.Unlock(); return a.count }

// Disarm ends the fault.
func (a *Armed) Disarm() { a.mu.Lock(); defer a.mu.Unlock(); a.off = true }

// Fail arms a fault. The error names the field that is not valid.
func (t *Tenant) Fail(f Fault) (*Armed, error) {
	a, err := t.arm(f)
	if err != nil {
		return nil, fmt.Errorf("mock: fault: %w", err)
	}
	return a, nil
}

func (t *Tenant) arm(f Fault) (*Armed, error) {
	a := &Armed{fault: f}
	var err error
	switch {
	case !slices.Contains(faultEndpoints, f.Endpoint):
		return nil, fieldError("endpoint", "%q is not one of %v", f.Endpoint, faultEndpoints)
	case f.Times < 0 || f.Bytes < 0:
		return nil, fieldError("times, bytes", "%d and %d must not be negative", f.Times, f.Bytes)
	case f.Rate < 0 || f.Rate >= 1:
		return nil, fieldError("rate", "%v is not at least 0 and below 1", f.Rate)
	case (f.Status != 0 || f.Kind == FaultStatus) && (f.Status < 200 || f.Status > 599):
		return nil, fieldError("status", "%d is not between 200 and 599", f.Status)
	case f.Kind == FaultRedirect && f.location() == "":
		return nil, fieldError("headers", "kind redirect needs a Location header")
	case f.Delay != "":
		if a.delay, err = time.ParseDuration(f.Delay); err != nil || a.delay < 0 {
			return nil, fieldError("delay", "%q is not a duration like 2s", f.Delay)
		}
	}
	switch f.Kind {
	case FaultStatus, FaultBody, FaultRedirect, FaultHang, FaultReset, FaultTruncate:
	case FaultDelay:
		if a.delay <= 0 {
			return nil, fieldError("delay", "kind delay needs a delay like 2s")
		}
	case FaultDrip:
		if a.delay == 0 {
			a.delay = time.Second
		}
	default:
		return nil, fieldError("kind", "%q is unknown", f.Kind)
	}
	if f.Rate > 0 {
		a.rng = rand.New(rand.NewPCG(f.Seed, 0)) //nolint:gosec // repeatable for a test
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, a)
	return a, nil
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
		if a.hits(c.entry.Endpoint, grantType, client) {
			c.entry.Grant, c.entry.ClientID = clip(grantType), clip(client) // the handler may not run
			return a
		}
	}
	return nil
}

func (a *Armed) hits(endpoint, grantType, client string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.fault
	if a.off || f.Endpoint != endpoint || (f.Grant != "" && f.Grant != grantType) || (f.ClientID != "" && f.ClientID != client) {
		return false
	}
	if a.rng != nil && a.rng.Float64() >= f.Rate {
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
	default:
		t.answerFault(c, f)
	}
}

// answerFault writes the response of a fault.
func (t *Tenant) answerFault(c *call, f Fault) {
	status := f.Status
	if status == 0 {
		status = http.StatusOK
		if f.Kind == FaultRedirect {
			status = http.StatusTemporaryRedirect
		}
	}
	h := c.w.Header()
	h.Set("Content-Type", jsonType)
	if c.entry.Endpoint == "token" {
		grantType, _ := c.peek()
		setLimit(h, tokenLimit(grantType), c.now)
	}
	for k, v := range f.Headers {
		h.Set(k, v)
	}
	e := statusError(status)
	if status == http.StatusTooManyRequests {
		h.Set("X-RateLimit-Remaining", "0")
		if f.Policy == "client" {
			e.Description = "Rate limit exceeded."
			setDefault(h, "Retry-After", "1")
			setDefault(h, "Auth0-RateLimit", "client;q=10;t=1;r=0")
		}
	}
	switch {
	case f.Body != "" || f.Kind != FaultStatus:
		write(c.w, status, h.Get("Content-Type"), []byte(f.Body))
	case c.entry.Endpoint == "authorize": // a page, never JSON
		t.errorPage(c, c.query(), e)
		c.setReason("fault: status")
	default:
		writeTokenError(c.w, e)
	}
}

func setDefault(h http.Header, key, value string) {
	if h.Get(key) == "" {
		h.Set(key, value)
	}
}

// statusError is the tenant's own error for a status.
func statusError(status int) *oauthError {
	code, text := "server_error", "An unexpected error occurred"
	switch status {
	case http.StatusTooManyRequests:
		code, text = "too_many_requests", "Global limit has been reached"
	case http.StatusServiceUnavailable:
		code, text = "temporarily_unavailable", "The service is temporarily unavailable"
	case http.StatusForbidden:
		code, text = "access_denied", "Forbidden"
	case http.StatusUnauthorized:
		code, text = "access_denied", "Unauthorized"
	case http.StatusBadRequest:
		code, text = "invalid_request", "Bad Request"
	}
	return refuse(code, text).withStatus(status)
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
