package dashboard

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
)

var start = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

const markup = `<script>alert(1)</script><img src=x onerror="alert(2)">"'` + "`{{.}}"

func newPages(t testing.TB) *Pages {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func frame() Frame {
	return Frame{Now: start, Caller: "main", Manages: true, All: true, Page: "clients", Process: "p"}
}

// fleet are n clients, every tenth of which has failed with a long text.
func fleet(n int) List {
	l := List{Frame: frame(), Service: Service{Version: "1.2.3", Started: start, Store: "sqlite:/var/lib/tokend/tokend.db"}}
	for i := range n {
		c := Client{Status: flow.Status{
			Client: fmt.Sprintf("client-%05d-with-a-name-as-long-as-the-configuration-allows-to", i), Issuer: "https://a-rather-long-tenant.eu.auth0.com/", State: flow.StateReady,
			Obtained: start.Add(-time.Hour), Expiry: start.Add(23 * time.Hour), NextRefresh: start.Add(22 * time.Hour), GrantEnds: start.Add(700 * time.Hour),
		}, Login: "browser"}
		if i%10 == 0 {
			c.State = flow.StateLoginRequired
			c.Failure = &flow.Failure{Time: start, Class: flow.ClassLoginRequired, Code: "invalid_grant", Description: strings.Repeat("a long text of a provider ", 50), Hint: strings.Repeat("a long hint ", 50)}
		}
		l.Clients = append(l.Clients, c)
	}
	return l
}

// The first paint needs one request, of at most 100 KB, however many clients there are
// and whatever they say.
func TestClients_PageIsSmall(t *testing.T) {
	p := newPages(t)
	for _, n := range []int{0, 1, 41, 1000, 10000} {
		l := fleet(n)
		page := p.Clients(l)
		if len(page) > 100_000 {
			t.Errorf("%d clients: %d bytes", n, len(page))
		}
		if shown := strings.Count(string(page), "<tbody "); shown != min(n, perPage) {
			t.Errorf("%d clients: %d shown", n, shown)
		}
		if n == 10000 && (!strings.Contains(string(page), "All <b>10,000</b>") || !strings.Contains(string(page), "Login required <b>1,000</b>") || !strings.Contains(string(page), "1–40 of 10,000")) {
			t.Error("the counts are not those of all clients")
		}
	}
	if n := len(Script()); n > 30_000 {
		t.Errorf("the script has %d bytes", n)
	}
}

func TestClients_ThoseThatNeedSomebodyComeFirst(t *testing.T) {
	l := fleet(3)
	for i, s := range []flow.ClientState{flow.StateReady, flow.StateDegraded, flow.StateClientRejected} {
		l.Clients[i].State = s
	}
	var got []string
	for _, r := range l.page().Rows {
		got = append(got, string(r.State))
	}
	if want := []string{"client_rejected", "degraded", "ready"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestClients_Selects(t *testing.T) {
	for _, tt := range []struct {
		name     string
		change   func(*List)
		from, to int
		matching int
	}{
		{"all", func(*List) {}, 1, 40, 200},
		{"a page", func(l *List) { l.Number = 2 }, 41, 80, 200},
		{"beyond the last page", func(l *List) { l.Number = 99 }, 161, 200, 200},
		{"below the first page", func(l *List) { l.Number = -1 }, 1, 40, 200},
		{"by state", func(l *List) { l.State = "login_required" }, 1, 20, 20},
		{"by name, in capitals", func(l *List) { l.Query = "CLIENT-0001" }, 1, 10, 10},
		{"none", func(l *List) { l.Query = "absent" }, 1, 0, 0},
		{"an unknown state", func(l *List) { l.State = "absent" }, 1, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := fleet(200)
			tt.change(&l)
			p := l.page()
			if p.From != tt.from || p.To != tt.to || p.Matching != tt.matching {
				t.Errorf("%d to %d of %d", p.From, p.To, p.Matching)
			}
		})
	}
}

// detail is a client all of whose texts are markup.
func detail() Detail {
	f := &flow.Failure{Time: start, Class: flow.ClassLoginRequired, Code: markup, Description: markup, Hint: markup}
	return Detail{
		Frame: frame(), Client: Client{Login: "device", LoginFailure: f, Status: flow.Status{
			Client: "demo", Issuer: markup, State: flow.StateDegraded, Subject: markup, Scope: markup, Obtained: start.Add(-time.Hour), Expiry: start.Add(time.Hour),
			LoggedIn: start, Failure: f, DeviceLogin: &flow.DeviceLogin{URL: "javascript:alert(1)", VerificationURI: markup, UserCode: markup, Expires: start.Add(time.Minute)},
		}},
		ClientID: markup, Audience: markup, Hosts: []string{markup}, Env: []string{markup}, Upstreams: []string{markup},
		Files:  []File{{Path: markup, Failure: markup, Hint: markup}},
		Events: []flow.Event{{Kind: flow.EventDegraded, Time: start.Add(-time.Minute), Client: "demo", Failure: f}, {Kind: flow.EventKind(markup), Time: start}},
	}
}

// everyPage are the pages with markup wherever a text comes from elsewhere.
func everyPage(p *Pages) map[string][]byte {
	l := fleet(3)
	l.Query, l.State, l.Service.Store, l.Service.StoreError, l.Service.AuditError, l.Caller = markup, "", markup, markup, markup, markup
	noted := fleet(1)
	noted.Clients[0].Failure = detail().Failure
	return map[string][]byte{
		"clients":       p.Clients(noted),
		"no clients":    p.Clients(l),
		"client":        p.Client(detail()),
		"audit":         p.Audit(Audit{Frame: frame(), On: true, Client: markup, Entries: []Entry{{At: frame().Moment(start), Action: markup, Caller: markup, Client: markup, What: markup, Status: 500, Error: markup}}}),
		"audit fails":   p.Audit(Audit{Frame: frame(), On: true, Error: markup}),
		"configuration": p.Configuration(Configuration{Frame: frame(), Query: markup, Settings: []Setting{{markup, markup, markup}}}),
		"faulty":        p.Configuration(Configuration{Frame: frame(), Error: markup}),
		"text":          p.Text(Text{Title: markup, Text: markup, Hint: markup, Command: markup, CSRF: markup}),
	}
}

func TestPages_EscapeEveryText(t *testing.T) {
	for name, page := range everyPage(newPages(t)) {
		for _, raw := range []string{"<script>", "<img", `href="javascript:`, "onerror=\"", `'` + "`"} {
			if strings.Contains(string(page), raw) {
				t.Errorf("%s has %s", name, raw)
			}
		}
		if strings.Contains(string(page), "ZgotmplZ") && name != "client" { // there it stands for the address of the device login
			t.Errorf("%s: a text stands where none is safe", name)
		}
	}
}

// The pages load nothing of another origin, and nothing in them needs another policy.
func TestPages_LoadOnlyTheirScript(t *testing.T) {
	p := newPages(t)
	for name, page := range everyPage(p) {
		for _, m := range regexp.MustCompile(`<(link|script|img|iframe|object|embed|source|video|audio|form|base|meta http)[^>]*`).FindAllString(string(page), -1) {
			if m != `<script src="/dashboard/script.js" defer` && !strings.HasPrefix(m, `<link rel="icon" href="data:`) && !regexp.MustCompile(`^<form (method="get" action="/[a-z/]*" role="search"|method="dialog"|id="paste")$`).MatchString(m) {
				t.Errorf("%s loads %s", name, m)
			}
		}
		if m := regexp.MustCompile(`\s(style|on[a-z]+)=`).FindString(string(page)); m != "" && !strings.Contains(m, "onerror") {
			t.Errorf("%s has%s", name, m)
		}
		if n := strings.Count(string(page), "<style>"); n != 1 {
			t.Errorf("%s has %d stylesheets", name, n)
		}
	}
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(p.Policy, want) {
			t.Errorf("the policy lacks %s", want)
		}
	}
	if strings.Contains(p.Policy, "unsafe") || strings.Contains(p.Policy, "http") {
		t.Errorf("the policy is %s", p.Policy)
	}
}

// A session that only reads has no buttons that change something.
func TestPages_ReaderHasNoButtons(t *testing.T) {
	p := newPages(t)
	l, d := fleet(1), detail()
	l.Manages, d.Manages, d.DeviceLogin = false, false, nil
	for name, page := range map[string][]byte{"clients": p.Clients(l), "client": p.Client(d)} {
		for _, what := range []string{"login", "refresh", "resume", "logout"} {
			if strings.Contains(string(page), `data-act="`+what+`"`) {
				t.Errorf("%s has the button %s", name, what)
			}
		}
	}
	if !strings.Contains(string(p.Client(d)), `data-act="token"`) {
		t.Error("a reader may copy a token")
	}
}

func TestRelative(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s ago", 42 * time.Second: "in 42 s", -3 * time.Minute: "3 min ago", 312 * time.Second: "in 5 min 12 s", time.Hour: "in 1 h",
		25*time.Hour + time.Minute: "in 1 d 1 h", 47*time.Hour + 59*time.Minute: "in 1 d 23 h", 30 * 24 * time.Hour: "in 30 d",
	} {
		if got := relative(start.Add(d), start); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	if got := relative(time.Time{}, start); got != "–" {
		t.Errorf("no time: %q", got)
	}
}

// Marks are in order, the past left of the present and the plan right of it.
func TestTimeline_KeepsTheOrder(t *testing.T) {
	d := Detail{Frame: frame(), Client: Client{Status: flow.Status{Obtained: start.Add(-time.Second), Expiry: start.Add(24 * time.Hour), NextRefresh: start.Add(23 * time.Hour)}}}
	for _, ago := range []time.Duration{72 * time.Hour, 48 * time.Hour, time.Hour, time.Second} {
		d.Events = append(d.Events, flow.Event{Kind: flow.EventRefreshed, Time: start.Add(-ago)})
	}
	l := d.timeline()
	for i := 1; i < len(l.Marks); i++ {
		if l.Marks[i].X <= l.Marks[i-1].X || l.Marks[i].X > 99 {
			t.Errorf("mark %d is at %v after %v", i, l.Marks[i].X, l.Marks[i-1].X)
		}
	}
	if plan := l.Marks[len(l.Marks)-1]; plan.X <= nowAt || plan.Tone != "plan" {
		t.Errorf("the plan is %+v", plan)
	}
	if none := (Detail{Frame: frame()}).timeline(); none.Valid != nil || len(none.Marks) != 0 {
		t.Errorf("without a token: %+v", none)
	}
}

// TestTimeline_HasThePast: what happened before this process was started is in its place.
func TestTimeline_HasThePast(t *testing.T) {
	d := Detail{
		Frame: frame(), Client: Client{Status: flow.Status{Client: "demo"}},
		Events: []flow.Event{{Kind: flow.EventRefreshed, Time: start.Add(-time.Minute)}},
		Past:   []Past{{At: start.Add(-time.Second), Label: "Later"}, {At: start.Add(-time.Hour), Label: "Logged in", Text: "by <b>main</b>"}},
	}
	l := d.timeline()
	if len(l.Marks) != 3 || l.Marks[0].X > l.Marks[1].X || l.Marks[1].X > l.Marks[2].X || !strings.HasPrefix(l.Marks[0].Label, "Logged in 1 h ago") || !strings.HasPrefix(l.Summary, "3 events since 1 h ago") {
		t.Errorf("%+v", l)
	}
	page := string(newPages(t).Client(d))
	if !regexp.MustCompile(`(?s)<b>Later</b>.*<b>Refreshed</b>.*<b>Logged in</b> <span>by &lt;b&gt;main`).MatchString(page) {
		t.Error(page)
	}
}

// A row changes its version with everything that the row shows, or the script would
// leave it as it was.
func TestRow_VersionFollowsWhatItShows(t *testing.T) {
	l := fleet(1)
	l.Clients[0].Failure = nil
	seen := map[string]string{l.row(l.Clients[0]).Version(): "unchanged"}
	for name, change := range map[string]func(*Client){
		"state":         func(c *Client) { c.State = flow.StateDegraded },
		"obtained":      func(c *Client) { c.Obtained = c.Obtained.Add(time.Millisecond) }, // refreshed within a second
		"expiry":        func(c *Client) { c.Expiry = c.Expiry.Add(time.Second) },
		"next refresh":  func(c *Client) { c.NextRefresh = c.NextRefresh.Add(time.Second) },
		"end":           func(c *Client) { c.GrantEnds = c.GrantEnds.Add(time.Second) },
		"failure":       func(c *Client) { c.Failure = &flow.Failure{Time: start} },
		"hint":          func(c *Client) { c.Failure = &flow.Failure{Time: start, Hint: "x"} },
		"login failure": func(c *Client) { c.LoginFailure = &flow.Failure{Time: start, Code: "x"} },
	} {
		c := l.Clients[0]
		change(&c)
		v := l.row(c).Version()
		if was, known := seen[v]; known {
			t.Errorf("%s has the version of %s", name, was)
		}
		seen[v] = name
	}
}

func TestQR(t *testing.T) {
	if q := encodeQR("https://tenant.example.com/activate?user_code=ABCD-EFGH"); q.Size < 21 || !strings.HasPrefix(q.Path, "M3 3h7v1h-7z") {
		t.Errorf("%d %.40s", q.Size, q.Path) // the finder pattern begins the first row
	}
	if q := encodeQR(strings.Repeat("x", 5000)); q.Path != "" {
		t.Error("a text that fits no code has one")
	}
}

func BenchmarkClients(b *testing.B) {
	p := newPages(b)
	for _, n := range []int{1000, 10000} {
		l := fleet(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				p.Clients(l)
			}
		})
	}
}

// A refresh that is late happens now, not some time ago.
func TestPages_LateRefreshIsNow(t *testing.T) {
	p, late := newPages(t), Client{Status: flow.Status{Client: "web", State: flow.StateUnavailable, NextRefresh: start.Add(-time.Second)}}
	for name, page := range map[string][]byte{
		"list": p.Clients(List{Frame: frame(), Clients: []Client{late}}), "client": p.Client(Detail{Frame: frame(), Client: late}),
	} {
		if text := string(page); !strings.Contains(text, `data-due>now</time>`) || strings.Contains(text, `data-due>1 s ago`) {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}
