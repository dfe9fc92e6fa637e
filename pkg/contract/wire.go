package contract

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxBody     = 1 << 20
	longestWait = 5 * time.Minute // for a rate limit to end
	formType    = "application/x-www-form-urlencoded"
)

// answer is a response with its body.
type answer struct {
	method, path string
	url          *url.URL
	knownDevice  bool // the request carried the device cookie
	status       int
	header       http.Header
	cookies      []*http.Cookie
	body         []byte
}

// location returns the target of a redirect, or nil.
func (a *answer) location() *url.URL {
	if a.status < 300 || a.status > 399 || a.header.Get("Location") == "" {
		return nil
	}
	u, err := a.url.Parse(a.header.Get("Location"))
	if err != nil {
		return nil
	}
	return u
}

// code returns the error code in JSON or in a redirect, or "".
func (a *answer) code() string {
	if o, err := parseObject(a.body); err == nil && o.text("error") != "" {
		return o.text("error")
	}
	if u := a.location(); u != nil {
		if e := u.Query().Get("error"); e != "" {
			return e
		}
		if q, err := url.ParseQuery(u.EscapedFragment()); err == nil {
			return q.Get("error")
		}
	}
	return ""
}

// summary describes an unexpected answer, without secrets.
func (a *answer) summary() string {
	s := fmt.Sprintf("%s %s answered %d", a.method, a.path, a.status)
	if c := a.code(); c != "" {
		s += " " + clip(c)
	}
	if o, err := parseObject(a.body); err == nil && o.text("error_description") != "" {
		s += ": " + clip(o.text("error_description"))
	}
	return s
}

func basicAuth(id, secret string) string {
	return base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id) + ":" + url.QueryEscape(secret)))
}

// wire sends requests one at a time and follows no redirects. On a real tenant it
// obeys the rate limits.
type wire struct {
	target Target
	client *http.Client
	red    *redactor
	resets map[string]time.Time // by path: when the rate limit ends
}

func newWire(t Target, red *redactor) (w *wire, done func()) {
	client := &http.Client{
		Timeout:       defaultTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	done = func() {}
	if t.HTTPClient != nil {
		client.Transport = t.HTTPClient.Transport
		if t.HTTPClient.Timeout > 0 {
			client.Timeout = t.HTTPClient.Timeout
		}
	}
	if client.Transport == nil {
		own := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second}
		client.Transport, done = own, own.CloseIdleConnections
	}
	return &wire{target: t, client: client, red: red, resets: map[string]time.Time{}}, done
}

// send sends one request and reads the answer; jar may be nil.
func (w *wire) send(ctx context.Context, jar http.CookieJar, method, rawURL string, header http.Header, body string) (*answer, error) {
	const attempts = 3
	for attempt := 1; ; attempt++ {
		a, err := w.sendOnce(ctx, jar, method, rawURL, header, body)
		if err != nil {
			return nil, err
		}
		limited := w.note(a)
		if a.status != http.StatusTooManyRequests || !limited || attempt == attempts {
			return a, nil
		}
	}
}

func (w *wire) sendOnce(ctx context.Context, jar http.CookieJar, method, rawURL string, header http.Header, body string) (*answer, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("the URL cannot be parsed")
	}
	if err := w.pause(ctx, u.Path); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: the request cannot be made", method, u.Path)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Accept-Encoding", "identity") // lengths are compared
	if jar != nil {
		for _, c := range jar.Cookies(u) {
			req.AddCookie(c)
		}
	}
	_, errDid := req.Cookie("did")
	res, err := w.client.Do(req)
	if err != nil {
		var ue *url.Error // its text has the whole URL, with codes
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, fmt.Errorf("%s %s: %w", method, u.Path, err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err == nil && len(b) > maxBody {
		err = fmt.Errorf("the answer is larger than %d bytes", maxBody)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, u.Path, err)
	}
	a := &answer{
		method: method, path: u.Path, url: u, knownDevice: errDid == nil,
		status: res.StatusCode, header: res.Header, cookies: res.Cookies(), body: b,
	}
	if jar != nil {
		jar.SetCookies(u, a.cookies)
	}
	w.red.hideAll(a)
	return a, nil
}

// note records a rate limit. It ignores those of a mock, which has a virtual clock.
func (w *wire) note(a *answer) bool {
	if w.target.Control != "" || (a.header.Get("X-RateLimit-Remaining") != "0" && a.status != http.StatusTooManyRequests) {
		return false
	}
	until := w.target.Now().Add(time.Second)
	if unix, err := strconv.ParseInt(a.header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
		until = time.Unix(unix, 0)
	}
	if s, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil {
		if t := w.target.Now().Add(time.Duration(s) * time.Second); t.After(until) {
			until = t
		}
	}
	w.resets[a.path] = until
	return true
}

// pause waits until the rate limit of a path ends.
func (w *wire) pause(ctx context.Context, path string) error {
	until, limited := w.resets[path]
	if !limited {
		return ctx.Err()
	}
	d := until.Sub(w.target.Now())
	if d > longestWait {
		return hinted("run the suite again later", "%s: the tenant's rate limit lasts another %s", path, d.Round(time.Second))
	}
	if d > 0 {
		if err := w.target.Sleep(ctx, d); err != nil {
			return err
		}
	}
	delete(w.resets, path)
	return ctx.Err()
}

// control makes one call to the control API.
func (w *wire) control(ctx context.Context, call string, body any) error {
	_, err := w.readControl(ctx, call, body)
	return err
}

// readControl makes one call to the control API and returns its answer.
func (w *wire) readControl(ctx context.Context, call string, body any) (*object, error) {
	method, path, _ := strings.Cut(call, " ")
	var b []byte
	if body != nil {
		b = appendJSON(nil, body)
	}
	a, err := w.send(ctx, nil, method, w.target.Control+path, http.Header{"Content-Type": {"application/json"}}, string(b))
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	switch {
	case a.status == http.StatusBadRequest:
		return nil, refusedCall(fmt.Sprintf("control: %s answered %d: %s", call, a.status, clip(string(bytes.TrimSpace(a.body)))))
	case a.status != http.StatusOK:
		return nil, fmt.Errorf("control: %s answered %d: %s", call, a.status, clip(string(bytes.TrimSpace(a.body))))
	}
	o, err := parseObject(a.body)
	if err != nil { // a list
		o = &object{}
	}
	return o, nil
}

// encodeJSON renders a flat object with its keys sorted.
func encodeJSON(m map[string]string) string {
	b, err := json.Marshal(m)
	if err != nil { // cannot fail for strings
		panic("contract: " + err.Error())
	}
	return string(b)
}

func values(m map[string]string) url.Values {
	v := url.Values{}
	for k, s := range m {
		v.Set(k, s)
	}
	return v
}
