package tenant

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Finding is a member of an object that the mock does not use.
type Finding struct {
	Field    Field    // with a Support of "" if the mock does not know the member
	Member   []string // names from the object to the member
	Changes  bool     // whether a real tenant with this value answers otherwise than the mock
	Misspelt string   // the member that is probably meant, "" if none
	Element  bool     // only an element of this list, which is null or not an object, has no effect
}

// String describes the finding in one line.
func (f Finding) String() string {
	switch {
	case f.Element:
		return f.Field.Path + ": an element of the list has no effect: it is null, or not an object"
	case f.Misspelt != "":
		return fmt.Sprintf("%s: did you mean %s?", f.Field.Path, f.Misspelt)
	case f.Field.Support == "":
		return f.Field.Path + ": no effect; the mock does not know this field"
	case f.Changes:
		return fmt.Sprintf("%s: no effect in the mock; a real tenant %s", f.Field.Path, f.Field.Effect)
	}
	return f.Field.Path + ": no effect; a real tenant with these values gives clients the same answers"
}

// Inspector finds the members of objects that the mock does not use.
type Inspector struct {
	fields map[string]Field
	names  map[string][]string // of the known members, by the path of their parent
}

// NewInspector returns an inspector of the objects of a tenant file.
func NewInspector() *Inspector {
	in := &Inspector{fields: map[string]Field{}, names: map[string][]string{}}
	for _, f := range Fields() {
		in.fields[f.Path] = f
		for path := f.Path; ; {
			i := strings.LastIndexByte(path, '.')
			if i < 0 {
				break
			}
			parent, name := path[:i], path[i+1:]
			if !slices.Contains(in.names[parent], name) {
				in.names[parent] = append(in.names[parent], name)
			}
			path = parent
		}
	}
	return in
}

// Inspect returns the members of an object that the mock does not use: those of the
// Management API that it does not emulate, and unknown ones. The section is the
// object's list in the tenant file, as in "clients".
func (in *Inspector) Inspect(section string, object map[string]any) []Finding {
	w := walk{in, nil}
	w.object(section, nil, object)
	return w.found
}

// Emulates reports whether the mock uses a member.
func (in *Inspector) Emulates(path string) bool { return in.fields[path].Support == Emulated }

// walk is one inspection.
type walk struct {
	*Inspector
	found []Finding
}

func (w *walk) object(path string, member []string, object map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		w.member(path+"."+name, append(slices.Clip(member), name), object[name])
	}
}

func (w *walk) member(path string, member []string, value any) {
	f, known := w.fields[path]
	switch {
	case known && f.Support == Emulated:
		if list, isList := value.([]any); isList && slices.Contains(list, nil) {
			w.found = append(w.found, Finding{Field: f, Member: member, Element: true})
		}
	case known:
		w.found = append(w.found, Finding{Field: f, Member: member, Changes: f.changes(value)})
	case w.names[path] != nil:
		w.children(path, member, value)
	default:
		parent, name := path[:strings.LastIndexByte(path, '.')], member[len(member)-1]
		w.found = append(w.found, Finding{Field: Field{Path: path}, Member: member, Misspelt: nearest(name, w.names[parent])})
	}
}

func (w *walk) children(path string, member []string, value any) {
	switch v := value.(type) {
	case map[string]any:
		w.object(path, member, v)
	case []any:
		for _, e := range v {
			if o, isObject := e.(map[string]any); isObject {
				w.object(path, member, o)
				continue
			}
			w.found = append(w.found, Finding{Field: Field{Path: path}, Member: member, Element: true})
		}
	case nil:
	default:
		w.found = append(w.found, Finding{Field: Field{Path: path}, Member: member})
	}
}

// nearest returns the known name that a misspelt one probably means, or "". One letter
// in four may differ, and two at most; case, "_" and "-" do not count.
func nearest(name string, known []string) string {
	plain := func(s string) string {
		return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s))
	}
	found, least := "", 3
	for _, k := range known {
		a, b := plain(name), plain(k)
		if max(len(a)-len(b), len(b)-len(a)) > 2 {
			continue
		}
		switch d := distance(a, b); {
		case d > len(k)/4:
		case d < least:
			found, least = k, d
		case d == least:
			found = ""
		}
	}
	return found
}

// distance counts the bytes to insert, delete, replace or swap with their neighbour.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			switch {
			case i == 0 || j == 0:
				rows[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				rows[i][j] = rows[i-1][j-1]
			default:
				rows[i][j] = 1 + min(rows[i-1][j-1], rows[i-1][j], rows[i][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], 1+rows[i-2][j-2])
			}
		}
	}
	return rows[len(a)][len(b)]
}
