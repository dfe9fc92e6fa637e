package tenant

import (
	"encoding/json"
	"reflect"
	"strings"
)

// Support says what the mock does with a field of a tenant file.
type Support string

// The kinds of support.
const (
	Emulated Support = "emulated" // the mock's answers depend on it
	Stored   Support = "stored"   // nothing that the mock answers depends on it at a real tenant
	Absent   Support = "absent"   // a real tenant answers otherwise; reported
	Refused  Support = "refused"  // a real tenant refuses what the mock would allow; not accepted unless the caller insists
)

// Field is a field of the Management API's objects, or of the mock's own.
type Field struct {
	Path    string // its section of the file and its name, as in "clients.jwt_configuration.alg"
	Support Support
	Effect  string // if Absent or Refused: what a real tenant does

	neutral string // JSON of the value with which a real tenant answers as the mock does; "" is false, null, 0 or empty
}

// Fields returns every field that the mock knows, by section in the order of the file.
func Fields() []Field {
	var out []Field
	for _, a := range areas {
		for _, name := range strings.Fields(a.emulated) {
			out = append(out, Field{Path: a.section + "." + name, Support: Emulated})
		}
		for _, name := range strings.Fields(a.stored) {
			out = append(out, Field{Path: a.section + "." + name, Support: Stored})
		}
		for _, f := range a.absent {
			out = append(out, Field{a.section + "." + f.name, Absent, f.effect, f.neutral})
		}
		for _, f := range a.refused {
			out = append(out, Field{a.section + "." + f.name, Refused, f.effect, f.neutral})
		}
	}
	return out
}

// changes reports whether a real tenant with the value answers otherwise than the mock.
func (f Field) changes(value any) bool {
	if value == nil || f.Support != Absent && f.Support != Refused {
		return false
	}
	if f.neutral != "" {
		var neutral any
		return json.Unmarshal([]byte(f.neutral), &neutral) != nil || !reflect.DeepEqual(value, neutral)
	}
	switch v := value.(type) {
	case bool:
		return v
	case string:
		return v != ""
	case float64:
		return v != 0
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

// area is a section of the tenant file.
type area struct {
	section          string
	emulated, stored string // names, separated by spaces
	absent, refused  []difference
}

// difference is a field with which a real tenant answers otherwise than the mock.
type difference struct {
	name    string
	neutral string // see Field
	effect  string
}
