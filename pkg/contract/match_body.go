package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"
)

// body compares the body in every way that the case describes.
func (m *match) body(ctx context.Context, want *Body) {
	page := string(m.got.body)
	for _, part := range want.HTMLContains {
		escaped := m.scene.vars.escaped()
		if expected, err := escaped.fill(part); err != nil || !strings.Contains(page, expected) {
			m.differ("page: expected to contain %q", part)
		}
	}
	for _, part := range want.TextContains {
		if expected, ok := m.fill("page", part); ok && !strings.Contains(textOf(page), expected) {
			m.differ("page: expected the words %q", expected)
		}
	}
	if want.Text != nil && page != *want.Text {
		m.differ("body: expected %q, got %q", *want.Text, clip(page))
	}
	if want.SameAs != "" {
		m.sameAs(ctx, want.SameAs)
	}
	if len(want.List) > 0 {
		m.array(want.List)
	}
	if len(want.Exact) == 0 && len(want.Shape) == 0 && want.Keys == nil {
		return
	}
	got, err := parseObject(m.got.body)
	if err != nil || len(m.got.body) == 0 {
		m.differ("body: expected a JSON object, got %q", clip(page))
		return
	}
	m.object(want, got)
	for _, name := range want.Absent {
		if _, found := got.get(name); found {
			m.differ("body.%s: expected none, got one", name)
		}
	}
	m.tokens(ctx, got)
}

// array compares a body that is an array.
func (m *match) array(want json.RawMessage) {
	expected, err := parseJSON(want)
	if err == nil {
		expected, err = m.scene.vars.fillValue(expected)
	}
	if err != nil {
		m.differ("the case: %v", err)
		return
	}
	got, err := parseJSON(m.got.body)
	if list, isList := got.([]any); err != nil || !isList {
		m.differ("body: expected a JSON array, got %q", clip(string(m.got.body)))
	} else {
		m.value("body", expected, list)
	}
}

// escaped returns the variables with HTML escaping.
func (v variables) escaped() variables {
	out := make(variables, len(v))
	for k, s := range v {
		out[k] = html.EscapeString(s)
	}
	return out
}

func (m *match) object(want *Body, got *object) {
	optional := m.optional(want)
	for _, k := range optional.keys {
		if v, found := got.get(k); found {
			m.value("body."+k, optional.values[k], v)
		}
	}
	exact, shape := m.expected(want.Exact), m.expected(want.Shape)
	m.members("body", exact, got)
	m.members("body", shape, got)
	known := slices.Concat(exact.keys, want.Keys)
	if !want.Open {
		m.order("body", exact.keys, got.only(exact.keys))
	}
	for _, k := range want.Keys {
		_, found := got.get(k)
		if _, compared := shape.get(k); !found && !compared { // members has reported the others
			m.differ("body.%s: expected, got none", k)
		}
	}
	m.order("body", want.Keys, got.only(want.Keys))
	closed := want.Keys != nil || (len(exact.keys) > 0 && !want.Open)
	for _, k := range got.keys {
		switch {
		case slices.Contains(known, k), slices.Contains(shape.keys, k), slices.Contains(optional.keys, k):
		case closed:
			m.differ("body.%s: expected none, got one", clip(k))
		case !m.scene.data.knownMembers[m.scene.c.Request.Path][k]:
			m.drift("%s: member %s", m.scene.c.Request.Path, clip(k))
		}
	}
}

// optional returns the members that may be present. On a real tenant these include
// members that depend on its settings.
func (m *match) optional(want *Body) *object {
	out := m.expected(want.Optional)
	if m.scene.isMock() {
		return out
	}
	settings := m.expected(want.Settings)
	all := &object{keys: slices.Concat(out.keys, settings.keys), values: map[string]any{}}
	maps.Copy(all.values, out.values)
	maps.Copy(all.values, settings.values)
	return all
}

// members compares the members of an expected object and ignores others.
func (m *match) members(at string, want, got *object) {
	for _, k := range want.keys {
		v, found := got.get(k)
		if !found {
			m.differ("%s.%s: expected %s, got none", at, k, show(want.values[k]))
			continue
		}
		m.value(at+"."+k, want.values[k], v)
	}
}

