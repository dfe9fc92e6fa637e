package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"example.com/tokend/internal/durable"
)

// maxConfig bounds the configuration file, in bytes.
const maxConfig = 64 << 20

// document is a configuration file that was parsed.
type document struct {
	path    string
	root    ast.Node            // nil: no file
	text    []byte              // of a document that was read in pieces: root lacks clients
	clients map[string]ast.Node // by name; made at the first use
}

// body returns the document with what leads to a setting. The places of clients' settings
// are needed only for faults, and to show them.
func (d *document) body(setting string) ast.Node {
	if d.text != nil && strings.HasPrefix(setting, "clients") {
		if tree, err := parseYAML(d.text); err == nil { // as before
			d.root = tree.Docs[0].Body
		}
		d.text = nil
	}
	return d.root
}

// loadFile reads the named file, or else the default one if it exists. complete says
// that its clients are known; otherwise a missing client means nothing.
func (l *loader) loadFile(named, fallback string) (c fileSchema, complete bool) {
	path := cmp.Or(named, fallback)
	if path == "" {
		return c, true
	}
	b, perm, err := readConfig(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && named == "":
		return c, true
	case err != nil && named != "":
		l.addAt("config", "", 0, "correct its path, or unset TOKEND_CONFIG", "TOKEND_CONFIG: %s cannot be read: %v", path, durable.Cause(err))
		return c, false
	case err != nil:
		l.addAt("config", "", 0, "let the user of the service read it, or name another in TOKEND_CONFIG", "%s cannot be read: %v", path, durable.Cause(err))
		return c, false
	}
	if perm&0o002 != 0 {
		l.addAt("", "", 0, "chmod o-w "+path, "%s can be written by everyone (mode %#o), and it names commands that run as this user", path, perm)
	}
	c, complete = l.parseFile(path, b)
	if perm&0o007 != 0 && c.holdsSecret() {
		l.addAt("", "", 0, "chmod 600 "+path+", or use client_secret_file", "%s contains a secret and is open to everyone (mode %#o)", path, perm)
	}
	return c, complete
}

// pipeWait is how long a configuration that comes through a pipe may take.
const pipeWait = 10 * time.Second

// readConfig reads a configuration file, or a pipe such as a shell's process
// substitution: TOKEND_CONFIG=<(sops -d tokend.yaml).
func readConfig(path string) ([]byte, fs.FileMode, error) {
	file, fi, err := durable.OpenAny(path)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = file.Close() }() // only read
	mode := fi.Mode().Perm()
	var b []byte
	switch {
	case fi.Mode()&fs.ModeNamedPipe != 0:
		mode = 0o600 // it is read once
		b, err = durable.ReadPipe(file, maxConfig, pipeWait)
	case !fi.Mode().IsRegular():
		err = durable.ErrNotRegular
	default:
		b, err = io.ReadAll(io.LimitReader(file, maxConfig+1))
	}
	if err == nil && len(b) > maxConfig {
		err = errors.New("it is larger than 64 MiB")
	}
	return b, mode, err
}

// holdsSecret reports whether the file itself contains a secret.
func (c fileSchema) holdsSecret() bool {
	for _, cl := range c.Clients {
		if cl.holdsSecret() {
			return true
		}
	}
	for _, k := range c.Keys {
		if k.Key != "" {
			return true
		}
	}
	return false
}

// parseFile reads YAML: unknown and repeated keys and values of another type are
// faults, each with its line. complete is as in loadFile.
func (l *loader) parseFile(path string, b []byte) (c fileSchema, complete bool) {
	l.file.path = path
	before := len(l.faults)
	if c, root := newFileReader(l).readInPieces(b); root != nil && len(l.faults) == before {
		l.file.root, l.file.text = root, b
		return c, true
	}
	l.faults = l.faults[:before] // parseWhole finds them, with their places
	return l.parseWhole(b)
}

