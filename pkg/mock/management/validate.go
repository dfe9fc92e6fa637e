package management

import (
	"encoding/json"
	"maps"
	"math"
	"net/mail"
	"slices"
	"strconv"
	"strings"
)

// validate checks a body against the members that the endpoint accepts.
func (c *call) validate(o Doc) error {
	if err := c.validateObject(o, ""); err != nil {
		return err
	}
	if err := c.require(); err != nil {
		return err
	}
	if email, sent := o["email"].(string); sent && c.endpoint.closed {
		if a, err := mail.ParseAddress(email); err != nil || a.Address != email {
			return invalid("email", "Object didn't pass validation for format email: %s", email)
		}
	}
	return nil
}

func (c *call) validateItems() error {
	for i, item := range c.items {
		o, isObject := item.(Doc)
		if !isObject {
			return invalid("["+strconv.Itoa(i)+"]", "Expected type object but found type %s", typeOf(item))
		}
		if err := c.validateObject(o, ""); err != nil {
			return err
		}
	}
	return nil
}

// validateObject checks the members of the object at a path.
func (c *call) validateObject(o Doc, path string) error {
	f := c.endpoint.fields
	prefix := path
	if path != "" {
		prefix += "."
	}
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(o)) {
		_, known := f[prefix+name]
		if !known && c.endpoint.closed && !f.open(path) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return invalid(strings.ReplaceAll(path, "[]", ""), "Additional properties not allowed: %s", strings.Join(unknown, ","))
	}
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if err := c.validateValue(o[name], prefix+name); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) validateValue(v any, path string) error {
	field, known := c.endpoint.fields[path]
	if !known {
		return nil
	}
	shown := strings.ReplaceAll(path, "[]", "")
	if !field.accepts(v, shown) {
		return invalid(shown, "Expected type %s but found type %s", strings.Join(field.types, ","), typeOf(v))
	}
	switch v := v.(type) {
	case Doc:
		return c.validateObject(v, path)
	case []any:
		for _, item := range v {
			o, isObject := item.(Doc)
			objects := c.endpoint.fields.under(path + "[]")
			if objects && !isObject {
				return invalid(shown, "Expected type object but found type %s", typeOf(item))
			}
			if isObject {
				if err := c.validateObject(o, path+"[]"); err != nil {
					return err
				}
			}
		}
		return unique(v, shown)
	}
	return nil
}

// unique returns an error for a text that is twice in a list.
func unique(v []any, path string) error {
	seen := map[string]int{}
	for i, item := range v {
		s, isText := item.(string)
		if j, twice := seen[s]; isText && twice {
			return invalid(path, "Array items are not unique (indexes %d and %d)", j, i)
		}
		if isText {
			seen[s] = i
		}
	}
	return nil
}

// open reports whether the object at a path may have any member: the schema knows
// none, its names are the caller's, or they depend on the strategy of a connection.
func (f fields) open(path string) bool {
	if path == "" {
		return false
	}
	top, _, _ := strings.Cut(path, ".")
	if slices.Contains([]string{"options", "addons", "client_metadata", "metadata", "user_metadata", "app_metadata", "flags"}, top) {
		return true
	}
	known := f.under(path)
	_, named := f[path+".*"]
	return !known || named
}

// under reports whether the schema knows a member of the object at a path.
func (f fields) under(path string) bool {
	for p := range f {
		if strings.HasPrefix(p, path+".") {
			return true
		}
	}
	return false
}

// accepts reports whether a value has a type of the field. Null removes a member of
// an update, and SDKs send it in a create too.
func (f field) accepts(v any, path string) bool {
	if len(f.types) == 0 || v == nil && path != "name" && path != "identifier" {
		return true
	}
	is := typeOf(v)
	return slices.Contains(f.types, is) || is == "integer" && slices.Contains(f.types, "number")
}

// typeOf returns the name of a value's type in JSON schema.
func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
		return "number"
	case json.Number:
		return "number"
	case []any:
		return "array"
	}
	return "object"
}
