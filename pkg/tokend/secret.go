package tokend

import (
	"fmt"
	"log/slog"
)

// Secret is a token or a key. Printing it with fmt, slog or encoding/json yields
// "[redacted]"; [Secret.Reveal] returns the value.
//
// fmt cannot ask an unexported field to mask itself: a struct of yours with a Secret in
// one, or with a pointer to a struct that has Secrets, needs a Format method.
type Secret string

// Reveal returns the secret value.
func (s Secret) Reveal() string { return string(s) }

// String implements [fmt.Stringer].
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[redacted]"
}

// Format implements [fmt.Formatter] and masks the value for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler], which covers JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Secret) UnmarshalText(b []byte) error { *s = Secret(b); return nil }
