package mock

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// ApproveOption changes what the person does in [Tenant.Approve].
type ApproveOption func(*person)

// personKey is the context key of the person in a request of fakeBrowser.
type personKey struct{}

// person is the user that Approve acts as.
type person struct {
	login   string
	decline bool
}

// AsUser logs in as this user, named by user_id, e-mail address or username. The
// default is the tenant's first user.
func AsUser(login string) ApproveOption { return func(p *person) { p.login = login } }

// Declining declines consent if the tenant asks for it.
func Declining() ApproveOption { return func(p *person) { p.decline = true } }

// Approve acts as the browser and the user: it opens an authorization URL, logs
// in, consents, and returns the parameters of the redirect to the client (code
// and state, or error and error_description). It does not call the client. It
// returns an error when the tenant shows its error page instead of redirecting.
func (t *Tenant) Approve(ctx context.Context, authorizeURL string, options ...ApproveOption) (url.Values, error) {
	p := &person{}
	for _, o := range options {
		o(p)
	}
	u, err := url.Parse(authorizeURL)
	if err != nil {
		return nil, fmt.Errorf("mock: approve: %w", err)
	}
	if err := t.checkPerson(p); err != nil {
		return nil, err
	}
	ctx = context.WithValue(ctx, personKey{}, p)
	b := &fakeBrowser{tenant: t, cookies: map[string]*http.Cookie{}, base: u}
	prefix := t.addressOf(&http.Request{Host: u.Host}, t.issuer).prefix
	method, form := http.MethodGet, url.Values(nil)
	for range 10 {
		res, err := b.do(ctx, method, u, form)
		if err != nil {
			return nil, err
		}
		location := res.Header.Get("Location")
		filled := method == http.MethodPost
		method, form = http.MethodGet, nil
		switch {
		case location == "" && strings.HasPrefix(u.Path, prefix+"/u/") && !filled:
			method, form = http.MethodPost, t.fill(p, u)
		case location == "":
			return nil, fmt.Errorf("mock: approve: %s answered %d and did not redirect to the client", u.Path, res.StatusCode)
		default:
			next, err := u.Parse(location)
			if err != nil {
				return nil, fmt.Errorf("mock: approve: %w", err)
			}
			if next.Host != b.base.Host || !t.isPage(strings.TrimPrefix(next.Path, prefix)) {
				return callbackOf(next)
			}
			u = next
		}
	}
	return nil, fmt.Errorf("mock: approve: more than 10 redirects between the tenant's pages")
}

func (t *Tenant) isPage(path string) bool {
	return strings.HasPrefix(path, "/u/") || strings.HasPrefix(path, "/authorize")
}

// fill returns the form that the person submits on a page.
func (t *Tenant) fill(p *person, page *url.URL) url.Values {
	form := url.Values{"state": {page.Query().Get("state")}, "action": {"accept"}}
	if p.decline {
		form.Set("action", "decline")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.st.userByLogin(p.login)
	for i := 0; p.login == "" && u == nil && i < len(t.st.userOrder); i++ {
		u = t.st.users[t.st.userOrder[i]]
	}
	if u != nil {
		if list := t.st.organizationsOf(u.UserID); len(list) > 0 {
			form.Set("organization", list[0].Name)
			if strings.HasSuffix(page.Path, "/picker") {
				form.Set("organization", list[0].ID)
			}
		}
		form.Set("username", u.UserID)
		form.Set("password", u.Password)
	}
	return form
}

// checkPerson returns an error when the tenant does not have the user.
func (t *Tenant) checkPerson(p *person) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.login != "" && t.st.userByLogin(p.login) == nil {
		return fmt.Errorf("mock: approve: the tenant has no user %q", p.login)
	}
	return nil
}

func callbackOf(u *url.URL) (url.Values, error) {
	if u.Fragment != "" {
		return url.ParseQuery(u.EscapedFragment())
	}
	return url.ParseQuery(u.RawQuery)
}

// fakeBrowser calls the handler directly, without a network, and keeps cookies.
type fakeBrowser struct {
	tenant  *Tenant
	base    *url.URL
	cookies map[string]*http.Cookie
}

func (b *fakeBrowser) do(ctx context.Context, method string, u *url.URL, form url.Values) (res *http.Response, err error) {
	body := strings.NewReader(form.Encode())
	r := (&http.Request{
		Method: method, URL: u, Host: b.base.Host, RequestURI: u.RequestURI(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(body), ContentLength: body.Size(), RemoteAddr: "127.0.0.1:0",
	}).WithContext(ctx)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	w := &discardWriter{header: http.Header{}}
	defer func() {
		if v := recover(); v == http.ErrAbortHandler { //nolint:errorlint // the value that net/http compares with
			err = fmt.Errorf("mock: approve: a fault broke the connection to %s", u.Path)
		} else if v != nil {
			panic(v)
		}
	}()
	b.tenant.ServeHTTP(w, r)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("mock: approve: %w", err)
	}
	res = &http.Response{StatusCode: w.status, Header: w.header}
	for _, c := range res.Cookies() {
		b.cookies[c.Name] = c
	}
	return res, nil
}

// discardWriter keeps the status and the headers: Approve reads no bodies.
type discardWriter struct {
	header http.Header
	status int
}

func (w *discardWriter) Header() http.Header { return w.header }

func (w *discardWriter) WriteHeader(status int) { w.status = status }

func (w *discardWriter) Write(b []byte) (int, error) { return len(b), nil }
