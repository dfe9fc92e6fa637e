package mock

import (
	"net/http"
)

// publicEndpoints allow any origin; the others only the origins of clients.
const publicEndpoints = "userinfo discovery jwks change_password"

// allowOrigin sets the CORS headers of every response, errors included: without
// them a browser hides the body.
func (t *Tenant) allowOrigin(c *call) {
	h := c.w.Header()
	if containsWord(publicEndpoints, c.entry.Endpoint) {
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Credentials", "false")
		h.Set("Access-Control-Expose-Headers", exposeHeaders)
		return
	}
	origin := c.r.Header.Get("Origin")
	if origin == "" || !t.knowsOrigin(origin) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", exposeHeaders)
}

// preflight answers OPTIONS as the cors package of Express does.
func (t *Tenant) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Vary", "Origin, Access-Control-Request-Headers")
	origin := r.Header.Get("Origin")
	switch {
	case containsWord(publicEndpoints, t.routes[r.URL.Path].endpoint):
		h.Set("Access-Control-Allow-Origin", "*")
	case t.knowsOrigin(origin):
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	default:
		h["Content-Type"] = nil
		w.WriteHeader(http.StatusNoContent) // without CORS headers the browser blocks the request
		return
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, PUT, PATCH, POST, DELETE")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// knowsOrigin reports whether a client lists the origin.
func (t *Tenant) knowsOrigin(origin string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	names := make([]string, 0, len(t.st.orgs))
	for _, o := range t.st.orgs {
		names = append(names, o.Name)
	}
	for _, c := range t.st.clients {
		if allowsOrigin(c, origin, names) {
			return true
		}
	}
	return false
}
