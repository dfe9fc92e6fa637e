package mock

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
	"sync"
)

//go:embed pages
var pageFiles embed.FS

// pages are the tenant's pages, plain HTML and CSS without scripts, and those of the
// console. Tests may rely on their ids and names. They are parsed when the first one is
// shown: most tests see none.
var pages = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(pageFuncs()).ParseFS(pageFiles, "pages/*.html"))
})

func pageFile(name string) string {
	b, err := pageFiles.ReadFile("pages/" + name)
	if err != nil { // embedded
		panic(err)
	}
	return string(b)
}

// pagePolicy allows a page's own style and nothing else. It has no form-action,
// because browsers also apply that to the redirect after a form.
var pagePolicy = sync.OnceValue(func() string {
	return "default-src 'none'; img-src data:; base-uri 'none'; style-src 'sha256-" + sha256Base64(pageFile("style.css")) + "'"
})

func sha256Base64(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// render writes a page. Only form_post and web_message may be framed: they answer an
// authorization request in a frame.
func render(c *call, status int, name string, data map[string]any) {
	data["Base"], data["Console"] = c.prefix, c.console
	var b bytes.Buffer
	if err := pages().ExecuteTemplate(&b, name, data); err != nil {
		c.setReason("page " + name + ": " + err.Error())
		write(c.w, http.StatusInternalServerError, htmlType, []byte("page "+name+" cannot be rendered"))
		return
	}
	h := c.w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	if !strings.Contains(name, "form_post") && !strings.Contains(name, "web_message") {
		h.Set("Content-Security-Policy", pagePolicy()+"; frame-ancestors 'none'")
		h.Set("X-Frame-Options", "deny")
	}
	write(c.w, status, htmlType, b.Bytes())
}
