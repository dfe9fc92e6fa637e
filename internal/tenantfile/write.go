package tenantfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// YAML writes a tenant file, given as JSON, as YAML: [Load] reads the same from both.
// Text that looks like a keyword of auth0-deploy-cli (##KEY##, @@KEY@@) is escaped, so
// that no mapping changes it.
func YAML(file []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(file))
	d.UseNumber()
	v, err := decodeOrdered(d)
	if err != nil {
		return nil, fmt.Errorf("the tenant file is not JSON: %w", err)
	}
	o, isObject := v.([]pair)
	if _, err := d.Token(); !isObject || !errors.Is(err, io.EOF) {
		return nil, errors.New("the tenant file is not one JSON object")
	}
	w := yamlWriter{}
	w.mapping(o, 0)
	return w.b.Bytes(), nil
}

// pair is a member of an object, whose order is kept.
type pair struct {
	name  string
	value any
}

// decodeOrdered reads a JSON value, an object as a list of pairs.
func decodeOrdered(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		out := []pair{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := decodeOrdered(d)
			if err != nil {
				return nil, err
			}
			out = append(out, pair{fmt.Sprint(name), v})
		}
		_, err = d.Token()
		return out, err
	case json.Delim('['):
		out := []any{}
		for d.More() {
			v, err := decodeOrdered(d)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		_, err = d.Token()
		return out, err
	}
	return t, nil
}

// yamlWriter writes block style.
type yamlWriter struct{ b bytes.Buffer }

func (w *yamlWriter) line(indent int) {
	w.b.WriteString(strings.Repeat(" ", indent))
}

// headings are the members with which an object of a list begins.
var headings = []string{"name", "identifier", "client_id", "email", "kind", "id", "trigger"}

// mapping writes the members of an object, each on lines of its own.
func (w *yamlWriter) mapping(o []pair, indent int) {
	for i, p := range o {
		if i > 0 {
			w.line(indent)
		}
		w.b.WriteString(scalar(p.name) + ":")
		w.value(p.value, indent, 2)
	}
}

func (w *yamlWriter) sequence(list []any, indent int) {
	for i, v := range list {
		if i > 0 {
			w.line(indent)
		}
		w.b.WriteByte('-')
		switch v := v.(type) {
		case []pair:
			if len(v) > 0 {
				w.b.WriteByte(' ')
				w.mapping(headed(v), indent+2)
				continue
			}
		case []any:
			if len(v) > 0 {
				w.b.WriteByte(' ')
				w.sequence(v, indent+2)
				continue
			}
		}
		w.value(v, indent, 2)
	}
}

// headed returns an object with its headings first.
func headed(o []pair) []pair {
	out := slices.Clone(o)
	slices.SortStableFunc(out, func(a, b pair) int { return rank(a.name) - rank(b.name) })
	return out
}

func rank(name string) int {
	if i := slices.Index(headings, name); i >= 0 {
		return i
	}
	return len(headings)
}

// value writes what follows a key or a dash.
func (w *yamlWriter) value(v any, indent, by int) {
	switch v := v.(type) {
	case []pair:
		if len(v) == 0 {
			w.b.WriteString(" {}\n")
			return
		}
		w.b.WriteByte('\n')
		w.line(indent + by)
		w.mapping(v, indent+by)
	case []any:
		if len(v) == 0 {
			w.b.WriteString(" []\n")
			return
		}
		w.b.WriteByte('\n')
		w.line(indent + by)
		w.sequence(v, indent+by)
	case string:
		if lines, style := block(v); lines != nil {
			w.b.WriteString(" " + style + "\n")
			for _, l := range lines {
				if l != "" {
					w.line(indent + by)
				}
				w.b.WriteString(l + "\n")
			}
			return
		}
		w.b.WriteString(" " + scalar(v) + "\n")
	case json.Number:
		w.b.WriteString(" " + number(v) + "\n")
	case bool:
		w.b.WriteString(" " + strconv.FormatBool(v) + "\n")
	default:
		w.b.WriteString(" null\n")
	}
}

// number writes a number so that YAML reads the same: integers that need more than 64
// bits, and numbers with an exponent, as floating point.
func number(n json.Number) string {
	if _, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return string(n)
	}
	f, err := n.Float64()
	if err != nil {
		return "0" // JSON has no such number
	}
	text := strconv.FormatFloat(f, 'e', -1, 64)
	if !strings.Contains(text, ".") { // a YAML float has a point
		text = strings.Replace(text, "e", ".0e", 1)
	}
	return text
}

// plain is text that needs no quotes, apart from the words of reserved.
var plain = regexp.MustCompile(`\A[A-Za-z/][A-Za-z0-9_./+-]*( [A-Za-z0-9_./+()-]+)*\z|\Ahttps?://[A-Za-z0-9_./+?=:-]*[A-Za-z0-9_/]\z|\A[A-Za-z0-9_.+-]+@[A-Za-z0-9.-]+[A-Za-z]\z|\A[a-z]+:[a-z_]+\z`)

var reserved = []string{"y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan", "inf"}

// scalar writes a text or a key on one line.
func scalar(s string) string {
	if plain.MatchString(s) && !slices.Contains(reserved, strings.ToLower(s)) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	keyword := strings.Contains(s, "##") || strings.Contains(s, "@@")
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case keyword && (r == '#' || r == '@'), r < 0x100 && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// block returns the lines of a text of several lines, such as a key in PEM, and the
// header of a block that keeps them, or nil if only quotes do.
func block(s string) (lines []string, style string) {
	text, style := s, "|-"
	if rest, ends := strings.CutSuffix(s, "\n"); ends {
		text, style = rest, "|"
	}
	lines = strings.Split(text, "\n")
	if len(lines) < 2 || lines[0] == "" || lines[0][0] == ' ' || strings.Contains(s, "##") || strings.Contains(s, "@@") {
		return nil, ""
	}
	for _, l := range lines {
		if strings.TrimRightFunc(l, unicode.IsSpace) != l || strings.ContainsFunc(l, func(r rune) bool { return !unicode.IsPrint(r) || r > 0x7e }) {
			return nil, ""
		}
	}
	if lines[len(lines)-1] == "" { // several newlines at the end
		return nil, ""
	}
	return lines, style
}
