package referees_test

import (
	"crypto/tls"
	"crypto/x509"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// browser plays a browser without scripts and the person in front of it, who
// fills in every form of the tenant: it logs in, consents, confirms.
type browser struct {
	t    *testing.T
	http *http.Client
	// stop ends the way when it would lead there; the address is what is returned.
	stop string
}

// page is where a way ended.
type page struct {
	url    *url.URL
	status int
	body   string
}

func newBrowser(t *testing.T, ten *tenant) *browser {
	t.Helper()
	pem, err := os.ReadFile(ten.ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("mockauth0 ca printed no certificate")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t: t, http: &http.Client{
		Transport: transport, Jar: jar, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// until makes the browser stop at an address without a listener: a
// callback that the client gets by other means.
func (b *browser) until(prefix string) *browser {
	b.stop = prefix
	return b
}

// open goes to an address and through every form and redirect from there.
func (b *browser) open(address string) page {
	b.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	method, fields := http.MethodGet, url.Values(nil)
	for range 20 {
		if b.stop != "" && strings.HasPrefix(u.String(), b.stop) {
			return page{url: u}
		}
		p, location := b.do(method, u, fields)
		if location != "" {
			if u, err = u.Parse(location); err != nil {
				b.t.Fatal(err)
			}
			method, fields = http.MethodGet, nil
			continue
		}
		action, filled := p.form()
		if action == "" || p.status >= http.StatusBadRequest {
			return p
		}
		if u, err = u.Parse(action); err != nil {
			b.t.Fatal(err)
		}
		method, fields = http.MethodPost, filled
	}
	b.t.Fatalf("%s leads in a circle", address)
	return page{}
}

func (b *browser) do(method string, u *url.URL, fields url.Values) (page, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, u.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{url: u, status: res.StatusCode, body: string(body)}, res.Header.Get("Location")
}

// bearer calls an address with a token, as an application does.
func (b *browser) bearer(address, token string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := b.http.Do(req)
	if err == nil {
		_ = res.Body.Close()
	}
	return res, err
}

var (
	formTag  = regexp.MustCompile(`(?s)<form[^>]*method="post"[^>]*action="([^"]*)"[^>]*>(.*?)</form>`)
	inputTag = regexp.MustCompile(`<(?:input|button)[^>]*>`)
	nameOf   = regexp.MustCompile(`\sname="([^"]*)"`)
	valueOf  = regexp.MustCompile(`\svalue="([^"]*)"`)
)

// form returns the page's form as the person sends it: the first button pressed.
func (p page) form() (string, url.Values) {
	m := formTag.FindStringSubmatch(p.body)
	if m == nil {
		return "", nil
	}
	fields := url.Values{}
	for _, tag := range inputTag.FindAllString(m[2], -1) {
		name, value := attribute(nameOf, tag), attribute(valueOf, tag)
		switch {
		case name == "username":
			value = "agent@example.com"
		case name == "password":
			value = "password"
		case name == "" || fields.Has(name):
			continue
		}
		fields.Set(name, value)
	}
	return html.UnescapeString(m[1]), fields
}

func attribute(of *regexp.Regexp, tag string) string {
	if m := of.FindStringSubmatch(tag); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}
