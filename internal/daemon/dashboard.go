package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/dashboard"
	"example.com/tokend/internal/guard"
	"example.com/tokend/internal/proxy"
	"example.com/tokend/pkg/flow"
)

const (
	maxEntries  = 200 // of the audit log on its page
	maxSettings = 500 // of the configuration on its page
)

// Setting is a setting, and where it comes from.
type Setting = dashboard.Setting

// dashboardTable are the routes of the dashboard. Its pages show; its script changes
// something with the handlers of the API.
func (d *api) dashboardTable() []route {
	return []route{
		{method: "GET", path: "/", access: guard.Session, handler: d.clientsPage, page: true},
		{method: "GET", path: "/dashboard", access: guard.Session, handler: d.toClients, page: true},
		{method: "GET", path: "/dashboard/clients/:client", access: guard.Session, handler: d.clientPage, page: true},
		{method: "GET", path: "/dashboard/audit", access: guard.Session, handler: d.auditPage, page: true},
		{method: "GET", path: "/dashboard/configuration", access: guard.Session, handler: d.configurationPage, page: true},
		{method: "GET", path: "/dashboard/open", access: guard.OwnPage, handler: d.openDashboard, page: true},
		{method: "GET", path: "/dashboard/script.js", access: guard.OwnPage, handler: d.dashboardScript},
		{method: "GET", path: "/dashboard/events", access: guard.Session, handler: d.events},
		{method: "POST", path: "/dashboard/close", access: guard.Acts, handler: d.closeDashboard},
		{method: "POST", path: "/dashboard/clients/:client/token", access: guard.Acts, handler: d.getToken, audit: "token"},
		{method: "POST", path: "/dashboard/clients/:client/login", access: guard.ActsAndManages, handler: d.startLogin, audit: "login"},
		{method: "POST", path: "/dashboard/clients/:client/code", access: guard.ActsAndManages, handler: d.finishLogin, audit: "code"},
		{method: "POST", path: "/dashboard/clients/:client/refresh", access: guard.ActsAndManages, handler: d.refresh, audit: "refresh"},
		{method: "POST", path: "/dashboard/clients/:client/resume", access: guard.ActsAndManages, handler: d.resume, audit: "resume"},
		{method: "POST", path: "/dashboard/clients/:client/logout", access: guard.ActsAndManages, handler: d.forget, audit: "logout"},
	}
}

// dashboardLink is the link that opens the dashboard for the caller.
type dashboardLink struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
	ExpiresIn int64     `json:"expires_in"` // seconds
}

// linkDashboard answers with a link that opens a session with the caller's rights.
func (d *api) linkDashboard(c *gin.Context) {
	addr := d.browserAddr.Load()
	if addr == nil {
		d.fail(c, &problem{
			Status: http.StatusConflict, Code: string(flow.ClassConfig),
			Description: "the service has no TCP listener, and a browser cannot open its socket", Hint: "set listen (TOKEND_LISTEN) to 127.0.0.1:8484",
		})
		return
	}
	secret, expires := d.guard.Link(guard.CallerOf(c.Request.Context()))
	u := url.URL{Scheme: "http", Host: *addr, Path: "/dashboard/open", RawQuery: "link=" + secret}
	writeJSON(c, http.StatusOK, dashboardLink{u.String(), expires.UTC().Truncate(time.Second), int64(expires.Sub(d.now()).Round(time.Second) / time.Second)})
}

// noteListeners remembers where a browser of this machine reaches the service.
func (d *Daemon) noteListeners(listeners []net.Listener) {
	for _, l := range listeners {
		if tcp, ok := l.(*net.TCPListener); ok { // not the one for other machines, which has TLS
			addr := tcp.Addr().String()
			d.browserAddr.Store(&addr)
			return
		}
	}
}

