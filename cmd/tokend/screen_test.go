package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/tokend"
)

// onTerminal is a program whose output goes to a terminal of this width.
func onTerminal(width int, now time.Time) program {
	return program{
		stdin: strings.NewReader(""), now: func() time.Time { return now },
		screen: func(io.Writer) screen { return screen{width: width, height: 50, colours: true} },
	}
}

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// clientStates are one client in each state.
var clientStates = []tokend.Status{
	{Client: "ready", State: tokend.StateReady, Expiry: noon.Add(23 * time.Hour), NextRefresh: noon.Add(22*time.Hour + 45*time.Minute), GrantEnds: noon.Add(30 * 24 * time.Hour), Generation: 12},
	{
		Client: "degraded", State: tokend.StateDegraded, Expiry: noon.Add(5 * time.Minute), NextRefresh: noon.Add(30 * time.Second), Generation: 3,
		Failure: &tokend.Failure{Time: noon.Add(-3 * time.Minute), Class: "idp_timeout", Description: "tenant.example.com does not answer in time", Hint: "check network, firewall and proxy (https_proxy) between here and the tenant"},
	},
	{
		Client: "a-client-with-a-name-that-is-longer-than-the-column-of-a-terminal", State: tokend.StateLoginRequired, Login: "browser",
		AuthorizeURL: "https://tenant.example.com/authorize?response_type=code&client_id=demo&state=abcdefghijklmnopqrstuvwxyz&code_challenge=0123456789",
	},
	{Client: "rejected", State: tokend.StateClientRejected, Expiry: noon.Add(-2 * time.Hour)},
	{Client: "restored", State: tokend.StateRestored, Login: "paste"},
	{Client: "down", State: tokend.StateUnavailable, LoginFailure: &tokend.Failure{Time: noon.Add(-50 * time.Hour), Class: "login_required", Description: "the person said no"}},
	{Client: "tv", State: tokend.StateLoginRequired, Login: "device", DeviceLogin: &tokend.DeviceLogin{UserCode: "QTZL-MCBW", VerificationURIComplete: "https://tenant.example.com/activate?user_code=QTZL-MCBW"}},
	{Client: "new", State: tokend.StateStarting, Files: []tokend.File{{Path: "/run/t", Failure: "hook failed"}}},
}

func TestStatusTable_TerminalAndPipe(t *testing.T) {
	for name, s := range map[string]screen{
		"pipe": {}, "terminal": {width: 80}, "terminal_colours": {width: 80, colours: true}, "terminal_wide": {width: 200},
	} {
		t.Run(name, func(t *testing.T) {
			v := statusView{s, noon}
			table := v.table(clientStates)
			golden(t, "status."+name, table+v.notes(clientStates))
			for line := range strings.Lines(table) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); s.width > 0 && !s.colours && n > s.width {
					t.Errorf("%d characters: %q", n, line)
				}
			}
		})
	}
}

func TestDoctorTable_Terminal(t *testing.T) {
	p := ill(t)
	p.program.screen = func(io.Writer) screen { return screen{width: 80, colours: true} }
	golden(t, "doctor.terminal", steady(p, tokendWith(t, p.program, "doctor").stdout))
}

// A pipe gets the form that scripts rely on, whatever the environment says.
func TestScreenOf_IsATerminalOnly(t *testing.T) {
	unset(t, "NO_COLOR")
	t.Setenv("TERM", "xterm")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, and no terminal
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	var p program
	for _, w := range []io.Writer{null, &bytes.Buffer{}} {
		if s := p.screenOf(w); s.terminal() || s.colours {
			t.Errorf("%T: %+v", w, s)
		}
	}
}

func TestWrap(t *testing.T) {
	const url = "https://tenant.example.com/authorize?client_id=demo&state=abcdefgh"
	s := screen{width: 40}
	for _, c := range []struct {
		s              screen
		indent         int
		text, expected string
	}{
		{screen{}, 4, "no terminal: " + url, "no terminal: " + url},
		{s, 4, "short", "short"},
		{s, 4, "twelve words that do not fit on one line of this terminal at all", "twelve words that do not fit on one\n    line of this terminal at all"},
		{s, 4, "log in, or open " + url, "log in, or open\n" + url},
		{s, 4, "open " + url + " and wait", "open\n" + url + "\n    and wait"},
		{s, 4, url, "\n" + url},
		{s, 4, "see http://localhost:8484/ there", "see http://localhost:8484/ there"},
		{s, 35, "no room for a column", "no room for a column"},
	} {
		if got := c.s.wrap(c.indent, c.text); got != c.expected {
			t.Errorf("%q: %q, want %q", c.text, got, c.expected)
		}
	}
}

// The page to open is on a line of its own in an error, too.
func TestError_OnATerminal(t *testing.T) {
	answer := `{"error":"login_required","error_description":"there is no grant","hint":"tokend login demo --browser, or open https://tenant.example.com/authorize?client_id=demo&state=abcdefgh"}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, answer)
	}))
	defer s.Close()
	clean(t)
	setenv(t, "TOKEND_ADDR="+s.URL)
	o := tokendWith(t, onTerminal(60, noon), "token", "demo")
	want := "error: login_required: there is no grant\nhint: tokend login demo --browser, or open\nhttps://tenant.example.com/authorize?client_id=demo&state=abcdefgh\n"
	if o.stderr != want {
		t.Errorf("%q", o.stderr)
	}
}

func TestMoment(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "now", 999 * time.Millisecond: "now", time.Second: "in 1s", 59*time.Second + 999*time.Millisecond: "in 59s",
		90 * time.Second: "in 1m", 59 * time.Minute: "in 59m", 23*time.Hour + 59*time.Minute: "in 23h", 47 * time.Hour: "in 47h",
		48 * time.Hour: "in 2d", 30 * 24 * time.Hour: "in 30d", -3 * time.Minute: "3m ago", -49 * time.Hour: "2d ago", -10 * time.Minute: "10m ago", 20 * time.Hour: "in 20h",
	} {
		if got := (screen{width: 80}).moment(noon.Add(d), noon); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	if got := (screen{}).moment(noon, noon); got != "2026-08-01T12:00:00Z" {
		t.Errorf("in a pipe: %q", got)
	}
	if got := (screen{width: 80}).moment(time.Time{}, noon); got != "-" {
		t.Errorf("unknown: %q", got)
	}
}
