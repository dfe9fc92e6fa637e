// Package exitcode maps errors to the exit codes of the commands, those of
// sysexits.h.
package exitcode

import (
	"errors"
	"net/http"

	"example.com/tokend/internal/format"
	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/tokend"
)

// The exit codes.
const (
	Usage       = 64 // the command line is wrong
	NoClient    = 66 // no client of that name
	Unavailable = 69 // the service, or what it needs of the machine, is not there
	TryAgain    = 75 // provider down, rate limited, lease busy
	Protocol    = 76 // the provider's answer cannot be used
	NoPerm      = 77 // login required, or refused
	Config      = 78 // the configuration is wrong
)

// Of returns the exit code of an error of package format or pkg/tokend. ok is false
// for any other error.
func Of(err error) (code int, ok bool) {
	var told *format.Told
	var form *format.Error
	var service *tokend.Error
	switch {
	case errors.As(err, &told):
		return 1, true
	case errors.As(err, &form):
		return ofForm(form), true
	case errors.As(err, &service):
		return OfService(service), true
	}
	return 0, false
}

func ofForm(e *format.Error) int {
	switch e.Kind {
	case format.Usage:
		return Usage
	case format.NoClient:
		return NoClient
	case format.Unavailable:
		return Unavailable
	case format.Protocol:
		return Protocol
	case format.Refused:
		return NoPerm
	case format.Provider:
		return OfClass(e.Class)
	default: // format.Configuration
		return Config
	}
}

// OfClass returns the exit code for an error code of the service that is reported
// without an HTTP status, as in a client's state.
func OfClass(class string) int {
	switch class {
	case tokend.CodeUnreachable:
		return Unavailable
	case "idp_unreachable", "idp_timeout", "idp_rate_limited", "lease_busy", tokend.CodeStoreUnavailable:
		return TryAgain
	case "idp_bad_response", "idp_redirect":
		return Protocol
	case tokend.CodeLoginRequired, tokend.CodeClientRejected, tokend.CodeGrantRestored, tokend.CodeUnauthorized:
		return NoPerm
	default: // invalid_configuration, invalid_request, store_corrupt
		return Config
	}
}

// OfService returns the exit code of a failed call of the service. A request that
// the provider refuses has a wrong setting or a flag with a wrong value; the command
// line itself is correct.
func OfService(e *tokend.Error) int {
	switch e.Code {
	case tokend.CodeUnreachable, tokend.CodeCanceled:
		return Unavailable
	case tokend.CodeAddress:
		return Config
	case tokend.CodeNotTokend:
		return Protocol
	case tokend.CodeUnknownClient:
		return NoClient
	case tokend.CodeLoginRequired, tokend.CodeClientRejected, tokend.CodeGrantRestored, tokend.CodeInvalidState:
		return NoPerm
	case tokend.CodeConfiguration, tokend.CodeStoreCorrupt:
		return Config
	case tokend.CodeStoreUnavailable:
		return TryAgain
	case tokend.CodeInvalidRequest:
		if e.ProviderError != "" {
			return Config
		}
	}
	switch {
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		return NoPerm
	case e.Status == http.StatusServiceUnavailable:
		return TryAgain
	case e.Status >= 400 && e.Status < 500:
		return Usage
	default:
		return Protocol
	}
}

// Text returns what is wrong, without the hint.
func Text(err error) string {
	var e *tokend.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	if e.Status != 0 && e.Code != tokend.CodeNotTokend {
		return e.Code + ": " + e.Description
	}
	return e.Description
}

// Hint returns what to do about err, "" when nothing is known.
func Hint(err error) string {
	var e *tokend.Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return hint.Of(err)
}
