package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/format"
	"example.com/tokend/internal/terminal"
	"example.com/tokend/pkg/tokend"
)

const statusHelp = `Shows the state of every client, or of those named: how long its token is valid,
when it is refreshed next, when the next login is due, and below the table what is
wrong and what to do.

On a terminal times are relative ("in 23h") and long names are shortened. In a pipe
they are RFC 3339; --format json is for programs.`

func (p *program) status() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "status [NAME…]", Short: "Show the state of every client, or of those named", Long: statusHelp,
		RunE: func(cmd *cobra.Command, names []string) error { return p.printStatus(cmd.Context(), names, format) },
	}
	tableOrJSON(cmd, &format)
	return cmd
}

func (p *program) printStatus(ctx context.Context, names []string, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	s, err := reach(ctx)
	if err != nil {
		return err
	}
	all, err := s.statuses(ctx, names)
	if err != nil {
		return err
	}
	var lost *tokend.AuditFailure
	if r, err := s.Ready(ctx); err == nil { // otherwise the states say that the store does not answer
		lost = r.Audit
	}
	if format == "json" {
		return exitWith(exitUnavailable, p.printJSON(struct {
			Clients []tokend.Status      `json:"clients"`
			Audit   *tokend.AuditFailure `json:"audit,omitempty"`
		}{all, lost}))
	}
	v := statusView{p.screenOf(p.stdout), p.clock()}
	_, err = io.WriteString(p.stdout, v.table(all)+v.notes(all)+v.auditNote(lost))
	return exitWith(exitUnavailable, err)
}

// statuses returns the state of the named clients, of all without a name.
func (s service) statuses(ctx context.Context, names []string) ([]tokend.Status, error) {
	if len(names) == 0 {
		return s.clients(ctx)
	}
	all := make([]tokend.Status, len(names))
	for i, name := range names {
		c, err := s.status(ctx, name)
		if err != nil {
			return nil, err
		}
		all[i] = *c
	}
	return all, nil
}

// statusView is how a person or a pipe sees the states of clients.
type statusView struct {
	terminal.Screen
	now time.Time
}

// stateColours are those of the states.
var stateColours = map[string]terminal.Colour{
	tokend.StateReady: terminal.Green, tokend.StateDegraded: terminal.Yellow, tokend.StateStarting: terminal.Yellow, tokend.StateLoginRequired: terminal.Red,
	tokend.StateClientRejected: terminal.Red, tokend.StateUnavailable: terminal.Red, tokend.StateRestored: terminal.Red,
}

// table has a line for each client. On a terminal it fits the width: names are
// shortened.
func (v statusView) table(clients []tokend.Status) string {
	rows := [][]string{{"CLIENT", "STATE", "TOKEN UNTIL", "NEXT REFRESH", "LOGIN UNTIL", "GENERATION"}}
	if v.IsTerminal() {
		rows[0] = []string{"CLIENT", "STATE", "TOKEN", "REFRESH", "LOGIN", "GEN"}
	}
	for _, c := range clients {
		rows = append(rows, []string{
			terminal.Printable(c.Client), terminal.Printable(c.State), v.Moment(c.Expiry, v.now), v.Moment(c.NextRefresh, v.now), v.Moment(c.GrantEnds, v.now), strconv.FormatInt(c.Generation, 10),
		})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	const gap = 2
	if v.IsTerminal() {
		others := (len(widths) - 1) * gap
		for _, w := range widths[1:] {
			others += w
		}
		widths[0] = min(widths[0], max(v.Width-others, len("CLIENT")))
	}
	var b strings.Builder
	for i, row := range rows {
		for j, cell := range row {
			text := terminal.Fit(cell, widths[j])
			if j < len(row)-1 {
				text += strings.Repeat(" ", widths[j]-utf8.RuneCountInString(text)+gap)
			}
			if j == 1 && i > 0 {
				text = strings.Replace(text, cell, v.Paint(stateColours[cell], cell), 1)
			}
			b.WriteString(text)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// notes say of each client what is wrong, and what to do.
func (v statusView) notes(clients []tokend.Status) string {
	var b strings.Builder
	for _, c := range clients {
		for _, note := range v.notesOf(&c) {
			b.WriteString(v.Wrap(2, terminal.Printable(c.Client+": "+note)) + "\n")
		}
	}
	return b.String()
}

// auditNote says that the audit log misses entries, and what to do.
func (v statusView) auditNote(f *tokend.AuditFailure) string {
	if f == nil {
		return ""
	}
	text := fmt.Sprintf("audit log: degraded: %s; %d entries are in the service's log only (%s)", f.Reason, f.Missing, v.Moment(f.Since, v.now))
	return v.Wrap(2, terminal.Printable(text)) + "\n" + v.Wrap(2, terminal.Printable("hint: "+f.Hint)) + "\n"
}

func (v statusView) notesOf(c *tokend.Status) (notes []string) {
	note := func(format string, a ...any) { notes = append(notes, fmt.Sprintf(format, a...)) }
	if f := c.Failure; f != nil {
		note("%s: %s (%s)", f.Class, f.Description, v.Moment(f.Time, v.now))
		if f.Hint != "" && c.State != tokend.StateLoginRequired { // whose hint is below
			note("hint: %s", format.FailureHint(c))
		}
	}
	if f := c.LoginFailure; f != nil && !outdated(c) {
		note("the last login failed: %s: %s (%s)", f.Class, f.Description, v.Moment(f.Time, v.now))
		if f.Hint != "" || c.State != tokend.StateLoginRequired { // whose hint below says how to log in
			note("hint: %s", cmp.Or(f.Hint, "to try again: "+newGrantHint(c)))
		}
	}
	for _, f := range c.Files {
		if f.Failure != "" {
			note("file %s: %s", f.Path, f.Failure)
		}
	}
	switch l := c.DeviceLogin; {
	case l != nil && l.Failure == nil:
		note("confirm the code %s at %s", l.UserCode, l.VerificationURIComplete)
	case c.State == tokend.StateRestored:
		note("an older copy of the store was put back, or the grant was exported; hint: tokend resume %s if its refresh token was not used since, and no other store uses it; else %s", c.Client, newGrantHint(c))
	case c.State == tokend.StateLoginRequired:
		note("%s", format.LoginHint(c))
	}
	return notes
}

// outdated reports whether the service has tried to log in by itself since the last failed
// login: that attempt is the client's failure, and the login hint is about it.
func outdated(c *tokend.Status) bool {
	return c.State == tokend.StateLoginRequired && c.Failure != nil && c.Failure.Time.After(c.LoginFailure.Time)
}

// newGrantHint says how a client gets another grant: by a login, or by a seed where
// it cannot log in.
func newGrantHint(c *tokend.Status) string {
	if c.Login == "" {
		return "give it a new refresh token (refresh_token_file), or log it in: tokend login " + c.Client
	}
	return format.LoginCommand(c.Client, c.Login)
}
