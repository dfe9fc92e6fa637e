package contract

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Status is the result of a case.
type Status string

// The results of a case.
const (
	Pass          Status = "pass"
	Fail          Status = "fail"
	Skip          Status = "skip"
	NotApplicable Status = "n/a" // the tenant answered that it does not have the feature
)

// Report is the outcome of [Check]. Its JSON form holds no secrets.
type Report struct {
	Issuer string   `json:"issuer"`
	Cases  []Result `json:"cases"`
	Drift  []Drift  `json:"drift"`
}

// Result is one case's outcome.
type Result struct {
	ID     string `json:"id"`
	Status Status `json:"status"`
	Diff   string `json:"diff,omitempty"`   // one line per difference, with expected and got
	Reason string `json:"reason,omitempty"` // why it was skipped or does not apply
}

// Drift is something that is not in the data: a header, a member, a claim, or an
// answer that differs from a believed one. Each is listed once, with its first case.
type Drift struct {
	Case string `json:"case"`
	What string `json:"what"`
}

// Failed returns how many cases failed.
func (r *Report) Failed() int { return r.count(Fail) }

// Err returns an error if a case failed, or if none ran: then nothing was compared.
// An error with an interface{ Hint() string } says what to do.
func (r *Report) Err() error {
	if failed := r.Failed(); failed > 0 {
		return fmt.Errorf("%d of %s failed", failed, counted(len(r.Cases)))
	}
	return r.compared()
}

// compared returns an error if no case ran.
func (r *Report) compared() error {
	if r.count(Pass)+r.count(Fail) > 0 {
		return nil
	}
	return hinted("give what the skipped cases need, such as a user with a password; each has its reason",
		"nothing was compared: %s, %d skipped, %d not applicable", counted(len(r.Cases)), r.count(Skip), r.count(NotApplicable))
}

func counted(cases int) string {
	if cases == 1 {
		return "1 case"
	}
	return fmt.Sprintf("%d cases", cases)
}

func (r *Report) count(s Status) int {
	n := 0
	for _, c := range r.Cases {
		if c.Status == s {
			n++
		}
	}
	return n
}

// driftList keeps each drift once, in order.
type driftList struct {
	drifts []Drift
	known  map[string]bool
}

func (l *driftList) add(id, what string) {
	if l.known == nil {
		l.known = map[string]bool{}
	}
	if !l.known[what] {
		l.known[what] = true
		l.drifts = append(l.drifts, Drift{Case: id, What: what})
	}
}

func (l *driftList) list() []Drift { return append([]Drift{}, l.drifts...) }

// WriteText writes the report as a table: one line per case with its differences
// below it, then the drift and a summary line.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, c := range r.Cases {
		switch c.Status {
		case Skip:
			fmt.Fprintf(table, "skip\t%s\t%s\n", c.ID, c.Reason)
		case NotApplicable:
			fmt.Fprintf(table, "n/a\t%s\t%s\n", c.ID, c.Reason)
		case Fail:
			fmt.Fprintf(table, "FAIL\t%s\n", c.ID)
			for line := range strings.SplitSeq(c.Diff, "\n") {
				fmt.Fprintf(table, "      %s\n", line)
			}
		default:
			fmt.Fprintf(table, "%s\t%s\n", c.Status, c.ID)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(r.Drift) > 0 {
		b.WriteString("\ndrift: not in the data\n")
		for _, d := range r.Drift {
			fmt.Fprintf(&b, "      %s (%s)\n", d.What, d.Case)
		}
	}
	fmt.Fprintf(&b, "\n%s: %s, %d passed, %d failed, %d skipped, %d not applicable\n",
		r.Issuer, counted(len(r.Cases)), r.count(Pass), r.count(Fail), r.count(Skip), r.count(NotApplicable))
	_, err := io.WriteString(w, b.String())
	return err
}

// The JUnit form for CI systems.
type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
	Output   string      `xml:"system-out,omitempty"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitMessage `xml:"failure"`
	Skipped *junitMessage `xml:"skipped"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report as JUnit XML; drift is its system-out.
func (r *Report) WriteJUnit(w io.Writer) error {
	suite := junitSuite{
		Name: "contract " + r.Issuer, Tests: len(r.Cases), Failures: r.count(Fail), Skipped: r.count(Skip) + r.count(NotApplicable),
	}
	for _, c := range r.Cases {
		jc := junitCase{Class: "contract", Name: c.ID}
		switch c.Status {
		case Fail:
			first, _, _ := strings.Cut(c.Diff, "\n")
			jc.Failure = &junitMessage{Message: first, Text: c.Diff}
		case Skip, NotApplicable:
			jc.Skipped = &junitMessage{Message: c.Reason}
		}
		suite.Cases = append(suite.Cases, jc)
	}
	var drift strings.Builder
	for _, d := range r.Drift {
		fmt.Fprintf(&drift, "drift: %s (%s)\n", d.What, d.Case)
	}
	suite.Output = drift.String()
	b, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, xml.Header+string(b)+"\n")
	return err
}
