package flow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// doubledError names the members that a document has twice or in another
// spelling.
type doubledError []string

func (d doubledError) Error() string {
	return fmt.Sprintf("has the member %q twice or in another spelling", d[0])
}

// members returns the members of a JSON object. encoding/json matches names in
// any case and lets the last duplicate win, so two parsers of one document can
// see two different tokens. Here each name in known may occur once, in exactly
// this spelling. Otherwise the error is a [doubledError], returned together with
// the other members.
func members(doc []byte, known ...string) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("is not a JSON object")
	}
	m := map[string]json.RawMessage{}
	var doubled doubledError
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, errors.New("is not valid JSON")
		}
		name, _ := t.(string)
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, errors.New("is not valid JSON")
		}
		_, twice := m[name]
		for _, k := range known {
			if strings.EqualFold(name, k) && (twice || name != k) {
				doubled = append(doubled, k)
			}
		}
		if !twice {
			m[name] = v
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("is not valid JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("has text after its JSON")
	}
	if doubled != nil {
		return m, doubled
	}
	return m, nil
}

// text returns a member that is a JSON string, "" if it is absent or null.
func text(m map[string]json.RawMessage, name string) (s string, ok bool) {
	v := m[name]
	if len(v) == 0 || string(v) == "null" {
		return "", true
	}
	return s, json.Unmarshal(v, &s) == nil
}
