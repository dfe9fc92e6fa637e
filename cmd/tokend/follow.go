package main

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/terminal"
	"example.com/tokend/pkg/tokend"
)

const eventsHelp = `Prints what happens to the clients, or to those named, as it happens: a line for each
event, until Ctrl-C. --format json prints each event as JSON, a line each. After a
restart of the service it continues; "missed" says that events may be missing.`

func (p *program) events() *cobra.Command {
	var format, after string
	cmd := &cobra.Command{
		Use: "events [NAME…]", Short: "Print what happens to the clients, as it happens", Long: eventsHelp,
		RunE: func(cmd *cobra.Command, names []string) error {
			return p.printEvents(cmd.Context(), names, format, after)
		},
	}
	tableOrJSON(cmd, &format)
	cmd.Flags().StringVar(&after, "after", "", "start after the event with this id, if it is kept")
	return cmd
}

func (p *program) printEvents(ctx context.Context, names []string, format, after string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	s, err := reach(ctx)
	if err != nil {
		return err
	}
	for e, err := range s.Events(ctx, after) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return exitFrom(err)
		}
		if len(names) > 0 && e.Client != "" && !slices.Contains(names, e.Client) {
			continue
		}
		if err := p.printEvent(e, format); err != nil {
			return exitWith(exitUnavailable, err)
		}
	}
	return nil
}

func (p *program) printEvent(e tokend.Event, format string) error {
	if format == "json" {
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		return p.print(string(b))
	}
	return p.print(eventLine(e))
}

// eventLine is an event for a person.
func eventLine(e tokend.Event) string {
	line := e.Time.Local().Format("2006-01-02 15:04:05") + "  " + terminal.Printable(e.Type)
	if e.Type == tokend.EventMissed {
		return "events were missed; tokend status shows the states"
	}
	line += "  " + terminal.Printable(e.Client) + "  " + terminal.Printable(e.State)
	if e.Type == tokend.EventGrantEnding {
		line += "  login until " + e.GrantEnds.Local().Format("2006-01-02 15:04")
	}
	if f := e.Failure; f != nil {
		line += "  " + terminal.Printable(f.Description)
		if f.Hint != "" {
			line += "; hint: " + terminal.Printable(f.Hint)
		}
	}
	return line
}
