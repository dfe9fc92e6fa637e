package mock

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Defect is what is wrong with a token, or with the answer that it comes in.
type Defect string

// The defects of a token, and of expires_in in an answer of /oauth/token.
const (
	DefectExpired         Defect = "expired"           // exp was an hour ago
	DefectIssuer          Defect = "wrong_iss"         // iss is another issuer
	DefectAudience        Defect = "wrong_aud"         // aud is another API or client
	DefectNonce           Defect = "wrong_nonce"       // nonce of an ID token is another one
	DefectSignature       Defect = "wrong_signature"   // the signature does not match
	DefectKeyID           Defect = "wrong_kid"         // the tenant does not have the kid
	DefectAlgNone         Defect = "alg_none"          // alg is none, without a signature
	DefectMissingClaim    Defect = "missing_claim"     // a claim is missing; which one is a field of its own
	DefectNoExpiresIn     Defect = "no_expires_in"     // the answer has no expires_in
	DefectFloatExpiresIn  Defect = "float_expires_in"  // expires_in is 86400.0
	DefectStringExpiresIn Defect = "string_expires_in" // expires_in is "86400"
)

var (
	tokenDefects = []Defect{
		DefectExpired, DefectIssuer, DefectAudience, DefectNonce, DefectSignature, DefectKeyID, DefectAlgNone, DefectMissingClaim,
	}
	answerDefects = []Defect{DefectNoExpiresIn, DefectFloatExpiresIn, DefectStringExpiresIn}
)

// Values that are wrong for every tenant.
const (
	wrongIssuer   = "https://wrong-issuer.example/"
	wrongAudience = "https://wrong-audience.example/"
	wrongNonce    = "wrong-nonce"
	wrongKeyID    = "wrong-key-id"
)

// damage is what is wrong with the tokens of an answer.
type damage struct {
	defects []Defect
	claim   string // of DefectMissingClaim
	only    string // "access_token" or "id_token"; "": both
}

func (d damage) has(defect Defect) bool { return slices.Contains(d.defects, defect) }

// of returns the damage of one of the tokens.
func (d damage) of(token string) damage {
	if d.only != "" && d.only != token {
		return damage{}
	}
	return d
}

// claims returns damaged claims.
func (d damage) claims(c object, now time.Time) object {
	if len(d.defects) == 0 {
		return c
	}
	if d.has(DefectExpired) {
		c = expired(c, now)
	}
	if d.has(DefectIssuer) {
		c = c.with(object{{"iss", wrongIssuer}})
	}
	if d.has(DefectAudience) {
		c = c.with(object{{"aud", wrongAudience}})
	}
	if d.has(DefectMissingClaim) {
		c = slices.DeleteFunc(c, func(m member) bool { return m.name == d.claim })
	}
	return c
}

// expired moves iat and exp to the past, so that exp was an hour ago.
func expired(c object, now time.Time) object {
	at := func(name string) int64 {
		for _, m := range c {
			if v, ok := m.value.(int64); ok && m.name == name {
				return v
			}
		}
		return now.Unix()
	}
	exp := now.Add(-time.Hour).Unix()
	return c.with(object{{"iat", exp - (at("exp") - at("iat"))}, {"exp", exp}})
}

// signed signs a token of an issuance, with the damage that it should have.
func (t *Tenant) signed(o issuance, token, alg, typ string, claims object, secret []byte) (string, error) {
	d, key := o.damage.of(token), t.keys.current()
	claims = d.claims(claims, o.now)
	if d.has(DefectNonce) && token == "id_token" {
		claims = claims.with(object{{"nonce", wrongNonce}})
	}
	if d.has(DefectAlgNone) {
		return encode([]byte(`{"alg":"none","typ":`+strconv.Quote(typ)+"}")) + "." + encode(claims.bytes()) + ".", nil
	}
	if d.has(DefectKeyID) {
		key.ID = wrongKeyID
	}
	raw, err := key.sign(alg, typ, claims, secret)
	if err == nil && d.has(DefectSignature) {
		raw = spoiled(raw)
	}
	return raw, err
}

// spoiled changes a bit of the last part of a token.
func spoiled(token string) string {
	at := strings.LastIndexByte(token, '.') + 1
	b, err := base64.RawURLEncoding.DecodeString(token[at:])
	if err != nil || len(b) == 0 {
		return token
	}
	b[0] ^= 1
	return token[:at] + encode(b)
}

// answer returns a damaged answer of /oauth/token.
func (d damage) answer(o object) object {
	at := slices.IndexFunc(o, func(m member) bool { return m.name == "expires_in" })
	seconds, isInt := 0, false
	if at >= 0 {
		seconds, isInt = o[at].value.(int)
	}
	switch {
	case !isInt:
	case d.has(DefectNoExpiresIn):
		return slices.Delete(o, at, at+1)
	case d.has(DefectFloatExpiresIn):
		o[at].value = json.RawMessage(strconv.Itoa(seconds) + ".0")
	case d.has(DefectStringExpiresIn):
		o[at].value = strconv.Itoa(seconds)
	}
	return o
}
