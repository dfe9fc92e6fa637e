package tenantfile

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/parser"
	"pgregory.net/rapid"
)

// readBack returns what Load reads of a YAML text, with a mapping for each keyword.
func readBack(t interface {
	Helper()
	Fatalf(string, ...any)
}, text []byte,
) any {
	t.Helper()
	l := read(nil, Options{Mappings: map[string]any{"KEY": "replaced", "A": []any{1}}}, false)
	text = l.replaceKeywords("f", text)
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if n := anchor(text, f.Docs[0].Body); n != nil {
		t.Fatalf("an anchor in\n%s", text)
	}
	raw, err := rawJSON(f.Docs[0].Body)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%v", err)
	}
	return v
}

// oddTexts are those that mean something else, or are split otherwise, in YAML without
// quotes or in a block.
func oddTexts() []string {
	return []string{
		"true", "False", "on", "y", ".inf", ".NaN", "inf", "0o17", "1_000", "+1", "-.5", "##A##\nb", "a\n@@A@@", "a\nb ", "a \nb", "  a\nb", "a\nb\n\n", "a\u00a0\nb", "a\tb\nc\t",
		"", " ", "a", "yes", "No", "null", "~", "1", "1e3", "0x1f", "-", "- a", "a: b", "a:", ":a", "#a", "a #b", "##KEY##", "@@KEY@@", "\"@@A@@\"", "x##KEY##y\nz",
		"&a", "*a", "!a", "|", ">", "%a", "@a", "`a", "{a}", "[a]", "'a'", "\"a\"", "a\\b", "a\nb", "a\nb\n", "a\n\nb\n", "a\n\n", "\na", " a\nb", "a \nb", "a\tb\nc", "a\r\nb",
		"\t", "é", "\u2028", "\u0085", "\u0000", "\U0001F600", "\ufeff", "2026-01-01", "2026-01-01T00:00:00.000Z", "12:30", ".", "...", "---", "a---\n---\n...", "?", "? a", "<<", "=",
		"-----BEGIN PUBLIC KEY-----\nMIIB+/=\n-----END PUBLIC KEY-----\n", "https://*.example.com/{organization_name}?a=b&c=d#e", "exports.x = () => {\n  if (a) {\n    b: 1\n  }\n}\n",
	}
}

// sameAfterYAML fails if an object is another one after it was written as YAML and read as
// a tenant file.
func sameAfterYAML(t interface {
	Helper()
	Fatalf(string, ...any)
}, in []byte,
) {
	t.Helper()
	out, err := YAML(in)
	if err != nil {
		t.Fatalf("%s: %v", in, err)
	}
	var want any
	if err := json.Unmarshal(in, &want); err != nil {
		t.Fatalf("%v", err)
	}
	if got := readBack(t, out); !reflect.DeepEqual(got, want) {
		t.Fatalf("%s\nis written as\n%s\nand read as %v", in, out, got)
	}
}

func TestYAML_ReadsBackOddValues(t *testing.T) {
	for _, text := range oddTexts() {
		in, err := json.Marshal(map[string]any{"value": text, text: "key", "list": []any{text, []any{text}, map[string]any{text: text}}})
		if err != nil {
			t.Fatal(err)
		}
		sameAfterYAML(t, in)
	}
	for _, number := range []string{"0", "-0", "1e3", "1E400", "1e-7", "9007199254740993", "-9223372036854775808", "18446744073709551616", "1.5", "1.0", "123456789012345678901234567890"} {
		if number != "1E400" { // encoding/json cannot read it
			sameAfterYAML(t, []byte(`{"a":`+number+`,"b":[`+number+`]}`))
		} else if out, err := YAML([]byte(`{"a":1E400}`)); err != nil || string(out) != "a: 0\n" {
			t.Errorf("%s is written as %q, %v", number, out, err)
		}
	}
	sameAfterYAML(t, []byte(`{"a":{},"b":[],"c":null,"d":[[],{},[[]],[{}]],"e":[true,false,null]}`))
}

// Any JSON object is the same after it was written as YAML and read as a tenant file.
func TestYAML_ReadsBackAsWritten(t *testing.T) {
	text := rapid.OneOf(rapid.SampledFrom(oddTexts()), rapid.String())
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		leaves := []*rapid.Generator[any]{
			text.AsAny(), text.AsAny(), rapid.Bool().AsAny(), rapid.Just[any](nil), rapid.Float64Range(-1e300, 1e300).AsAny(), rapid.Int64().AsAny(), rapid.IntRange(-9, 9).AsAny(),
		}
		if depth > 0 {
			inner := value(depth - 1)
			leaves = append(leaves, rapid.SliceOfN(inner, 0, 3).AsAny(), rapid.MapOfN(text, inner, 0, 3).AsAny())
		}
		return rapid.OneOf(leaves...)
	}
	rapid.Check(t, func(t *rapid.T) {
		in, err := json.Marshal(rapid.MapOfN(text, value(3), 1, 3).Draw(t, "object"))
		if err != nil {
			t.Fatal(err)
		}
		sameAfterYAML(t, in)
	})
}

// The file is one that a person reads: names first, keys in PEM and code as they are.
func TestYAML_IsReadable(t *testing.T) {
	got, err := YAML([]byte(`{"clients":[{"callbacks":["http://localhost:3000/cb"],"client_id":"a","grant_types":[],"jwt_configuration":{"alg":"RS256"},"name":"My app","pem":"BEGIN\n\nEND\n"}]}`))
	const want = `clients:
  - name: My app
    client_id: a
    callbacks:
      - http://localhost:3000/cb
    grant_types: []
    jwt_configuration:
      alg: RS256
    pem: |
      BEGIN

      END
`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestYAML_RefusesOtherThanOneObject(t *testing.T) {
	for _, in := range []string{"", "[]", `{"a":1`, `{} {}`, "1", `{"a":[1,}`} {
		if got, err := YAML([]byte(in)); err == nil || !strings.Contains(err.Error(), "the tenant file is not") {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
}
