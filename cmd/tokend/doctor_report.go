package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"example.com/tokend/pkg/flow"
)

// examined is the JSON form of an examination.
type examined struct {
	Problems int       `json:"problems"`
	Warnings int       `json:"warnings"`
	Findings []finding `json:"findings"`
}

func (p *program) writeFindings(found []finding, format string) error {
	all := examined{Findings: found}
	for _, f := range found {
		switch f.Result {
		case flow.ResultProblem:
			all.Problems++
		case flow.ResultWarning:
			all.Warnings++
		case flow.ResultOK, flow.ResultSkipped:
		}
	}
	if format == "json" {
		enc := json.NewEncoder(p.stdout)
		enc.SetEscapeHTML(false) // URLs stay copyable
		return enc.Encode(all)
	}
	_, err := io.WriteString(p.stdout, all.table(colourful(p.stdout)))
	return err
}

// colourful says whether w is a person's terminal (https://no-color.org).
func colourful(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0
}

// colours of the results, as ANSI SGR codes.
var colours = map[flow.Result]string{
	flow.ResultOK: "32", flow.ResultWarning: "33", flow.ResultProblem: "31", flow.ResultSkipped: "2",
}

// table is the form for people: a block for each area, a line for each finding,
// its hint below.
func (e examined) table(colour bool) string {
	width := 0
	for _, f := range e.Findings {
		width = max(width, len(f.Check))
	}
	var b strings.Builder
	area := ""
	for _, f := range e.Findings {
		if title := strings.TrimSpace(f.Area + " " + f.Client); title != area {
			if area != "" {
				b.WriteString("\n")
			}
			area = title
			b.WriteString(title + "\n")
		}
		result := fmt.Sprintf("%-7s", f.Result)
		if colour {
			result = "\x1b[" + colours[f.Result] + "m" + result + "\x1b[0m"
		}
		fmt.Fprintf(&b, "  %s  %-*s  %s\n", result, width, f.Check, printable(f.Text))
		if f.Hint != "" {
			fmt.Fprintf(&b, "%*shint: %s\n", 2+7+2+width+2, "", printable(f.Hint))
		}
	}
	fmt.Fprintf(&b, "\n%s, %s\n", counted(e.Problems, "problem"), counted(e.Warnings, "warning"))
	return b.String()
}

func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
