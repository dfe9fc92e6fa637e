package tenantfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// object reads an object of a section, and keeps it as the file has it if it has members
// that the mock does not use: the Management API shows them.
func (l *loader) object(path, section, at string, n ast.Node, into any) bool {
	whole, good := l.decode(path, section, n, into)
	if whole == nil || section == "x-actions" {
		return good
	}
	if l.tenant.Stored == nil {
		l.tenant.Stored = map[string]json.RawMessage{}
	}
	l.tenant.Stored[at] = joined(l.tenant.Stored[at], whole)
	return good
}

// joined returns an object with the members of two; several files can have the settings
// of the tenant.
func joined(a, b json.RawMessage) json.RawMessage {
	if a == nil {
		return b
	}
	var both map[string]json.RawMessage
	for _, part := range []json.RawMessage{a, b} {
		if json.Unmarshal(part, &both) != nil {
			return b
		}
	}
	out, err := json.Marshal(both)
	if err != nil {
		return b
	}
	return out
}

// rawJSON returns an object of a file as JSON.
func rawJSON(n ast.Node) (json.RawMessage, error) {
	var v any
	if err := yaml.NodeToValue(n, &v); err != nil {
		return nil, err
	}
	return json.Marshal(jsonable(v))
}

// decode reads an object by way of JSON, because the types have JSON names. It notes
// members that the mock does not use and reports members of a wrong type with their line.
// It returns the whole object if it has such members or the file is an export.
func (l *loader) decode(path, section string, n ast.Node, into any) (whole json.RawMessage, good bool) {
	if _, isMap := n.(ast.MapNode); !isMap {
		l.unread(path, line(n), "%s: must be an object, not %q", section, clip(n.String()))
		return nil, false
	}
	var v any
	if err := yaml.NodeToValue(n, &v); err != nil {
		l.syntax(path, err)
		return nil, false
	}
	v = jsonable(v)
	more := l.export
	if object, isObject := v.(map[string]any); isObject && section != exportSection {
		more = l.inspect(path, section, n, object) || more
	}
	for good = true; ; good = false {
		b, err := json.Marshal(v)
		if err == nil {
			if more && whole == nil {
				whole = b
			}
			err = json.Unmarshal(b, into)
		}
		var wrong *json.UnmarshalTypeError
		switch {
		case err == nil:
			return whole, good
		case !errors.As(err, &wrong):
			l.unread(path, line(n), "%s: %v", section, err)
			return nil, false
		}
		l.report(path, lineOf(n, strings.Split(wrong.Field, ".")...), "%s: %s must be a %s, not %s", section, wrong.Field, kindName(wrong.Type), valueName(wrong))
		if !drop(v, strings.Split(wrong.Field, ".")) {
			return nil, false
		}
	}
}

// drop removes a member, or the list that contains it, so that the next error shows.
func drop(v any, names []string) bool {
	object, isObject := v.(map[string]any)
	member, there := object[names[0]]
	if !isObject || !there {
		return false
	}
	if len(names) == 1 || !drop(member, names[1:]) {
		delete(object, names[0])
	}
	return true
}

// lineOf returns the line of a member, or of the object that would contain it.
func lineOf(n ast.Node, names ...string) int {
	at := line(n)
	for _, name := range names {
		key, value := member(n, name)
		if key == nil {
			break
		}
		n, at = value, line(key)
	}
	return at
}

// member returns a member of a mapping, or of the first mapping of a list that has it.
func member(n ast.Node, name string) (key, value ast.Node) {
	if list, isList := n.(*ast.SequenceNode); isList {
		for _, e := range list.Values {
			if key, value = member(e, name); key != nil {
				return key, value
			}
		}
	}
	for _, kv := range entries(n) {
		if strings.Trim(kv.Key.String(), `"'`) == name {
			return kv.Key, kv.Value
		}
	}
	return nil, nil
}

// jsonable turns YAML's maps, whose keys have any type, into JSON objects.
func jsonable(v any) any {
	switch v := v.(type) {
	case map[any]any:
		out := map[string]any{}
		for k, e := range v {
			out[fmt.Sprint(k)] = jsonable(e)
		}
		return out
	case map[string]any:
		for k, e := range v {
			v[k] = jsonable(e)
		}
	case []any:
		for i, e := range v {
			v[i] = jsonable(e)
		}
	}
	return v
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Slice:
		return "list"
	case reflect.Struct, reflect.Map:
		return "mapping"
	case reflect.String:
		return "string"
	case reflect.Int:
		return "whole number"
	}
	return "number"
}

// valueName describes a value of the wrong type.
func valueName(wrong *json.UnmarshalTypeError) string {
	switch number, isNumber := strings.CutPrefix(wrong.Value, "number "); {
	case isNumber:
		return number // a fraction, or too large
	case wrong.Value == "object" && wrong.Type.Kind() == reflect.String:
		return "a mapping; quote text with a colon"
	case wrong.Value == "object":
		return "a mapping"
	case wrong.Value == "array":
		return "a list"
	case wrong.Value == "bool":
		return "a boolean"
	}
	return "a " + wrong.Value
}
