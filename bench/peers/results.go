package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// results are the measures of one run.
type results struct {
	Go       string     `json:"go"`
	CPUs     int        `json:"cpus"`
	Measures []measured `json:"measures"`
	Goals    []outcome  `json:"goals"`
}

// measured is one line of the table.
type measured struct {
	Name   string             `json:"name"`
	Unit   string             `json:"unit"`
	Values map[string]float64 `json:"values"`
	Peer   float64            `json:"ratio_to_best_peer,omitempty"`
	Limit  float64            `json:"ratio_to_limit,omitempty"`
}

// goal is what a measure of mockauth0 must not exceed: a figure, or a part of another
// program's.
type goal struct {
	measure string
	of      string // "": the figure itself
	most    float64
}

// outcome is a goal with what was measured.
type outcome struct {
	Goal string  `json:"goal"`
	Got  float64 `json:"got"`
	Met  bool    `json:"met"`
}

// The goals. A missed one fails nothing: it is a measure, and docs/performance.md
// explains it.
var goals = []goal{
	{opFlow, axa, 0.5},
	{opFlow, panva, 0.4},
	{opRefresh, panva, 0.65},
	{opMachine, "", 0.15},
	{"start, to the first 200", hello, 1.3},
	{"idle, resident", "", 15},
}

func (r *results) add(name, unit string, values map[string]float64) {
	m := measured{Name: name, Unit: unit, Values: values}
	best := 0.0
	for _, peer := range []string{axa, panva, mockoidc} {
		if v := values[peer]; v > 0 && (best == 0 || v < best) {
			best = v
		}
	}
	if own := values[ours]; own > 0 {
		m.Peer = ratio(own, best)
		m.Limit = ratio(own, max(values[limit], values[hello]))
	}
	r.Measures = append(r.Measures, m)
	for _, g := range goals {
		if g.measure != name {
			continue
		}
		o := outcome{Goal: fmt.Sprintf("%s: at most %g %s", name, g.most, unit), Got: values[ours]}
		if g.of != "" {
			o = outcome{Goal: fmt.Sprintf("%s: at most %g of %s", name, g.most, g.of), Got: ratio(values[ours], values[g.of])}
		}
		o.Met = o.Got > 0 && o.Got <= g.most
		r.Goals = append(r.Goals, o)
	}
}

// ratio is 0 where there is nothing to compare with.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func (r *results) print(w io.Writer) {
	columns := []string{ours, axa, panva, mockoidc, limit, hello, "crypto/rsa"}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "\t"+strings.Join(columns, "\t")+"\tof best peer\tof limit\t")
	for _, m := range r.Measures {
		cells := []string{m.Name + ", " + m.Unit}
		for _, c := range columns {
			cells = append(cells, cell(m.Values[c], 3))
		}
		_, _ = fmt.Fprintln(t, strings.Join(append(cells, cell(m.Peer, 2), cell(m.Limit, 2)), "\t")+"\t")
	}
	_ = t.Flush()
	for _, g := range r.Goals {
		verdict := "met"
		if !g.Met {
			verdict = "MISSED"
		}
		_, _ = fmt.Fprintf(w, "%s: %.2f, %s\n", g.Goal, g.Got, verdict)
	}
}

func cell(v float64, digits int) string {
	switch {
	case v == 0:
		return "-"
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.*f", digits, v)
}

func (r *results) write(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644) //nolint:gosec // figures
}

func medians(samples map[string][]float64) map[string]float64 { return quantiles(samples, 0.5) }

// quantiles returns for each program the sample below which a part of its samples are.
func quantiles(samples map[string][]float64, part float64) map[string]float64 {
	out := map[string]float64{}
	for name, s := range samples {
		slices.Sort(s)
		out[name] = s[int(part*float64(len(s)))]
	}
	return out
}
