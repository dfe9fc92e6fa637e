package tenantfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"example.com/tokend/pkg/mock/tenant"
)

const maxFile = 256 << 20

// file reads one file: a whole export, or one object of a section.
func (l *loader) file(path, section string) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxFile {
		l.unread(path, 0, "the file is larger than %d MiB", maxFile>>20)
		return
	}
	b, err := os.ReadFile(path) //nolint:gosec // a path that the user gave
	if err != nil {
		l.unread(path, 0, "%v", reason(err))
		return
	}
	b = l.replaceKeywords(path, bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))) // a byte order mark
	if section == "" && !l.slow && l.json(b) {
		return
	}
	f, err := parser.ParseBytes(b, 0)
	if err != nil {
		l.syntax(path, err)
		return
	}
	if len(f.Docs) == 0 || f.Docs[0].Body == nil {
		l.unread(path, 0, "the file is empty")
		return
	}
	if len(f.Docs) > 1 {
		l.unread(path, line(f.Docs[1].Body), "second YAML document; use one file for each tenant or object")
		return
	}
	body := f.Docs[0].Body
	if n := anchor(b, body); n != nil {
		l.unread(path, line(n), "anchors and aliases of YAML are not supported; repeat the value, or quote text that begins with & or *")
		return
	}
	if section != "" {
		l.section(path, section, body, true)
		return
	}
	all := entries(body)
	l.export = slices.ContainsFunc(all, func(kv *ast.MappingValueNode) bool { return sectionName(kv) == exportSection })
	for _, kv := range all {
		l.section(path, sectionName(kv), kv.Value, false)
	}
	l.export = false
	if _, isMap := body.(ast.MapNode); !isMap {
		l.unread(path, line(body), "not a mapping of sections like clients and resourceServers")
	}
}

// exportSection is the section that only mockauth0 export writes.
const exportSection = "x-management"

func sectionName(kv *ast.MappingValueNode) string { return strings.Trim(kv.Key.String(), `"'`) }

// anchor returns the first anchor or alias of a document, or nil.
func anchor(text []byte, body ast.Node) ast.Node {
	if !bytes.ContainsAny(text, "&*") {
		return nil
	}
	for _, kind := range []ast.NodeType{ast.AnchorType, ast.AliasType} {
		if found := ast.Filter(kind, body); len(found) > 0 {
			return found[0]
		}
	}
	return nil
}

// json reads a valid JSON export in a tenth of the time, because lists of users are
// long. For anything else it returns false and changes nothing.
func (l *loader) json(b []byte) bool {
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		return false
	}
	var e tenant.File
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if d.Decode(&e) != nil || len(bytes.TrimSpace(b[d.InputOffset():])) > 0 || l.hasUnused(reflect.ValueOf(e), "") {
		return false
	}
	if slices.ContainsFunc(e.Connections, func(c tenant.Connection) bool { return !c.Passwordless() }) {
		return false // the slow path reports those that the mock does not have
	}
	if !reflect.ValueOf(e.Tenant).IsZero() {
		if !reflect.ValueOf(l.tenant.Tenant).IsZero() { // the slow path merges the members
			return false
		}
		l.tenant.Tenant = e.Tenant
	}
	into := l.tenant
	into.Clients = append(into.Clients, e.Clients...)
	into.ResourceServers = append(into.ResourceServers, e.ResourceServers...)
	into.ClientGrants = append(into.ClientGrants, e.ClientGrants...)
	into.Roles = append(into.Roles, e.Roles...)
	into.Organizations = append(into.Organizations, e.Organizations...)
	into.Databases = append(into.Databases, e.Databases...)
	into.Connections = append(into.Connections, e.Connections...)
	into.Users = append(into.Users, e.Users...)
	into.Actions = append(into.Actions, e.Actions...)
	return true
}

// hasUnused reports whether a value of the schema sets a member that the mock does not
// use, which the slow path reports with its line.
func (l *loader) hasUnused(v reflect.Value, path string) bool {
	switch {
	case v.IsZero() || path == "users": // all their members are used, and there can be many
		return false
	case v.Kind() == reflect.Pointer:
		return l.hasUnused(v.Elem(), path)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			if l.hasUnused(v.Index(i), path) {
				return true
			}
		}
		return false
	case v.Kind() != reflect.Struct:
		return !l.inspector.Emulates(path)
	}
	for f, member := range v.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if l.hasUnused(member, strings.TrimPrefix(path+"."+name, ".")) {
			return true
		}
	}
	return false
}

func (l *loader) syntax(path string, err error) {
	var y yaml.Error
	if errors.As(err, &y) {
		l.unread(path, y.GetToken().Position.Line, "%s", y.GetMessage())
		return
	}
	l.unread(path, 0, "%v", err)
}

