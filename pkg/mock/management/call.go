package management

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Doc is an object as JSON.
type Doc = map[string]any

// call is one request to one endpoint.
type call struct {
	Request
	api      *API
	params   []string // of the path
	endpoint endpoint
	body     Doc   // of a request with an object
	items    []any // of a request with a list
}

// readBody decodes and validates the body. A request without one has an empty object.
func (c *call) readBody() error {
	c.body = Doc{}
	if strings.HasPrefix(c.MediaType, "multipart/") {
		return nil
	}
	if len(bytes.TrimSpace(c.Body)) == 0 {
		return c.require()
	}
	dec := json.NewDecoder(bytes.NewReader(c.Body))
	var v any
	err := dec.Decode(&v)
	if err == nil {
		_, err = dec.Token() // what follows the value
	}
	if !errors.Is(err, io.EOF) {
		return errMalformed
	}
	if c.endpoint.Array {
		list, isList := v.([]any)
		if !isList {
			return invalid("", "Expected type array but found type %s", typeOf(v))
		}
		c.items = list
		return c.validateItems()
	}
	o, isObject := v.(Doc)
	if !isObject {
		return invalid("", "Expected type object but found type %s", typeOf(v))
	}
	c.body = o
	return c.validate(o)
}

// require returns an error for a required member that the body lacks.
func (c *call) require() error {
	for _, name := range c.endpoint.Required {
		if _, there := c.body[name]; !there {
			return invalid("", "Missing required property: %s", name)
		}
	}
	return nil
}

// text returns a member that is a text, or "".
func text(d Doc, name string) string {
	s, _ := d[name].(string)
	return s
}

// texts returns a member that is a list of texts.
func texts(d Doc, name string) []string {
	list, _ := d[name].([]any)
	out := make([]string, 0, len(list))
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// objects returns a member that is a list of objects.
func objects(d Doc, name string) []Doc {
	list, _ := d[name].([]any)
	out := make([]Doc, 0, len(list))
	for _, v := range list {
		if o, ok := v.(Doc); ok {
			out = append(out, o)
		}
	}
	return out
}

// child returns a member that is an object, or nil.
func child(d Doc, name string) Doc {
	o, _ := d[name].(Doc)
	return o
}

func list[T any](in []T) []any {
	out := make([]any, len(in))
	for i, v := range in {
		out[i] = v
	}
	return out
}

// setDefault sets members that the object lacks.
func setDefault(d Doc, defaults Doc) {
	for name, value := range defaults {
		if _, there := d[name]; !there {
			d[name] = value
		}
	}
}

// get returns a copy of a document.
func (c *call) get(kind, id string) (Doc, bool) {
	raw, found := c.State.Read(kind, id)
	if !found {
		return nil, false
	}
	var d Doc
	if json.Unmarshal(raw, &d) != nil {
		return nil, false
	}
	return d, true
}

// all returns copies of the documents of a kind that a filter accepts; nil accepts all.
func (c *call) all(kind string, accepts func(Doc) bool) []Doc {
	out := []Doc{}
	for _, id := range c.State.IDs(kind) {
		if d, found := c.get(kind, id); found && (accepts == nil || accepts(d)) {
			out = append(out, d)
		}
	}
	return out
}

// put stores a document.
func (c *call) put(kind, id string, d Doc) error {
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return c.State.Write(kind, id, b)
}

// page returns a number of the query, or the default.
func (c *call) number(name string, otherwise int) int {
	n, err := strconv.Atoi(c.Query.Get(name))
	if err != nil {
		return otherwise
	}
	return n
}

// checkQuery checks the numbers of the query.
func (c *call) checkQuery() error {
	for _, name := range []string{"page", "per_page", "take"} {
		most, known := c.endpoint.Query[name]
		raw := c.Query.Get(name)
		if raw == "" || !known {
			continue
		}
		n, err := strconv.Atoi(raw)
		switch {
		case err != nil:
			return validation("Query", "invalid_query_string", name, "Expected type integer but found type string")
		case n < 0:
			return validation("Query", "invalid_query_string", name, "Value "+raw+" is less than minimum 0")
		case most > 0 && n > most:
			return validation("Query", "invalid_query_string", name, "Value "+raw+" is greater than maximum "+strconv.Itoa(most))
		}
	}
	for _, name := range []string{"include_totals", "include_fields"} {
		if raw := c.Query.Get(name); raw != "" && raw != "true" && raw != "false" {
			return validation("Query", "invalid_query_string", name, "Expected type boolean but found type string")
		}
	}
	return nil
}

// answer is an answer with a JSON value.
func answer(status int, v any) (Answer, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Status: status, Body: b}, nil
}

func empty() (Answer, error) { return Answer{Status: noContent}, nil }

func emptyObject(status int) (Answer, error) { return answer(status, Doc{}) }

// at formats a time as the API does.
func (c *call) at() string { return stamp(c.Now) }

const noContent = http.StatusNoContent
