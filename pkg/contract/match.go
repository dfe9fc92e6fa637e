package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// match compares an answer with its case. Differences fail the case. Drift is
// anything that the data does not know.
type match struct {
	scene   *scene
	got     *answer
	diff    []string
	drifted []string
}

func (m *match) differ(format string, args ...any) {
	m.diff = append(m.diff, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", `\n`))
}

func (m *match) drift(format string, args ...any) {
	m.drifted = append(m.drifted, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", `\n`))
}

// all compares everything in the case.
func (m *match) all(ctx context.Context) {
	c := m.scene.c
	if m.got.status != c.Status {
		m.differ("status: expected %d, got %d", c.Status, m.got.status)
	}
	m.headers()
	if c.Location != nil {
		m.location(c.Location)
	}
	if c.Body != nil {
		m.body(ctx, c.Body)
	}
}

// compareCase applies Case.Assert. A difference that it does not assert becomes drift.
func (m *match) compareCase(ctx context.Context) {
	m.all(ctx)
	c := m.scene.c
	believed := m.diff
	switch c.Assert {
	case "":
		m.compareStatusClass()
		return
	case "4xx":
		m.diff = nil
		m.mustRefuse(false)
	case "4xx_json":
		m.diff = nil
		m.mustRefuse(true)
	case "narrowed_or_4xx":
		m.diff = nil
		if m.got.status != http.StatusOK {
			m.mustRefuse(true)
		} else if o, err := parseObject(m.got.body); err != nil || slices.Contains(strings.Fields(o.text("scope")), "admin:all") {
			m.differ("body.scope: expected no scope that was not granted, got %s", show(o.text("scope")))
		}
	}
	for _, b := range believed {
		if !slices.Contains(m.diff, b) {
			m.drift("believed, not asserted: %s", b)
		}
	}
}

// compareStatusClass accepts a believed status if the first digit is right.
func (m *match) compareStatusClass() {
	c := m.scene.c
	if c.StatusConfidence != Believed || m.got.status == c.Status || m.got.status/100 != c.Status/100 {
		return
	}
	line := m.diff[0]
	m.diff = m.diff[1:]
	m.drift("believed, not asserted: %s", line)
}

func (m *match) mustRefuse(inJSON bool) {
	if m.got.status < 400 || m.got.status > 499 {
		m.differ("status: expected 4xx, got %d", m.got.status)
	}
	if !inJSON {
		return
	}
	if t := m.got.header.Get("Content-Type"); !strings.HasPrefix(t, "application/json") {
		m.differ("header Content-Type: expected JSON, got %q", t)
	}
	if o, err := parseObject(m.got.body); err != nil || o.text("error") == "" {
		m.differ("body: expected a JSON object with error")
	}
}

// headers compares the case's headers and those of its groups.
func (m *match) headers() {
	d, c := m.scene.data, m.scene.c
	want := map[string]*string{}
	for _, group := range c.Common {
		for name, v := range d.common.Headers[group] {
			want[name] = v
		}
	}
	for name, v := range c.Headers {
		want[name] = v
	}
	names := make([]string, 0, len(want))
	for name := range want {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		m.header(name, want[name])
	}
	if slices.Contains(c.Common, "always") {
		m.deviceCookies()
	}
	for name := range m.got.header {
		if !d.knownHeaders[strings.ToLower(name)] {
			m.drift("header %s", clip(name))
		}
	}
	for _, ck := range m.got.cookies {
		if d.common.DeviceCookies[ck.Name] == nil {
			m.drift("cookie %s", clip(ck.Name))
		}
	}
	slices.Sort(m.drifted) // the headers came in a map's order
}

func (m *match) header(name string, want *string) {
	got := m.got.header.Values(name)
	if strings.EqualFold(name, "Content-Length") { // optional with HTTP/2 and chunked answers
		got = []string{strconv.Itoa(len(m.got.body))}
	}
	switch {
	case want == nil:
		if len(got) > 0 {
			m.differ("header %s: expected none, got %q", name, clip(got[0]))
		}
		return
	case len(got) == 0:
		m.differ("header %s: expected %q, got none", name, *want)
		return
	}
	expected, ok := m.fill("header "+name, *want)
	if !ok {
		return
	}
	joined := strings.Join(got, ", ")
	if name == "Vary" {
		for _, element := range strings.Split(expected, ", ") {
			if !strings.Contains(strings.ToLower(joined), strings.ToLower(element)) {
				m.differ("header Vary: expected %q among others, got %q", element, clip(joined))
			}
		}
		return
	}
	if !matches(expected, joined, m.scene.isMock()) {
		m.differ("header %s: expected %q, got %q", name, expected, clip(joined))
	}
}

// deviceCookies checks the cookies that every answer sets if the request has none.
// Secure and SameSite=None are expected with https only.
func (m *match) deviceCookies() {
	if m.got.knownDevice {
		return
	}
	secure := m.got.url.Scheme == "https"
	lines := m.got.header.Values("Set-Cookie")
	for _, name := range []string{"did", "did_compat"} {
		at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+"=") })
		if at < 0 {
			m.differ("cookie %s: expected, got none", name)
			continue
		}
		attributes := strings.Split(lines[at], "; ")[1:]
		for _, want := range m.scene.data.common.DeviceCookies[name] {
			if (want == "Secure" || want == "SameSite=None") && !secure {
				continue
			}
			if !slices.ContainsFunc(attributes, func(a string) bool { return strings.EqualFold(a, want) }) {
				m.differ("cookie %s: expected %s, got %q", name, want, clip(strings.Join(attributes, "; ")))
			}
		}
	}
}

