package flow

import (
	"errors"
	"fmt"
	"time"
)

// Errors for [errors.Is].
var (
	ErrLogin    = errors.New("flow: login required")                                // no grant, or a dead one
	ErrState    = errors.New("flow: unknown, used or expired state")                // a callback without a login
	ErrNotFound = errors.New("flow: no grant is stored")                            // Store.Load
	ErrConflict = errors.New("flow: the grant was changed by another process")      // Store.Save, Lease.Renew
	ErrLocked   = errors.New("flow: the grant is being changed by another process") // Store.Lock
	ErrCorrupt  = errors.New("flow: the stored grant cannot be read")               // Store.Load
	ErrReplaced = errors.New("flow: the store was deleted, replaced or restored")   // every operation of a Store
)

// Class classifies errors by what the caller can do. The values are those of
// tokend's HTTP API.
type Class string

// Classes of errors.
const (
	ClassConfig           Class = "invalid_configuration" // the configuration is wrong
	ClassRequest          Class = "invalid_request"       // this request cannot be fulfilled (audience, scope)
	ClassLoginRequired    Class = "login_required"        // a person must log in (again)
	ClassClientRejected   Class = "client_rejected"       // the provider rejects the client: fix the configuration
	ClassBadResponse      Class = "idp_bad_response"      // the provider's answer is invalid
	ClassRedirect         Class = "idp_redirect"          // the provider redirected where it must not
	ClassUnreachable      Class = "idp_unreachable"       // retry: no connection
	ClassTimeout          Class = "idp_timeout"           // retry: no answer in time
	ClassRateLimited      Class = "idp_rate_limited"      // retry after RetryAfter
	ClassLeaseBusy        Class = "lease_busy"            // retry: another process is refreshing
	ClassStoreUnavailable Class = "store_unavailable"     // retry: the store does not answer, or was replaced
	ClassRestored         Class = "grant_restored"        // an older copy of the store was restored, or the grant was exported: nothing is sent until Resume or a login
	ClassStoreCorrupt     Class = "store_corrupt"         // the store's content cannot be read
	ClassUpstream         Class = "upstream_forbidden"    // no token is sent to a URL that is not in the list
)

// Remedy is how a client gets a grant after [ClassLoginRequired].
type Remedy string

// Remedies.
const (
	RemedyLogin   Remedy = ""        // a login, as the client is configured
	RemedyBrowser Remedy = "browser" // a person's login: the unattended one got a page
	RemedySetting Remedy = "setting" // a changed setting; the hint names it
)

// LoginAgain ends the hint of an error for which a login is a way out. A program may add
// how its user logs in.
const LoginAgain = "log in again"

// Error is the error of every operation of a [Client]. It never contains a token,
// a secret, a code or a response body.
type Error struct {
	Op          string        // "login", "finish", "refresh", "discovery", …
	Class       Class         // what kind
	Code        string        // the provider's "error", if it sent one
	Description string        // the provider's "error_description", or what is wrong
	Hint        string        // what to do, if known
	Remedy      Remedy        // of ClassLoginRequired
	Status      int           // HTTP status of the provider's answer; 0 without one
	RetryAfter  time.Duration // how long to wait before the next attempt; 0: unknown
	Err         error         // the cause

	dead  bool // the provider rejected the refresh token
	local bool // a file on this machine could not be read: nothing was sent
}

// deadToken reports whether the provider has rejected the refresh token that was
// sent, so that it must not be sent again.
func (e *Error) deadToken() bool { return e.dead }

// Error implements error: what is wrong, then "hint:" and what to do.
func (e *Error) Error() string {
	s := e.Message()
	switch {
	case e.Hint != "":
		s += "\nhint: " + e.Hint
	case e.Class == ClassLoginRequired:
		s += "\nhint: log in"
	}
	return s
}

// Message says what is wrong, without the hint.
func (e *Error) Message() string {
	s := fmt.Sprintf("%s: %s", e.Op, e.Class)
	if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	switch {
	case e.Description != "":
		s += ": " + e.Description
	case e.Err != nil:
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrLogin) true for every error that a login resolves.
func (e *Error) Is(target error) bool { return target == ErrLogin && e.Class == ClassLoginRequired }

// configError returns a config error.
func configError(hint, format string, a ...any) *Error {
	return &Error{Op: "config", Class: ClassConfig, Description: fmt.Sprintf(format, a...), Hint: hint}
}

// hintOf returns the hint of an error of a store or of the configuration.
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}
