package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/terminal"
	"example.com/tokend/pkg/tokend"
)

// onTerminal is a program whose output goes to a terminal of this width.
func onTerminal(width int, now time.Time) program {
	return program{
		stdin: strings.NewReader(""), now: func() time.Time { return now },
		screen: func(io.Writer) terminal.Screen { return terminal.Screen{Width: width, Height: 50, Colours: true} },
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
	for name, s := range map[string]terminal.Screen{
		"pipe": {}, "terminal": {Width: 80}, "terminal_colours": {Width: 80, Colours: true}, "terminal_wide": {Width: 200},
	} {
		t.Run(name, func(t *testing.T) {
			v := statusView{s, noon}
			table := v.table(clientStates)
			golden(t, "status."+name, table+v.notes(clientStates))
			for line := range strings.Lines(table) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); s.IsTerminal() && !s.Colours && n > s.Width {
					t.Errorf("%d characters: %q", n, line)
				}
			}
		})
	}
}

func TestDoctorTable_Terminal(t *testing.T) {
	p := ill(t)
	p.program.screen = func(io.Writer) terminal.Screen { return terminal.Screen{Width: 80, Colours: true} }
	golden(t, "doctor.terminal", steady(p, tokendWith(t, p.program, "doctor").stdout))
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
