package mock

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// The dialect is oauth2orize's and passport-http-bearer's, the two Node
// libraries whose answers Auth0's recorded ones match byte for byte.

const (
	noStore       = "private, no-store, no-cache, must-revalidate, post-check=0, pre-check=0, no-transform"
	jsonType      = "application/json"
	jsonTypeUTF8  = "application/json; charset=utf-8"
	htmlType      = "text/html; charset=utf-8"
	exposeHeaders = "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
)

// oauthError is a refusal: what the client is told, and the reason that only
// the journal shows.
type oauthError struct {
	Status      int
	Code        string // "error"
	Description string // "error_description"
	Reason      string // for the journal; "" is the description
	Extra       []member
}

func (e *oauthError) Error() string { return e.Code + ": " + e.Description }

// withReason adds the reason that is the journal's alone.
func (e *oauthError) withReason(reason string) *oauthError { e.Reason = reason; return e }

// withStatus overrides the status of the table.
func (e *oauthError) withStatus(status int) *oauthError { e.Status = status; return e }

// refuse makes an error with the status of oauth2orize's table.
func refuse(code, description string) *oauthError {
	return &oauthError{Status: statusOf(code), Code: code, Description: description}
}

func statusOf(code string) int {
	switch code {
	case "invalid_client":
		return http.StatusUnauthorized
	case "invalid_grant", "unauthorized_client", "access_denied", "authorization_pending", "expired_token", "mfa_required":
		return http.StatusForbidden
	case "unsupported_grant_type", "unsupported_response_type":
		return http.StatusNotImplemented
	case "temporarily_unavailable":
		return http.StatusServiceUnavailable
	case "slow_down", "too_many_requests", "too_many_attempts":
		return http.StatusTooManyRequests
	case "server_error":
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

func missing(parameter string) *oauthError {
	return refuse("invalid_request", "Missing required parameter: "+parameter)
}

// unauthorized is the one answer to every failed client authentication: not
// RFC 6749's invalid_client, and nothing that tells which part was wrong.
func unauthorized(reason string) *oauthError {
	return refuse("access_denied", "Unauthorized").withStatus(http.StatusUnauthorized).withReason(reason)
}

// member is one member of a JSON object whose order matters.
type member struct {
	name  string
	value any
}

// object is a JSON object that keeps its order.
type object []member

// add appends a member unless the value is empty.
func (o *object) add(name string, value any) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
	case []string:
		if len(v) == 0 {
			return
		}
	}
	*o = append(*o, member{name, value})
}

// MarshalJSON implements json.Marshaler. HTML characters stay as they are, as in Node.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := enc.Encode(m.name); err != nil {
			return nil, err
		}
		b.Truncate(b.Len() - 1) // Encode ends with a newline
		b.WriteByte(':')
		if err := enc.Encode(m.value); err != nil {
			return nil, err
		}
		b.Truncate(b.Len() - 1)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// bytes is MarshalJSON without the second pass that json.Marshal would make of it.
func (o object) bytes() []byte {
	b, err := o.MarshalJSON()
	if err != nil { // only values that are made here
		panic("mock: " + err.Error())
	}
	return b
}

// write sends a body with its length, so that nothing is chunked.
func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	if contentType == "" {
		h["Content-Type"] = nil // keeps net/http from sniffing one
	} else {
		h.Set("Content-Type", contentType)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// writeTokenError is the answer of /oauth/token and its neighbours to a refusal.
func writeTokenError(w http.ResponseWriter, e *oauthError) {
	o := object{{"error", e.Code}, {"error_description", e.Description}}
	write(w, e.Status, jsonType, append(o, e.Extra...).bytes())
}

// writeToken is a successful answer of /oauth/token: the only one with Pragma.
func writeToken(w http.ResponseWriter, o object) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	write(w, http.StatusOK, jsonType, o.bytes())
}

// escapeComponent escapes as JavaScript's encodeURIComponent: a space is %20
// and !*'() stay, as in the Location headers that were seen.
func escapeComponent(s string) string {
	return componentFixes.Replace(url.QueryEscape(s))
}

var componentFixes = strings.NewReplacer("+", "%20", "%21", "!", "%2A", "*", "%27", "'", "%28", "(", "%29", ")")

// query renders parameters in their order.
func query(params []member) string {
	var b strings.Builder
	for _, p := range params {
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name)
		b.WriteByte('=')
		b.WriteString(escapeComponent(p.value.(string)))
	}
	return b.String()
}
