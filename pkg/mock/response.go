package mock

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Errors have the form of oauth2orize and passport-http-bearer, two Node libraries.
// Auth0's recorded responses match theirs byte for byte.

const (
	noStore       = "private, no-store, no-cache, must-revalidate, post-check=0, pre-check=0, no-transform"
	jsonType      = "application/json"
	jsonTypeUTF8  = "application/json; charset=utf-8"
	htmlType      = "text/html; charset=utf-8"
	exposeHeaders = "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
)

// oauthError is an error response, with a reason that only the journal shows.
type oauthError struct {
	Status      int
	Code        string // "error"
	Description string // "error_description"
	Reason      string // for the journal; "" is the description
	Hint        string // for the journal: what to change
	Extra       []member
	Page        bool // shown on the tenant's page even if the redirect_uri is valid
}

func (e *oauthError) Error() string { return e.Code + ": " + e.Description }

// withReason sets the reason for the journal.
func (e *oauthError) withReason(reason string) *oauthError { e.Reason = reason; return e }

// withStatus replaces the status.
func (e *oauthError) withStatus(status int) *oauthError { e.Status = status; return e }

// onPage keeps the error away from the redirect_uri.
func (e *oauthError) onPage() *oauthError { e.Page = true; return e }

// refuse returns an error with the status that oauth2orize gives the code.
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

// unauthorized is the same response for every failed client authentication. It
// does not say which part was wrong, and it is not RFC 6749's invalid_client.
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

// with returns the object with other members: each replaces the one of its name, or
// comes last.
func (o object) with(other object) object {
	for _, m := range other {
		at := slices.IndexFunc(o, func(old member) bool { return old.name == m.name })
		if at < 0 {
			o = append(o, m)
		} else {
			o[at] = m
		}
	}
	return o
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

// bytes encodes the object once; json.Marshal would parse the result again.
func (o object) bytes() []byte {
	b, err := o.MarshalJSON()
	if err != nil { // the mock builds every value, so this is a bug
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

// writeTokenError writes an error of /oauth/token and endpoints like it.
func writeTokenError(w http.ResponseWriter, e *oauthError) {
	o := object{{"error", e.Code}, {"error_description", e.Description}}
	write(w, e.Status, jsonType, append(o, e.Extra...).bytes())
}

// writeToken writes a success of /oauth/token, the only response with Pragma.
func writeToken(w http.ResponseWriter, o object) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	write(w, http.StatusOK, jsonType, o.bytes())
}

// escapeComponent escapes like JavaScript's encodeURIComponent, as recorded Location
// headers do: a space is %20, and !*'() stay.
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
