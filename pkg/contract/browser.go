package contract

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// browser is a browser with a user, without scripts.
type browser struct {
	wire     *wire
	issuer   string
	jar      http.CookieJar
	username string
	password string
}

func newBrowser(w *wire, username, password string) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil { // cannot fail without options
		panic("contract: " + err.Error())
	}
	return &browser{wire: w, issuer: w.target.Issuer, jar: jar, username: username, password: password}
}

func (b *browser) get(ctx context.Context, rawURL string) (*answer, error) {
	return b.wire.send(ctx, b.jar, http.MethodGet, rawURL, nil, "")
}

// consent is what the user does on the consent page.
type consent int

const (
	accept  consent = iota
	decline         // or cancel, in the device flow
	leave           // close the page
)

// errLoginRefused means that the tenant refused the user's password.
var errLoginRefused = errors.New("the login was refused")

// errLeft means that the user left at the consent page.
var errLeft = errors.New("left at the consent page")

const mostPages = 12 // pages between /authorize and the client

// followPages follows redirects and submits pages until the tenant redirects to
// another host or answers without a form. It sends the password once and never
// retries it.
func (b *browser) followPages(ctx context.Context, a *answer, do consent) (*answer, error) {
	loggedIn := false
	for range mostPages {
		if to := a.location(); to != nil {
			if !strings.HasPrefix(to.String(), b.issuer) {
				return a, nil
			}
			next, err := b.get(ctx, to.String())
			if err != nil {
				return nil, err
			}
			a = next
			continue
		}
		f := parseForm(string(a.body))
		if f == nil || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			return a, nil
		}
		switch {
		case f.asksForUser() && loggedIn && f.password != "":
			return nil, fmt.Errorf("%s: %w", a.path, errLoginRefused)
		case f.asksForUser():
			loggedIn = f.password != ""
			f.fillLogin(b.username, b.password)
		case do == leave:
			return a, errLeft
		}
		next, err := b.submit(ctx, a, f, do)
		if err != nil {
			return nil, err
		}
		a = next
	}
	return nil, fmt.Errorf("more than %d pages between /authorize and the client", mostPages)
}

// submit submits a form.
func (b *browser) submit(ctx context.Context, a *answer, f *form, do consent) (*answer, error) {
	action, err := a.url.Parse(f.action)
	if err != nil {
		return nil, fmt.Errorf("%s: the form's action is not a URL", a.path)
	}
	if !strings.HasPrefix(action.String(), b.issuer) {
		return nil, fmt.Errorf("%s: the form posts to another host, %s", a.path, action.Host)
	}
	f.pressButton(do)
	header := http.Header{"Content-Type": {formType}, "Origin": {strings.TrimSuffix(b.issuer, "/")}}
	return b.wire.send(ctx, b.jar, http.MethodPost, action.String(), header, f.fields.Encode())
}

// form is the first form of a page that is sent by POST.
type form struct {
	action   string
	fields   url.Values
	user     string // name of the field for the user's name, or ""
	password string // of the password
	buttons  [][2]string
}

var (
	formTag    = lazy(`(?is)<form\b([^>]*)>(.*?)</form>`)
	controlTag = lazy(`(?is)<(input|button)\b([^>]*)>`)
	attribute  = lazy(`(?is)([a-z][a-z-]*)\s*=\s*(?:"([^"]*)"|'([^']*)')`)
	anyTag     = lazy(`(?s)<[^>]*>`)
)

func attributes(tag string) map[string]string {
	out := map[string]string{}
	for _, m := range attribute().FindAllStringSubmatch(tag, -1) {
		out[strings.ToLower(m[1])] = html.UnescapeString(m[2] + m[3])
	}
	return out
}

// parseForm returns the first POST form of a page, or nil.
func parseForm(page string) *form {
	for _, m := range formTag().FindAllStringSubmatch(page, -1) {
		tag := attributes(m[1])
		if !strings.EqualFold(tag["method"], "post") {
			continue
		}
		f := &form{action: tag["action"], fields: url.Values{}}
		for _, c := range controlTag().FindAllStringSubmatch(m[2], -1) {
			f.add(strings.ToLower(c[1]), attributes(c[2]))
		}
		return f
	}
	return nil
}

func (f *form) add(tag string, a map[string]string) {
	name, kind := a["name"], strings.ToLower(a["type"])
	switch {
	case tag == "button" || kind == "submit":
		f.buttons = append(f.buttons, [2]string{name, a["value"]})
	case name == "" || kind == "checkbox" || kind == "radio":
	case kind == "password":
		f.password = name
	case name == "username" || name == "email" || name == "identifier":
		f.user = name
	default:
		f.fields.Set(name, a["value"])
	}
}

func (f *form) asksForUser() bool { return f.user != "" || f.password != "" }

func (f *form) fillLogin(username, password string) {
	if f.user != "" {
		f.fields.Set(f.user, username)
	}
	if f.password != "" {
		f.fields.Set(f.password, password)
	}
}

// pressButton presses the button that declines, or the first that does not.
func (f *form) pressButton(do consent) {
	for _, b := range f.buttons {
		declines := b[1] == "decline" || b[1] == "deny" || b[1] == "cancel"
		if declines == (do == decline) {
			if b[0] != "" {
				f.fields.Set(b[0], b[1])
			}
			return
		}
	}
}

// textOf returns a page without tags and with collapsed white space.
func textOf(page string) string {
	return strings.Join(strings.Fields(html.UnescapeString(anyTag().ReplaceAllString(page, ""))), " ")
}
