package flow

import (
	"errors"
	"fmt"
	"time"
)

// What callers branch on with [errors.Is].
var (
	ErrLogin    = errors.New("flow: login required")                                // no grant, or a dead one: a person must act
	ErrState    = errors.New("flow: unknown, used or expired state")                // a callback that belongs to no login
	ErrNotFound = errors.New("flow: no grant is stored")                            // Store.Load
	ErrConflict = errors.New("flow: the grant was changed by another process")      // Store.Save, Lease.Renew
	ErrLocked   = errors.New("flow: the grant is being changed by another process") // Store.Lock
	ErrCorrupt  = errors.New("flow: the stored grant cannot be read")               // Store.Load
	ErrReplaced = errors.New("flow: the store was deleted, replaced or put back")   // every operation of a Store
)

// Class sorts failures by what helps against them. The values are those of
// tokend's HTTP API.
type Class string

// The classes of failure.
const (
	ClassConfig           Class = "invalid_configuration" // the Config is wrong
	ClassRequest          Class = "invalid_request"       // this request cannot be met (audience, scope)
	ClassLoginRequired    Class = "login_required"        // a person must log in (again)
	ClassClientRejected   Class = "client_rejected"       // the tenant refuses the client: mend the configuration
	ClassBadResponse      Class = "idp_bad_response"      // the tenant's answer makes no sense
	ClassRedirect         Class = "idp_redirect"          // the tenant redirected where it must not
	ClassUnreachable      Class = "idp_unreachable"       // try again: no connection
	ClassTimeout          Class = "idp_timeout"           // try again: no answer in time
	ClassRateLimited      Class = "idp_rate_limited"      // try again after RetryAfter
	ClassLeaseBusy        Class = "lease_busy"            // try again: another process is refreshing
	ClassStoreUnavailable Class = "store_unavailable"     // try again: the store does not answer, or was replaced
	ClassRestored         Class = "grant_restored"        // an older copy of the store was put back: nothing is sent until Resume or a login
	ClassStoreCorrupt     Class = "store_corrupt"         // the store's content cannot be read
	ClassUpstream         Class = "upstream_forbidden"    // no token is sent there: it is not in the list
)

// Remedy is what gives a client a grant where [ClassLoginRequired] says that it
// has none.
type Remedy string

// The remedies.
const (
	RemedyLogin   Remedy = ""        // a login, as this client is configured to
	RemedyBrowser Remedy = "browser" // a person's: the login without one has met a page
	RemedySetting Remedy = "setting" // no login before a setting is another one; the hint says which
)

// Error is every failure of a [Client]: which operation, what kind, what the
// tenant said. It never holds a token, a secret, a code or a response body.
type Error struct {
	Op          string        // "login", "finish", "refresh", "discovery", …
	Class       Class         // what kind
	Code        string        // the tenant's "error", when it sent one
	Description string        // the tenant's "error_description", or what is wrong
	Hint        string        // what to do about it, when that is known
	Remedy      Remedy        // of ClassLoginRequired
	Status      int           // of the tenant's answer; 0 without one
	RetryAfter  time.Duration // how long to wait before another attempt helps; 0 unknown
	Err         error         // the cause

	dead  bool // the provider refuses the refresh token that was sent
	local bool // what is sent could not be read on this machine: nothing was sent
}

// deadToken reports whether the provider has refused the refresh token that was
// sent, in whatever words: it is not to be sent again.
func (e *Error) deadToken() bool { return e.dead }

// Error implements error: what is wrong, then "hint:" what to do.
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

// Is makes errors.Is(err, ErrLogin) true for every failure that a login mends.
func (e *Error) Is(target error) bool { return target == ErrLogin && e.Class == ClassLoginRequired }

// configError is a fault of what the caller was configured with.
func configError(hint, format string, a ...any) *Error {
	return &Error{Op: "config", Class: ClassConfig, Description: fmt.Sprintf(format, a...), Hint: hint}
}

// hintOf returns what a store's error, or one of the configuration, says to do.
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}
