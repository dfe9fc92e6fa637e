package daemon

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strconv"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/audit"
	"example.com/tokend/pkg/flow"
)

//go:embed pages/callback.html
var callbackHTML string

//go:embed pages/style.css
var styleCSS string

// page is what a browser shows at the end of a login: it has no script, loads
// nothing and cannot be framed.
type page struct {
	html   *template.Template
	policy string
}

// pageText is the text of the page.
type pageText struct {
	Style             template.CSS
	OK                bool
	Title, Text, Hint string
}

func newPage() (page, error) {
	t, err := template.New("callback").Parse(callbackHTML)
	hash := sha256.Sum256([]byte(styleCSS))
	return page{html: t, policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}, err
}

// callback is where the provider redirects the browser after a login: the redirect URI of
// the client. One that only this client has (/callback/NAME) keeps the code of one
// provider from another one (RFC 9700 section 4.4).
func (d *api) callback(c *gin.Context) {
	query, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err == nil {
		var client string
		client, err = d.finishAt(c, query)
		note(c, func(e *audit.Entry) { e.Client = client })
	} else {
		err = &flow.Error{Op: "callback", Class: flow.ClassRequest, Description: "the query of the callback is malformed", Hint: "start a new login"}
	}
	if err == nil {
		d.showPage(c, http.StatusOK, pageText{OK: true, Title: "Logged in", Text: "You can close this page."})
		return
	}
	p := problemOf(err)
	note(c, func(e *audit.Entry) { e.Error = p.Code })
	d.showPage(c, pageStatus(p.Status), pageText{Title: "Not logged in", Text: p.Description, Hint: p.Hint})
}

// finishAt completes the login of a callback: at the address of a client, only one of that
// client.
func (d *api) finishAt(c *gin.Context, query url.Values) (client string, err error) {
	name := c.Param("name")
	of := d.clients[name]
	if name != "" && of == nil {
		return "", flow.ErrState
	}
	return d.finish(c.Request.Context(), query, of, c.Request.URL.Path)
}

// pageStatus is the status of a failed callback: the request was bad, even where an
// API call answers with a conflict.
func pageStatus(status int) int {
	if status == http.StatusConflict {
		return http.StatusBadRequest
	}
	return status
}

func (d *Daemon) showPage(c *gin.Context, status int, text pageText) {
	text.Style = template.CSS(styleCSS) //nolint:gosec // embedded, not input
	var b bytes.Buffer
	if err := d.page.html.Execute(&b, text); err != nil {
		panic(err) // the embedded page is invalid
	}
	h := c.Writer.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", d.page.policy)
	h.Set("Referrer-Policy", "no-referrer") // the address holds the code
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	h["Content-Length"] = []string{strconv.Itoa(b.Len())}
	c.Writer.WriteHeader(status)
	_, _ = c.Writer.Write(b.Bytes()) // the browser may be gone
}
