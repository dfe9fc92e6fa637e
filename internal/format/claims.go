package format

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// Claims returns the header and the claims of a JWT (RFC 7519) in compact form, without
// verifying anything. ok is false for any other token, such as an opaque or an
// encrypted one.
func Claims(token string) (header, claims map[string]any, ok bool) {
	first, _, _ := strings.Cut(token, ".")
	ok = decodeClaims(token, &claims) && decodePart(first, &header)
	return header, claims, ok && header != nil && claims != nil
}

// decodeClaims decodes the claims of a signed JWT into v.
func decodeClaims(token string, v any) bool {
	parts := strings.Split(token, ".")
	return len(parts) == 3 && decodePart(parts[1], v)
}

// decodePart decodes a part of a JWT. Numbers keep their digits.
func decodePart(part string, v any) bool {
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(v) == nil && !d.More()
}
