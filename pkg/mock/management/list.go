package management

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// form is the way in which a list is paged.
type form int

const (
	paged      form = iota // a bare array; with include_totals or take an object
	bare                   // always an array
	checkpoint             // always an object, with next
	ofActions              // an object with page, per_page and total, of which zeros are left out
	noTotal                // paged, and the object has no total
)

const (
	defaultPage = 50
	mostByPage  = 1000 // objects that page and per_page can reach
)

// items is a list of which a page is read.
type items struct {
	key   string
	form  form
	n     int
	id    func(i int) string
	item  func(i int) any
	extra Doc  // of the object with totals
	more  bool // next also comes with a page that is not full
}

// docs returns the list of documents.
func docs(key string, all []Doc) items {
	return items{key: key, n: len(all), item: func(i int) any { return all[i] }, id: func(i int) string {
		for _, name := range []string{"id", "client_id", "user_id", "name", "key"} {
			if s := text(all[i], name); s != "" {
				return s
			}
		}
		return strconv.Itoa(i)
	}}
}

func (l items) as(f form) items { l.form = f; return l }

// answer returns the page of a list that the query selects.
func (c *call) list(l items) (Answer, error) {
	_, hasTake := c.endpoint.Query["take"]
	switch {
	case l.form == bare:
		return answer(http.StatusOK, l.slice(0, l.n))
	case l.form == ofActions:
		return c.actionsPage(l)
	case hasTake && (c.Query.Has("take") || c.Query.Has("from")) || l.form == checkpoint:
		return c.checkpointPage(l)
	}
	size, page := c.number("per_page", defaultPage), c.number("page", 0)
	if size > 0 && page > mostByPage/size {
		if l.key == "users" && c.params == nil {
			return Answer{}, refuse(http.StatusBadRequest, "", "You can only page through the first 1000 records. See {link}")
		}
		if hasTake {
			return Answer{}, refuse(http.StatusBadRequest, "", "Requesting page %d exceeds the allowed maximum of 1000 records. To fetch results beyond 1000, use the checkpoint pagination method.", page)
		}
	}
	start := l.n
	if page <= l.n { // no overflow
		start = min(page*size, l.n)
	}
	chunk := l.slice(start, min(start+size, l.n))
	if c.Query.Get("include_totals") != "true" {
		a, err := answer(http.StatusOK, chunk)
		a.Link = c.link(page, size, l.n)
		return a, err
	}
	o := Doc{"start": page * size, "limit": size, "total": l.n, l.key: chunk}
	if l.form == noTotal {
		delete(o, "total")
	}
	for name, value := range l.extra {
		o[name] = value
	}
	if _, has := o["length"]; has {
		o["length"] = len(chunk)
	}
	return answer(http.StatusOK, o)
}

func (l items) slice(from, to int) []any {
	out := make([]any, 0, max(0, to-from))
	for i := from; i < to; i++ {
		out = append(out, l.item(i))
	}
	return out
}

// checkpointPage answers take and from.
func (c *call) checkpointPage(l items) (Answer, error) {
	take, start := c.number("take", defaultPage), 0
	if from := c.Query.Get("from"); from != "" {
		after, err := base64.RawURLEncoding.DecodeString(from)
		at, id, ok := strings.Cut(string(after), ",")
		n, bad := strconv.Atoi(at)
		if err != nil || !ok || bad != nil || n < 0 {
			return Answer{}, validation("Query", "invalid_query_string", "from", "Object didn't pass validation for format checkpoint: "+clip(from))
		}
		start = min(n, l.n)
		if i := slices.IndexFunc(indexes(l.n), func(i int) bool { return l.id(i) == id }); i >= 0 { // the list may have changed
			start = i + 1
		}
	}
	end := min(start+take, l.n)
	o := Doc{l.key: l.slice(start, end)}
	if end > start && (end < l.n || l.more) {
		o["next"] = base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(end) + "," + l.id(end-1)))
	}
	for name, value := range l.extra {
		if name == "total" {
			o[name] = value
		}
	}
	return answer(http.StatusOK, o)
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// actionsPage is the form of the lists of actions.
func (c *call) actionsPage(l items) (Answer, error) {
	if c.Query.Has("include_totals") {
		return Answer{}, validation("Query", "invalid_query_string", "", "Additional properties not allowed: include_totals")
	}
	size, page := c.number("per_page", defaultPage), c.number("page", 0)
	start := l.n
	if page <= l.n {
		start = min(page*size, l.n)
	}
	o, total := Doc{l.key: l.slice(start, min(start+size, l.n))}, l.n
	if start == l.n && l.extra == nil { // clients ask for pages until a page has no total
		total = 0
	}
	for name, n := range map[string]int{"page": page, "per_page": size, "total": total} {
		if n != 0 || l.extra != nil {
			o[name] = n
		}
	}
	return answer(http.StatusOK, o)
}

// link is the Link header of a page. Its URLs have the scheme http, as recorded.
func (c *call) link(page, size, total int) string {
	if size == 0 {
		return ""
	}
	_, host, _ := strings.Cut(c.Issuer, "://")
	last := max(0, (total-1)/size)
	at := func(n int, rel string) string {
		q := url.Values{}
		for k, v := range c.Query {
			q[k] = v
		}
		q.Set("page", strconv.Itoa(n))
		q.Set("per_page", strconv.Itoa(size))
		return "<http://" + host + "api/v2" + c.Path + "?" + q.Encode() + ">; rel=\"" + rel + "\""
	}
	links := []string{at(0, "first")}
	if page < last {
		links = append(links, at(page+1, "next"))
	}
	return strings.Join(append(links, at(last, "last")), ", ")
}

// selectFields keeps or removes the members that ?fields= names. Others are kept in any
// case.
func (c *call) selectFields(d Doc, others ...string) Doc {
	names := c.Query.Get("fields")
	if names == "" {
		return d
	}
	listed := strings.Split(names, ",")
	keep := c.Query.Get("include_fields") != "false"
	out := Doc{}
	for name, value := range d {
		if slices.Contains(listed, name) == keep || slices.Contains(others, name) || name == "is_domain_connection" { // recorded in lists of connections
			out[name] = value
		}
	}
	return out
}

// clip shortens a value of a request for a message.
func clip(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
