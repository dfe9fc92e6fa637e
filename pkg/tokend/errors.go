package tokend

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Error codes of the service that programs check for; docs/api.md lists all. The
// last four are from this package.
const (
	CodeInvalidRequest   = "invalid_request"
	CodeInvalidState     = "invalid_state"
	CodeUnauthorized     = "unauthorized"
	CodeUnknownClient    = "unknown_client"
	CodeNotFound         = "not_found"
	CodeLoginRequired    = "login_required"
	CodeClientRejected   = "client_rejected"
	CodeGrantRestored    = "grant_restored"
	CodeConfiguration    = "invalid_configuration"
	CodeStoreUnavailable = "store_unavailable"
	CodeStoreCorrupt     = "store_corrupt"

	CodeUnreachable = "tokend_unreachable" // the service does not answer
	CodeNotTokend   = "not_tokend"         // another program answers at its address
	CodeAddress     = "invalid_address"    // the address or the API key cannot be used
	CodeCanceled    = "canceled"           // the caller's context was canceled
)

// Remedies for the code login_required. The empty remedy is a login as the client
// is configured.
const (
	RemedyBrowser = "browser" // a person's login in a browser
	RemedySetting = "setting" // a changed setting; the hint names it
)

// Error is the error of every function of this package. It never contains a token
// or a key.
type Error struct {
	Status      int    // HTTP status of the answer; 0 without one
	Code        string // "error" of the answer, or one of this package
	Description string
	Hint        string // what to do; may be empty

	Client        string        // the requested client
	Login         string        // how the client is configured to log in
	Remedy        string        // of login_required
	AuthorizeURL  string        // where a person can log in
	ProviderError string        // the provider's error code, if it rejected this request
	RetryAfter    time.Duration // how long to wait before the next request; 0: unknown

	// A device login that waits for a person.
	VerificationURIComplete string
	UserCode                string

	Err error // the cause, if there was no answer
}

// Error returns what is wrong and, on a second line, the hint.
func (e *Error) Error() string {
	text := e.Description
	if e.Status != 0 {
		text = e.Code + ": " + e.Description
	}
	if e.Hint != "" {
		text += "\nhint: " + e.Hint
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether the same request may succeed later without a change
// of configuration or a login.
func (e *Error) Temporary() bool {
	return e.Status == http.StatusServiceUnavailable || e.Code == CodeUnreachable
}

// NotListening reports whether err means that nothing listens at the service's
// address.
func NotListening(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && !op.Timeout() && !errors.Is(err, context.Canceled) &&
		(errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist))
}

// unreachable returns the error for a request without an answer.
func unreachable(where string, err error) *Error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	switch {
	case errors.Is(err, context.Canceled):
		return &Error{Code: CodeCanceled, Description: "the request was canceled", Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{
			Code: CodeUnreachable, Description: "tokend does not answer in time: " + err.Error(), Err: err,
			Hint: "give it more time; tokend status shows whether the service works",
		}
	}
	hint := "start it with tokend serve, or set TOKEND_ADDR"
	if errors.Is(err, ErrForeign) {
		hint = "start it with tokend serve, or set TOKEND_ADDR=" + where + " to use that one"
	}
	if bad := (*tls.CertificateVerificationError)(nil); errors.As(err, &bad) {
		return &Error{
			Code: CodeAddress, Description: "the certificate of " + where + " is not accepted: " + bad.Err.Error(), Err: err,
			Hint: "use a name of the certificate; for an authority of your own set SSL_CERT_FILE to its PEM file",
		}
	}
	return &Error{Code: CodeUnreachable, Description: "tokend does not answer: " + err.Error(), Hint: hint, Err: err}
}

// refusal returns the error of an unsuccessful answer.
func refusal(where string, status int, body []byte) *Error {
	var a struct {
		Code          string `json:"error"`
		Description   string `json:"error_description"`
		Hint          string `json:"hint"`
		Client        string `json:"client"`
		Login         string `json:"login"`
		Remedy        string `json:"remedy"`
		AuthorizeURL  string `json:"authorize_url"`
		ProviderError string `json:"provider_error"`
		RetryAfter    int64  `json:"retry_after"` // seconds

		VerificationURIComplete string `json:"verification_uri_complete"`
		UserCode                string `json:"user_code"`
	}
	if json.Unmarshal(body, &a) != nil || a.Code == "" {
		return &Error{
			Status: status, Code: CodeNotTokend,
			Description: fmt.Sprintf("the program at %s is not tokend: it answered with status %d and no error body", where, status),
			Hint:        "check TOKEND_ADDR, TOKEND_LISTEN and TOKEND_SOCKET",
		}
	}
	return &Error{
		Status: status, Code: clean(a.Code, 64), Description: clean(a.Description, 1024), Hint: clean(a.Hint, 4096),
		Client: clean(a.Client, 128), Login: clean(a.Login, 64), Remedy: clean(a.Remedy, 64),
		AuthorizeURL: clean(a.AuthorizeURL, 4096), ProviderError: clean(a.ProviderError, 128),
		VerificationURIComplete: clean(a.VerificationURIComplete, 4096), UserCode: clean(a.UserCode, 64),
		RetryAfter: time.Duration(max(0, min(a.RetryAfter, 3600))) * time.Second,
	}
}

// clean returns s without control characters, at most most bytes of it: the text
// may come from a provider.
func clean(s string, most int) string {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// addressError returns the error for an invalid address or API key.
func addressError(hint, format string, a ...any) *Error {
	return &Error{Code: CodeAddress, Description: fmt.Sprintf(format, a...), Hint: hint}
}
