package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
)

// manyClients are more clients than are parsed at once, in several forms of YAML.
func manyClients() string {
	forms := []string{
		"  client-%d: # a comment\n    issuer: https://x.example/?a=b&c=d\n    scopes: [a,\n  b: c]\n",
		"  \"client-%d\":\n    scopes:\n    - one\n    - two\n# a comment\n",
		"  client-%d: {issuer: https://x.example/, refresh: {\n  advisory: 5m,\n  mandatory: 1m}}\n\n",
		"  client-%d:\n",
		"  client-%d:\n    private_key: |\n      one: two\n      three: four\n    audience: 'of\n      two lines'\n",
	}
	var b strings.Builder
	for i := range 2*pieceSize + 1 {
		fmt.Fprintf(&b, forms[i%len(forms)], i)
	}
	return b.String()
}

// nodes are all nodes of a file, each with its place. The library gives an absent
// value a column that depends on what follows.
type nodes []string

func (l *nodes) Visit(n ast.Node) ast.Visitor {
	at := n.GetToken().Position
	if n.Type() == ast.NullType {
		*l = append(*l, fmt.Sprintf("%d null", at.Line))
		return l
	}
	*l = append(*l, fmt.Sprintf("%d:%d %s %q", at.Line, at.Column, n.Type(), n.GetToken().Value))
	return l
}

func nodesOf(tree *ast.File) (l nodes) {
	if tree != nil {
		for _, doc := range tree.Docs {
			ast.Walk(&l, doc.Body)
		}
	}
	return l
}

func TestManyClientsAreParsedInPieces(t *testing.T) {
	for name, text := range map[string]string{
		"alone":      "clients:\n" + manyClients(),
		"first":      "clients:\n" + manyClients() + "keys:\n  a: {key: b}\nfiles:\n- client: a\n  path: b\n",
		"last":       "# a comment\nfiles:\n- client: a\n  clients: b\nkeys:\n  clients: c\nclients: # here\n" + manyClients(),
		"twice":      "clients:\n" + manyClients() + "clients:\n  a:\n",
		"CR and LF":  strings.ReplaceAll("clients:\n"+manyClients(), "\n", "\r\n"),
		"indented 4": strings.ReplaceAll("clients:\n"+manyClients(), "\n  ", "\n    "),
	} {
		tree := parseInPieces(lexer.Tokenize(text))
		if tree == nil {
			t.Errorf("%s: not parsed in pieces", name)
			continue
		}
		whole, err := parser.ParseBytes([]byte(text), 0, parser.AllowDuplicateMapKey())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := nodesOf(tree), nodesOf(whole); !slices.Equal(got, want) {
			t.Errorf("%s: %d nodes, not %d, or others", name, len(got), len(want))
		}
	}
}

// The faults of a large file are the same as when it is parsed at once, for any place in
// the file.
func TestManyClientsAreParsedAsStrictlyAsFew(t *testing.T) {
	lines := strings.SplitAfter("clients:\n"+manyClients()+"keys:\n  a: {key: b}\n", "\n")
	for _, wrong := range []string{
		"\tx: y\n", "  x\n", "  x: y: z\n", "  - x\n", "- x\n", " x: y\n", "   x: y\n", "x: y\n", "  x: {y\n", "  x: y]\n", "  x: \"y\n", "---\n", "...\n", "  ? x\n",
		"  : y\n", "  x: &a y\n", "  x: *a\n", "  <<: {}\n", "  x: !!binary y\n", "  client-0:\n", "clients:\n", "%TAG ! x\n", "  x: |\n y\n", "  x: [\n", "  x: 'y' z\n",
	} {
		for at := 1; at < len(lines); at += 79 {
			text := []byte(strings.Join(slices.Insert(slices.Clone(lines), at, wrong), ""))
			tree, err := parseYAML(text)
			whole, want := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
			if fmt.Sprint(err) != fmt.Sprint(want) {
				t.Errorf("%q before line %d: %v, not %v", wrong, at+1, err, want)
			}
			if got, want := nodesOf(tree), nodesOf(whole); !slices.Equal(got, want) {
				t.Errorf("%q before line %d: %d nodes, not %d, or others", wrong, at+1, len(got), len(want))
			}
		}
	}
}
