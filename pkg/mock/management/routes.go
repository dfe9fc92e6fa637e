package management

import (
	"net/url"
	"strings"
)

// route is one endpoint.
type route struct {
	method string
	path   string
	handle func(*call) (Answer, error)
	scopes []string // that the schema lacks
}

func (r *route) name() string { return r.method + " " + r.path }

// node is a segment of the paths. A literal segment wins over a parameter.
type node struct {
	literal map[string]*node
	any     *node
	methods map[string]*route
}

func newRoutes(table []route) *node {
	root := &node{}
	for _, r := range table {
		at := root
		for segment := range strings.SplitSeq(strings.TrimPrefix(r.path, "/"), "/") {
			at = at.child(segment)
		}
		if at.methods == nil {
			at.methods = map[string]*route{}
		}
		at.methods[r.method] = &r
	}
	return root
}

func (n *node) child(segment string) *node {
	if strings.HasPrefix(segment, "{") {
		if n.any == nil {
			n.any = &node{}
		}
		return n.any
	}
	if n.literal == nil {
		n.literal = map[string]*node{}
	}
	if n.literal[segment] == nil {
		n.literal[segment] = &node{}
	}
	return n.literal[segment]
}

// find returns the route of an escaped path, and its parameters in their order. Segments
// are decoded one by one, because an identifier may contain a slash.
func (n *node) find(method, path string) (*route, []string) {
	var segments []string
	for s := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		decoded, err := url.PathUnescape(s)
		if err != nil || decoded == "" {
			return nil, nil
		}
		segments = append(segments, decoded)
	}
	return n.match(method, segments, nil)
}

func (n *node) match(method string, segments, params []string) (*route, []string) {
	if len(segments) == 0 {
		return n.methods[method], params
	}
	if next := n.literal[segments[0]]; next != nil {
		if r, params := next.match(method, segments[1:], params); r != nil {
			return r, params
		}
	}
	if n.any != nil {
		return n.any.match(method, segments[1:], append(params, segments[0]))
	}
	return nil, nil
}
