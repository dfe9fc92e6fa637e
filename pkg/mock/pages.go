package mock

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
)

//go:embed pages
var pageFiles embed.FS

// pages are the tenant's pages: plain HTML and CSS that need no script, with
// stable ids and names.
var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"style": func() template.CSS { return template.CSS(pageFile("style.css")) }, //nolint:gosec // embedded
}).ParseFS(pageFiles, "pages/*.html"))

func pageFile(name string) string {
	b, err := pageFiles.ReadFile("pages/" + name)
	if err != nil { // embedded
		panic(err)
	}
	return string(b)
}

// pagePolicy lets a page use its own style and nothing else. No form-action:
// browsers apply it to the redirect that follows a form, too.
var pagePolicy = "default-src 'none'; img-src data:; base-uri 'none'; style-src 'sha256-" + sha256Base64(pageFile("style.css")) + "'"

func sha256Base64(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// render writes a page. Pages for a person are not to be framed; the answers
// of form_post and web_message are made for it.
func render(c *call, status int, name string, data map[string]any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		c.setReason("page " + name + ": " + err.Error())
		write(c.w, http.StatusInternalServerError, htmlType, []byte("page "+name+" cannot be rendered"))
		return
	}
	h := c.w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	if !strings.Contains(name, "form_post") && !strings.Contains(name, "web_message") {
		h.Set("Content-Security-Policy", pagePolicy+"; frame-ancestors 'none'")
		h.Set("X-Frame-Options", "deny")
	}
	write(c.w, status, htmlType, b.Bytes())
}
