package mock

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"
)

const consolePrefix = controlPrefix + "console/"

// consolePolicy allows the console's own style, script, requests and forms.
const consolePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// consolePage is one page of the console.
type consolePage struct {
	Name  string // of the template
	Title string
	fill  func(*Tenant, *http.Request, *consoleView)
}

// Path is where the page is.
func (p consolePage) Path() string {
	if p.Name == "journal" {
		return controlPrefix
	}
	return consolePrefix + p.Name
}

// consolePages returns the pages in the order of the navigation.
func consolePages() []consolePage {
	return []consolePage{
		{"journal", "Journal", (*Tenant).fillJournal},
		{"clients", "Clients", (*Tenant).fillClients},
		{"users", "Users", (*Tenant).fillUsers},
		{"sessions", "Sessions", (*Tenant).fillSessions},
		{"tokens", "Tokens", (*Tenant).fillTokens},
		{"faults", "Faults", (*Tenant).fillFaults},
		{"clock", "Clock", (*Tenant).fillClock},
		{"tenant", "Tenant", (*Tenant).fillTenant},
	}
}

// consoleView is what the templates of the console get.
type consoleView struct {
	Page   consolePage
	Pages  []consolePage
	Tenant string
	Issuer string
	Base   string // the path of the tenant, before each link
	Now    time.Time
	Frozen bool
	Next   *expiryRow // what expires next
	Armed  int        // faults
	Error  string     // why an action was not done
	Data   any        // of the page

	at address
}

// wantsPage reports whether the client shows pages. Others get JSON.
func wantsPage(r *http.Request) bool {
	return routedMethod(r) == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// serveConsole handles the console's pages and actions. It returns false for any other
// call. The caller has checked that no other site sent the request.
func (t *Tenant) serveConsole(w http.ResponseWriter, r *http.Request, at address) bool {
	switch path := r.URL.Path; {
	case path == consolePrefix+"style.css" && routedMethod(r) == http.MethodGet:
		writeAsset(w, "text/css; charset=utf-8", "style.css")
	case path == consolePrefix+"console.js" && routedMethod(r) == http.MethodGet:
		writeAsset(w, "text/javascript; charset=utf-8", "console.js")
	case path == controlPrefix+"callback" && routedMethod(r) == http.MethodGet:
		t.callbackPage(w, r, at)
	case strings.HasPrefix(path, consolePrefix) && r.Method == http.MethodPost:
		t.consoleAction(w, r, at)
	case path == controlPrefix && !wantsPage(r):
		w.Header().Set("Vary", "Accept")
		return false
	default:
		i := slices.IndexFunc(consolePages(), func(p consolePage) bool { return p.Path() == path || consolePrefix+p.Name == path })
		if i < 0 || routedMethod(r) != http.MethodGet {
			return false
		}
		t.showConsole(w, r, at, consolePages()[i], "")
	}
	return true
}

func writeAsset(w http.ResponseWriter, contentType, name string) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	write(w, http.StatusOK, contentType, []byte(pageFile(name)))
}

// showConsole writes a page of the console, with the error of an action.
func (t *Tenant) showConsole(w http.ResponseWriter, r *http.Request, at address, page consolePage, problem string) {
	v := &consoleView{
		Page: page, Pages: consolePages(), Issuer: at.issuer, Base: at.prefix, Now: t.clock.Now(), Frozen: t.clock.Frozen(), Error: problem, at: at,
	}
	for _, f := range t.Faults() {
		if f.Armed {
			v.Armed++
		}
	}
	t.mu.Lock()
	v.Tenant = cmp.Or(t.st.settings.FriendlyName, "mockauth0")
	if list := t.expiries(v.Now); len(list) > 0 {
		row := t.expiryRow(list[0], v.Now)
		v.Next = &row
	}
	t.mu.Unlock()
	page.fill(t, r, v)
	status := http.StatusOK
	if problem != "" {
		status = http.StatusBadRequest
	}
	w.Header().Set("Vary", "Accept")
	writePage(w, status, consolePolicy, page.Name+".console.html", v)
}

// writePage writes a page of the mock itself, which no other site may frame or open.
func writePage(w http.ResponseWriter, status int, policy, name string, data any) {
	var b bytes.Buffer
	if err := pages().ExecuteTemplate(&b, name, data); err != nil {
		controlError(w, http.StatusInternalServerError, "page "+name+": "+err.Error())
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "deny")
	write(w, status, htmlType, b.Bytes())
}

// home is GET /, for a person who opens the issuer in a browser. Other clients get 404,
// as before.
func (t *Tenant) home(w http.ResponseWriter, at address) {
	t.mu.Lock()
	name := cmp.Or(t.st.settings.FriendlyName, "mockauth0")
	t.mu.Unlock()
	w.Header().Set("Vary", "Accept")
	w.Header().Set("X-Mockauth0", "a mock tenant, for tests only")
	writePage(w, http.StatusOK, pagePolicy()+"; frame-ancestors 'none'", "home.html", map[string]any{
		"Name": name, "Issuer": at.issuer, "Base": at.prefix, "Console": at.console,
	})
}

// pageFuncs are the functions of the templates.
func pageFuncs() template.FuncMap {
	return template.FuncMap{
		"style": func() template.CSS { return template.CSS(pageFile("style.css")) }, //nolint:gosec // embedded
		"clock": func(at time.Time) string { return at.Format("15:04:05.000") },
		"day":   func(at time.Time) string { return at.Format("Mon 2 Jan 2006") },
		"iso":   func(at time.Time) string { return at.Format(time.RFC3339Nano) },
		"second": func(at time.Time) string {
			return at.Format("2006-01-02 15:04:05")
		},
		"span":    span,
		"good":    func(status int) string { return fmt.Sprintf("s%d", status/100) },
		"join":    strings.Join,
		"capital": func(s string) string { return strings.ToUpper(s[:1]) + s[1:] },
	}
}
