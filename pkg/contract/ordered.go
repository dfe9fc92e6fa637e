package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// object is a JSON object that keeps the order of its members.
type object struct {
	keys   []string
	values map[string]any // object, []any, string, json.Number, bool or nil
}

func (o *object) get(key string) (any, bool) {
	if o == nil {
		return nil, false
	}
	v, ok := o.values[key]
	return v, ok
}

// text returns a member that is a string, else "".
func (o *object) text(key string) string {
	v, _ := o.get(key)
	s, _ := v.(string)
	return s
}

// only returns the keys that are in list, in the object's order.
func (o *object) only(list []string) []string {
	return slices.DeleteFunc(slices.Clone(o.keys), func(k string) bool { return !slices.Contains(list, k) })
}

const maxDepth = 64 // of nested JSON

// parseJSON reads one JSON value with objects as *object. It rejects duplicate
// members, because parsers differ in which one they use.
func parseJSON(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, nested := t.(json.Delim)
	switch {
	case !nested:
		return t, nil
	case depth == maxDepth:
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	case delim == '[':
		list := []any{}
		for d.More() {
			v, err := parseValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	}
	o := &object{values: map[string]any{}}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, err
		}
		key := k.(string) //nolint:forcetypeassert // checked by the decoder
		if _, twice := o.values[key]; twice {
			return nil, fmt.Errorf("duplicate member %q", key)
		}
		if o.values[key], err = parseValue(d, depth+1); err != nil {
			return nil, err
		}
		o.keys = append(o.keys, key)
	}
	_, err = d.Token()
	return o, err
}

// parseObject reads one JSON object. Empty input is an empty object.
func parseObject(b []byte) (*object, error) {
	if len(b) == 0 {
		return &object{}, nil
	}
	v, err := parseJSON(b)
	if err != nil {
		return nil, err
	}
	o, ok := v.(*object)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	return o, nil
}

// show renders a value for a difference.
func show(v any) string {
	b := appendJSON(nil, v)
	if len(b) > maxShown {
		return string(bytes.ToValidUTF8(b[:maxShown], nil)) + "…"
	}
	return string(b)
}

// maxShown is how many bytes of a value a message shows.
const maxShown = 300

// isShort reports whether show shows the whole of a value.
func isShort(v any) bool { return len(appendJSON(nil, v)) <= maxShown }

func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case *object:
		b = append(b, '{')
		for i, k := range v.keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSON(b, k), ':')
			b = appendJSON(b, v.values[k])
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, item)
		}
		return append(b, ']')
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Appendf(b, "%q", fmt.Sprint(v))
	}
	return append(b, bytes.TrimRight(buf.Bytes(), "\n")...)
}
