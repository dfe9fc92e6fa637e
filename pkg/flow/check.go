package flow

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Result is how a [Finding] turned out.
type Result string

// The results of a check.
const (
	ResultOK      Result = "ok"
	ResultWarning Result = "warning" // works, and will not always
	ResultProblem Result = "problem" // does not work
	ResultSkipped Result = "skipped" // was not looked at; the text says why
)

// Finding is what one check has found. It holds no secret.
type Finding struct {
	Check  string `json:"check"` // "discovery", "issuer", "endpoints", "clock", "keys", "authorize", "secret"
	Result Result `json:"result"`
	Class  Class  `json:"class,omitempty"` // of a problem: what helps against it
	Text   string `json:"text"`
	Hint   string `json:"hint,omitempty"` // what to do; "" when nothing is to be done
}

// How far this machine's clock may be off: ID tokens are read with 30 s of
// tolerance, and a token's end is counted on this clock.
const (
	clockWarning = 5 * time.Second
	clockProblem = 30 * time.Second
)

// Check looks at the tenant as the client meets it: discovery, issuer,
// endpoints, clock, keys, and for an authorization code whether the tenant
// takes the authorization request, above all its redirect URI. It sends GET
// requests only, asks /authorize with prompt=none, so that nobody is signed in,
// spends nothing and leaves the client's state as it is. A check that needs
// another's result is skipped without it.
func (c *Client) Check(ctx context.Context) []Finding {
	r := &recorder{next: c.http.Transport, now: c.cfg.Now}
	h := &http.Client{Transport: r, Timeout: c.http.Timeout, CheckRedirect: c.http.CheckRedirect}
	p := &Provider{issuer: c.cfg.Issuer, http: h, now: c.cfg.Now, log: c.cfg.Log, keys: map[string]*keySet{}}
	v := &view{Provider: p, cfg: &c.cfg, tasks: &c.tasks}
	var found []Finding
	m := v.configured()
	if v.missing(m) == "" {
		found = append(found, Finding{Check: opDiscovery, Result: ResultSkipped, Text: "the endpoints are configured"})
	} else {
		doc, err := p.fetchDocument(ctx)
		if err != nil {
			return append(c.without(opDiscovery, unreached(opDiscovery, err)), r.checkClock())
		}
		issuer := v.checkIssuer(doc)
		found = append(found, Finding{Check: opDiscovery, Result: ResultOK, Text: doc.at + " answers"}, issuer)
		if issuer.Result == ResultProblem && !sameButSlash(doc.Issuer, c.cfg.Issuer) { // another's endpoints
			return append(c.without("the right issuer", found...), r.checkClock())
		}
		endpoints := Finding{Check: "endpoints", Result: ResultOK, Text: "every endpoint that is needed is there"}
		if _, e := v.complete(doc); e != nil {
			endpoints = Finding{Check: "endpoints", Result: ResultProblem, Class: e.Class, Text: e.Description, Hint: e.Hint}
		}
		found, m = append(found, endpoints), v.overlay(doc)
	}
	keys := v.checkKeys(ctx, m)
	found = append(found, r.checkClock(), keys)
	if _, ok := c.cfg.Source.(AuthorizationCode); ok {
		found = append(found, c.checkAuthorize(ctx, h, m))
	}
	return found
}

// without adds the checks that are not made to those that were.
func (c *Client) without(needs string, found ...Finding) []Finding {
	found = append(found, skipped("keys", needs))
	if _, ok := c.cfg.Source.(AuthorizationCode); ok {
		found = append(found, skipped("authorize", needs))
	}
	return found
}

func skipped(check, needs string) Finding {
	return Finding{Check: check, Result: ResultSkipped, Text: "needs " + needs}
}

// checkIssuer holds the document's issuer against the configured one.
func (v *view) checkIssuer(m *metadata) Finding {
	f := Finding{Check: "issuer", Result: ResultOK, Text: v.cfg.Issuer}
	u, err := url.Parse(v.cfg.Issuer)
	if e := v.compareIssuer(m); e != nil {
		f.Result, f.Class, f.Text, f.Hint = ResultProblem, ClassConfig, e.Description, e.Hint
	} else if err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		f.Result, f.Text = ResultWarning, v.cfg.Issuer+" is plain HTTP to another machine: who is between reads secrets and tokens"
		f.Hint = "use the tenant's https:// address, and take insecure_allow_http out"
	}
	return f
}

// checkClock compares the clocks by the Date of the last answer.
func (r *recorder) checkClock() Finding {
	f := Finding{Check: "clock", Result: ResultSkipped, Text: "no answer of the tenant has told its time"}
	if r.date.IsZero() {
		return f
	}
	off, side := r.off()
	f.Result, f.Text = ResultOK, "this machine's clock agrees with the tenant's"
	if off > clockWarning {
		f.Result, f.Text = ResultWarning, fmt.Sprintf("this machine's clock is %v %s the tenant's", off.Round(time.Second), side)
		f.Hint = "set the clock, and keep it by NTP (timedatectl set-ntp true)"
	}
	if off > clockProblem {
		f.Result, f.Class = ResultProblem, ClassConfig
	}
	return f
}

// off is by how much the local clock is surely wrong: a Date is of some moment
// between request and answer, cut to its second.
func (r *recorder) off() (off time.Duration, side string) {
	if ahead := r.sent.Sub(r.date.Add(time.Second)); ahead > 0 {
		return ahead, "ahead of"
	}
	return max(0, r.date.Sub(r.came)), "behind"
}

// checkKeys wants a key that can verify something.
func (v *view) checkKeys(ctx context.Context, m *metadata) Finding {
	const check = "keys"
	if m.JWKS == "" || v.cfg.plain(m.JWKS) != "" {
		return skipped(check, "jwks_uri")
	}
	body, _, err := v.fetch(ctx, check, m.JWKS)
	if err != nil {
		return unreached(check, err)
	}
	n := len(parseKeys(body))
	if n == 0 {
		return Finding{
			Check: check, Result: ResultProblem, Class: ClassBadResponse, Text: "no usable signing keys at " + clean(m.JWKS, 256),
			Hint: keyHint,
		}
	}
	return Finding{Check: check, Result: ResultOK, Text: fmt.Sprintf("%d usable at %s", n, clean(m.JWKS, 256))}
}

// recorder notes of the first answer that tells its time when it was asked for,
// when it came and what time it told. Connections are not kept.
type recorder struct {
	next             http.RoundTripper
	now              func() time.Time
	sent, came, date time.Time
}

// RoundTrip implements [http.RoundTripper].
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	next := r.next
	if next == nil {
		next = http.DefaultTransport
	}
	req = req.Clone(req.Context())
	req.Close = true
	sent := r.now()
	resp, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil && r.date.IsZero() {
		age, _ := strconv.ParseInt(resp.Header.Get("Age"), 10, 32) // of a cached answer (RFC 9111 section 5.1)
		r.sent, r.came, r.date = sent, r.now(), date.Add(time.Duration(age)*time.Second)
	}
	return resp, nil
}
