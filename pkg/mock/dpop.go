package mock

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"example.com/tokend/pkg/mock/tenant"
)

// Auth0 publishes neither how old a proof may be nor how far ahead its clock.
const (
	proofMaxSize = 8 << 10
	proofAge     = 5 * time.Minute
	proofAhead   = time.Minute
)

// proofAlgs are the algorithms that Auth0 documents for DPoP proofs.
var proofAlgs = []jose.SignatureAlgorithm{jose.ES256, jose.RS256}

// proof is a DPoP proof with a valid signature and valid claims.
type proof struct {
	thumbprint string // of its key
	jti        string
	nonce      string
	end        time.Time // when it is too old
}

// proofClaims are the claims of a proof (RFC 9449 section 4.2).
type proofClaims struct {
	Jti   string   `json:"jti"`
	Htm   string   `json:"htm"`
	Htu   string   `json:"htu"`
	Iat   *float64 `json:"iat"`
	Ath   string   `json:"ath"`
	Nonce string   `json:"nonce"`
}

// badProof is the error for a proof that is not valid. The code is documented, its
// status is that of RFC 6749 section 5.2.
func badProof(description string) *oauthError { return refuse("invalid_dpop_proof", description) }

// readProof checks the request's DPoP proof as RFC 9449 section 4.3 requires, except
// for the nonce and the single use, which need the tenant's state. It returns nil if
// the request has no proof. A request with an access token needs a proof for it.
func (c *call) readProof(accessToken string) (*proof, *oauthError) {
	sent := c.r.Header.Values("DPoP")
	switch {
	case len(sent) == 0:
		return nil, nil
	case len(sent) > 1:
		return nil, badProof("The request has more than one DPoP proof")
	case len(sent[0]) > proofMaxSize:
		return nil, badProof("The DPoP proof is larger than 8 KB")
	}
	thumbprint, claims, bad := openProof(sent[0])
	if bad != nil {
		return nil, bad
	}
	ath := sha256.Sum256([]byte(accessToken))
	switch {
	case claims.Jti == "":
		return nil, badProof("The DPoP proof has no jti")
	case claims.Htm != c.r.Method:
		return nil, badProof("htm of the DPoP proof is not the request's method")
	case !sameEndpoint(claims.Htu, c.url(c.r.URL.EscapedPath())):
		return nil, badProof("htu of the DPoP proof is not the request's URL, " + clip(c.url(c.r.URL.EscapedPath())))
	case claims.Iat == nil:
		return nil, badProof("The DPoP proof has no iat")
	case *claims.Iat <= float64(c.now.Add(-proofAge).Unix()):
		return nil, badProof("The DPoP proof is older than five minutes")
	case *claims.Iat > float64(c.now.Add(proofAhead).Unix()):
		return nil, badProof("iat of the DPoP proof is in the future")
	case accessToken != "" && claims.Ath != encode(ath[:]):
		return nil, badProof("ath of the DPoP proof is not the hash of the access token")
	}
	iat := time.Unix(int64(math.Ceil(*claims.Iat)), 0)
	return &proof{thumbprint: thumbprint, jti: claims.Jti, nonce: claims.Nonce, end: iat.Add(proofAge)}, nil
}

// openProof verifies the signature of a proof and returns its key's thumbprint.
func openProof(raw string) (thumbprint string, claims proofClaims, bad *oauthError) {
	if hasPrivateMember(raw) {
		return "", claims, badProof("jwk of the DPoP proof has private members")
	}
	jws, err := jose.ParseSignedCompact(raw, proofAlgs)
	if err != nil || !canonical(raw) {
		return "", claims, badProof("The DPoP proof is not a JWT signed with ES256 or RS256")
	}
	header := jws.Signatures[0].Protected
	key := header.JSONWebKey
	switch {
	case header.ExtraHeaders[jose.HeaderType] != "dpop+jwt":
		return "", claims, badProof("typ of the DPoP proof is not dpop+jwt")
	case key == nil:
		return "", claims, badProof("The DPoP proof has no jwk")
	}
	payload, err := jws.Verify(key)
	sum, noSum := key.Thumbprint(crypto.SHA256) // an error only for keys that verify nothing
	if err != nil || noSum != nil {
		return "", claims, badProof("The signature of the DPoP proof is invalid")
	}
	if unmarshalClaims(payload, &claims) != nil {
		return "", claims, badProof("The claims of the DPoP proof are malformed")
	}
	return encode(sum), claims, nil
}

