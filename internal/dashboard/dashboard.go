// Package dashboard renders the pages of tokend's dashboard: HTML that is complete
// without a script, with its stylesheet, and one script. It loads nothing
// of another origin.
//
// The pages show; what they change goes through the same handlers as the API.
package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"strconv"
	"strings"
	"time"
)

//go:embed pages/*.html
var pagesFS embed.FS

//go:embed pages/style.css
var style string

//go:embed pages/script.js
var script []byte

// Script returns the script of the pages.
func Script() []byte { return script }

// Pages renders the pages.
type Pages struct {
	html *template.Template

	// Policy is the Content-Security-Policy of every page: what is in them and the script
	// of their own origin, nothing else.
	Policy string
}

// New parses the pages.
func New() (*Pages, error) {
	t, err := template.New("").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(style) }, //nolint:gosec // embedded, not input
		"count": count,
	}).ParseFS(pagesFS, "pages/*.html")
	hash := sha256.Sum256([]byte(style))
	return &Pages{html: t, Policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; script-src 'self'; connect-src 'self';" +
		" img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"}, err
}

// Frame is what surrounds every page.
type Frame struct {
	Now     time.Time
	Caller  string // who made the link of the session; "": no session
	Manages bool   // the session may log clients in and out
	All     bool   // it may see the configuration
	Page    string // of the navigation: "clients", "audit", "configuration"
	Process string // identifies the process: another one was started since if it differs
}

// Text is a page with a text alone: how to open the dashboard, or why it is refused.
type Text struct {
	Frame
	Title, Text, Hint string
	Command           string // to run in a terminal; "": none
	CSRF              string // of a session that has just begun, for the script to keep
}

// Clients renders the list of clients.
func (p *Pages) Clients(l List) []byte { return p.render("clients.html", l.page()) }

// Client renders one client.
func (p *Pages) Client(d Detail) []byte { return p.render("client.html", d.page()) }

// Audit renders the audit log.
func (p *Pages) Audit(a Audit) []byte { return p.render("audit.html", a) }

// Configuration renders the settings.
func (p *Pages) Configuration(c Configuration) []byte { return p.render("configuration.html", c) }

// Text renders a page with a text alone.
func (p *Pages) Text(t Text) []byte { return p.render("text.html", t) }

func (p *Pages) render(name string, data any) []byte {
	var b bytes.Buffer
	if err := p.html.ExecuteTemplate(&b, name, data); err != nil {
		panic(err) // an embedded page is invalid
	}
	return b.Bytes()
}

// Moment is a time as the pages show it. The script counts on.
type Moment struct {
	At    time.Time
	Stamp string // in the element's datetime; "": no time
	Text  string
}

// Moment returns a time relative to the page's.
func (f Frame) Moment(t time.Time) Moment {
	m := Moment{At: t.UTC(), Text: relative(t, f.Now)}
	if !t.IsZero() {
		m.Stamp = m.At.Format("2006-01-02T15:04:05Z")
	}
	return m
}

// Due is the time of something planned: what is late happens now.
func (m Moment) Due() string {
	if strings.HasSuffix(m.Text, " ago") {
		return "now"
	}
	return m.Text
}

// relative is how long until then, or since, in two units. The script does the same.
func relative(t, now time.Time) string {
	if t.IsZero() {
		return "–"
	}
	if d := t.Sub(now).Round(time.Second); d > 0 {
		return "in " + long(d)
	}
	return long(now.Sub(t).Round(time.Second)) + " ago"
}

func long(d time.Duration) string {
	s := int64(d / time.Second)
	two := func(a int64, unit string, b int64, smaller string) string {
		text := strconv.FormatInt(a, 10) + " " + unit
		if b > 0 && smaller != "" {
			text += " " + strconv.FormatInt(b, 10) + " " + smaller
		}
		return text
	}
	switch {
	case s < 60:
		return two(s, "s", 0, "")
	case s < 3600:
		return two(s/60, "min", s%60, "s")
	case s < 86400:
		return two(s/3600, "h", s%3600/60, "min")
	case s < 7*86400:
		return two(s/86400, "d", s%86400/3600, "h")
	}
	return two(s/86400, "d", 0, "")
}

// count is a number with separators of thousands.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
