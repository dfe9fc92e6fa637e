package management

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Error is a refusal in the form of the API.
type Error struct {
	Status     int            `json:"statusCode"`
	Name       string         `json:"error"` // of the status
	Message    string         `json:"message"`
	Code       string         `json:"errorCode,omitempty"`
	Attributes map[string]any `json:"attributes,omitempty"`
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// refuse returns an error. The code may be empty.
func refuse(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Name: http.StatusText(status), Message: fmt.Sprintf(format, args...), Code: code}
}

var (
	errNotFound  = refuse(http.StatusNotFound, "", "Not Found")
	errMalformed = refuse(http.StatusBadRequest, "", "Invalid request payload JSON format") // of hapi, whose form all errors have
)

// invalid is the refusal of a member of a body. Its path may be empty.
func invalid(path, format string, args ...any) *Error {
	return validation("Payload", "invalid_body", path, fmt.Sprintf(format, args...))
}

// validation returns the text of a validator's error. Auth0 adds its description of the
// member; some recorded answers have the placeholder instead.
func validation(what, code, path, text string) *Error {
	on := "."
	if path != "" {
		on = " on property " + path + " ({description})."
	}
	return refuse(http.StatusBadRequest, code, "%s validation error: '%s'%s", what, text, on)
}

// refusal is the answer for an error.
func refusal(err error) Answer {
	var e *Error
	if !errors.As(err, &e) {
		e = invalid("", "%s", err)
	}
	b, err := json.Marshal(e)
	if err != nil {
		b = []byte(`{"statusCode":400,"error":"Bad Request","message":"Bad Request"}`)
	}
	return Answer{Status: e.Status, Body: b, Reason: e.Message}
}

// TooLarge is the answer for a body over the limit.
func TooLarge(limit int) Answer {
	return refusal(refuse(http.StatusRequestEntityTooLarge, "", "Payload content length greater than maximum allowed: %d", limit))
}
