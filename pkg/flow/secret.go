package flow

import (
	"fmt"
	"log/slog"
)

const masked = "[redacted]"

// Secret is a value that must not be shown: a client secret, a token, a code. All
// ways of printing it (fmt, slog, encoding/json) yield "[redacted]"; only
// [Secret.Reveal] returns its value, so that each use can be found.
//
// fmt cannot ask an unexported field to mask itself: a struct of yours with a Secret in
// one, or with a pointer to a struct that has Secrets, needs a Format method.
type Secret string

// Reveal returns the secret value.
func (s Secret) Reveal() string { return string(s) }

// String implements [fmt.Stringer] and masks.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// Format implements [fmt.Formatter] and masks for every verb (%q, %x, %#v).
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue implements [slog.LogValuer] and masks.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler] and masks, which covers JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Secret) UnmarshalText(b []byte) error { *s = Secret(b); return nil }
