package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

var update = flag.Bool("update", false, "write what is generated from the schemas")

// setting is a field of a schema in the documentation.
type setting struct {
	name, meaning, example string
	typ                    reflect.Type
	tag                    reflect.StructTag
}

// settingsOf returns the fields of a schema, in its order, with their comments.
func settingsOf(t *testing.T, schema reflect.Type) []setting {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "schema.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != schema.Name() {
			return true
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List { //nolint:errcheck // every type there is one
			if len(f.Names) == 1 {
				comments[f.Names[0].Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
			}
		}
		return false
	})
	var list []setting
	for i := range schema.NumField() {
		f := schema.Field(i)
		if f.Anonymous {
			list = append(list, settingsOf(t, f.Type)...)
			continue
		}
		s := setting{name: f.Tag.Get("yaml"), meaning: comments[f.Name], example: f.Tag.Get("example"), typ: f.Type, tag: f.Tag}
		if s.meaning == "" {
			t.Errorf("%s.%s has no comment", schema.Name(), f.Name)
		}
		if f.Type.Kind() == reflect.Struct {
			for _, inner := range settingsOf(t, f.Type) {
				inner.name = s.name + "." + inner.name
				list = append(list, inner)
			}
			continue
		}
		nested := (f.Type.Kind() == reflect.Map || f.Type.Kind() == reflect.Slice) && f.Type.Elem().Kind() == reflect.Struct
		if s.example == "" && !nested {
			t.Errorf("%s.%s has no example", schema.Name(), f.Name)
		}
		list = append(list, s)
	}
	return list
}

// kind returns the type of a setting in the documentation.
func (s setting) kind() string {
	switch {
	case s.tag.Get("oneof") != "":
		return strings.Join(strings.Fields(s.tag.Get("oneof")), ", ")
	case s.tag.Get("kind") != "":
		return s.tag.Get("kind")
	case s.typ.Kind() == reflect.Slice:
		return "list"
	case s.typ.Kind() == reflect.Map:
		return "mapping"
	case s.typ.Kind() == reflect.Bool:
		return "true, false"
	}
	return "text"
}

// asVariable returns the example for a variable: lists and mappings without
// brackets, text without quotes.
func (s setting) asVariable() string {
	return strings.NewReplacer("[", "", "]", "", "{", "", "}", "", ", ", ",", ": ", ":", `"`, "").Replace(s.example)
}

const referenceHead = `# Configuration

<!-- Generated from internal/config/schema.go: go test ./internal/config -run Reference -update -->

tokend reads a YAML file and variables; a variable overrides the file, and an empty
one is ignored. ` + "`tokend config init`" + ` writes a file with every setting,
` + "`tokend config check`" + ` reports what is wrong with file and variables, and
` + "`tokend config show`" + ` shows the settings in effect and their sources.
[tokend.schema.json](tokend.schema.json) is the file's schema for editors.

The file is the one that ` + "`TOKEND_CONFIG`" + ` names, or else
` + "`$XDG_CONFIG_HOME/tokend/tokend.yaml`" + `. A unit of systemd has other
directories; see [deploy.md](deploy.md).

- A *duration* looks like ` + "`30s`, `15m` or `720h`" + `.
- A *list* is ` + "`[a, b]`" + ` in the file and ` + "`a,b`" + ` in a variable.
- A *mapping* is ` + "`{name: value}`" + ` in the file and ` + "`name:value,name:value`" + ` in a variable.
- Each secret also comes from a file, whose setting ends in ` + "`_file`" + `, or as a
  systemd credential that has the variable's name. Such a file must belong to the user of
  the service or to root, and may be readable for its group, but not for others.

## The service

A change of these needs a restart.

`

