package dashboard

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/tokend/pkg/flow"
)

// perPage is how many clients a page shows: with what each may say it stays below 100 KB.
const perPage = 40

// maxNote bounds an error's text in the list, in bytes; the page of the client has all
// of it.
const maxNote = 160

// Client is a client as the pages show it.
type Client struct {
	flow.Status
	Login        string // how it logs in; "": no person is needed
	LoginFailure *flow.Failure
}

// Name is the client's name.
func (c Client) Name() string { return c.Status.Client }

// List are the clients that the session may see, and the service behind them.
type List struct {
	Frame
	Clients []Client // sorted by name
	Query   string   // what the name must contain
	State   string   // that they must have; "": any
	Number  int      // of the page, from 1
	Service Service
}

// Service is the service and its store.
type Service struct {
	Version          string
	Started          time.Time
	Store            string         // its URL without a password
	StoreError       string         // why it does not answer; "": it does
	Notifications    string         // of other replicas' changes: "ok", "lost"; "": the store has none
	Processes        []flow.Process // that have the store open; none: it does not know
	ProcessesUnknown bool           // it does not answer
	AuditError       string         // why entries of the audit log are not in its file; "": they are
}

// maxProcesses is how many processes the page lists.
const maxProcesses = 20

// Listed are the processes that the page lists: the own one, and others.
func (s Service) Listed() []flow.Process {
	if len(s.Processes) <= maxProcesses {
		return s.Processes
	}
	listed := slices.Clone(s.Processes[:maxProcesses])
	if i := slices.IndexFunc(s.Processes, func(p flow.Process) bool { return p.Own }); i >= maxProcesses {
		listed[maxProcesses-1] = s.Processes[i]
	}
	return listed
}

// More is how many processes the page does not list.
func (s Service) More() int { return len(s.Processes) - len(s.Listed()) }

// Shared reports whether other machines can use the store.
func (s Service) Shared() bool { return strings.HasPrefix(s.Store, "postgres") }

// listPage is a List for the template.
type listPage struct {
	List
	Rows     []line
	Filters  []filter
	Matching int
	From, To int
	Previous string // address of the page before; "": none
	Next     string
}

// filter is a link to the clients of one state.
type filter struct {
	Label, Address, Tone string
	Count                int
	Current              bool
}

// row is a client in the list.
type row struct {
	Client
	Frame Frame
	View  stateView
	Host  string // of the issuer
	Note  *note
}

// line is a row for the template. It has fields only: a call of a method costs a template
// more than all else.
type line struct {
	Name, Version, Host       string
	State                     flow.ClientState
	View                      stateView
	Expires, NextRefresh, End Moment
	Life                      life
	Needs, Method             string
	Note                      *note
}

func (r row) line() line {
	return line{
		Name: r.Name(), Version: r.Version(), Host: r.Host, State: r.State, View: r.View,
		Expires: r.Frame.Moment(r.Expiry), NextRefresh: r.Frame.Moment(r.NextRefresh), End: r.Frame.Moment(r.GrantEnds),
		Life: r.life(r.Frame.Now), Needs: r.Needs(), Method: r.Method(), Note: r.Note,
	}
}

// life is the bar next to the token's time.
type life struct {
	From, To int64 // in seconds, for the script
	Left     int   // in per cent
}

// note is an error with what to do about it.
type note struct {
	What, Text, Hint string
	At               Moment
}

// stateView is how a state is shown: never by its colour alone.
type stateView struct{ Label, Tone, Sign string }

// states are in the order of the list: first those that need somebody.
func states() []flow.ClientState {
	return []flow.ClientState{
		flow.StateLoginRequired, flow.StateClientRejected, flow.StateRestored, flow.StateUnavailable, flow.StateDegraded, flow.StateStarting, flow.StateReady,
	}
}

func viewOf(s flow.ClientState) stateView {
	switch s {
	case flow.StateReady:
		return stateView{"Ready", "good", "✓"}
	case flow.StateDegraded:
		return stateView{"Degraded", "wait", "!"}
	case flow.StateStarting:
		return stateView{"Starting", "wait", "…"}
	case flow.StateLoginRequired:
		return stateView{"Login required", "bad", "→"}
	case flow.StateClientRejected:
		return stateView{"Client rejected", "bad", "✕"}
	case flow.StateRestored:
		return stateView{"Restored copy", "bad", "↺"}
	}
	return stateView{"Unavailable", "bad", "✕"}
}

