package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"example.com/tokend/internal/daemon"
)

// maxConfig bounds the configuration file, in bytes.
const maxConfig = 4 << 20

// fileConfig is the configuration file.
type fileConfig struct {
	Clients map[string]clientConfig `yaml:"clients"`
	Keys    map[string]keyConfig    `yaml:"keys"`
	Files   []tokenFileConfig       `yaml:"files"`
}

// keyConfig is a caller key that opens some clients only.
type keyConfig struct {
	Key     string   `yaml:"key"`
	KeyFile string   `yaml:"key_file"`
	Clients []string `yaml:"clients"`
}

// loadFile reads the file that is named, or else the default one if it is there.
// whole says that its clients are known: nothing is to be concluded from one
// that is missing otherwise.
func loadFile(named, fallback string, f *faults) (c fileConfig, whole bool) {
	path := or(named, fallback)
	if path == "" {
		return c, true
	}
	b, perm, err := readConfig(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && named == "":
		return c, true
	case err != nil && named != "":
		f.add("correct its path, or unset TOKEND_CONFIG", "TOKEND_CONFIG: %s cannot be read: %v", path, reason(err))
		return c, false
	case err != nil:
		f.add("let the user of the service read it, or name another in TOKEND_CONFIG", "%s cannot be read: %v", path, reason(err))
		return c, false
	}
	if perm&0o002 != 0 {
		f.add("chmod o-w "+path, "%s can be written by everybody (mode %#o), and it names the commands and the tenants of this user", path, perm)
	}
	c, whole = parseFile(path, b, f)
	if perm&0o007 != 0 && c.holdsSecret() {
		f.add("chmod 600 "+path+", or use client_secret_file", "%s holds a secret and is open to everyone (mode %#o)", path, perm)
	}
	return c, whole
}

func readConfig(path string) ([]byte, fs.FileMode, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = file.Close() }() // only read
	fi, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	b, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err == nil && len(b) > maxConfig {
		err = errors.New("it is larger than 4 MiB")
	}
	return b, fi.Mode().Perm(), err
}

// holdsSecret says whether a secret stands in the file itself.
func (c fileConfig) holdsSecret() bool {
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
// faults, each with its line. whole is as in loadFile.
func parseFile(path string, b []byte, f *faults) (c fileConfig, whole bool) {
	tree, err := parseYAML(b)
	if err != nil {
		f.add("look there and above for a quote or bracket left open, a tab, or a wrong indentation", "%s", yamlError(path, err))
		return c, false
	}
	if len(tree.Docs) > 1 {
		f.add("keep one", "%s holds %d YAML documents", path, len(tree.Docs))
		return c, false
	}
	before := len(*f)
	r := fileReader{path, f, map[reflect.Type]map[string]int{}}
	for _, doc := range tree.Docs {
		r.check("", doc.Body, reflect.TypeFor[fileConfig]())
		err = r.decodeFile(b, doc.Body, &c) // there is one document
	}
	if err != nil && len(*f) == before { // else it says the same again
		f.add("", "%s", yamlError(path, err))
	}
	if err != nil {
		return fileConfig{}, false // of what was decoded, nothing says how much is missing
	}
	return c, len(*f) == before || len(c.Clients) > 0
}

// yamlError is the error's place and kind in one line, without the source
// around it, which may hold a secret.
func yamlError(path string, err error) string {
	text := "this is no valid YAML"
	mismatch, unexpected := (*yaml.TypeError)(nil), (*yaml.UnexpectedNodeTypeError)(nil)
	if errors.As(err, &mismatch) || errors.As(err, &unexpected) { // by an alias
		text = "a value of another type is wanted here"
	}
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil || e.GetToken().Position == nil {
		return path + ": " + text
	}
	at := e.GetToken().Position
	return fmt.Sprintf("%s:%d:%d: %s", path, at.Line, at.Column, text)
}

// form is how the value of a key is written.
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

// fits says whether a node has the form that t wants. An absent value fits; an
// alias is the decoder's to judge.
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

// fileReader reports what is wrong with the file at path.
type fileReader struct {
	path   string
	faults *faults
	fields map[reflect.Type]map[string]int // of the keys of a struct
}

// check compares a YAML node with what t takes.
func (r fileReader) check(place string, n ast.Node, t reflect.Type) {
	switch outer := n.(type) {
	case *ast.AnchorNode:
		n = outer.Value
	case *ast.TagNode:
		n = outer.Value
	}
	if !fits(n, t) {
		form := wanted(t)
		r.faults.add(form.hint, "%s:%d: %s must be %s", r.path, n.GetToken().Position.Line, or(place, "the file"), form.what)
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
			continue // what is merged was checked where it stands
		}
		if first, twice := seen[key]; twice {
			r.faults.add("keep one", "%s:%d: %s is there twice, first in line %d", r.path, line, within(place, key), first)
			continue
		}
		seen[key] = line
		inner, known := r.member(t, key)
		if !known {
			r.faults.add(didYouMean(key, members(t))+"one of "+strings.Join(members(t), ", "), "%s:%d: unknown key %s", r.path, line, within(place, key))
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

// member is the type that a key of t has; every key of a map, the tagged ones
// of a struct.
func (r fileReader) member(t reflect.Type, key string) (reflect.Type, bool) {
	switch t.Kind() {
	case reflect.Map:
		return t.Elem(), true
	case reflect.Struct:
		i, known := r.fieldsOf(t)[key]
		if !known {
			return nil, false
		}
		return t.Field(i).Type, true
	default:
		return t, true
	}
}

// fieldsOf returns the fields of a struct by their keys.
func (r fileReader) fieldsOf(t reflect.Type) map[string]int {
	keys := r.fields[t]
	if keys == nil {
		keys = map[string]int{}
		for i := range t.NumField() {
			keys[t.Field(i).Tag.Get("yaml")] = i
		}
		r.fields[t] = keys
	}
	return keys
}

func members(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		names = append(names, t.Field(i).Tag.Get("yaml"))
	}
	return names
}

// readKeys has the caller keys that open some clients only.
func readKeys(file map[string]keyConfig, clients []string, f *faults) []daemon.Key {
	var keys []daemon.Key
	known := make(map[string]bool, len(clients))
	for _, c := range clients {
		known[c] = true
	}
	for name, k := range file {
		if !clientName.MatchString(name) {
			f.add("use a-z, 0-9, - and _", "key name %q is not allowed", name)
		}
		place := "keys." + name + ".key"
		secret := secretOf(place, k.Key, k.KeyFile, f)
		if k.Key == "" && k.KeyFile == "" {
			f.add("set key_file", "%s is missing", place)
		}
		checkKey(place, secret, f)
		if len(k.Clients) == 0 {
			f.add("list the clients that it opens", "keys.%s.clients is empty", name)
		}
		for _, c := range k.Clients {
			if !known[c] {
				f.add("one of "+strings.Join(clients, ", "), "keys.%s.clients names the unknown client %q", name, c)
			}
		}
		keys = append(keys, daemon.Key{Name: name, Secret: secret, Clients: k.Clients})
	}
	slices.SortFunc(keys, func(a, b daemon.Key) int { return strings.Compare(a.Name, b.Name) })
	return keys
}
