package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/guard"
	"example.com/tokend/internal/proxy"
	"example.com/tokend/internal/requestid"
	"example.com/tokend/pkg/flow"
)

// callTimeout is how long a caller waits for a refresh.
const callTimeout = proxy.CallTimeout

// Header values that are the same in every answer; read only.
var (
	jsonType = []string{"application/json"}
	textType = []string{"text/plain; charset=utf-8"}
	noStore  = []string{"no-store"}
	noSniff  = []string{"nosniff"}
)

// client is a Client, its last rendered token, and its proxy.
type client struct {
	Client
	life      *life
	rendered  atomic.Pointer[rendered]
	length    atomic.Pointer[contentLength]
	upstreams *proxy.Client
}

// refuses returns why a caller may not have a token, nil if it may. An ID token is for the
// client itself.
func (cl *client) refuses(caller *guard.Caller, q tokenQuery) *problem {
	if q.idToken && !caller.MayHave(cl.ClientID) {
		return refusedAudience(cl.ClientID)
	}
	return cl.refusesAudience(caller, q.Audience)
}

// refusesAudience is refuses for an access token; "" is the client's own audience.
func (cl *client) refusesAudience(caller *guard.Caller, named string) *problem {
	if audience := cmp.Or(named, cl.Audience); !caller.MayHave(audience) {
		return refusedAudience(audience)
	}
	return nil
}

func refusedAudience(audience string) *problem {
	return &problem{
		Status: http.StatusForbidden, Code: "audience_forbidden",
		Description: "this caller may not have tokens for the audience " + strconv.Quote(audience),
		Hint:        "request another audience, or use an API key that may have this one",
	}
}

// rendered is the JSON of one token without the two values that change.
type rendered struct {
	token      *flow.Token
	head, tail []byte // before expires_in; between it and min_validity_satisfied
}

// contentLength is a Content-Length header. Answers with one token have one or two lengths.
type contentLength struct {
	bytes  int
	header []string // read only
}

func (cl *client) contentLength(n int) []string {
	l := cl.length.Load()
	if l == nil || l.bytes != n {
		l = &contentLength{n, []string{strconv.Itoa(n)}}
		cl.length.Store(l)
	}
	return l.header
}

// buffers saves the cached read an allocation per answer.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return p
	}
	return new([]byte)
}

// cachedToken answers from memory, without store and log, if the token there is valid
// for long enough.
func (d *api) cachedToken(c *gin.Context, caller *guard.Caller) bool {
	cl := d.clients[c.Param("client")]
	if cl == nil {
		return false
	}
	q, p := parseTokenQuery(c.Request.URL.RawQuery)
	if p != nil || cl.refuses(caller, q) != nil {
		return false
	}
	t := cl.Cached(q.Request)
	if t == nil {
		return false
	}
	if len(c.Request.Header[requestid.Header]) > 0 { // otherwise nothing refers to an id
		d.identify(c)
	}
	now := d.now()
	d.recordCached(c, caller, cmp.Or(q.Audience, cl.Audience), now)
	d.writeToken(c.Writer, cl, t, q, now)
	return true
}

// getToken answers with a token. It refreshes first if necessary.
func (d *api) getToken(c *gin.Context) {
	cl := d.known(c)
	if cl == nil {
		return
	}
	q, p := parseTokenQuery(c.Request.URL.RawQuery)
	if p != nil {
		d.failFor(c, cl, p)
		return
	}
	noteAudience(c, cl, q.Audience)
	if p := cl.refuses(guard.CallerOf(c.Request.Context()), q); p != nil {
		d.failFor(c, cl, p)
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), callTimeout)
	defer cancel()
	t, err := cl.get(ctx, q.Request)
	if err != nil {
		d.failWith(c, cl, err)
		return
	}
	d.writeToken(c.Writer, cl, t, q, d.now())
}