// hasPrivateMember reports whether the jwk of a proof's header has a member of a
// private key (RFC 7518 section 6).
func hasPrivateMember(raw string) bool {
	encoded, _, _ := strings.Cut(raw, ".")
	b, _ := base64.RawURLEncoding.DecodeString(encoded)
	var header, jwk map[string]json.RawMessage
	_ = json.Unmarshal(b, &header) // go-jose reports a malformed header
	_ = json.Unmarshal(header["jwk"], &jwk)
	for name := range jwk {
		if containsWord("d p q dp dq qi oth k", name) {
			return true
		}
	}
	return false
}

// sameEndpoint compares htu with the URL of the request, both without query and
// fragment, after the normalization of RFC 3986 section 6.2.3.
func sameEndpoint(htu, target string) bool {
	a, errA := url.Parse(htu)
	b, errB := url.Parse(target)
	return errA == nil && errB == nil && a.Host != "" && a.User == nil &&
		strings.EqualFold(a.Scheme, b.Scheme) && hostAndPort(a) == hostAndPort(b) && pathOf(a) == pathOf(b)
}

func hostAndPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

func pathOf(u *url.URL) string {
	if p := u.EscapedPath(); p != "" {
		return p
	}
	return "/"
}

// isThumbprint reports whether a value can be the SHA-256 thumbprint of a key.
func isThumbprint(s string) bool {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return err == nil && len(b) == sha256.Size && encode(b) == s
}

// acceptProof checks what the tenant's state says about a proof: its nonce, and that
// it was not used before. The caller holds t.mu.
func (t *Tenant) acceptProof(c *call, client *tenant.Client, p *proof) *oauthError {
	if p == nil {
		return nil
	}
	if bad := t.checkNonce(c, client, p); bad != nil {
		return bad
	}
	return t.useProof(c, p)
}

// useProof rejects a proof that was used before.
func (t *Tenant) useProof(c *call, p *proof) *oauthError {
	key := hash(p.thumbprint + "\x00" + p.jti)
	if end, seen := t.st.proofs[key]; seen && end.After(c.now) {
		return badProof("jti of the DPoP proof was used before")
	}
	makeRoom(&t.st.room, t.st.proofs, func(end time.Time) bool { return !end.After(c.now) }, itself)
	t.st.proofs[key] = p.end
	return nil
}

// constrain binds the access token of a grant to the key of the request's proof. It
// refuses the request if the client or the API requires a proof
// (https://auth0.com/docs/secure/sender-constraining/configure-sender-constraining).
// A proof for an API without DPoP is ignored.
func (t *Tenant) constrain(issuer string, client *tenant.Client, g *grant, p *proof) *oauthError {
	api := t.api(issuer, g.audience)
	g.jkt = ""
	if bound := p != nil && (api == nil || api.TakesDPoP()); bound {
		g.jkt = p.thumbprint
		return nil
	}
	switch {
	case client.RequireProof:
		return refuse("invalid_request", "The client requires a proof of possession, for an API that takes DPoP")
	case api != nil && api.RequiresProof(client):
		return refuse("invalid_request", "The API requires a proof of possession")
	}
	return nil
}

// checkKey refuses a code or refresh token that is bound to a key without a proof of
// that key.
func checkKey(what, jkt string, p *proof) *oauthError {
	switch {
	case jkt == "":
		return nil
	case p == nil:
		return badProof("The " + what + " is bound to a key, and the request has no DPoP proof")
	case p.thumbprint != jkt:
		return badProof("The " + what + " is bound to another key than the DPoP proof's")
	}
	return nil
}