func (l List) page() listPage {
	p := listPage{List: l}
	byState := map[flow.ClientState][]*Client{} // pointers: a Client is large
	found, query := 0, strings.ToLower(l.Query)
	for i := range l.Clients {
		if c := &l.Clients[i]; strings.Contains(c.Status.Client, query) {
			byState[c.State] = append(byState[c.State], c)
			found++
		}
	}
	p.Filters = append(p.Filters, filter{Label: "All", Address: l.address("", 1), Count: found, Current: l.State == ""})
	var matching []*Client
	for _, s := range states() {
		if n := len(byState[s]); n > 0 || string(s) == l.State {
			v := viewOf(s)
			p.Filters = append(p.Filters, filter{Label: v.Label, Address: l.address(string(s), 1), Tone: v.Tone, Count: n, Current: l.State == string(s)})
		}
		if l.State == "" || l.State == string(s) {
			matching = append(matching, byState[s]...)
		}
	}
	p.Matching = len(matching)
	last := max(1, (p.Matching+perPage-1)/perPage)
	number := min(max(l.Number, 1), last)
	from, to := (number-1)*perPage, min(number*perPage, p.Matching)
	for _, c := range matching[from:to] {
		p.Rows = append(p.Rows, l.row(*c).line())
	}
	p.From, p.To = from+1, to
	if number > 1 {
		p.Previous = l.address(l.State, number-1)
	}
	if number < last {
		p.Next = l.address(l.State, number+1)
	}
	return p
}

// address is that of a page of the list.
func (l List) address(state string, number int) string {
	q := url.Values{}
	if l.Query != "" {
		q.Set("q", l.Query)
	}
	if state != "" {
		q.Set("state", state)
	}
	if number > 1 {
		q.Set("page", strconv.Itoa(number))
	}
	if len(q) == 0 {
		return "/"
	}
	return "/?" + q.Encode()
}

func (l List) row(c Client) row {
	r := row{Client: c, Frame: l.Frame, View: viewOf(c.State), Host: hostOf(c.Issuer)}
	if f := cmp.Or(c.Failure, c.LoginFailure); f != nil {
		n := l.note(f)
		n.Text, n.Hint = cut(n.Text), cut(n.Hint)
		r.Note = &n
	}
	return r
}

// note is a failure as text.
func (f Frame) note(of *flow.Failure) note {
	return note{What: cmp.Or(of.Code, string(of.Class)), Text: of.Description, Hint: of.Hint, At: f.Moment(of.Time)}
}

func cut(s string) string {
	if len(s) <= maxNote {
		return s
	}
	end := maxNote
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

func hostOf(issuer string) string {
	if u, err := url.Parse(issuer); err == nil && u.Host != "" {
		return u.Host
	}
	return issuer
}

// Version changes when the script must replace what it shows of the client.
func (r row) Version() string {
	return version(string(r.State), r.Obtained.String(), r.Expiry.String(), r.NextRefresh.String(), r.GrantEnds.String(), textOf(r.Failure), textOf(r.LoginFailure))
}

func textOf(f *flow.Failure) string {
	if f == nil {
		return ""
	}
	return f.Time.String() + f.Code + f.Description + f.Hint
}

func version(parts ...string) string {
	h := fnv.New32a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p + "\x00")) // it never fails
	}
	return strconv.FormatUint(uint64(h.Sum32()), 36)
}

// life is how much of the token's life is left.
func (c Client) life(now time.Time) life {
	l := life{From: c.Obtained.Unix(), To: c.Expiry.Unix()}
	whole, left := c.Expiry.Sub(c.Obtained), c.Expiry.Sub(now)
	if !c.Expiry.IsZero() && whole > 0 && left > 0 {
		l.Left = min(100, int(100*left/whole))
	}
	return l
}

// Needs is the action that the list offers.
func (r row) Needs() string {
	switch {
	case !r.Frame.Manages:
		return ""
	case r.State == flow.StateLoginRequired, r.State == flow.StateRestored && r.Login != "":
		return "login"
	}
	return ""
}

// Method is how the script logs the client in.
func (c Client) Method() string {
	if c.Login == "" || c.Login == "headless" && (c.Failure == nil || c.Failure.Remedy != flow.RemedyBrowser) {
		return "headless"
	}
	if c.Login == "headless" {
		return "browser"
	}
	return c.Login
}

// Fingerprint changes when the script must replace what it shows of the service.
func (s Service) Fingerprint() string {
	return version(s.Version, s.Started.String(), s.Store, s.StoreError, s.Notifications, s.AuditError, fmt.Sprint(s.Processes, s.ProcessesUnknown))
}

// Waiting is how many clients need somebody, for the title.
func (p listPage) Waiting() int {
	n := 0
	for i := range p.Clients {
		if viewOf(p.Clients[i].State).Tone == "bad" {
			n++
		}
	}
	return n
}
