package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// manyClients are more clients than are parsed at once, in several forms of YAML.
func manyClients() string {
	return clientsOf(
		"  client-%d: # a comment\n    issuer: https://x.example/?a=b&c=d\n    scopes: [a,\n  b: c]\n",
		"  \"client-%d\":\n    scopes:\n    - one\n    - two\n# a comment\n",
		"  client-%d: {issuer: https://x.example/, refresh: {\n  advisory: 5m,\n  mandatory: 1m}}\n\n",
		"  client-%d:\n",
		"  client-%d:\n    private_key: |\n      one: two\n      three: four\n    audience: 'of\n      two lines'\n",
	)
}

func clientsOf(forms ...string) string {
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
		"CR and LF":  "clients:\r\n" + clientsOf("  client-%d:\r\n    scopes:\r\n    - one\r\n"), // after a comment and in quotes the library counts such a line twice
		"indented 4": strings.ReplaceAll("clients:\n"+manyClients(), "\n  ", "\n    "),
	} {
		tree := parseInPieces(text)
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
		"  x: &a y\n", "    scopes: [a,\n  b:\n    c]\n", "    scopes: 'a\n  b:\n    c'\n", "    scopes: \"a\n  b:\n    c\"\n", "    scopes: {a: b,\n  c:\n    d: e}\n", "  y: |\n    client-1:\n", "\tx: y\n", "  x\n", "  x: y: z\n", "  - x\n", "- x\n", " x: y\n", "   x: y\n", "x: y\n", "  x: {y\n", "  x: y]\n", "  x: \"y\n", "---\n", "...\n", "  ? x\n",
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

// A large file without faults is read as a small one is. One with faults is parsed as a
// whole, for their places.
func TestManyClientsAreReadInPieces(t *testing.T) {
	many := "listen: 127.0.0.1:9000\nclients:\n" + strings.ReplaceAll(manyClients(), "b: c", "b") + "keys:\n  a: {key: b}\n"
	for name, text := range map[string]string{
		"no fault":                     many,
		"an unknown key":               strings.Replace(many, "  client-70:", "  client-70:\n    x: y", 1),
		"a list in place of a mapping": strings.Replace(many, "  client-100:", "  other: [a]\n  client-100:", 1),
		"a client twice":               strings.Replace(many, "  client-128:", "  client-3:\n  client-128:", 1),
		"a key twice":                  many + "listen: off\n",
		"a key between two levels":     strings.ReplaceAll(strings.TrimSuffix(many, "keys:\n  a: {key: b}\n"), "\n  ", "\n    ") + "  keys:\n    a: {key: b}\n",
		"a number as a name":           strings.Replace(many, "  client-103:", "  007:", 1),
		"an alias":                     strings.Replace(many, "  client-103:", "  b: &b\n    login: paste\n  a: *b\n  client-103:", 1),
	} {
		t.Run(name, func(t *testing.T) {
			l, whole := &loader{env: environ(t)}, &loader{env: environ(t)}
			got, complete := l.parseFile("f", []byte(text))
			want, wholeComplete := whole.parseWhole([]byte(text))
			if !reflect.DeepEqual(got, want) || complete != wholeComplete {
				t.Errorf("%d clients (complete: %t), not %d (%t), or others", len(got.Clients), complete, len(want.Clients), wholeComplete)
			}
			for i := range whole.faults {
				whole.faults[i].File = "f"
			}
			if !slices.Equal(l.faults, whole.faults) {
				t.Errorf("faults:\n%v\nnot:\n%v", l.faults, whole.faults)
			}
			if inPieces := l.file.text != nil; inPieces != (name == "no fault" || name == "a number as a name") {
				t.Errorf("read in pieces: %t", inPieces)
			}
			for _, setting := range []string{"listen", "clients.client-128", "clients.client-100.issuer", "keys.a.key"} {
				if got, want := l.file.line(setting), whole.file.line(setting); got != want || got == 0 && complete {
					t.Errorf("%s is on line %d, not %d", setting, got, want)
				}
			}
		})
	}
}