// writeToken answers with t in the form of q. text and header have no newline at
// the end: scripts use them unchanged.
func (d *Daemon) writeToken(w http.ResponseWriter, cl *client, t *flow.Token, q tokenQuery, now time.Time) {
	buf := d.buffers.get()
	defer d.buffers.pool.Put(buf)
	body := (*buf)[:0]
	contentType := textType
	switch q.format {
	case "text":
		body = append(body, t.AccessToken.Reveal()...)
	case "header":
		body = append(append(body, "Authorization: Bearer "...), t.AccessToken.Reveal()...)
	default:
		contentType = jsonType
		body = cl.appendJSON(body, t, q, now)
	}
	h := w.Header()
	h["Content-Type"] = contentType
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	h["Content-Length"] = cl.contentLength(len(body))
	_, _ = w.Write(body) // the caller may be gone
	*buf = body
}

// appendJSON appends the token answer.
func (cl *client) appendJSON(b []byte, t *flow.Token, q tokenQuery, now time.Time) []byte {
	r := cl.rendered.Load()
	if r == nil || r.token != t {
		r = cl.render(t)
		cl.rendered.Store(r)
	}
	left := t.Remaining(now)
	b = append(b, r.head...)
	b = strconv.AppendInt(b, int64(max(left, 0)/time.Second), 10)
	b = append(b, r.tail...)
	b = strconv.AppendBool(b, left >= q.MinValidity)
	if q.idToken && t.IDToken != "" {
		b = append(append(b, `,"id_token":`...), quoted(t.IDToken.Reveal())...)
	}
	return append(b, '}')
}

func (cl *client) render(t *flow.Token) *rendered {
	audience := t.Audience
	if audience == "" {
		audience = cl.Audience
	}
	head := `{"access_token":` + quoted(t.AccessToken.Reveal()) + `,"token_type":` + quoted(t.TokenType) + `,"expires_in":`
	tail := `,"expires_at":` + quoted(t.Expiry.UTC().Format(time.RFC3339)) + `,"scope":` + quoted(t.Scope) +
		`,"audience":` + quoted(audience) + `,"client":` + quoted(cl.Name()) + `,"min_validity_satisfied":`
	return &rendered{token: t, head: []byte(head), tail: []byte(tail)}
}

// quoted is s as a JSON string.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always has a JSON form
	}
	return string(b)
}

// tokenQuery is the query of a token request.
type tokenQuery struct {
	flow.Request
	format  string // "json", "text", "header"
	idToken bool
}

// parseTokenQuery rejects unknown parameters: if a misspelt min_validity were ignored, a
// long run would fail in the middle.
func parseTokenQuery(raw string) (tokenQuery, *problem) {
	q := tokenQuery{format: "json"}
	if raw == "" {
		return q, nil
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, badRequest("the query string is malformed").withHint("percent-encode the values")
	}
	for name, v := range values {
		if len(v) != 1 {
			return q, badRequest("parameter " + strconv.Quote(name) + " appears more than once").withHint("send it once")
		}
		if p := q.set(name, v[0]); p != nil {
			return q, p
		}
	}
	return q, nil
}

func (q *tokenQuery) set(name, value string) *problem {
	var ok bool
	switch name {
	case "min_validity":
		if q.MinValidity, ok = parseValidity(value); !ok {
			return badRequest("min_validity " + strconv.Quote(value) + ` is not a duration such as "10m" or seconds such as "600"`)
		}
	case "audience":
		q.Audience = value
	case "scope":
		q.Scopes = strings.Fields(value)
	case "format":
		if value != "json" && value != "text" && value != "header" {
			return badRequest("format " + strconv.Quote(value) + " is not one of json, text, header")
		}
		q.format = value
	case "id_token":
		if value != "true" && value != "false" {
			return badRequest("id_token " + strconv.Quote(value) + " is not true or false")
		}
		q.idToken = value == "true"
	default:
		return badRequest("unknown parameter " + strconv.Quote(name)).withHint("the parameters are min_validity, audience, scope, format and id_token")
	}
	return nil
}

// parseValidity reads a Go duration or whole seconds.
func parseValidity(s string) (time.Duration, bool) {
	d, err := time.ParseDuration(s)
	if err != nil {
		if d, err = time.ParseDuration(s + "s"); err != nil || strings.ContainsAny(s, ".e") {
			return 0, false
		}
	}
	return d, d >= 0
}

func badRequest(text string) *problem {
	return &problem{Status: http.StatusBadRequest, Code: string(flow.ClassRequest), Description: text}
}
