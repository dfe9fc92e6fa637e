package management

import (
	"net/http"
	"strings"
)

// parseQuery reads the Lucene text of ?q= as far as the tenant has it: name:value and
// name:"value", joined by AND or OR, in which a value may end with *. Values of lists of
// objects are reached by a dotted name, as in identities.connection.
func parseQuery(q string) (func(Doc) bool, error) {
	if strings.TrimSpace(q) == "" {
		return func(Doc) bool { return true }, nil
	}
	var alternatives [][]term
	for _, part := range split(q, " OR ") {
		var all []term
		for _, t := range split(part, " AND ") {
			parsed, err := parseTerm(t)
			if err != nil {
				return nil, err
			}
			all = append(all, parsed)
		}
		alternatives = append(alternatives, all)
	}
	return func(d Doc) bool {
		for _, all := range alternatives {
			matched := true
			for _, t := range all {
				matched = matched && t.matches(d)
			}
			if matched {
				return true
			}
		}
		return false
	}, nil
}

// split cuts at a separator outside of quotes.
func split(s, sep string) []string {
	var out []string
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		if s[i] == '"' && (i == 0 || s[i-1] != '\\') {
			quoted = !quoted
		}
		if !quoted && strings.HasPrefix(s[i:], sep) {
			out, from = append(out, s[from:i]), i+len(sep)
			i = from - 1
		}
	}
	return append(out, s[from:])
}

type term struct {
	path   []string // nil: any of the user's names
	value  string
	prefix bool // the value may go on
	not    bool
}

func parseTerm(s string) (term, error) {
	s = strings.Trim(strings.TrimSpace(s), "()")
	var t term
	for _, no := range []string{"NOT ", "-"} {
		if rest, negated := strings.CutPrefix(s, no); negated {
			t.not, s = true, rest
		}
	}
	name, value, found := strings.Cut(s, ":")
	if !found {
		name, value = "", s
	} else {
		t.path = strings.Split(strings.TrimSpace(name), ".")
	}
	value = strings.TrimSpace(value)
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = strings.ReplaceAll(value[1:len(value)-1], `\"`, `"`)
	} else {
		value, t.prefix = strings.CutSuffix(strings.ReplaceAll(value, `\`, ""), "*")
	}
	if strings.ContainsAny(value, `"`) || found && name == "" {
		return t, refuse(http.StatusBadRequest, "invalid_query_string", "q is not a valid Lucene query: %s", clip(s))
	}
	t.value = value
	return t, nil
}

func (t term) matches(d Doc) bool {
	found := false
	if t.path == nil {
		for _, name := range []string{"email", "name", "nickname", "username", "user_id"} {
			found = found || t.accepts(d[name])
		}
	} else {
		found = t.reach(d, t.path)
	}
	return found != t.not
}

// reach looks for the value at a path, in any element of a list.
func (t term) reach(v any, path []string) bool {
	if elements, isList := v.([]any); isList {
		for _, e := range elements {
			if t.reach(e, path) {
				return true
			}
		}
		return false
	}
	if len(path) == 0 {
		return t.accepts(v)
	}
	o, _ := v.(Doc)
	return o != nil && t.reach(o[path[0]], path[1:])
}

func (t term) accepts(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.EqualFold(v, t.value) || t.prefix && strings.HasPrefix(strings.ToLower(v), strings.ToLower(t.value))
	case bool:
		return v && t.value == "true" || !v && t.value == "false"
	}
	return v != nil && t.prefix && t.value == ""
}
