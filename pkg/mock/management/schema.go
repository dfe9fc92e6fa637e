package management

import (
	_ "embed"
	"encoding/json"
	"strings"
)

// schemaJSON has the API's endpoints and objects: scopes, query parameters with their
// maximum, required members, and the members of bodies. Of a member of an object it has
// the types, and by which requests it may be sent: c by a create, u by an update as
// recorded, C and U the same as documented only; r is in answers.
//
//go:embed schema.json
var schemaJSON []byte

type schema struct {
	Endpoints map[string]endpoint // by method and path
	fields    map[string]fields   // of objects
}

type endpoint struct {
	Scope    []string        `json:"scope"` // any one is enough
	Query    map[string]int  `json:"query"` // maximum of each parameter; 0: none
	Required []string        `json:"required"`
	Body     json.RawMessage `json:"body"`  // "@object:c" or a table of members
	Array    bool            `json:"array"` // the body is an array of such objects

	fields fields
	closed bool // other members are refused
}

// fields are the members of an object by their path, in which "[]" is an item of a list
// and "*" any name.
type fields map[string]field

type field struct {
	types []string // of JSON; empty: any
	flags string
}

func (f field) has(flags string) bool { return strings.ContainsAny(f.flags, flags) }

func loadSchema() (*schema, error) {
	var raw struct {
		Endpoints map[string]endpoint          `json:"endpoints"`
		Objects   map[string]map[string]string `json:"objects"`
	}
	if err := json.Unmarshal(schemaJSON, &raw); err != nil {
		return nil, err
	}
	s := &schema{Endpoints: raw.Endpoints, fields: map[string]fields{}}
	for name, members := range raw.Objects {
		s.fields[name] = parseFields(members)
	}
	for name, e := range s.Endpoints {
		var ref string
		var members map[string]string
		switch {
		case len(e.Body) == 0:
		case json.Unmarshal(e.Body, &ref) == nil:
			object, mode, _ := strings.Cut(strings.TrimPrefix(ref, "@"), ":")
			e.fields, e.closed = s.fields[object].sentBy(mode), true
		default:
			if err := json.Unmarshal(e.Body, &members); err != nil {
				return nil, err
			}
			e.fields = parseFields(members)
		}
		s.Endpoints[name] = e
	}
	return s, nil
}

func parseFields(members map[string]string) fields {
	out := fields{}
	for path, text := range members {
		types, flags, _ := strings.Cut(text, " ")
		f := field{flags: flags}
		if types != "?" {
			for t := range strings.SplitSeq(types, "|") {
				name, _, _ := strings.Cut(t, "<")
				f.types = append(f.types, name)
			}
		}
		out[strings.TrimPrefix(path, "[].")] = f
	}
	return out
}

// sentBy returns the members that a create ("c") or an update ("u") may send. A nested
// member may be sent whenever its parent may: clients send back what they got.
func (f fields) sentBy(mode string) fields {
	out := fields{}
	for path, field := range f {
		top, _, _ := strings.Cut(path, ".")
		top = strings.TrimSuffix(top, "[]")
		if f[top].has(mode + strings.ToUpper(mode)) {
			out[path] = field
		}
	}
	return out
}
