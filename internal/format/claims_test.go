package format

import (
	"encoding/base64"
	"strings"
	"testing"
)

func part(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestClaims(t *testing.T) {
	for name, tt := range map[string]struct {
		token string
		ok    bool
	}{
		"jwt":               {part(`{"alg":"none"}`) + "." + part(`{"exp":1}`) + ".sig", true},
		"unsigned":          {part(`{"alg":"none"}`) + "." + part(`{"exp":1}`) + ".", true},
		"two parts":         {part(`{}`) + "." + part(`{}`), false},
		"five parts":        {strings.Repeat(part(`{}`)+".", 4) + "x", false},
		"header not object": {part(`[]`) + "." + part(`{}`) + ".x", false},
		"claims are null":   {part(`{}`) + "." + part(`null`) + ".x", false},
		"header is null":    {part(`null`) + "." + part(`{}`) + ".x", false},
		"trailing data":     {part(`{}`) + "." + part(`{} {}`) + ".x", false},
		"padding":           {part(`{}`) + "." + part(`{}`) + "=.x", false},
		"opaque":            {"abc", false},
		"empty":             {"", false},
	} {
		if _, claims, ok := Claims(tt.token); ok != tt.ok || ok && claims["exp"] == nil && name == "jwt" {
			t.Errorf("%s: %v, %v", name, ok, claims)
		}
	}
}

func FuzzClaims(f *testing.F) {
	f.Add(part(`{}`) + "." + part(`{"exp":1}`) + ".x")
	f.Fuzz(func(t *testing.T, token string) {
		if h, c, ok := Claims(token); ok && (h == nil || c == nil) {
			t.Error("accepted without header or claims")
		}
	})
}
