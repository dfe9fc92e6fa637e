package mock

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const invalidSignature = "The access token signature is invalid"

// jwtProblem returns why openJWT refuses a token.
func (t *Tenant) jwtProblem(token string) string {
	encoded, _, _ := strings.Cut(token, ".")
	b, err := base64.RawURLEncoding.DecodeString(encoded)
	var header struct{ Alg, Kid string }
	if err != nil || json.Unmarshal(b, &header) != nil || strings.Count(token, ".") != 2 {
		return "The access token is malformed"
	}
	_, known := t.keys.byID(header.Kid)
	switch {
	case !slices.Contains([]string{"RS256", "PS256"}, header.Alg):
		return fmt.Sprintf("The access token is signed with the algorithm %s, not RS256 or PS256", clip(header.Alg))
	case t.keys.isRevoked(header.Kid):
		return fmt.Sprintf("The access token is signed with the key %s, which was revoked", clip(header.Kid))
	case !known:
		return fmt.Sprintf("The access token is signed with the key %s, which is none of the tenant's", clip(header.Kid))
	}
	return invalidSignature
}

// requiredClaims are the claims of every access token of the tenant.
func requiredClaims(jwt bool) []string {
	if jwt {
		return []string{"exp", "iss", "aud", "sub"}
	}
	return []string{"exp", "sub"}
}

// lacksClaim returns that a verified token lacks one of the claims, or "".
func lacksClaim(claims map[string]any, names ...string) string {
	for _, name := range names {
		if _, has := claims[name]; !has {
			return "The access token has no " + name
		}
	}
	return ""
}
