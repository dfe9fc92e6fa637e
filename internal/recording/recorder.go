package recording

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"

	"example.com/tokend/pkg/contract"
)

const maxBody = 1 << 20

// Recorder is a reverse proxy that records the exchanges of OAuth's endpoints. Pages are
// passed on and not recorded: a login is recorded as the authorization request and the
// redirect to the client at its end.
type Recorder struct {
	upstream, own *url.URL
	proxy         *httputil.ReverseProxy
	save          func(*contract.Recording)

	mu       sync.Mutex
	requests int
	out      contract.Recording
	skipped  map[string]int            // exchanges that are not recorded, by reason
	grants   *grants                   // what the issuer issued
	pages    map[string]*authorization // by the state of a page: the request that led to it
}

// New makes a recorder of an issuer, at the URL at which clients reach the recorder. It
// calls save after each case.
func New(upstream, own string, transport http.RoundTripper, save func(*contract.Recording)) (*Recorder, error) {
	up, err := url.Parse(upstream)
	if err != nil || up.Host == "" || up.Scheme != "http" && up.Scheme != "https" || !strings.HasSuffix(upstream, "/") {
		return nil, fmt.Errorf("upstream %q is not an http or https URL with a trailing slash", upstream)
	}
	me, err := url.Parse(own)
	if err != nil {
		return nil, err
	}
	r := &Recorder{
		upstream: up, own: me, save: save, skipped: map[string]int{}, grants: newGrants(), pages: map[string]*authorization{},
		out: contract.Recording{JWT: map[string]contract.Profile{}, Cases: []contract.Case{}},
	}
	r.proxy = &httputil.ReverseProxy{Transport: transport, Rewrite: r.rewrite, ModifyResponse: r.answered}
	return r, nil
}

// exchange is one request with its answer.
type exchange struct {
	method, path string
	query, form  url.Values
	header       http.Header
	status       int
	answer       http.Header
	body         []byte
}

type exchangeKey struct{}

// ServeHTTP implements http.Handler.
func (r *Recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.requests++
	r.mu.Unlock()
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		http.Error(w, "the body is larger than 1 MiB", http.StatusRequestEntityTooLarge)
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	x := &exchange{method: req.Method, path: req.URL.Path, query: req.URL.Query(), header: req.Header.Clone()}
	if strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		x.form, err = url.ParseQuery(string(body))
	}
	if err != nil || len(body) > 0 && x.form == nil {
		x.form = url.Values{"": {"not a form"}} // see request
	}
	r.proxy.ServeHTTP(w, req.WithContext(context.WithValue(req.Context(), exchangeKey{}, x)))
}

// rewrite sends the request to the upstream as if the client had reached it there.
func (r *Recorder) rewrite(p *httputil.ProxyRequest) {
	p.SetURL(r.upstream)
	p.Out.Host = r.upstream.Host
	p.Out.Header.Set("Accept-Encoding", "identity") // the answer is read
	for _, name := range []string{"Origin", "Referer"} {
		if v := p.Out.Header.Get(name); v != "" {
			p.Out.Header.Set(name, strings.Replace(v, origin(r.own), origin(r.upstream), 1))
		}
	}
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// answered records an answer, and changes the upstream's URLs in it to the recorder's,
// so that the client stays here. The issuer stays as it is: tokens name it.
func (r *Recorder) answered(res *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		return fmt.Errorf("the upstream's answer cannot be read, or is larger than 1 MiB: %w", err)
	}
	_ = res.Body.Close()
	if x, ok := res.Request.Context().Value(exchangeKey{}).(*exchange); ok {
		x.status, x.answer, x.body = res.StatusCode, res.Header, body
		r.record(x)
	}
	body = r.local(res.Header, body)
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	res.Header.Set("Content-Length", fmt.Sprint(len(body)))
	return nil
}

// local returns a body for a client of the recorder, and changes headers likewise.
func (r *Recorder) local(h http.Header, body []byte) []byte {
	up, own := r.upstream.String(), r.own.String()
	if to, below := strings.CutPrefix(h.Get("Location"), up); below {
		h.Set("Location", own+to)
	}
	if r.own.Scheme == "http" { // a browser drops Secure cookies
		cookies := h.Values("Set-Cookie")
		for i, c := range cookies {
			parts := slices.DeleteFunc(strings.Split(c, ";"), func(part string) bool {
				name, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(part)), "=")
				return name == "secure" || name == "domain" || name == "samesite"
			})
			cookies[i] = strings.Join(parts, ";")
		}
		h.Del("Strict-Transport-Security")
	}
	issuer := []byte(`"issuer":"` + up + `"`)
	const kept = "\x00issuer\x00"
	body = bytes.ReplaceAll(body, issuer, []byte(kept))
	body = bytes.ReplaceAll(body, []byte(up), []byte(own))
	return bytes.ReplaceAll(body, []byte(kept), issuer)
}

// record adds a case for an exchange, unless it must not or cannot be one.
func (r *Recorder) record(x *exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, why := r.newCase(x)
	if c != nil && x.leaksInto(mustJSON(c)) {
		why = "answer that repeats a secret"
	}
	if why != "" {
		r.skipped[why]++
		return
	}
	if c == nil || slices.ContainsFunc(r.out.Cases, func(old contract.Case) bool { return sameExchange(old, *c) }) {
		return
	}
	c.ID = fmt.Sprintf("recorded.%d.%s", len(r.out.Cases)+1, strings.Trim(strings.ReplaceAll(c.Request.Path, "/", "."), "."))
	for member, profile := range c.JWT { // named by the case
		name := c.ID + "." + member
		r.out.JWT[name] = r.out.JWT[profile]
		delete(r.out.JWT, profile)
		c.JWT[member] = name
	}
	r.out.Cases = append(r.out.Cases, *c)
	r.save(&r.out)
}

// Summary is what a recorder did.
type Summary struct {
	Requests int // those that reached it
	Cases    int
	Skipped  map[string]int // exchanges that are not recorded, by reason
}

// Summary returns what was recorded so far, and what was not.
func (r *Recorder) Summary() Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Summary{Requests: r.requests, Cases: len(r.out.Cases), Skipped: maps.Clone(r.skipped)}
}
