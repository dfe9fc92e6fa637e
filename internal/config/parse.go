package config

import (
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
	if tree := parseInPieces(lexer.Tokenize(string(text))); tree != nil {
		return tree, nil
	}
	return parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
}

// parseInPieces returns nil if there are few clients, or if a piece has an error.
func parseInPieces(tokens token.Tokens) *ast.File {
	starts, end := clientTokens(tokens)
	if len(starts) <= pieceSize {
		return nil
	}
	// The first piece is parsed together with the text around the clients.
	tree, err := parser.Parse(append(tokens[:starts[pieceSize]:starts[pieceSize]], tokens[end:]...), 0, parser.AllowDuplicateMapKey())
	if err != nil || len(tree.Docs) != 1 {
		return nil
	}
	clients := mappingOf(tree.Docs[0].Body, tokens[starts[0]])
	if clients == nil {
		return nil
	}
	for i := pieceSize; i < len(starts); i += pieceSize {
		until := end
		if i+pieceSize < len(starts) {
			until = starts[i+pieceSize]
		}
		piece, err := parser.Parse(tokens[starts[i]:until], 0, parser.AllowDuplicateMapKey())
		if err != nil || len(piece.Docs) != 1 {
			return nil
		}
		m, ok := piece.Docs[0].Body.(*ast.MappingNode)
		if !ok {
			return nil
		}
		clients.Values = append(clients.Values, m.Values...)
	}
	return tree
}

// mappingOf returns the mapping whose first key is at token, among the values of
// the outer one.
func mappingOf(outer ast.Node, first *token.Token) *ast.MappingNode {
	m, _ := outer.(ast.MapNode)
	if m == nil {
		return nil
	}
	for it := m.MapRange(); it.Next(); {
		if inner, ok := it.Value().(*ast.MappingNode); ok && len(inner.Values) > 0 && inner.Values[0].Key.GetToken() == first {
			return inner
		}
	}
	return nil
}

// clientTokens finds where each client of a block mapping "clients" begins, and
// where the last one ends.
func clientTokens(tokens token.Tokens) (starts []int, end int) {
	column, flow := 0, 0 // of the clients' names; how deep in [ and {
	for i, tk := range tokens {
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.DocumentHeaderType, token.DocumentEndType, token.DirectiveType, token.AnchorType, token.AliasType, token.TagType, token.MergeKeyType:
			return nil, 0
		case token.CommentType:
			continue
		}
		key := flow == 0 && i+1 < len(tokens) && tokens[i+1].Type == token.MappingValueType
		at := tk.Position.Column
		switch {
		case !key:
		case column < 0 && at > 1: // the first client
			column, starts = at, append(starts, i)
		case column == 0 && at == 1 && tk.Value == "clients":
			column = -1
		case column > 0 && at == column:
			starts = append(starts, i)
		case column > 0 && at < column:
			return starts, i
		case column < 0:
			return nil, 0
		}
	}
	return starts, len(tokens)
}