// entries returns the members of a mapping.
func entries(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

func line(n ast.Node) int {
	if n == nil || n.GetToken() == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

// section adds a section, or with single one object of it.
func (l *loader) section(path, name string, n ast.Node, single bool) {
	e := l.tenant
	switch name {
	case "tenant":
		l.place(path, name, n, l.object(path, name, name, n, &e.Tenant))
	case "clients":
		list(l, path, name, n, single, &e.Clients)
	case "resourceServers":
		list(l, path, name, n, single, &e.ResourceServers)
	case "clientGrants":
		list(l, path, name, n, single, &e.ClientGrants)
	case "roles":
		list(l, path, name, n, single, &e.Roles)
	case "organizations":
		list(l, path, name, n, single, &e.Organizations)
	case "databases":
		list(l, path, name, n, single, &e.Databases)
	case "connections":
		l.connections(path, name, n, single)
	case "users":
		list(l, path, name, n, single, &e.Users)
	case "x-actions":
		list(l, path, name, n, single, &e.Actions)
	case exportSection:
		if _, empty := n.(*ast.NullNode); e.Management == nil {
			e.Management = &tenant.Management{}
			good := empty
			if !empty {
				_, good = l.decode(path, name, n, e.Management)
			}
			l.place(path, name, n, good)
		} else {
			l.unread(path, line(n), "a second %s; an export is one file", name)
		}
	default:
		if _, empty := n.(*ast.NullNode); !empty && n.String() != "[]" && n.String() != "{}" {
			l.strange(name, fmt.Sprintf("%s:%d", path, line(n)), likeSections(name))
		}
	}
}

// likeSections returns the sections that a misspelt name can mean.
func likeSections(name string) []string {
	if meaning[name] != "" { // a section of Auth0
		return nil
	}
	names := []string{"tenant"}
	for _, part := range layout {
		names = append(names, part.section)
	}
	return names
}

// list appends the objects of a section.
func list[T any](l *loader, path, name string, n ast.Node, single bool, into *[]T) {
	nodes := []ast.Node{n}
	if !single {
		switch seq := n.(type) {
		case *ast.SequenceNode:
			nodes = seq.Values
		case *ast.NullNode:
			return
		default:
			l.unread(path, line(n), "%s must be a list", name)
			return
		}
	}
	for _, n := range nodes {
		var v T
		at := fmt.Sprintf("%s[%d]", name, len(*into))
		l.place(path, at, n, l.object(path, name, at, n, &v))
		*into = append(*into, v) // keep an object with errors, because others refer to it
	}
}

// connections adds passwordless connections. The mock only stores others.
func (l *loader) connections(path, name string, n ast.Node, single bool) {
	nodes := []ast.Node{n}
	if seq, isList := n.(*ast.SequenceNode); isList && !single {
		nodes = seq.Values
	} else if !single {
		list(l, path, name, n, false, &l.tenant.Connections)
		return
	}
	for _, n := range nodes {
		var c struct {
			Strategy string `yaml:"strategy"`
		}
		if err := yaml.NodeToValue(n, &c); err == nil && c.Strategy != "" && !(&tenant.Connection{Strategy: c.Strategy}).Passwordless() {
			l.ignore(name, fmt.Sprintf("%s:%d", path, line(n)))
			if b, err := rawJSON(n); err == nil {
				l.tenant.OtherConnections = append(l.tenant.OtherConnections, b)
			}
			continue
		}
		list(l, path, name, n, true, &l.tenant.Connections)
	}
}

// place records where an object is.
func (l *loader) place(path, name string, n ast.Node, good bool) {
	if l.slow {
		l.places[name] = place{file: path, node: n, reported: !good}
	}
}

var keyword = regexp.MustCompile(`##([A-Za-z0-9_]+)##|"?@@([A-Za-z0-9_]+)@@"?`)

// replaceKeywords does what auth0-deploy-cli does before it parses:
// ##KEY## becomes the value's text and @@KEY@@ its JSON. It keeps and notes markers
// without a mapping.
func (l *loader) replaceKeywords(path string, b []byte) []byte {
	if !bytes.Contains(b, []byte("##")) && !bytes.Contains(b, []byte("@@")) {
		return b
	}
	return keyword.ReplaceAllFunc(b, func(m []byte) []byte {
		parts := keyword.FindSubmatch(m)
		key := string(slices.Concat(parts[1], parts[2]))
		v, known := l.Mappings[key]
		if !known {
			l.ignore("##"+key+"##", path)
			return m
		}
		if s, isString := v.(string); isString && len(parts[1]) > 0 {
			return []byte(s)
		}
		j, err := json.Marshal(v)
		if err != nil {
			l.report(path, 0, "keyword %s: %v", key, err)
			return m
		}
		return j
	})
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
