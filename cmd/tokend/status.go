package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/format"
	"example.com/tokend/pkg/tokend"
)

func (p *program) status() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "status [NAME…]", Short: "Show the state of every client, or of those named",
		RunE: func(cmd *cobra.Command, names []string) error { return p.printStatus(cmd.Context(), names, format) },
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

func (p *program) printStatus(ctx context.Context, names []string, format string) error {
	if format != "table" && format != "json" {
		return exitf(exitUsage, "format %q is not one of table, json", format)
	}
	s, err := reach(ctx)
	if err != nil {
		return err
	}
	all, err := s.statuses(ctx, names)
	if err != nil {
		return err
	}
	if format == "table" {
		return exitWith(exitUnavailable, writeTable(p.stdout, all))
	}
	enc := json.NewEncoder(p.stdout)
	enc.SetEscapeHTML(false) // URLs stay copyable
	return exitWith(exitUnavailable, enc.Encode(struct {
		Clients []tokend.Status `json:"clients"`
	}{all}))
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

func writeTable(w io.Writer, clients []tokend.Status) error {
	w = terminal{w}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CLIENT\tSTATE\tTOKEN UNTIL\tNEXT REFRESH\tLOGIN UNTIL\tGENERATION")
	for _, c := range clients {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\n", c.Client, c.State, when(c.Expiry), when(c.NextRefresh), when(c.GrantEnds), c.Generation)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range clients {
		if c.Failure != nil {
			fmt.Fprintf(w, "%s: %s: %s (%s)\n", c.Client, c.Failure.Class, c.Failure.Description, when(c.Failure.Time))
			if c.Failure.Hint != "" && c.State != tokend.StateLoginRequired { // whose hint is below
				fmt.Fprintf(w, "%s: hint: %s\n", c.Client, c.Failure.Hint)
			}
		}
		if c.LoginFailure != nil {
			text, hint := failedLogin(&c)
			fmt.Fprintf(w, "%s: the last login failed: %s\n%s: hint: %s\n", c.Client, text, c.Client, hint)
		}
		for _, f := range c.Files {
			if f.Failure != "" {
				fmt.Fprintf(w, "%s: file %s: %s\n", c.Client, f.Path, f.Failure)
			}
		}
		switch l := c.DeviceLogin; {
		case l != nil && l.Failure == nil:
			fmt.Fprintf(w, "%s: confirm the code %s at %s\n", c.Client, l.UserCode, l.VerificationURIComplete)
		case c.State == tokend.StateRestored:
			fmt.Fprintf(w, "%s: an older copy of the store was put back; hint: tokend resume %s if its refresh token was not used since; else %s\n", c.Client, c.Client, newGrantHint(&c))
		case c.State == tokend.StateLoginRequired:
			fmt.Fprintf(w, "%s: %s\n", c.Client, format.LoginHint(&c))
		}
	}
	return nil
}

// failedLogin describes the last login, which failed, and what to do. A failed login
// leaves the grant as it was.
func failedLogin(c *tokend.Status) (text, hint string) {
	f := c.LoginFailure
	hint = cmp.Or(f.Hint, "to try again: "+newGrantHint(c))
	return fmt.Sprintf("%s: %s (%s)", f.Class, f.Description, when(f.Time)), hint
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// newGrantHint says how a client gets another grant: by a login, or by a seed where
// it cannot log in.
func newGrantHint(c *tokend.Status) string {
	if c.Login == "" {
		return "give it a new refresh token (refresh_token_file), or log it in: tokend login " + c.Client
	}
	return format.LoginCommand(c.Client, c.Login)
}
