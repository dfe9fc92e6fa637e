package flow

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Result is the result of a check.
type Result string

// The results of a check.
const (
	ResultOK      Result = "ok"
	ResultWarning Result = "warning" // works now, but may stop working
	ResultProblem Result = "problem" // does not work
	ResultSkipped Result = "skipped" // not checked; the text says why
)

// Finding is the result of one check. It has no secret.
type Finding struct {
	Check  string `json:"check"` // "discovery", "issuer", "endpoints", "clock", "keys", "authorize", "secret"
	Result Result `json:"result"`
	Class  Class  `json:"class,omitempty"` // of a problem
	Text   string `json:"text"`
	Hint   string `json:"hint,omitempty"` // what to do; may be empty
}

// How much this machine's clock may differ. ID tokens are read with 30 s of
// tolerance, and the expiry of tokens is measured on this clock.
const (
	clockWarning = 5 * time.Second
	clockProblem = 30 * time.Second
)

// Check checks the provider for this client: discovery, issuer, endpoints, clock,
// keys and, for an authorization code, whether it accepts the authorization
// request and its redirect URI. It sends only GET requests, asks /authorize with
// prompt=none so that no login happens, uses up nothing and does not change the
// client's state. A check that needs the result of a failed check is skipped.
func (c *Client) Check(ctx context.Context) []Finding {
	r := &recorder{next: c.http.Transport, now: c.cfg.Now}
	h := &http.Client{Transport: r, Timeout: c.http.Timeout, CheckRedirect: c.http.CheckRedirect}
	p := &Provider{issuer: c.cfg.Issuer, http: h, now: c.cfg.Now, log: c.log(), keys: map[string]*keySet{}}
	v := &view{Provider: p, cfg: c.cfg, tasks: &c.tasks}
	var found []Finding
	m := v.configured()
	if v.missing(m) == "" {
		found = append(found, Finding{Check: opDiscovery, Result: ResultSkipped, Text: "the endpoints are configured"})
	} else {
		doc, err := p.fetchDocument(ctx)
		if err != nil {
			return append(c.appendSkipped(opDiscovery, networkFinding(opDiscovery, err)), r.checkClock())
		}
		issuer := v.checkIssuer(doc)
		found = append(found, Finding{Check: opDiscovery, Result: ResultOK, Text: doc.at + " answers"}, issuer)
		if issuer.Result == ResultProblem && !sameButSlash(doc.Issuer, c.cfg.Issuer) { // these may be another provider's endpoints
			return append(c.appendSkipped("the right issuer", found...), r.checkClock())
		}
		endpoints := Finding{Check: "endpoints", Result: ResultOK, Text: "all needed endpoints are there"}
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

// appendSkipped adds the checks that were not made to those that were.
func (c *Client) appendSkipped(needs string, found ...Finding) []Finding {
	found = append(found, skipped("keys", needs))
	if _, ok := c.cfg.Source.(AuthorizationCode); ok {
		found = append(found, skipped("authorize", needs))
	}
	return found
}

func skipped(check, needs string) Finding {
	return Finding{Check: check, Result: ResultSkipped, Text: "needs " + needs}
}

// checkIssuer compares the document's issuer with the configured one.
func (v *view) checkIssuer(m *metadata) Finding {
	f := Finding{Check: "issuer", Result: ResultOK, Text: v.cfg.Issuer}
	u, err := url.Parse(v.cfg.Issuer)
	if e := v.compareIssuer(m); e != nil {
		f.Result, f.Class, f.Text, f.Hint = ResultProblem, ClassConfig, e.Description, e.Hint
	} else if err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		f.Result, f.Text = ResultWarning, v.cfg.Issuer+" is plain HTTP to another machine: anyone on the network can read secrets and tokens"
		f.Hint = "use the tenant's https:// address, and remove insecure_allow_http"
	}
	return f
}

// checkClock compares this machine's clock with the Date of the last answer.
func (r *recorder) checkClock() Finding {
	f := Finding{Check: "clock", Result: ResultSkipped, Text: "no answer of the provider had a Date"}
	if r.date.IsZero() {
		return f
	}
	off, side := r.clockOffset()
	f.Result, f.Text = ResultOK, "this machine's clock agrees with the provider's"
	if off > clockWarning {
		f.Result, f.Text = ResultWarning, fmt.Sprintf("this machine's clock is %v %s the provider's", off.Round(time.Second), side)
		f.Hint = "set the clock, and synchronize it by NTP (timedatectl set-ntp true)"
	}
	if off > clockProblem {
		f.Result, f.Class = ResultProblem, ClassConfig
	}
	return f
}

// clockOffset returns how much the local clock is certainly wrong. A Date is a
// moment between request and answer, rounded down to a second.
func (r *recorder) clockOffset() (off time.Duration, side string) {
	if ahead := r.sent.Sub(r.date.Add(time.Second)); ahead > 0 {
		return ahead, "ahead of"
	}
	return max(0, r.date.Sub(r.came)), "behind"
}

// checkKeys checks that there is at least one usable key.
func (v *view) checkKeys(ctx context.Context, m *metadata) Finding {
	const check = "keys"
	if m.JWKS == "" || v.cfg.checkURL(m.JWKS) != "" {
		return skipped(check, "jwks_uri")
	}
	body, _, err := v.fetch(ctx, check, m.JWKS)
	if err != nil {
		return networkFinding(check, err)
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

// recorder remembers, of the first answer with a Date, when it was requested,
// when it arrived, and its Date. It keeps no connections.
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
