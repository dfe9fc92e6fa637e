package mock_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"example.com/tokend/pkg/mock"
)

// FuzzDPoPProof sends hostile proofs: any text, and any claims with a valid signature.
func FuzzDPoPProof(f *testing.F) {
	w := newWorld(f, mock.Config{Tenant: dpopTenant()})
	p := newProver(f)
	good := p.proof("POST", tokenURL, start, nil)
	parts := strings.Split(good, ".")
	bound := w.proven(machineForm("demo", "allowed"), p.proof("POST", tokenURL, start, nil)).tokens().Access
	for _, raw := range []string{
		good, "", ".", "..", parts[0] + "." + parts[1] + ".", "e30.e30.e30", parts[0] + ".bnVsbA." + parts[2], good + "." + good, "\x00",
		"eyJhbGciOiJFUzI1NiIsInR5cCI6ImRwb3Arand0IiwiandrIjp7fX0." + parts[1] + "." + parts[2],
	} {
		f.Add(raw, []byte(nil))
	}
	for _, claims := range []string{
		string(p.claims("POST", tokenURL, start, nil)), `{}`, `null`, `[]`, `{"iat":1e400}`, `{"iat":1e300,"jti":"a","htm":"POST","htu":"` + tokenURL + `"}`,
		`{"jti":"a","htm":"POST","htu":"%zz","iat":1772366400}`, `{"jti":"a","htm":"POST","htu":"//","iat":1772366400,"nonce":{}}`,
	} {
		f.Add("", []byte(claims))
	}
	header := map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: p.key.Public()}}
	f.Fuzz(func(t *testing.T, raw string, claims []byte) {
		if claims != nil {
			signer := *p
			signer.TB = t
			raw = signer.sign(header, claims)
		}
		for _, client := range []string{"demo", "spa", "strict"} {
			r := w.seenBy(t).proven(machineForm(client, "allowed"), raw)
			documented(t, r)
			if r.status == http.StatusOK && claims == nil && !strings.HasPrefix(raw, parts[0]+"."+parts[1]+".") {
				t.Fatalf("%q is a proof", raw)
			}
		}
		for _, path := range []string{"/userinfo", "/_mock/resource/x"} {
			r := request(http.MethodGet, path, "")
			r.Header["Authorization"], r.Header["Dpop"] = []string{"DPoP " + bound}, []string{raw}
			if got := w.seenBy(t).do(r); got.status != http.StatusUnauthorized {
				t.Fatalf("%s: %d", path, got.status)
			}
		}
	})
}
