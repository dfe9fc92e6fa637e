package recording

import (
	"bytes"
	"encoding/json"
	"regexp"
)

// jsonToken is a string or a number of JSON, with what follows a string that is a key.
var jsonToken = regexp.MustCompile(`"(?:[^"\\]|\\.)*"(\s*:)?|-?\d[\d.eE+-]*`)

// mapStrings replaces the strings and numbers of a valid JSON text and keeps everything
// else, the order of members included. The functions get the name of the member that a
// value is in, also for values in a list.
func mapStrings(raw []byte, text func(key, value string) any, number func(key string, n json.Number) any) json.RawMessage {
	key := ""
	return jsonToken.ReplaceAllFunc(raw, func(token []byte) []byte {
		if token[0] != '"' {
			return mustJSON(number(key, json.Number(token)))
		}
		at := bytes.LastIndexByte(token, '"') + 1
		var s string
		if err := json.Unmarshal(token[:at], &s); err != nil {
			return []byte(`""`)
		}
		if at < len(token) {
			key = s
			return token
		}
		return mustJSON(text(key, s))
	})
}

// mustJSON encodes a value of texts, numbers and valid JSON, which cannot fail.
func mustJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("recording: " + err.Error())
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
