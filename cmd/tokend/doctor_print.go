package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"example.com/tokend/internal/doctor"
	"example.com/tokend/internal/terminal"
	"example.com/tokend/pkg/flow"
)

// examined is the JSON form of an examination.
type examined struct {
	Problems int              `json:"problems"`
	Warnings int              `json:"warnings"`
	Findings []doctor.Finding `json:"findings"`
}

// count makes an examination of findings.
func count(found []doctor.Finding) examined {
	e := examined{Findings: found}
	for _, f := range found {
		switch f.Result {
		case flow.ResultProblem:
			e.Problems++
		case flow.ResultWarning:
			e.Warnings++
		case flow.ResultOK, flow.ResultSkipped:
		}
	}
	return e
}

// printFindings prints what was found. When quiet the table has problems and warnings
// only, and a table without any is not printed.
func (p *program) printFindings(found []doctor.Finding, f doctorFlags) error {
	if f.quiet {
		found = slices.DeleteFunc(found, func(f doctor.Finding) bool {
			return f.Result != flow.ResultProblem && f.Result != flow.ResultWarning
		})
	}
	if f.format == "json" {
		if found == nil {
			found = []doctor.Finding{} // a list to every reader
		}
		return p.printJSON(count(found))
	}
	if f.quiet && len(found) == 0 {
		return nil
	}
	_, err := io.WriteString(p.stdout, count(found).table(p.screenOf(p.stdout)))
	return err
}

// resultColours are those of the results.
var resultColours = map[flow.Result]terminal.Colour{
	flow.ResultOK: terminal.Green, flow.ResultWarning: terminal.Yellow, flow.ResultProblem: terminal.Red, flow.ResultSkipped: terminal.Dim,
}

// table is the form for people: a block for each area, a line for each finding and
// its hint below. On a terminal long lines are wrapped.
func (e examined) table(s terminal.Screen) string {
	width := 0
	for _, f := range e.Findings {
		width = max(width, len(f.Check))
	}
	indent := 2 + 7 + 2 + width + 2
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
		result := s.Paint(resultColours[f.Result], fmt.Sprintf("%-7s", f.Result))
		fmt.Fprintf(&b, "  %s  %-*s  %s\n", result, width, f.Check, s.Wrap(indent, terminal.Printable(f.Text)))
		if f.Hint != "" {
			fmt.Fprintf(&b, "%*shint: %s\n", indent, "", s.Wrap(indent+len("hint: "), terminal.Printable(f.Hint)))
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