// parseWhole is parseFile for a document with few clients, or with faults.
func (l *loader) parseWhole(b []byte) (c fileSchema, complete bool) {
	tree, err := parseYAML(b)
	if err != nil {
		l.badYAML(err, "check that line and those above for an open quote or bracket, a tab, or wrong indentation")
		return c, false
	}
	if len(tree.Docs) > 1 {
		l.addAt("", "", 0, "keep one", "%s contains %d YAML documents", l.file.path, len(tree.Docs))
		return c, false
	}
	before := len(l.faults)
	r := newFileReader(l)
	for _, doc := range tree.Docs {
		l.file.root = doc.Body
		r.check("", doc.Body, reflect.TypeFor[fileSchema]())
		err = r.decodeFile(b, doc.Body, &c) // there is one document
	}
	if err != nil && len(l.faults) == before { // otherwise it repeats them
		l.badYAML(err, "")
	}
	if err != nil {
		return fileSchema{}, false // it is not known which clients are missing
	}
	return c, len(l.faults) == before || len(c.Clients) > 0
}

// badYAML records the error's place and kind, without the source text around it, which
// may contain a secret.
func (l *loader) badYAML(err error, hint string) {
	f := Fault{File: l.file.path, Text: "invalid YAML", Hint: hint}
	mismatch, unexpected := (*yaml.TypeError)(nil), (*yaml.UnexpectedNodeTypeError)(nil)
	if errors.As(err, &mismatch) || errors.As(err, &unexpected) { // by an alias
		f.Text = "wrong type of value"
	}
	var e yaml.Error
	if errors.As(err, &e) && e.GetToken() != nil && e.GetToken().Position != nil {
		f.Line, f.Column = e.GetToken().Position.Line, e.GetToken().Position.Column
	}
	l.faults = append(l.faults, f)
}

// origin returns where the file has a setting, or else the setting's parent; "" when
// a variable overrides the file.
func (l *loader) origin(setting string) (path string, line int) {
	if variable := variableOfSetting(setting); variable != "" {
		if _, set := l.env.Lookup(variable); set {
			return "", 0
		}
	}
	line = l.file.line(setting)
	if line == 0 {
		return "", 0
	}
	return l.file.path, line
}

// line returns the line of a setting, or of the last part of its name that the file
// has; 0 when the file has none.
func (d *document) line(setting string) int {
	line, _ := d.find(setting)
	return line
}

// has reports whether a setting is in the file.
func (d *document) has(setting string) bool {
	_, whole := d.find(setting)
	return whole
}

// find returns the line of a setting as [document.line] does, and whether the file has
// the whole name.
func (d *document) find(setting string) (line int, whole bool) {
	n := d.body(setting)
	for i, part := range strings.FieldsFunc(setting, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		var at int
		if i == 1 && strings.HasPrefix(setting, "clients.") {
			n, at = d.client(n, part)
		} else {
			n, at = member(n, part)
		}
		switch {
		case at == 0 && i < 2 && strings.Contains(setting, "."):
			return 0, false // for example of a client that is not in the file
		case at == 0:
			return line, false
		}
		line = at
	}
	return line, true
}

// client finds a client with an index: there may be thousands, each with a fault.
func (d *document) client(clients ast.Node, name string) (value ast.Node, line int) {
	if d.clients == nil {
		d.clients = map[string]ast.Node{}
		if m, ok := plain(clients).(ast.MapNode); ok {
			for it := m.MapRange(); it.Next(); {
				d.clients[it.Key().GetToken().Value] = it.KeyValue()
			}
		}
	}
	kv, ok := d.clients[name].(*ast.MappingValueNode)
	if !ok {
		return nil, 0
	}
	return kv.Value, kv.Key.GetToken().Position.Line
}

// member finds the value of a key, or the element of a list.
func member(n ast.Node, part string) (value ast.Node, line int) {
	switch n := plain(n).(type) {
	case ast.MapNode:
		for it := n.MapRange(); it.Next(); {
			if token := it.Key().GetToken(); token.Value == part {
				return it.Value(), token.Position.Line
			}
		}
	case *ast.SequenceNode:
		if i, err := strconv.Atoi(part); err == nil && i < len(n.Values) {
			return n.Values[i], n.Values[i].GetToken().Position.Line
		}
	}
	return nil, 0
}

// plain returns a node without its anchor and its tag.
func plain(n ast.Node) ast.Node {
	switch outer := n.(type) {
	case *ast.AnchorNode:
		return outer.Value
	case *ast.TagNode:
		return outer.Value
	}
	return n
}