// reference is docs/configuration.md.
func reference(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(referenceHead)
	table := func(head string, list []setting, row func(setting) string) {
		b.WriteString(head)
		for _, s := range list {
			b.WriteString(row(s) + "\n")
		}
	}
	text := func(s setting) string {
		meaning := s.meaning
		if with := s.tag.Get("with"); with != "" && with != "*" {
			meaning += " With grant: " + strings.Join(strings.Fields(with), ", ") + "."
		}
		return meaning
	}
	code := func(s string) string {
		if s == "" {
			return ""
		}
		return "`" + s + "`"
	}
	table("| setting | variable | type | default | meaning | example |\n|---|---|---|---|---|---|\n", settingsOf(t, reflect.TypeFor[Service]()), func(s setting) string {
		return fmt.Sprintf("| `%s` | `%s` | %s | %s | %s | `%s` |", s.name, variableOfSetting(s.name), s.kind(), s.tag.Get("fallback"), text(s), s.example)
	})
	b.WriteString("\nThese are variables only:\n\n")
	only := slices.DeleteFunc(settingsOf(t, reflect.TypeFor[environment]()), func(s setting) bool {
		return slices.ContainsFunc(settingsOf(t, reflect.TypeFor[Service]()), func(o setting) bool { return o.name == s.name })
	})
	table("| variable | type | default | meaning | example |\n|---|---|---|---|---|\n", only, func(s setting) string {
		return fmt.Sprintf("| `%s` | %s | %s | %s | `%s` |", variableOfSetting(s.name), s.kind(), s.tag.Get("fallback"), text(s), s.example)
	})
	b.WriteString("\n## Clients\n\n" + comment(t, "Clients") + ` Each is under ` + "`clients.NAME`" + `. Its variables begin with
` + "`TOKEND_CLIENT_NAME_`" + `, with NAME in capitals and ` + "`_` for `-`" + `; a client that has
variables only is named in ` + "`TOKEND_CLIENTS`" + `. [grants.md](grants.md) shows each grant.

`)
	table("| setting | variable, after the prefix | type | default | meaning | example |\n|---|---|---|---|---|---|\n", settingsOf(t, reflect.TypeFor[clientSchema]()), func(s setting) string {
		return fmt.Sprintf("| `%s` | `%s` | %s | %s | %s | `%s` |", s.name, strings.TrimPrefix(variableOfSetting("clients.x."+s.name), clientPrefix+"X_"), s.kind(), s.tag.Get("fallback"), text(s), s.example)
	})
	for _, part := range []struct {
		title, text string
		schema      reflect.Type
	}{
		{"API keys", comment(t, "Keys") + " Each is under `keys.NAME`. The key of `api_key_file` opens all clients.", reflect.TypeFor[keySchema]()},
		{"Callers without an API key", comment(t, "Callers") + " Each is under `callers.NAME`; see [api.md](api.md#who-may-ask).", reflect.TypeFor[callerSchema]()},
		{"Tokens of callers", "Each is one of `callers.NAME.oidc`; see [deploy.md](deploy.md#callers-of-pipelines-and-clusters).", reflect.TypeFor[oidcSchema]()},
		{"Token files", comment(t, "Files") + " `files` is a list of them; see [exec.md](exec.md).", reflect.TypeFor[tokenFileSchema]()},
		{"Events", "What is done about [events](events.md), under `on_event`. A change needs a restart.", reflect.TypeFor[onEventSchema]()},
	} {
		b.WriteString("\n## " + part.title + "\n\n" + part.text + "\n\n")
		table("| setting | type | default | meaning | example |\n|---|---|---|---|---|\n", settingsOf(t, part.schema), func(s setting) string {
			return fmt.Sprintf("| `%s` | %s | %s | %s | %s |", s.name, s.kind(), s.tag.Get("fallback"), text(s), code(s.example))
		})
	}
	return b.String()
}

// comment is that of a field of the file.
func comment(t *testing.T, field string) string {
	t.Helper()
	f, _ := reflect.TypeFor[fileSchema]().FieldByName(field)
	for _, s := range settingsOf(t, reflect.TypeFor[fileSchema]()) {
		if s.name == f.Tag.Get("yaml") {
			return s.meaning
		}
	}
	return ""
}

