package management

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"
)

const (
	alphanumerics = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	hexDigits     = "0123456789abcdef"
)

// random returns n characters of an alphabet.
func (c *call) random(alphabet string, n int) string {
	b := make([]byte, n)
	if _, err := io.ReadFull(c.Rand, b); err != nil {
		panic("management: no randomness: " + err.Error()) // crypto/rand never fails; a test's reader ran dry
	}
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

func (c *call) uuid() string {
	h := c.random(hexDigits, 32)
	return fmt.Sprintf("%s-%s-4%s-a%s-%s", h[:8], h[8:12], h[13:16], h[17:20], h[20:])
}

// DerivedID returns an id that depends only on a name, for objects of a tenant file.
func DerivedID(prefix, name string, n int) string {
	h := sha256.Sum256([]byte(name))
	return prefix + hex.EncodeToString(h[:])[:n]
}

// stamp formats a time with milliseconds.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// nanoStamp formats a time with nanoseconds, as actions have.
func nanoStamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }
