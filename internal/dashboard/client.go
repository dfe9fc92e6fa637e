package dashboard

import (
	"fmt"
	"slices"
	"time"

	"example.com/tokend/pkg/flow"
)

// maxEvents is how many events the timeline lists.
const maxEvents = 20

// Detail is one client with all that is known of it.
type Detail struct {
	Frame
	Client
	ClientID, Audience string
	Hosts, Env         []string
	Upstreams          []string
	Files              []File
	Events             []flow.Event // of this process, oldest first
	Past               []Past       // what the events do not have, in any order
}

// Past is something that the store or the audit log knows, such as what happened before
// this process was started.
type Past struct {
	At                time.Time
	Label, Tone, Text string
}

// File is a token file.
type File struct {
	Path            string
	Written, Expiry time.Time
	Failure, Hint   string
}

// detailPage is a Detail for the template.
type detailPage struct {
	Detail
	View   stateView
	Notes  []note
	Line   timeline
	Recent []eventLine
	QR     qrCode
}

// eventLine is an event in the list below the timeline.
type eventLine struct {
	At          Moment
	Label, Tone string
	Text        string
}

func (d Detail) page() detailPage {
	p := detailPage{Detail: d, View: viewOf(d.State), Line: d.timeline()}
	for _, f := range []*flow.Failure{d.Failure, d.LoginFailure} {
		if f != nil {
			p.Notes = append(p.Notes, d.note(f))
		}
	}
	if l := d.DeviceLogin; l != nil && l.Failure == nil {
		p.QR = encodeQR(l.URL)
	}
	for _, e := range slices.Backward(d.Events[max(0, len(d.Events)-maxEvents):]) {
		label, tone := labelOf(e.Kind)
		line := eventLine{At: d.Moment(e.Time), Label: label, Tone: tone}
		switch {
		case e.Failure != nil && e.Kind != flow.EventRefreshed:
			line.Text = e.Failure.Description
		case e.Kind == flow.EventRefreshed && !e.Expiry.IsZero():
			line.Text = "valid for " + long(e.Expiry.Sub(e.Time).Round(time.Second))
		case e.Kind == flow.EventGrantEnding:
			line.Text = "ends " + relative(e.GrantEnds, d.Now)
		}
		p.Recent = append(p.Recent, line)
	}
	for _, past := range d.Past {
		p.Recent = append(p.Recent, eventLine{At: d.Moment(past.At), Label: past.Label, Tone: past.Tone, Text: past.Text})
	}
	slices.SortStableFunc(p.Recent, func(a, b eventLine) int { return b.At.At.Compare(a.At.At) })
	p.Recent = p.Recent[:min(len(p.Recent), maxEvents)]
	return p
}

func labelOf(k flow.EventKind) (label, tone string) {
	switch k {
	case flow.EventRefreshed:
		return "Refreshed", "good"
	case flow.EventResumed:
		return "Works again", "good"
	case flow.EventDegraded:
		return "Refresh failed, token still valid", "wait"
	case flow.EventGrantEnding:
		return "Login needed soon", "wait"
	case flow.EventLoginRequired:
		return "Login required", "bad"
	case flow.EventRefreshFailing:
		return "Refresh failed, no token", "bad"
	}
	return string(k), ""
}

// Life is how much of the token's life is left.
func (p detailPage) Life() life { return p.life(p.Now) }

// Valid reports whether there is a token to copy.
func (p detailPage) Valid() bool { return p.Expiry.After(p.Now) }

// Version changes when the script must replace the sections of the page.
func (p detailPage) Version() string {
	r := row{Client: p.Client}
	device := ""
	if l := p.DeviceLogin; l != nil {
		device = l.UserCode + textOf(l.Failure)
	}
	files := fmt.Sprint(p.Files)
	return version(r.Version(), p.Subject, fmt.Sprint(p.Generation, len(p.Events), len(p.Past), p.Rotation), device, files)
}

// nowAt is where the drawing of the timeline has the present, in per cent of its width.
// What is planned has a scale of its own: a day ahead would leave no room for the past.
const nowAt = 66

// timeline is the drawing of what has happened and what is planned. Places are in per
// cent of its width.
type timeline struct {
	Marks   []mark
	Now     int
	Valid   *span // the life of the token
	From    Moment
	To      Moment // zero: nothing is planned
	Summary string // for who cannot see it
}

type mark struct {
	X           float64
	Label, Tone string
}

type span struct{ X, Width float64 }

// timeline draws the past, and the plan until the token expires.
func (d Detail) timeline() timeline {
	from, to := d.Now, d.Expiry
	past := slices.Clone(d.Past)
	for _, e := range d.Events {
		label, tone := labelOf(e.Kind)
		past = append(past, Past{At: e.Time, Label: label, Tone: tone})
	}
	slices.SortStableFunc(past, func(a, b Past) int { return a.At.Compare(b.At) })
	if len(past) > 0 && past[0].At.Before(from) {
		from = past[0].At
	}
	if d.NextRefresh.After(to) {
		to = d.NextRefresh
	}
	x := func(t time.Time) float64 {
		switch {
		case t.After(d.Now) && to.After(d.Now):
			return nowAt + (99-nowAt)*share(t.Sub(d.Now), to.Sub(d.Now))
		case t.Before(from):
			return 0
		}
		return 1 + (nowAt-1)*(1-share(d.Now.Sub(t), d.Now.Sub(from)))
	}
	l := timeline{Now: nowAt, From: d.Moment(from), Summary: fmt.Sprintf("%d events since %s", len(past), relative(from, d.Now))}
	for _, e := range past {
		l.Marks = append(l.Marks, mark{x(e.At), e.Label + " " + relative(e.At, d.Now), e.Tone})
	}
	if d.NextRefresh.After(d.Now) {
		l.Marks = append(l.Marks, mark{x(d.NextRefresh), "Next refresh " + relative(d.NextRefresh, d.Now), "plan"})
		l.Summary += "; next refresh " + relative(d.NextRefresh, d.Now)
	}
	if d.Expiry.After(d.Now) {
		l.To = d.Moment(to)
		l.Valid = &span{x(d.Obtained), x(d.Expiry) - x(d.Obtained)}
		l.Summary += "; the token expires " + relative(d.Expiry, d.Now)
	}
	return l
}

func share(part, whole time.Duration) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// Audit is the end of the audit log.
type Audit struct {
	Frame
	On      bool   // there is an audit log
	Error   string // why it cannot be read
	Client  string // whose entries are shown; "": all
	Entries []Entry
}

// Entry is an entry of the audit log.
type Entry struct {
	At                     Moment
	Action, Caller, Client string
	What                   string // the audience, or the proxied request
	Status                 int
	Error                  string
}

// Failed reports whether the request was refused.
func (e Entry) Failed() bool { return e.Status >= 400 }

// Configuration are the settings as they are now.
type Configuration struct {
	Frame
	Error    string
	Query    string
	Settings []Setting
	More     int // settings that are not shown
}

// Setting is one of them; secrets are masked.
type Setting struct{ Name, Value, Source string }