// exampleFile is internal/config/example.yaml.
func exampleFile(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(`# yaml-language-server: $schema=https://tokend.example.com/tokend.schema.json
#
# The configuration of tokend. Fill in the client, and remove the # before a setting
# that differs from its default; "tokend config check" says what is wrong. The
# documentation is in docs/configuration.md.

`)
	part := func(indent string, list []setting, filled ...string) {
		for _, s := range list {
			meaning := s.meaning
			if with := s.tag.Get("with"); with != "" && with != "*" {
				meaning += " With grant: " + strings.Join(strings.Fields(with), ", ") + "."
			}
			if one := s.tag.Get("oneof"); one != "" {
				meaning += " One of " + strings.Join(strings.Fields(one), ", ") + "."
			}
			if d := s.tag.Get("fallback"); d != "" {
				meaning += " Default: " + d + "."
			}
			outer, name, nested := strings.Cut(s.name, ".")
			line := fmt.Sprintf("# %s: %s", s.name, s.example)
			if nested {
				line = fmt.Sprintf("# %s: {%s: %s}", outer, name, s.example)
			}
			if slices.Contains(filled, s.name) {
				line = fmt.Sprintf("%s: # such as %s", s.name, s.example)
			}
			fmt.Fprintf(&b, "%s# %s\n%s%s\n", indent, meaning, indent, line)
		}
	}
	part("", settingsOf(t, reflect.TypeFor[Service]()))
	b.WriteString("\n# " + comment(t, "Clients") + "\nclients:\n  demo:\n")
	part("    ", settingsOf(t, reflect.TypeFor[clientSchema]()), "issuer", "client_id")
	b.WriteString("\n# " + comment(t, "Keys") + "\n# keys:\n  # ci:\n")
	part("    ", settingsOf(t, reflect.TypeFor[keySchema]()))
	b.WriteString("\n# " + comment(t, "Callers") + "\n# callers:\n  # build:\n")
	part("    ", settingsOf(t, reflect.TypeFor[callerSchema]()))
	b.WriteString("\n# " + comment(t, "Files") + "\n# files:\n  # -\n")
	part("    ", settingsOf(t, reflect.TypeFor[tokenFileSchema]()))
	b.WriteString("\n# What is done about events. A change needs a restart.\n# on_event:\n")
	part("  ", settingsOf(t, reflect.TypeFor[onEventSchema]()))
	return b.String()
}

type object = map[string]any

