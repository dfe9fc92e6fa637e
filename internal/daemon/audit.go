package daemon

import (
	"bufio"
	"cmp"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/audit"
	"example.com/tokend/internal/guard"
	"example.com/tokend/internal/proxy"
	"example.com/tokend/internal/requestid"
)

// record is the entry of one request in the audit log. As the writer of the answer it
// writes the entry before the first byte of the answer.
type record struct {
	gin.ResponseWriter
	log   *audit.Log
	entry audit.Entry
	done  bool
}

// audited begins the entry of a request, and returns nil if it has none. A request
// without a known caller has none: otherwise any program of the machine could fill the
// log, so that the older files were lost.
func (d *Daemon) audited(c *gin.Context, action string, caller *guard.Caller) *record {
	if action == "" || d.audit == nil || caller.Name == "" && action != actionCallback {
		return nil
	}
	r := &record{ResponseWriter: c.Writer, log: d.audit, entry: entryOf(c, action, caller)}
	c.Writer = r
	return r
}

// entryOf begins an entry.
func entryOf(c *gin.Context, action string, caller *guard.Caller) audit.Entry {
	e := audit.Entry{Action: action, Caller: caller.Name, Subject: caller.Subject, Client: c.Param("client")}
	e.Peer = (*audit.Peer)(guard.PeerOf(c.Request.Context()))
	if c.Request.TLS != nil {
		e.Remote, _, _ = net.SplitHostPort(c.Request.RemoteAddr)
	}
	return e
}

// recordCached writes the entry of a token in memory, before the answer. It does without
// a [record], which would be most of the allocations of such an answer.
func (d *Daemon) recordCached(c *gin.Context, caller *guard.Caller, audience string, now time.Time) {
	if d.audit == nil {
		return
	}
	e := entryOf(c, actionToken, caller)
	e.Time, e.Audience, e.Status = now, audience, http.StatusOK
	e.RequestID = c.Writer.Header().Get(requestid.Header)
	d.audit.Record(&e)
}

// note changes the entry of a request that has one.
func note(c *gin.Context, change func(e *audit.Entry)) {
	if r, ok := c.Writer.(*record); ok {
		change(&r.entry)
	}
}

// noteAudience puts the audience of the requested token into the entry: the client's own
// when the request names none.
func noteAudience(c *gin.Context, cl *client, named string) {
	if r, ok := c.Writer.(*record); ok {
		r.entry.Audience = cmp.Or(named, cl.Audience)
	}
}

// write writes the entry. A callback that belongs to no login of ours has none: any page
// can send one.
func (r *record) write(status int) {
	if r.done {
		return
	}
	r.done = true
	if r.entry.Action == actionCallback && r.entry.Client == "" {
		return
	}
	r.entry.Status = status
	h := r.Header()
	r.entry.Error = cmp.Or(h.Get(proxy.ErrorHeader), r.entry.Error) // an upstream's answer has no such header
	r.entry.RequestID = h.Get(requestid.Header)
	r.log.Record(&r.entry)
}

// end writes the entry of a request whose handler has returned without an answer.
func (r *record) end() {
	if r != nil {
		r.write(r.Status())
	}
}

// Write implements [gin.ResponseWriter], as the methods below do.
func (r *record) Write(b []byte) (int, error) {
	r.write(r.Status())
	return r.ResponseWriter.Write(b)
}

func (r *record) WriteString(s string) (int, error) {
	r.write(r.Status())
	return r.ResponseWriter.WriteString(s)
}

func (r *record) WriteHeaderNow() {
	r.write(r.Status())
	r.ResponseWriter.WriteHeaderNow()
}

func (r *record) Flush() {
	r.write(r.Status())
	r.ResponseWriter.Flush()
}

// Hijack is of an upgrade, whose answer is written to the connection.
func (r *record) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.write(http.StatusSwitchingProtocols)
	return r.ResponseWriter.Hijack()
}

// Unwrap is for [http.ResponseController] and [headerWriter].
func (r *record) Unwrap() http.ResponseWriter {
	if w, ok := r.ResponseWriter.(interface{ Unwrap() http.ResponseWriter }); ok {
		return w.Unwrap()
	}
	return r.ResponseWriter
}

// ForwardsTo puts the target of a proxied request into its entry, without the query,
// which may have secrets.
func (w headerWriter) ForwardsTo(u *url.URL) {
	if r, ok := w.ResponseWriter.(*record); ok {
		r.entry.Host, r.entry.Path = u.Host, withoutTokens(u.EscapedPath())
	}
}

// withoutTokens masks the segments of a path that are signed tokens: some APIs have the
// token of an invitation or a download there.
func withoutTokens(path string) string {
	if !strings.Contains(path, "eyJ") { // {" in base64url
		return path
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") >= 2 {
			segments[i] = "(token)"
		}
	}
	return strings.Join(segments, "/")
}

// auditFailure is the failure of the audit log in the answer of /readyz.
type auditFailure struct {
	Since   time.Time `json:"since"`
	Reason  string    `json:"reason"`
	Hint    string    `json:"hint"`
	Missing int64     `json:"missing"` // entries that are in the service's log only
}

func (d *Daemon) auditFailure() *auditFailure {
	f := d.audit.Failure()
	if f == nil {
		return nil
	}
	return &auditFailure{f.Since.UTC().Truncate(time.Second), f.Reason, f.Hint, f.Missing}
}
