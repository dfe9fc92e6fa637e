package mock

import (
	"math/rand/v2"
	"net/http"
)

// portalPage is what a proxy or the portal of a network answers in place of a server.
const portalPage = "<!DOCTYPE html>\n<html><head><title>Please wait</title></head>" +
	"<body><h1>Please wait</h1><p>Your request is being checked.</p></body></html>\n"

// answerFault writes the response of a fault.
func (t *Tenant) answerFault(c *call, f Fault) {
	h := c.w.Header()
	h.Set("Content-Type", jsonType)
	if c.entry.Endpoint == "token" {
		grantType, _ := c.peek()
		c.setLimit(tokenLimit(grantType))
	}
	if f.Kind == FaultHTML {
		h.Set("Content-Type", htmlType)
	}
	for k, v := range f.Headers {
		h.Set(k, v)
	}
	e := t.errorOf(c, f)
	switch {
	case f.Body != "" || e == nil:
		write(c.w, f.status(), h.Get("Content-Type"), f.body())
	case c.entry.Endpoint == "authorize": // a page, never JSON
		reason := c.entry.Reason
		t.errorPage(c, c.query(), e)
		c.setReason(reason)
	default:
		writeTokenError(c.w, e)
	}
}

// errorOf returns the tenant's own error of a fault and sets its headers, or nil if the
// fault has a body of its own.
func (t *Tenant) errorOf(c *call, f Fault) *oauthError {
	status := f.status()
	switch f.Kind {
	case FaultStatus:
	case FaultRateLimit, FaultGlobalLimit:
		status = http.StatusTooManyRequests
	default:
		return nil
	}
	e := statusError(status)
	if status == http.StatusTooManyRequests {
		c.w.Header().Set("X-RateLimit-Remaining", "0")
		if f.Policy == "client" {
			e.Description = "Rate limit exceeded."
			c.setClientLimit()
		}
	}
	if f.Kind == FaultGlobalLimit && c.entry.Endpoint == "token" { // reported: not a 429 there
		e.Code, e.Status = "access_denied", http.StatusInternalServerError
	}
	return e
}

// status is the status of the response.
func (f Fault) status() int {
	switch {
	case f.Status != 0:
		return f.Status
	case f.Kind == FaultRedirect:
		return http.StatusTemporaryRedirect
	}
	return http.StatusOK
}

// body is the body of a response that is not the tenant's own error.
func (f Fault) body() []byte {
	switch f.Kind {
	case FaultHTML:
		return []byte(portalPage)
	case FaultGarbage:
		var seed [32]byte
		seed[0], seed[1] = byte(f.Seed), byte(f.Seed>>8) //nolint:gosec // two bytes are enough
		b := make([]byte, 256)
		_, _ = rand.NewChaCha8(seed).Read(b)
		return b
	}
	return []byte(f.Body)
}

// statusError is the tenant's own error for a status.
func statusError(status int) *oauthError {
	code, text := "server_error", "An unexpected error occurred"
	switch status {
	case http.StatusTooManyRequests:
		code, text = "too_many_requests", "Global limit has been reached"
	case http.StatusServiceUnavailable:
		code, text = "temporarily_unavailable", "The service is temporarily unavailable"
	case http.StatusForbidden:
		code, text = "access_denied", "Forbidden"
	case http.StatusUnauthorized:
		code, text = "access_denied", "Unauthorized"
	case http.StatusBadRequest:
		code, text = "invalid_request", "Bad Request"
	}
	return refuse(code, text).withStatus(status)
}