// jsonSchema is docs/tokend.schema.json, of draft 7, which editors know.
func jsonSchema(t *testing.T) string {
	t.Helper()
	top := schemaOf(t, reflect.TypeFor[fileSchema]())
	top["$schema"], top["title"] = "http://json-schema.org/draft-07/schema#", "The configuration of tokend"
	b, err := json.MarshalIndent(top, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

func schemaOf(t *testing.T, schema reflect.Type) object {
	t.Helper()
	properties := object{}
	for _, s := range settingsOf(t, schema) {
		if outer, name, nested := strings.Cut(s.name, "."); nested {
			if properties[outer] == nil {
				properties[outer] = object{"type": "object", "additionalProperties": false, "properties": object{}}
			}
			properties[outer].(object)["properties"].(object)[name] = schemaOfSetting(t, s) //nolint:errcheck // made above
			continue
		}
		properties[s.name] = schemaOfSetting(t, s)
	}
	return object{"type": "object", "additionalProperties": false, "properties": properties}
}

func schemaOfSetting(t *testing.T, s setting) object {
	t.Helper()
	o := object{"description": s.meaning}
	switch {
	case s.typ.Kind() == reflect.Map && s.typ.Elem().Kind() == reflect.Struct:
		o["type"], o["additionalProperties"] = "object", schemaOf(t, s.typ.Elem())
		o["propertyNames"] = object{"pattern": clientName().String()}
	case s.typ.Kind() == reflect.Slice && s.typ.Elem().Kind() == reflect.Struct:
		o["type"], o["items"] = "array", schemaOf(t, s.typ.Elem())
	case s.typ.Kind() == reflect.Map:
		o["type"], o["additionalProperties"] = "object", object{"type": []string{"string", "number"}}
	case s.typ.Kind() == reflect.Slice:
		o["type"], o["items"] = "array", object{"type": "string"}
	case s.typ.Kind() == reflect.Bool:
		o["type"] = "boolean"
	case s.tag.Get("oneof") != "":
		o["enum"] = strings.Fields(s.tag.Get("oneof"))
	case s.tag.Get("kind") == "duration":
		o["type"], o["pattern"] = []string{"string", "integer"}, `^(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$`
	default:
		o["type"] = []string{"string", "number"}
	}
	if s.example != "" {
		var value any
		if yaml.Unmarshal([]byte(s.example), &value) == nil {
			o["examples"] = []any{value}
		}
	}
	return o
}

// The generated files in the repository match the schemas; -update writes them.
func TestReferenceIsGenerated(t *testing.T) {
	for path, want := range map[string]string{
		"../../docs/configuration.md":   reference(t),
		"../../docs/tokend.schema.json": jsonSchema(t),
		"example.yaml":                  exampleFile(t),
	} {
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil { //nolint:gosec // documentation
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is not what the schemas say: run go test ./internal/config -run Reference -update (%v)", path, err)
		}
	}
}

// Every example of a setting, added to the settings that a client must have, reads the
// same from the file and from the variable.
func TestReferenceExamplesAreRead(t *testing.T) {
	for _, s := range settingsOf(t, reflect.TypeFor[clientSchema]()) {
		text := fmt.Sprintf("    %s: %s\n", s.name, s.example)
		if outer, name, nested := strings.Cut(s.name, "."); nested {
			text = fmt.Sprintf("    %s: {%s: %s}\n", outer, name, s.example)
		}
		l := &loader{env: environ(t)}
		file, complete := l.parseFile("x", []byte("clients:\n  demo:\n"+text))
		if !complete || l.faults != nil {
			t.Errorf("%s: %v", s.name, l.faults)
		}
		var byVariable clientSchema
		if err := environ(t, variableOfSetting("clients.demo."+s.name)+"="+s.asVariable()).Process(clientPrefix+"DEMO", &byVariable); err != nil || !reflect.DeepEqual(byVariable, file.Clients["demo"]) {
			t.Errorf("%s: the file has %+v, the variable %+v, %v", s.name, file.Clients["demo"], byVariable, err)
		}
	}
	together := "" // these need each other
	for _, s := range settingsOf(t, reflect.TypeFor[Service]()) {
		line := s.name + ": " + s.example + "\n"
		if s.name == "store_password_file" { // it is read at once, and is for a database only
			line = s.name + ": " + write(t, filepath.Join(t.TempDir(), "password"), "x", 0o600) + "\nstore: postgres://user@host/db\n"
		}
		if strings.HasPrefix(s.name, "tls_") || strings.HasPrefix(s.name, "audit_") {
			together += line
			continue
		}
		mustLoad(t, line+goodFile)
	}
	mustLoad(t, together+goodFile)
}

// The file of "config init" lacks two values, and is valid with them; each of its
// commented lines matches the schema.
func TestExampleFile(t *testing.T) {
	_, faults := loadAt(t, homeOf(t, string(example)))
	if len(faults) != 2 || !strings.Contains(faults[0].String(), "client demo: issuer is missing") || !strings.Contains(faults[1].String(), "client demo: client_id is missing") || faults[0].Line == 0 {
		t.Errorf("as it is written: %v", faults)
	}
	filled := strings.NewReplacer("issuer: # such as", "issuer:", "client_id: # such as", "client_id:").Replace(string(example))
	if c := mustLoad(t, filled); len(c.Clients) != 1 {
		t.Errorf("filled in: %+v", c)
	}
	setting := regexp.MustCompile(`(?m)^( *)# ([a-z_]+:.*|-)$`)
	all := strings.Replace(setting.ReplaceAllString(filled, "$1$2"), "    refresh: {mandatory: 2m}\n", "", 1)
	l := &loader{env: environ(t), fields: fieldsOf[clientSchema]()}
	c, complete := l.parseFile("example.yaml", []byte(all))
	if !complete || l.faults != nil || len(c.Files) != 1 || len(c.Keys) != 1 || len(c.Callers) != 1 || c.Clients["demo"].Realm != "staff" || c.LogFormat != "json" {
		t.Errorf("with every line: %v, %+v", l.faults, c)
	}
}

// The schema for editors accepts what the documentation shows, and nothing misspelt.
func TestSchemaForEditors(t *testing.T) {
	b, err := os.ReadFile("../../docs/tokend.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema object
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	grants, err := os.ReadFile("../../docs/grants.md")
	if err != nil {
		t.Fatal(err)
	}
	good := []string{serviceFile, goodFile + "files:\n- {client: demo, path: /x, mode: '0640', min_validity: 10m, hook: [a, b]}\nkeys: {ci: {key_file: /x, clients: [demo]}}\n"}
	for _, block := range yamlBlocks.FindAllStringSubmatch(string(grants), -1) {
		text := block[1]
		if !strings.HasPrefix(text, "clients:") {
			text = goodFile + text
		}
		good = append(good, text)
	}
	for _, text := range good {
		if bad := against(t, schema, text); bad != "" {
			t.Errorf("%s:\n%s", bad, text)
		}
	}
	for text, want := range map[string]string{
		"listn: x\n":                             "listn",
		goodFile + "    isuer: x\n":              "isuer",
		goodFile + "    leeway: soon\n":          "leeway",
		goodFile + "    grant: implicit\n":       "grant",
		goodFile + "    scopes: openid\n":        "scopes",
		goodFile + "    par: 'yes'\n":            "par",
		"clients: {A: {}}\n":                     "A",
		"files: [{client: a, hok: b}]\n":         "hok",
		goodFile + "    refresh: {at: 1m}\n":     "at",
		"keys: {ci: {clients: ci}}\nfiles: []\n": "clients",
	} {
		if bad := against(t, schema, text); !strings.HasSuffix(bad, want) {
			t.Errorf("%q: refused is %q", text, bad)
		}
	}
}

// against returns the path of what a schema refuses in a YAML text, "" if nothing.
func against(t *testing.T, schema object, text string) string {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return refusedBy(schema, value, "")
}

// refusedBy implements the part of JSON Schema that jsonSchema uses.
func refusedBy(schema object, value any, path string) string {
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, value) {
		return path
	}
	if types := strings.Trim(fmt.Sprint(schema["type"]), "[]"); schema["type"] != nil && !slices.Contains(strings.Fields(types), typeOf(value)) {
		return path
	}
	if s, ok := value.(string); ok && schema["pattern"] != nil && !regexp.MustCompile(fmt.Sprint(schema["pattern"])).MatchString(s) {
		return path
	}
	for i, item := range items(value) {
		if bad := refusedBy(schema["items"].(object), item, fmt.Sprintf("%s[%d]", path, i)); bad != "" { //nolint:errcheck // every array has them
			return bad
		}
	}
	m, _ := value.(object)
	properties, _ := schema["properties"].(object)
	names, _ := schema["propertyNames"].(object)
	for name, inner := range m {
		if names != nil && refusedBy(names, name, name) != "" {
			return path + "." + name
		}
		of, known := properties[name].(object)
		if !known {
			if of, known = schema["additionalProperties"].(object); !known {
				return path + "." + name
			}
		}
		if bad := refusedBy(of, inner, path+"."+name); bad != "" {
			return bad
		}
	}
	return ""
}

func items(value any) []any { list, _ := value.([]any); return list }

func typeOf(value any) string {
	switch value.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case object:
		return "object"
	case uint64, int64, float64:
		return "number"
	}
	return "null"
}

func homeOf(t *testing.T, file string) string {
	t.Helper()
	home, _ := homeWith(t, file)
	return home
}

func TestWriteExample(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "tokend.yaml")
	if err := WriteExample(path); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if b, rerr := os.ReadFile(path); err != nil || rerr != nil || fi.Mode().Perm() != 0o600 || !bytes.Equal(b, example) {
		t.Errorf("%v, %v, %v", fi, err, rerr)
	}
	write(t, path, "mine", 0o600)
	if err := WriteExample(path); err == nil || !strings.Contains(err.Error(), path+" exists already") {
		t.Errorf("got %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Errorf("it was overwritten: %q, %v", b, err)
	}
	if err := WriteExample(filepath.Join(filepath.Dir(path), strings.Repeat("x", 300))); err == nil || !strings.Contains(err.Error(), "file name too long") {
		t.Errorf("a name that is too long: %v", err)
	}
	if err := WriteExample("/dev/null/tokend.yaml"); err == nil || !strings.Contains(err.Error(), "cannot create /dev/null: not a directory") {
		t.Errorf("beneath a file: %v", err)
	}
}
