package config

import (
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// pieceSize is the number of clients that are parsed at once.
const pieceSize = 64

// parseYAML parses a document. The library copies the rest of the
// document at each key of a mapping, so many clients are parsed in pieces. A document
// with an error is parsed again as a whole, so that the error names the right place.
func parseYAML(text []byte) (*ast.File, error) {
	if tree := parseInPieces(string(text)); tree != nil {
		return tree, nil
	}
	return parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
}

// parseInPieces returns nil if there are few clients, or if a piece has an error.
func parseInPieces(text string) *ast.File {
	var tree *ast.File
	var root, clients *ast.MappingNode
	for p, file := range parsed(split(text)) {
		m := mappingOf(file)
		switch {
		case m == nil:
			return nil
		case p.clients:
			clients.Values = append(clients.Values, m.Values...)
		case tree == nil:
			tree, root = file, m
			if clients, _ = m.Values[len(m.Values)-1].Value.(*ast.MappingNode); clients == nil {
				return nil
			}
		default:
			root.Values = append(root.Values, m.Values...)
		}
	}
	return tree
}

// piece is a part of a document that is a mapping on its own: the text up to the first
// clients, more clients, or the text after them.
type piece struct {
	text    string
	before  int  // lines before it
	clients bool // its keys are names of clients
}

// parsed parses pieces on all processors, a few at a time, and yields them in order.
func parsed(pieces []piece) iter.Seq2[piece, *ast.File] {
	return func(yield func(piece, *ast.File) bool) {
		for some := range slices.Chunk(pieces, 4*runtime.GOMAXPROCS(0)) {
			files := make([]*ast.File, len(some))
			var wg sync.WaitGroup
			for i, p := range some {
				wg.Go(func() { files[i] = p.parse() })
			}
			wg.Wait()
			for i, p := range some {
				if !yield(p, files[i]) {
					return
				}
			}
		}
	}
}

// mappingOf returns the mapping that a piece is, or nil.
func mappingOf(file *ast.File) *ast.MappingNode {
	if file == nil {
		return nil
	}
	m, _ := file.Docs[0].Body.(*ast.MappingNode)
	if m == nil || len(m.Values) == 0 {
		return nil
	}
	return m
}

// parse parses a piece, with the lines of the document. It returns nil if the piece has
// an error, or an element that concerns other pieces.
func (p piece) parse() *ast.File {
	tokens := lexer.Tokenize(p.text)
	for _, tk := range tokens {
		switch tk.Type {
		case token.DocumentHeaderType, token.DocumentEndType, token.DirectiveType, token.AnchorType, token.AliasType, token.TagType, token.MergeKeyType:
			return nil
		}
		tk.Position.Line += p.before
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil || len(file.Docs) != 1 {
		return nil
	}
	return file
}

// split divides a document with many clients in a block mapping "clients" at lines that
// have only a client's name. Such a line is inside another value only in quotes or
// brackets, which are then open at the end of a piece: an error. It returns nil if there
// are few clients.
func split(text string) (pieces []piece) {
	var start, at, before, line, indent, clients int
	inside, after := false, false // of the mapping
	cut := func(p piece) {
		p.text, p.before = text[start:at], before
		pieces, start, before = append(pieces, p), at, line
	}
	for s := range strings.Lines(text) {
		content := strings.TrimLeft(s, " ")
		column := len(s) - len(content)
		switch {
		case after || strings.TrimSpace(content) == "" || content[0] == '#':
		case !inside:
			inside = column == 0 && isKey(content) && strings.HasPrefix(content, "clients:")
		case column < indent || indent == 0 && column == 0:
			if after = true; column > 0 {
				return nil
			}
			cut(piece{clients: pieces != nil})
		case indent == 0:
			indent = column
		case column == indent && isKey(content):
			if clients++; clients%pieceSize == 0 {
				cut(piece{clients: pieces != nil})
			}
		}
		at += len(s)
		line++
	}
	cut(piece{clients: pieces != nil && !after})
	if clients < pieceSize {
		return nil
	}
	return pieces
}

// isKey reports whether a line has only a plain key, and perhaps a comment.
func isKey(line string) bool {
	name, rest, found := strings.Cut(line, ":")
	rest = strings.TrimRight(rest, "\r\n")
	comment := strings.TrimLeft(rest, " ")
	return found && (comment == "" || comment[0] == '#' && comment != rest) &&
		!strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' })
}