// location compares a redirect's target and its parameters in order. Both + and %20
// are a space.
func (m *match) location(want *Location) {
	to, ok := m.fill("location", want.To)
	if !ok {
		return
	}
	expected, err := m.got.url.Parse(to)
	if err != nil {
		m.differ("location: expected %q, which is not a URL", to)
		return
	}
	if m.got.header.Get("Location") == "" {
		m.differ("location: expected %s, got none", to)
		return
	}
	got, err := m.got.url.Parse(m.got.header.Get("Location"))
	if err != nil {
		m.differ("location: not a URL")
		return
	}
	base := func(u *url.URL) string { return u.Scheme + "://" + u.Host + u.Path }
	if !matches(base(expected), base(got), m.scene.isMock()) {
		m.differ("location: expected %s, got %s", base(expected), clip(base(got)))
	}
	wantPairs := pairs(expected.RawQuery)
	gotPairs, other, place := pairs(got.RawQuery), got.EscapedFragment(), "query"
	if want.In == "fragment" {
		if !slices.Equal(gotPairs, wantPairs) {
			m.differ("location query: expected %s, got %s", names(wantPairs), names(gotPairs))
		}
		wantPairs, gotPairs, other, place = nil, pairs(got.EscapedFragment()), "", "fragment"
	}
	if other != "" {
		m.differ("location fragment: expected none, got one")
	}
	m.parameters(place, append(wantPairs, want.Params...), gotPairs, want.AnyOrder)
}

// pairs decodes parameters in their order.
func pairs(raw string) [][2]string {
	var out [][2]string
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		key, errK := url.QueryUnescape(k)
		value, errV := url.QueryUnescape(v)
		if errK != nil || errV != nil {
			key, value = k, v
		}
		out = append(out, [2]string{key, value})
	}
	return out
}

func names(list [][2]string) string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i][0]
	}
	return "[" + strings.Join(out, " ") + "]"
}

func (m *match) parameters(place string, want, got [][2]string, anyOrder bool) {
	find := func(list [][2]string, key string) int {
		return slices.IndexFunc(list, func(p [2]string) bool { return p[0] == key })
	}
	for _, w := range want {
		at := find(got, w[0])
		if at < 0 {
			m.differ("location %s: expected %s, got none", place, w[0])
			continue
		}
		expected, ok := m.fill("location "+place, w[1])
		if ok && !matches(expected, got[at][1], m.scene.isMock()) {
			m.differ("location %s %s: expected %q, got %q", place, w[0], expected, clip(got[at][1]))
		}
	}
	var known [][2]string
	for _, g := range got {
		switch {
		case find(want, g[0]) >= 0:
			known = append(known, g)
		case g[0] == "state" || g[0] == "error" || g[0] == "code":
			m.differ("location %s: expected no %s, got one", place, g[0])
		default:
			m.drift("%s: parameter %s of the redirect", m.scene.c.Request.Path, clip(g[0]))
		}
	}
	if !anyOrder && names(known) != names(want) && len(known) >= len(want) {
		m.differ("location %s: expected the order %s, got %s", place, names(want), names(known))
	}
}

// fill replaces variables. A missing one is a difference.
func (m *match) fill(at, s string) (string, bool) {
	out, err := m.scene.vars.fill(s)
	if err != nil {
		m.differ("%s: %v", at, err)
	}
	return out, err == nil
}

// expected parses and fills an object of the data.
func (m *match) expected(raw json.RawMessage) *object {
	o, err := parseObject(raw)
	if err == nil {
		var filled any
		if filled, err = m.scene.vars.fillValue(o); err == nil {
			return filled.(*object) //nolint:forcetypeassert // an object stays one
		}
	}
	m.differ("the case: %v", err)
	return &object{}
}
