package flow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// members returns the members of a JSON object, names exact. encoding/json
// matches names in any case and lets the last duplicate win, which lets two
// readers of one document see two different tokens; here each of the names in
// known may occur once, in its own spelling only.
func members(doc []byte, known ...string) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("is not a JSON object")
	}
	m := map[string]json.RawMessage{}
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
		for _, k := range known {
			if !strings.EqualFold(name, k) {
				continue
			}
			if _, twice := m[k]; twice || name != k {
				return m, fmt.Errorf("has the member %q twice or in another spelling", k)
			}
		}
		m[name] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("is not valid JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("has text after its JSON")
	}
	return m, nil
}

// text returns a member that is a JSON string; "" when it is absent or null.
func text(m map[string]json.RawMessage, name string) (s string, ok bool) {
	v := m[name]
	if len(v) == 0 || string(v) == "null" {
		return "", true
	}
	return s, json.Unmarshal(v, &s) == nil
}
