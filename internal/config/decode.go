package config

import (
	"bytes"
	"errors"
	"reflect"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

var errUnreadable = errors.New("cannot be read")

// decodeFile reads a parsed document. Of a large file the library's decoder takes
// more time than everything else, because it reads the fields of clientSchema again
// for each client, so it decodes only values that are not a mapping or a plain string.
// Anchors, aliases, merges and tags concern other parts of the document: with one
// of them the library reads all of it.
func (r fileReader) decodeFile(text []byte, body ast.Node, c *fileSchema) error {
	switch {
	case body == nil:
		return nil
	case body.Type() != ast.MappingType && body.Type() != ast.MappingValueType, bytes.ContainsAny(text, "&*!") || bytes.Contains(text, []byte("<<")):
		return decodeNode(body, c)
	}
	return r.decode(body, reflect.ValueOf(c).Elem())
}

// readInPieces reads a document with many clients and without faults. It drops each piece
// of clients that was read, because a parsed document takes fifty times the memory of its
// text, and returns the others; nil if there are few clients or an error. Faults that it
// records may have the wrong place.
func (r fileReader) readInPieces(text []byte) (c fileSchema, root *ast.MappingNode) {
	for p, file := range parsed(split(string(text))) {
		m := mappingOf(file)
		if m == nil || !r.readPiece(p, m, &c) {
			return fileSchema{}, nil
		}
		switch {
		case p.clients:
		case root == nil:
			root = m
		default:
			root.Values = append(root.Values, m.Values...)
			r.check("", root, reflect.TypeFor[fileSchema]()) // a key may be in both
		}
	}
	return c, root
}

// readPiece adds a piece to c.
func (r fileReader) readPiece(p piece, m *ast.MappingNode, c *fileSchema) bool {
	place, to := "", reflect.ValueOf(c).Elem()
	if p.clients {
		place, to = "clients", reflect.ValueOf(&c.Clients).Elem()
	}
	r.check(place, m, to.Type())
	before := len(c.Clients)
	err := r.decode(m, to)
	return err == nil && (!p.clients || len(c.Clients) == before+len(m.Values)) // otherwise one is a duplicate
}

// decodeNode calls the library, which panics at some tags.
func decodeNode(n ast.Node, to any) (err error) {
	defer func() {
		if recover() != nil {
			err = errUnreadable
		}
	}()
	return yaml.NodeToValue(n, to, yaml.AllowDuplicateMapKey())
}

// decode reads a node into v, which can be set. Keys that v does not have were
// reported before.
func (r fileReader) decode(n ast.Node, v reflect.Value) error {
	m, mapping := n.(ast.MapNode)
	s, text := n.(*ast.StringNode)
	switch {
	case n == nil || n.Type() == ast.NullType:
		return nil
	case text && v.Kind() == reflect.String:
		v.SetString(s.Value)
		return nil
	case mapping && v.Kind() == reflect.Struct:
		fields := r.fieldsOf(v.Type())
		for it := m.MapRange(); it.Next(); {
			i, known := fields[it.Key().GetToken().Value]
			if !known {
				continue
			}
			if err := r.decode(it.Value(), v.FieldByIndex(i)); err != nil {
				return err
			}
		}
		return nil
	case mapping && v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Struct:
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		value := reflect.New(v.Type().Elem()).Elem()
		for it := m.MapRange(); it.Next(); {
			if _, plain := it.Key().(*ast.StringNode); !plain { // such as 007, which the library makes a number
				return decodeNode(n, v.Addr().Interface())
			}
			value.SetZero()
			if err := r.decode(it.Value(), value); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(it.Key().GetToken().Value), value)
		}
		return nil
	}
	return decodeNode(n, v.Addr().Interface())
}
