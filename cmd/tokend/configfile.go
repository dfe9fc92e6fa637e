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
	"github.com/goccy/go-yaml/parser"

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
func loadFile(named, fallback string, f *faults) fileConfig {
	path := or(named, fallback)
	if path == "" {
		return fileConfig{}
	}
	b, perm, err := readConfig(path)
	if errors.Is(err, fs.ErrNotExist) && named == "" {
		return fileConfig{}
	}
	if err != nil {
		f.add("", "configuration: %v", err)
		return fileConfig{}
	}
	if perm&0o002 != 0 {
		f.add("chmod o-w "+path, "%s can be written by everybody (mode %#o), and it names the commands and the tenants of this user", path, perm)
	}
	c := parseFile(path, b, f)
	if perm&0o007 != 0 && c.holdsSecret() {
		f.add("chmod 600 "+path+", or use client_secret_file", "%s holds a secret and is open to everybody (mode %#o)", path, perm)
	}
	return c
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
		err = fmt.Errorf("%s is larger than 4 MiB", path)
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

// parseFile reads YAML: unknown and repeated keys are faults, each with its line.
func parseFile(path string, b []byte, f *faults) fileConfig {
	var c fileConfig
	tree, err := parser.ParseBytes(b, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		f.add("", "%s: %s", path, yamlError(err))
		return c
	}
	if len(tree.Docs) > 1 {
		f.add("keep one", "%s holds %d YAML documents", path, len(tree.Docs))
		return c
	}
	before := len(*f)
	for _, doc := range tree.Docs {
		checkNode(path, "", doc.Body, reflect.TypeFor[fileConfig](), f)
	}
	err = yaml.UnmarshalWithOptions(b, &c, yaml.AllowDuplicateMapKey())
	if err != nil && len(*f) == before { // else it says the same again
		f.add("", "%s: %s", path, yamlError(err))
	}
	return c
}

// yamlError is the error's place and kind in one line, without the source
// around it, which may hold a secret.
func yamlError(err error) string {
	var e yaml.Error
	if !errors.As(err, &e) {
		return "cannot be read as YAML"
	}
	text := "is no valid YAML"
	if t := (*yaml.TypeError)(nil); errors.As(err, &t) {
		text = fmt.Sprintf("a %s is wanted here", t.DstType)
	}
	if t := e.GetToken(); t != nil && t.Position != nil {
		return fmt.Sprintf("line %d, column %d: %s", t.Position.Line, t.Position.Column, text)
	}
	return text
}

// checkNode compares the keys of a YAML mapping with what t takes.
func checkNode(path, place string, n ast.Node, t reflect.Type, f *faults) {
	if a, ok := n.(*ast.AnchorNode); ok {
		n = a.Value
	}
	if list, ok := n.(*ast.SequenceNode); ok && t.Kind() == reflect.Slice {
		for i, v := range list.Values {
			checkNode(path, fmt.Sprintf("%s[%d]", place, i), v, t.Elem(), f)
		}
		return
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		return // its type is the decoder's to judge
	}
	seen := map[string]int{}
	for it := m.MapRange(); it.Next(); {
		token := it.Key().GetToken()
		key, line := token.Value, token.Position.Line
		if key == "<<" {
			continue // what is merged was checked where it stands
		}
		if first, twice := seen[key]; twice {
			f.add("keep one", "%s:%d: %s is there twice, first in line %d", path, line, within(place, key), first)
			continue
		}
		seen[key] = line
		inner, known := member(t, key)
		if !known {
			f.add("one of "+strings.Join(members(t), ", "), "%s:%d: unknown key %s", path, line, within(place, key))
			continue
		}
		checkNode(path, within(place, key), it.Value(), inner, f)
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
func member(t reflect.Type, key string) (reflect.Type, bool) {
	switch t.Kind() {
	case reflect.Map:
		return t.Elem(), true
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).Tag.Get("yaml") == key {
				return t.Field(i).Type, true
			}
		}
		return nil, false
	default:
		return t, true
	}
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
	for name, k := range file {
		if !clientName.MatchString(name) {
			f.add("use a-z, 0-9, - and _", "key name %q", name)
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
			if !slices.Contains(clients, c) {
				f.add("one of "+strings.Join(clients, ", "), "keys.%s.clients names the unknown client %q", name, c)
			}
		}
		keys = append(keys, daemon.Key{Name: name, Secret: secret, Clients: k.Clients})
	}
	slices.SortFunc(keys, func(a, b daemon.Key) int { return strings.Compare(a.Name, b.Name) })
	return keys
}