// form describes how the value of a key is written.
type form struct{ what, hint string }

func wanted(t reflect.Type) form {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return form{"a mapping", `write "name: value" lines below it, indented`}
	case reflect.Slice:
		return form{"a list", "write [one, another], or lines below it that begin with -"}
	case reflect.Bool:
		return form{"true or false", "without quotes"}
	default:
		return form{"a single value", "put it in quotes if it begins with [ or {"}
	}
}

// fits reports whether a node has the form that t requires. An absent value fits; the
// decoder checks aliases.
func fits(n ast.Node, t reflect.Type) bool {
	switch n.(type) {
	case nil, *ast.NullNode, *ast.AliasNode, *ast.CommentGroupNode:
		return true
	case ast.MapNode:
		return t.Kind() == reflect.Struct || t.Kind() == reflect.Map
	case *ast.SequenceNode:
		return t.Kind() == reflect.Slice
	case *ast.BoolNode:
		return t.Kind() == reflect.Bool || t.Kind() == reflect.String
	}
	return t.Kind() == reflect.String
}

// fileReader compares the file with the schema.
type fileReader struct {
	*loader
	keys map[reflect.Type]map[string][]int // the fields of a struct by their keys
}

func newFileReader(l *loader) fileReader {
	return fileReader{l, map[reflect.Type]map[string][]int{}}
}

// wrong records a fault at a line of the file.
func (r fileReader) wrong(setting string, line int, hint, format string, args ...any) {
	r.addAt(setting, r.file.path, line, hint, format, args...)
}

// check compares a YAML node with the type t.
func (r fileReader) check(place string, n ast.Node, t reflect.Type) {
	n = plain(n)
	if !fits(n, t) {
		form := wanted(t)
		r.wrong(place, n.GetToken().Position.Line, form.hint, "%s must be %s", cmp.Or(place, "the file"), form.what)
		return
	}
	switch n := n.(type) {
	case *ast.SequenceNode:
		for i, v := range n.Values {
			r.check(fmt.Sprintf("%s[%d]", place, i), v, t.Elem())
		}
	case ast.MapNode:
		r.checkKeys(place, n, t)
	}
}

// checkKeys compares the keys of a mapping with those of t.
func (r fileReader) checkKeys(place string, m ast.MapNode, t reflect.Type) {
	seen := map[string]int{}
	for it := m.MapRange(); it.Next(); {
		token := it.Key().GetToken()
		key, line := token.Value, token.Position.Line
		if key == "<<" {
			continue // merged values were checked where they are defined
		}
		if first, twice := seen[key]; twice {
			r.wrong(within(place, key), line, "keep one", "duplicate key %s (first on line %d)", within(place, key), first)
			continue
		}
		seen[key] = line
		inner, known := r.member(t, key)
		if !known {
			r.wrong(within(place, key), line, didYouMean(key, members(t))+"one of "+strings.Join(members(t), ", "), "unknown key %s", within(place, key))
			continue
		}
		r.check(within(place, key), it.Value(), inner)
	}
}

func within(place, key string) string {
	if place == "" {
		return key
	}
	return place + "." + key
}

// member returns the type of a key of t: any key of a map, a tagged field of a struct.
func (r fileReader) member(t reflect.Type, key string) (reflect.Type, bool) {
	switch t.Kind() {
	case reflect.Map:
		return t.Elem(), true
	case reflect.Struct:
		i, known := r.fieldsOf(t)[key]
		if !known {
			return nil, false
		}
		return t.FieldByIndex(i).Type, true
	default:
		return t, true
	}
}

// fieldsOf returns the fields of a struct by their keys.
func (r fileReader) fieldsOf(t reflect.Type) map[string][]int {
	keys := r.keys[t]
	if keys == nil {
		keys = map[string][]int{}
		for _, f := range reflect.VisibleFields(t) {
			if !f.Anonymous {
				keys[f.Tag.Get("yaml")] = f.Index
			}
		}
		r.keys[t] = keys
	}
	return keys
}

func members(t reflect.Type) []string {
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if !f.Anonymous {
			names = append(names, f.Tag.Get("yaml"))
		}
	}
	return names
}
