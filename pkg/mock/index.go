package mock

import (
	"net/http"
	"strings"
)

// Listed is one of several tenants that share a listener.
type Listed struct {
	Name   string
	URL    string // of the link to it, which may be relative
	Issuer string
}

// ServeIndex answers GET / of a listener with several tenants: a page for a browser, and
// a line for each tenant for other clients.
func ServeIndex(w http.ResponseWriter, r *http.Request, tenants []Listed) {
	w.Header().Set("Vary", "Accept")
	w.Header().Set("X-Mockauth0", "a mock tenant, for tests only")
	if wantsPage(r) {
		writePage(w, http.StatusOK, pagePolicy()+"; frame-ancestors 'none'", "index.html", tenants)
		return
	}
	var b strings.Builder
	b.WriteString("mockauth0, for tests only. Its tenants:\n")
	for _, l := range tenants {
		b.WriteString(l.Name + " " + l.Issuer + "\n")
	}
	write(w, http.StatusOK, "text/plain; charset=utf-8", []byte(b.String()))
}