// openDashboard opens the session of a link. The CSRF token is in this page alone.
func (d *api) openDashboard(c *gin.Context) {
	link := c.Query("link")
	if c.Request.Method == http.MethodHead && d.guard.CheckLink(link) == nil { // what checks links must not use this one up
		d.showText(c, http.StatusOK, dashboard.Text{Title: "The dashboard"})
		return
	}
	opened, refusal := d.guard.Open(link)
	if refusal != nil {
		d.refusePage(c, refusal)
		return
	}
	http.SetCookie(c.Writer, &http.Cookie{ //nolint:gosec // not Secure: loopback has no TLS
		Name: guard.CookieName(c.Request.Host), Value: opened.Cookie, Path: "/", MaxAge: int(opened.Lifetime / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	d.showText(c, http.StatusOK, dashboard.Text{Title: "The dashboard is open", Text: "This page leads there.", CSRF: opened.CSRF})
}

func (d *api) closeDashboard(c *gin.Context) {
	d.guard.End(guard.CallerOf(c.Request.Context()))
	http.SetCookie(c.Writer, &http.Cookie{Name: guard.CookieName(c.Request.Host), Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode}) //nolint:gosec // as above
	writeJSON(c, http.StatusOK, struct{}{})
}

func (d *api) dashboardScript(c *gin.Context) {
	d.show(c, http.StatusOK, "text/javascript; charset=utf-8", dashboard.Script())
}

func (d *api) frame(c *gin.Context, page string) dashboard.Frame {
	caller := guard.CallerOf(c.Request.Context())
	return dashboard.Frame{
		Now: d.now(), Caller: strings.TrimPrefix(caller.Name, "dashboard:"), Manages: caller.MayManage(), All: caller.MayAll(),
		Page: page, Process: strconv.FormatInt(d.started.UnixNano(), 36),
	}
}

func (d *api) clientsPage(c *gin.Context) {
	caller := guard.CallerOf(c.Request.Context())
	number, _ := strconv.Atoi(c.Query("page")) // 0 is the first one, too
	list := dashboard.List{Frame: d.frame(c, "clients"), Query: c.Query("q"), State: c.Query("state"), Number: number, Service: d.serviceView(c.Request.Context())}
	for _, name := range d.names {
		if caller.May(name) {
			list.Clients = append(list.Clients, d.dashboardClient(d.clients[name]))
		}
	}
	d.showHTML(c, http.StatusOK, d.pages.Clients(list))
}

// toClients redirects /dashboard to the list of clients.
func (d *api) toClients(c *gin.Context) {
	c.Header("Location", "/")
	d.showText(c, http.StatusSeeOther, dashboard.Text{Title: "The dashboard is at /", Text: "This page leads there."})
}

// dashboardClient is a client's state without what the store would have to be asked for.
func (d *api) dashboardClient(cl *client) dashboard.Client {
	st := cl.Status()
	return dashboard.Client{Status: st, Login: cl.Login, LoginFailure: d.logins.failure(&st)}
}

func (d *api) clientPage(c *gin.Context) {
	cl := d.clients[c.Param("client")]
	if cl == nil {
		d.showText(c, http.StatusNotFound, dashboard.Text{
			Title: "No such client", Text: "There is no client " + strconv.Quote(c.Param("client")) + ".",
			Hint: d.nearNames(guard.CallerOf(c.Request.Context()), c.Param("client")),
		})
		return
	}
	v := d.view(c.Request.Context(), cl)
	page := dashboard.Detail{
		Frame: d.frame(c, "client"), Client: dashboard.Client{Status: v.Status, Login: v.Login, LoginFailure: v.LoginFailure},
		ClientID: cl.ClientID, Audience: cl.Audience, Hosts: v.Hosts, Env: v.Env, Upstreams: v.Upstreams, Events: d.hub.Recent(cl.Name()),
	}
	for _, f := range v.Files {
		page.Files = append(page.Files, dashboard.File(f))
	}
	page.Past = d.pastOf(v.Status, page.Events)
	d.showHTML(c, http.StatusOK, d.pages.Client(page))
}

// pastActions are the labels of what the audit log has of a client, but requests for its
// token.
func pastActions() map[string]string {
	return map[string]string{"login": "Login requested", "code": "Logged in", "callback": "Logged in", "refresh": "Refresh requested", "resume": "Resumed", "logout": "Logged out"}
}

// pastOf is what happened to a client before this process was started, by the audit log,
// and its login and last exchange, which the store has, also those of other processes.
func (d *api) pastOf(s flow.Status, events []flow.Event) []dashboard.Past {
	var past []dashboard.Past
	lines, _ := d.audit.Tail() // the page of the audit log says why it cannot be read
	labels := pastActions()
	for _, line := range lines {
		e, ok := parseEntry(line)
		if !ok || e.Client != s.Client || labels[e.Action] == "" || !e.Time.Before(d.started) {
			continue
		}
		p := dashboard.Past{At: e.Time, Label: labels[e.Action]}
		if e.Caller != "" { // a callback has none
			p.Text = "by " + e.Caller
		}
		if e.Status >= http.StatusBadRequest {
			p.Tone, p.Text = "bad", strings.TrimPrefix(p.Text+": "+e.Error, ": ")
		}
		past = append(past, p)
	}
	known := func(at time.Time) bool {
		return at.IsZero() || slices.ContainsFunc(events, func(e flow.Event) bool { return e.Time.Sub(at).Abs() < sameEvent }) ||
			slices.ContainsFunc(past, func(p dashboard.Past) bool { return p.At.Sub(at).Abs() < sameEvent && p.Tone != "bad" })
	}
	if !known(s.LoggedIn) {
		past = append(past, dashboard.Past{At: s.LoggedIn, Label: "Logged in", Tone: "good"})
	}
	if !known(s.LastExchange) && s.LastExchange.Sub(s.LoggedIn) >= sameEvent {
		past = append(past, dashboard.Past{At: s.LastExchange, Label: "Refreshed", Tone: "good"})
	}
	return past
}

// sameEvent is how much later than in the store the time of an event may be.
const sameEvent = 5 * time.Second

// auditEntry is an entry of the audit log as it is read back.
type auditEntry struct {
	Time                                                        time.Time
	Action, Caller, Client, Audience, Method, Host, Path, Error string
	Status, Missing                                             int
}

func parseEntry(line []byte) (e auditEntry, ok bool) {
	ok = json.Unmarshal(line, &e) == nil
	return e, ok
}

// auditPage shows the latest entries about the clients of the caller.
func (d *api) auditPage(c *gin.Context) {
	page := dashboard.Audit{Frame: d.frame(c, "audit"), On: d.audit != nil, Client: c.Query("client")}
	lines, err := d.audit.Tail()
	if err != nil {
		page.Error = err.Error()
	}
	caller := guard.CallerOf(c.Request.Context())
	for i := len(lines) - 1; i >= 0 && len(page.Entries) < maxEntries; i-- {
		e, ok := parseEntry(lines[i])
		if !ok || !caller.May(e.Client) || page.Client != "" && e.Client != page.Client {
			continue
		}
		entry := dashboard.Entry{At: page.Moment(e.Time), Action: e.Action, Caller: e.Caller, Client: e.Client, What: e.Audience, Status: e.Status, Error: e.Error}
		switch {
		case e.Method != "":
			entry.What = e.Method + " " + e.Host + e.Path
		case e.Action == "gap":
			entry.What = strconv.Itoa(e.Missing) + " entries are in the service's log only"
		}
		page.Entries = append(page.Entries, entry)
	}
	d.showHTML(c, http.StatusOK, d.pages.Audit(page))
}

// configurationPage is for who may do everything: the settings name all clients and
// callers.
func (d *api) configurationPage(c *gin.Context) {
	page := dashboard.Configuration{Frame: d.frame(c, "configuration"), Query: c.Query("q")}
	if !page.All || d.settings == nil {
		d.showText(c, http.StatusForbidden, dashboard.Text{Title: "Not for this session", Text: "The configuration is for callers that may manage every client.", Hint: "tokend config show prints it for the user of the service"})
		return
	}
	settings, err := d.settings()
	if err != nil {
		page.Error = err.Error()
	}
	for _, s := range settings {
		switch {
		case !strings.Contains(strings.ToLower(s.Name+" "+s.Value), strings.ToLower(page.Query)):
		case len(page.Settings) == maxSettings:
			page.More++
		default:
			page.Settings = append(page.Settings, s)
		}
	}
	d.showHTML(c, http.StatusOK, d.pages.Configuration(page))
}

func (d *api) serviceView(ctx context.Context) dashboard.Service {
	s := dashboard.Service{Version: d.version, Started: d.started, Store: d.store, Notifications: d.notifications(ctx)}
	var both sync.WaitGroup
	if guard.CallerOf(ctx).MayAll() { // the names of hosts are not for every caller
		both.Go(func() { s.Processes, s.ProcessesUnknown = d.processesNow(ctx) })
	}
	_, err := d.storeState.get(ctx, d.now(), func(ctx context.Context) (struct{}, error) { return struct{}{}, d.ready(ctx) })
	both.Wait()
	if err != nil {
		reason, advice := reasonAndHint(err, "tokend doctor shows what is wrong with the store")
		s.StoreError = reason + "; " + advice
	}
	if f := d.audit.Failure(); f != nil {
		s.AuditError = f.Reason + "; " + f.Hint
	}
	return s
}

// processesNow returns the processes that have the store open, and whether they are
// unknown because it does not answer.
func (d *api) processesNow(ctx context.Context) (found []flow.Process, unknown bool) {
	if d.processes == nil {
		return nil, false
	}
	found, err := d.replicas.get(ctx, d.now(), d.processes)
	return found, err != nil && !errors.Is(err, errors.ErrUnsupported)
}

// recent is an answer of the store. It is asked every few seconds at most, because an open
// page asks after every event, and a page waits for it a second at most.
type recent[T any] struct {
	mu    sync.Mutex
	at    time.Time
	value T
	err   error
}

const recentAge = 5 * time.Second

func (r *recent[T]) get(ctx context.Context, now time.Time, ask func(context.Context) (T, error)) (T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// A page that has waited for the answer to another one has an earlier time.
	if r.at.IsZero() || now.Sub(r.at).Abs() >= recentAge {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout) // the answer is also for other pages
		defer cancel()
		value, err := ask(ctx)
		r.at, r.value, r.err = now, value, err
	}
	return r.value, r.err
}

// wantsHTML reports whether a browser shows the answer.
func wantsHTML(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// refusePage answers a refused request for a page: a browser gets one that says how to
// open the dashboard, and other callers the JSON of every refusal.
func (d *api) refusePage(c *gin.Context, f *guard.Refusal) {
	if !wantsHTML(c.Request) {
		d.fail(c, problemOfRefusal(f))
		return
	}
	t := dashboard.Text{Title: "Refused", Text: sentence(f.Description), Hint: sentence(f.Hint)}
	if f.Status == http.StatusUnauthorized {
		t = dashboard.Text{
			Title: "Open the dashboard", Text: sentence(f.Description) + " To open one, run this in a terminal of the service's user:",
			Command: "tokend dashboard", Hint: "It opens a link that works once, within a minute.",
		}
		c.Header("WWW-Authenticate", f.Challenge)
	}
	c.Header(proxy.ErrorHeader, f.Code)
	d.showText(c, f.Status, t)
}

// sentence makes a sentence of a description.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

func (d *api) showText(c *gin.Context, status int, t dashboard.Text) {
	d.showHTML(c, status, d.pages.Text(t))
}

func (d *Daemon) showHTML(c *gin.Context, status int, page []byte) {
	d.show(c, status, "text/html; charset=utf-8", page)
}

// show answers a browser.
func (d *Daemon) show(c *gin.Context, status int, contentType string, body []byte) {
	h := c.Writer.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Security-Policy", d.pages.Policy)
	h.Set("Cross-Origin-Resource-Policy", "same-origin") // a page on another port is of the same site
	h.Set("Referrer-Policy", "same-origin")
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.Writer.WriteHeader(status)
	_, _ = c.Writer.Write(body) // the browser may be gone
}
