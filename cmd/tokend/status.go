package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"example.com/tokend/pkg/flow"
)

// clientStatus is what the commands read of a client's state.
type clientStatus struct {
	Client       string    `json:"client"`
	State        string    `json:"state"`
	Subject      string    `json:"subject"`
	Expiry       time.Time `json:"expiry"`
	Obtained     time.Time `json:"obtained"`
	LoggedIn     time.Time `json:"logged_in"`
	NextRefresh  time.Time `json:"next_refresh"`
	GrantEnds    time.Time `json:"grant_ends"`
	Generation   int64     `json:"generation"`
	Rotation     string    `json:"rotation"`
	Hosts        []string  `json:"hosts"`
	Login        string    `json:"login"`
	AuthorizeURL string    `json:"authorize_url"`
	Upstreams    []string  `json:"upstreams"`
	Failure      *failure  `json:"failure"`
	LoginFailure *failure  `json:"login_failure"`
	Env          []string  `json:"env"`
	Files        []struct {
		Path    string `json:"path"`
		Failure string `json:"failure"`
	} `json:"files"`

	DeviceLogin *struct {
		URL      string   `json:"verification_uri_complete"`
		UserCode string   `json:"user_code"`
		Failure  *failure `json:"failure"`
	} `json:"device_login"`
}

type failure struct {
	Time        time.Time `json:"time"`
	Class       string    `json:"class"`
	Description string    `json:"description"`
	Hint        string    `json:"hint"`

	Remedy flow.Remedy `json:"remedy"`
}

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
	if format == "json" && len(names) == 0 {
		body, err := s.call(ctx, "GET", "/v1/clients", nil, nil)
		if err != nil {
			return err
		}
		return p.print(string(body))
	}
	if len(names) > 0 {
		return p.printNamed(ctx, s, names, format)
	}
	all, err := s.everyClient(ctx)
	if err != nil {
		return err
	}
	return exitWith(exitUnavailable, writeTable(p.stdout, all))
}

// printNamed is printStatus of the clients of these names. Its JSON has the form
// of that of all.
func (p *program) printNamed(ctx context.Context, s *service, names []string, format string) error {
	var all struct {
		Clients []json.RawMessage `json:"clients"`
	}
	table := make([]clientStatus, len(names))
	for i, name := range names {
		body, err := s.call(ctx, "GET", clientPath(name, ""), nil, nil)
		if err != nil {
			return err
		}
		if json.Unmarshal(body, &table[i]) != nil {
			return exitf(exitProtocol, "tokend's answer is no client's state")
		}
		all.Clients = append(all.Clients, body)
	}
	if format == "table" {
		return exitWith(exitUnavailable, writeTable(p.stdout, table))
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(all); err != nil {
		return exitWith(exitProtocol, err)
	}
	return p.print(strings.TrimSuffix(b.String(), "\n"))
}

func writeTable(w io.Writer, clients []clientStatus) error {
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
			if c.Failure.Hint != "" && c.State != string(flow.StateLoginRequired) { // whose hint is below
				fmt.Fprintf(w, "%s: hint: %s\n", c.Client, c.Failure.Hint)
			}
		}
		if c.LoginFailure != nil {
			said, hint := c.failedLogin()
			fmt.Fprintf(w, "%s: the last login failed: %s\n%s: hint: %s\n", c.Client, said, c.Client, hint)
		}
		for _, f := range c.Files {
			if f.Failure != "" {
				fmt.Fprintf(w, "%s: file %s: %s\n", c.Client, f.Path, f.Failure)
			}
		}
		switch l := c.DeviceLogin; {
		case l != nil && l.Failure == nil:
			fmt.Fprintf(w, "%s: confirm the code %s at %s\n", c.Client, l.UserCode, l.URL)
		case c.State == string(flow.StateRestored):
			fmt.Fprintf(w, "%s: an older copy of the store was put back; hint: tokend resume %s if its refresh token was not used since; else %s\n", c.Client, c.Client, c.newGrantHint())
		case c.State == string(flow.StateLoginRequired):
			fmt.Fprintf(w, "%s: %s\n", c.Client, c.loginHint())
		}
	}
	return nil
}

// failedLogin describes the last login, which failed, and what to do. A login that
// fails changes nothing of the grant that there is.
func (c clientStatus) failedLogin() (said, hint string) {
	f := c.LoginFailure
	said, hint, _ = strings.Cut(f.Description, "; hint: ")
	if hint = or(hint, f.Hint); hint == "" {
		hint = "to try again: " + c.newGrantHint()
	}
	return fmt.Sprintf("%s: %s (%s)", f.Class, said, when(f.Time)), hint
}

// loginHint is how the client gets its grant, and whether the service tries by
// itself meanwhile.
func (c clientStatus) loginHint() string {
	f := failure{}
	if c.Failure != nil {
		f = *c.Failure
	}
	hint := answer{Client: c.Client, Login: c.Login, AuthorizeURL: c.AuthorizeURL}.loginHint(f.Hint, f.Remedy)
	if c.Login == "headless" && !c.NextRefresh.IsZero() {
		hint += "; the service tries again by itself at " + when(c.NextRefresh)
	}
	return hint
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// newGrantHint is how a client gets another grant: a login, or a seed where it
// has no way to log in.
func (c clientStatus) newGrantHint() string {
	if c.Login == "" {
		return "give it a new refresh token (refresh_token_file), or log it in: tokend login " + c.Client
	}
	return loginCommand(c.Client, c.Login)
}