// order compares the order of the keys that both have.
func (m *match) order(at string, want, got []string) {
	both := slices.DeleteFunc(slices.Clone(want), func(k string) bool { return !slices.Contains(got, k) })
	if !slices.Equal(both, got) {
		m.differ("%s: expected the order %v, got %v", at, both, got)
	}
}

// value compares a JSON value with an expected one. An expected string may be a kind
// or contain wildcards.
func (m *match) value(at string, want, got any) {
	switch want := want.(type) {
	case string:
		m.text(at, want, got)
		return
	case *object:
		if o, ok := got.(*object); ok {
			m.members(at, want, o)
			return
		}
	case []any:
		if list, ok := got.([]any); ok {
			m.list(at, want, list)
			return
		}
	case json.Number:
		if n, ok := got.(json.Number); ok && n.String() == want.String() {
			return
		}
	default:
		if want == got {
			return
		}
	}
	m.differ("%s: expected %s, got %s", at, show(want), show(got))
}

// list compares item by item. An expected list of one object or kind matches one or
// more of it.
func (m *match) list(at string, want, got []any) {
	kind := false
	if len(want) == 1 {
		s, isText := want[0].(string)
		_, isObject := want[0].(*object)
		kind = isObject || (isText && strings.HasPrefix(s, "$"))
	}
	switch {
	case kind && len(got) > 0:
		for _, item := range got {
			m.value(at+"[]", want[0], item)
		}
		return
	case kind:
		m.differ("%s: expected one or more of %s, got none", at, show(want[0]))
		return
	case len(want) != len(got) && isShort(want) && isShort(got):
		m.differ("%s: expected %s %s, got %d %s", at, elements(len(want)), show(want), len(got), show(got))
		return
	case len(want) != len(got):
		m.differ("%s: expected %s, got %d", at, elements(len(want)), len(got))
		return
	}
	m.items(at, want, got)
}

// items compares lists of one length, up to the first item that differs. The difference is
// that of the whole list, or of the item if the lists are too long to be shown.
func (m *match) items(at string, want, got []any) {
	for i := range want {
		before := len(m.diff)
		if m.value(fmt.Sprintf("%s[%d]", at, i), want[i], got[i]); len(m.diff) == before {
			continue
		}
		if isShort(want) && isShort(got) {
			m.diff = m.diff[:before]
			m.differ("%s: expected %s, got %s", at, show(want), show(got))
		}
		return
	}
}

func elements(n int) string {
	if n == 1 {
		return "1 element"
	}
	return fmt.Sprintf("%d elements", n)
}

func (m *match) text(at, want string, got any) {
	if want == "$scope" { // the scope of the answer
		o, err := parseObject(m.got.body)
		if err != nil {
			return
		}
		if s, granted := o.get("scope"); !granted || s != got {
			m.differ("%s: expected the scope of the answer, %s, got %s", at, show(s), show(got))
		}
		return
	}
	ok, known := matchesSetting(want, got, m.scene.isMock())
	if !known {
		ok, known = matchesKind(want, got, m.scene.target.Issuer)
	}
	if !known {
		s, isText := got.(string)
		ok = isText && matches(want, s, m.scene.isMock())
	}
	if s, isText := got.(string); ok && want == "$opaque_new" && isText && slices.Contains(m.scene.issued, s) {
		m.differ("%s: expected a new value, got one that was issued before", at)
	}
	if !ok {
		m.differ("%s: expected %s, got %s", at, show(want), show(got))
	}
}

// tokens compares the JWTs of a body.
func (m *match) tokens(ctx context.Context, got *object) {
	members := make([]string, 0, len(m.scene.c.JWT))
	for member := range m.scene.c.JWT {
		members = append(members, member)
	}
	slices.Sort(members)
	expiresIn, _ := got.get("expires_in")
	for _, member := range members {
		if token := got.text(member); token != "" {
			m.matchJWT(ctx, member, token, m.scene.data.common.JWT[m.scene.c.JWT[member]], expiresIn)
		}
	}
}

// sameAs requests another case now and compares the bodies.
func (m *match) sameAs(ctx context.Context, id string) {
	at := slices.IndexFunc(m.scene.data.cases, func(c Case) bool { return c.ID == id })
	other, err := m.scene.request(ctx, m.scene.data.cases[at].Request)
	if err != nil {
		m.differ("body: %v", err)
		return
	}
	if !bytes.Equal(m.got.body, other.body) {
		m.differ("body: expected that of %s %s, got another", other.method, other.path)
	}
}
