package metrics

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Client is the state of a client at a scrape.
type Client struct {
	Name                  string
	State                 string
	TokenExpiry, GrantEnd time.Time // zero: unknown
}

// Kinds of counters that a client has.
const (
	refreshes = iota
	proxied
	kinds
)

// success is the result of a refresh without an error.
const success = "success"

// counts are counters by client, and by one more label with few values. They are not
// a [prometheus.CounterVec], because a caller sees the counters of its clients only.
type counts struct {
	mu     sync.Mutex
	byName map[string]*[kinds][]count
}

// count is a counter with the value of its label. A client has few.
type count struct {
	value string
	n     uint64
}

func (c *counts) add(kind int, client, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.byName[client]
	if of == nil {
		if c.byName == nil {
			c.byName = map[string]*[kinds][]count{}
		}
		of = new([kinds][]count)
		c.byName[client] = of
	}
	at, found := slices.BinarySearchFunc(of[kind], value, func(x count, v string) int { return strings.Compare(x.value, v) })
	if !found {
		of[kind] = slices.Insert(of[kind], at, count{value: value})
	}
	of[kind][at].n++
}

// family is a metric with samples for each client.
type family struct {
	name, help, kind string
	append           func(p *page, c Client)
}

// families returns the metrics of clients. They are written without the library, which
// needs longer for 10,000 clients than a scrape may take: docs/decisions.md has figures.
func (m *Metrics) families(states []string) []family {
	return []family{
		{"tokend_token_expiry_timestamp_seconds", "When the client's access token expires.", "gauge", func(p *page, c Client) {
			p.time(c.Name, c.TokenExpiry)
		}},
		{"tokend_grant_end_timestamp_seconds", "When the client's grant is expected to end, and a login is needed.", "gauge", func(p *page, c Client) {
			p.time(c.Name, c.GrantEnd)
		}},
		{"tokend_client_state", "1 for the state that the client is in, 0 for the others.", "gauge", func(p *page, c Client) {
			for _, s := range states {
				p.sample(c.Name, "state", s, btou(s == c.State))
			}
		}},
		{"tokend_refresh_total", "Refreshes of the client, by result: success, or the class of the error.", "counter", func(p *page, c Client) {
			m.clients.write(p, refreshes, c.Name, "result", success)
		}},
		{"tokend_proxy_requests_total", "Requests through the client's proxy, by class of the answer's status; tokend: an answer of tokend itself.", "counter", func(p *page, c Client) {
			m.clients.write(p, proxied, c.Name, "code", "2xx")
		}},
	}
}

// write appends the counters of a client. first is present from the start, so that a
// rate can be computed.
func (c *counts) write(p *page, kind int, client, label, first string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var of []count
	if all := c.byName[client]; all != nil {
		of = all[kind]
	}
	if !slices.ContainsFunc(of, func(x count) bool { return x.value == first }) {
		p.sample(client, label, first, 0)
	}
	for _, x := range of {
		p.sample(client, label, x.value, x.n)
	}
}

func btou(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// page is a part of a scrape in the text format, version 0.0.4.
type page struct {
	b    []byte
	name string // of the family
}

func (p *page) begin(f family) {
	p.name = f.name
	p.b = append(p.b, "# HELP "+f.name+" "+f.help+"\n# TYPE "+f.name+" "+f.kind+"\n"...)
}

// sample appends a whole number; label and value are constants.
func (p *page) sample(client, label, value string, n uint64) {
	p.client(client)
	p.b = append(append(append(append(append(p.b, ','), label...), `="`...), value...), `"} `...)
	p.b = append(strconv.AppendUint(p.b, n, 10), '\n')
}

// time appends a time, if it is known.
func (p *page) time(client string, t time.Time) {
	if t.IsZero() {
		return
	}
	p.client(client)
	p.b = append(strconv.AppendInt(append(p.b, "} "...), t.Unix(), 10), '\n')
}

// client appends the name of the family, and of the client with its escapes.
func (p *page) client(name string) {
	p.b = append(append(p.b, p.name...), `{client="`...)
	for i := range len(name) {
		switch c := name[i]; c {
		case '\\', '"':
			p.b = append(p.b, '\\', c)
		case '\n':
			p.b = append(p.b, `\n`...)
		default:
			p.b = append(p.b, c)
		}
	}
	p.b = append(p.b, '"')
}
