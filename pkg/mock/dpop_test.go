package mock_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

const tokenURL = issuer + "oauth/token"

// prover signs DPoP proofs with one key.
type prover struct {
	testing.TB
	alg jose.SignatureAlgorithm
	key crypto.Signer
	n   int
}

func newProver(tb testing.TB) *prover {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return &prover{TB: tb, alg: jose.ES256, key: key}
}

func (p *prover) jkt() string {
	sum, err := (&jose.JSONWebKey{Key: p.key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		p.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// proof returns a proof for a request, with claims changed or, if nil, removed.
func (p *prover) proof(method, target string, at time.Time, change map[string]any) string {
	p.Helper()
	return p.sign(map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: p.key.Public()}}, p.claims(method, target, at, change))
}

func (p *prover) claims(method, target string, at time.Time, change map[string]any) []byte {
	p.n++
	claims := map[string]any{"jti": fmt.Sprint("proof-", p.n), "htm": method, "htu": target, "iat": at.Unix()}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	b, err := json.Marshal(claims)
	if err != nil {
		p.Fatal(err)
	}
	return b
}

func (p *prover) sign(header map[jose.HeaderKey]any, payload []byte) string {
	p.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: p.alg, Key: p.key}, &jose.SignerOptions{ExtraHeaders: header})
	if err != nil {
		p.Fatal(err)
	}
	jws, err := s.Sign(payload)
	if err != nil {
		p.Fatal(err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		p.Fatal(err)
	}
	return raw
}

// ath is the hash of an access token in a proof.
func ath(token string) map[string]any {
	sum := sha256.Sum256([]byte(token))
	return map[string]any{"ath": base64.RawURLEncoding.EncodeToString(sum[:])}
}

// proven sends a token request with proofs.
func (w *world) proven(form url.Values, proofs ...string) reply {
	w.Helper()
	r := formRequest("/oauth/token", form)
	r.Header["Dpop"] = proofs
	return w.do(r)
}

// call sends a GET with an Authorization header and, unless empty, a proof.
func (w *world) call(path, authorization, proof string) reply {
	w.Helper()
	r := httptest.NewRequest(http.MethodGet, strings.TrimSuffix(issuer, "/")+path, nil)
	r.Header.Set("Authorization", authorization)
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	return w.do(r)
}

// dpopTenant has an API for each setting of proof_of_possession, and clients that
// require a proof or are public.
func dpopTenant() *tenant.File {
	e := richTenant()
	pop := func(name string, p *tenant.ProofOfPossession) {
		e.ResourceServers = append(e.ResourceServers, tenant.ResourceServer{
			Name: name, Identifier: "https://" + name + ".example/", AllowOfflineAccess: true, ProofOfPossession: p,
		})
		for _, client := range []string{"demo", "strict", "spa"} {
			e.ClientGrants = append(e.ClientGrants, tenant.ClientGrant{ClientID: client, Audience: "https://" + name + ".example/"})
		}
	}
	grants := []string{"authorization_code", "refresh_token", "client_credentials", "password", deviceGrant, "implicit"}
	e.Clients[0].GrantTypes = append(e.Clients[0].GrantTypes, "implicit")
	e.Clients = append(e.Clients,
		tenant.Client{ClientID: "strict", ClientSecret: "strict-secret", Callbacks: []string{callback}, GrantTypes: grants, RequireProof: true},
		tenant.Client{ClientID: "spa", AppType: "spa", Callbacks: []string{callback}, GrantTypes: grants, RefreshToken: &tenant.RefreshPolicy{
			RotationType: "rotating", ExpirationType: "non-expiring",
		}},
	)
	pop("none", nil)
	pop("named-none", &tenant.ProofOfPossession{Mechanism: "none", Required: true})
	pop("allowed", &tenant.ProofOfPossession{Mechanism: "dpop"})
	pop("required", &tenant.ProofOfPossession{Mechanism: "dpop", Required: true})
	pop("public", &tenant.ProofOfPossession{Mechanism: "dpop", Required: true, RequiredFor: "public_clients"})
	pop("mtls", &tenant.ProofOfPossession{Mechanism: "mtls"})
	pop("mtls-required", &tenant.ProofOfPossession{Mechanism: "mtls", Required: true})
	return e
}

func machineForm(client, audience string) url.Values {
	form := pairs("grant_type", "client_credentials", "client_id", client, "client_secret", client+"-secret", "audience", "https://"+audience+".example/")
	if client == "spa" {
		form.Del("client_secret")
	}
	return form
}

// The table of https://auth0.com/docs/secure/sender-constraining/configure-sender-constraining.
func TestDPoP_SettingsOfClientAndAPI(t *testing.T) {
	const (
		client = "The client requires a proof of possession, for an API that takes DPoP"
		server = "The API requires a proof of possession"
	)
	w := newWorld(t, mock.Config{Tenant: dpopTenant()})
	w.mustControl("POST", "/_mock/settings", `{"dpop_nonce":"none"}`)
	p := newProver(t)
	for _, c := range []struct{ client, api, without, with string }{
		{"demo", "none", "Bearer", "Bearer"},
		{"demo", "named-none", "Bearer", "Bearer"},
		{"demo", "allowed", "Bearer", "DPoP"},
		{"demo", "required", server, "DPoP"},
		{"demo", "public", "Bearer", "DPoP"},
		{"spa", "public", server, "DPoP"},
		{"strict", "none", client, client},
		{"strict", "allowed", client, "DPoP"},
		{"strict", "required", client, "DPoP"},
		{"demo", "mtls", "Bearer", "Bearer"},
		{"demo", "mtls-required", server, server},
	} {
		for want, proofs := range map[string][]string{"without " + c.without: nil, "with " + c.with: {p.proof("POST", tokenURL, start, nil)}} {
			_, want, _ := strings.Cut(want, " ")
			t.Run(fmt.Sprint(c.client, " at ", c.api, ", proofs ", len(proofs)), func(t *testing.T) {
				r := w.seenBy(t).proven(machineForm(c.client, c.api), proofs...)
				if strings.Contains(want, " ") {
					r.refused(400, "invalid_request", want)
					return
				}
				tk := r.tokens()
				cnf, bound := claims(t, tk.Access)["cnf"]
				if tk.Type != want || bound != (want == "DPoP") || bound && cnf.(map[string]any)["jkt"] != p.jkt() {
					t.Errorf("token_type %q, want %q; cnf %v", tk.Type, want, cnf)
				}
			})
		}
	}
}

func TestDPoP_BadProofs(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: dpopTenant()})
	p, other := newProver(t), newProver(t)
	build := func(change map[string]any) string { return p.proof("POST", tokenURL, start, change) }
	private, err := json.Marshal(jose.JSONWebKey{Key: p.key})
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	factors := map[string]any{
		"kty": "RSA", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(weak.N.Bytes()),
		"p": base64.RawURLEncoding.EncodeToString(weak.Primes[0].Bytes()),
	}
	signed := func(header map[jose.HeaderKey]any) string {
		return p.sign(header, p.claims("POST", tokenURL, start, nil))
	}
	rs := &prover{TB: t, alg: jose.RS256, key: weak}
	ps := &prover{TB: t, alg: jose.PS256, key: weak}
	good := strings.Split(build(nil), ".")
	jwk := jose.JSONWebKey{Key: p.key.Public()}
	const unsigned = "The DPoP proof is not a JWT signed with ES256 or RS256"
	used := build(map[string]any{"jti": "once"})
	w.proven(machineForm("demo", "allowed"), used).tokens()
	for name, c := range map[string]struct {
		proofs []string
		want   string
	}{
		"empty":                    {[]string{""}, unsigned},
		"garbage":                  {[]string{"garbage"}, unsigned},
		"two headers":              {[]string{build(nil), build(nil)}, "The request has more than one DPoP proof"},
		"large":                    {[]string{build(map[string]any{"x": strings.Repeat("x", 8<<10)})}, "The DPoP proof is larger than 8 KB"},
		"PS256":                    {[]string{ps.proof("POST", tokenURL, start, nil)}, unsigned},
		"alg none":                 {[]string{base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"dpop+jwt"}`)) + "." + good[1] + "."}, unsigned},
		"typ":                      {[]string{signed(map[jose.HeaderKey]any{"typ": "JWT", "jwk": jwk})}, "typ of the DPoP proof is not dpop+jwt"},
		"no typ":                   {[]string{signed(map[jose.HeaderKey]any{"jwk": jwk})}, "typ of the DPoP proof is not dpop+jwt"},
		"no jwk":                   {[]string{signed(map[jose.HeaderKey]any{"typ": "dpop+jwt"})}, "The DPoP proof has no jwk"},
		"private key":              {[]string{signed(map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": json.RawMessage(private)})}, "jwk of the DPoP proof has private members"},
		"prime of a key":           {[]string{rs.sign(map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": factors}, rs.claims("POST", tokenURL, start, nil))}, "jwk of the DPoP proof has private members"},
		"another key":              {[]string{signed(map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: other.key.Public()}})}, "The signature of the DPoP proof is invalid"},
		"claims":                   {[]string{p.sign(map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": jwk}, []byte(`{"jti":1}`))}, "The claims of the DPoP proof are malformed"},
		"no jti":                   {[]string{build(map[string]any{"jti": nil})}, "The DPoP proof has no jti"},
		"method":                   {[]string{build(map[string]any{"htm": "GET"})}, "htm of the DPoP proof is not the request's method"},
		"path":                     {[]string{build(map[string]any{"htu": issuer})}, "htu of the DPoP proof is not the request's URL, " + tokenURL},
		"host":                     {[]string{build(map[string]any{"htu": "http://localhost:8401/oauth/token"})}, "htu of the DPoP proof is not the request's URL, " + tokenURL},
		"scheme":                   {[]string{build(map[string]any{"htu": "https://localhost:8400/oauth/token"})}, "htu of the DPoP proof is not the request's URL, " + tokenURL},
		"user in the URL":          {[]string{build(map[string]any{"htu": "http://a@localhost:8400/oauth/token"})}, "htu of the DPoP proof is not the request's URL, " + tokenURL},
		"no htu":                   {[]string{build(map[string]any{"htu": nil})}, "htu of the DPoP proof is not the request's URL, " + tokenURL},
		"no iat":                   {[]string{build(map[string]any{"iat": nil})}, "The DPoP proof has no iat"},
		"five minutes old":         {[]string{build(map[string]any{"iat": start.Add(-5 * time.Minute).Unix()})}, "The DPoP proof is older than five minutes"},
		"a minute ahead":           {[]string{build(map[string]any{"iat": start.Add(time.Minute).Unix() + 1})}, "iat of the DPoP proof is in the future"},
		"far ahead":                {[]string{build(map[string]any{"iat": 1e300})}, "iat of the DPoP proof is in the future"},
		"long before":              {[]string{build(map[string]any{"iat": -1e300})}, "The DPoP proof is older than five minutes"},
		"name of a claim":          {[]string{p.sign(map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": jwk}, []byte(strings.Replace(string(p.claims("POST", tokenURL, start, nil)), `"jti"`, `"JTI"`, 1)))}, "The DPoP proof has no jti"},
		"name, other letter":       {[]string{p.sign(map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": jwk}, []byte(strings.Replace(string(p.claims("POST", tokenURL, start, nil)), `"jti"`, `"ȷti"`, 1)))}, "The DPoP proof has no jti"},
		"variant of claims":        {[]string{variantOf(t, build, 1)}, unsigned},
		"variant of the signature": {[]string{variantOf(t, build, 2)}, unsigned},
		"used before":              {[]string{used}, "jti of the DPoP proof was used before"},
		"used jti, new body":       {[]string{build(map[string]any{"jti": "once", "x": 1})}, "jti of the DPoP proof was used before"},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.seenBy(t).proven(machineForm("demo", "allowed"), c.proofs...)
			r.refused(400, "invalid_dpop_proof", c.want)
			w.seenBy(t).proven(machineForm("demo", "none"), c.proofs...).refused(400, "invalid_dpop_proof", c.want)
		})
	}
	for name, claims := range map[string]map[string]any{
		"fraction of a second": {"iat": float64(start.Unix()) - 0.5},
		"almost too old":       {"iat": start.Add(-5*time.Minute).Unix() + 1},
		"almost ahead":         {"iat": start.Add(time.Minute).Unix()},
		"query and fragment":   {"htu": tokenURL + "?a=b#c"},
		"case of the host":     {"htu": "HTTP://LOCALHOST:8400/oauth/token"},
	} {
		t.Run(name, func(t *testing.T) {
			if tk := w.seenBy(t).proven(machineForm("demo", "allowed"), build(claims)).tokens(); tk.Type != "DPoP" {
				t.Errorf("%+v", tk)
			}
		})
	}
	w.proven(machineForm("demo", "allowed"), rs.proof("POST", tokenURL, start, nil)).tokens()
	w.proven(machineForm("demo", "allowed"), other.proof("POST", tokenURL, start, map[string]any{"jti": "once"})).tokens() // jti of another key
	form := machineForm("demo", "allowed")
	form.Set("client_secret", "wrong")
	w.proven(form, "garbage").refused(401, "access_denied", "Unauthorized")
}

// variantOf returns a JWT with other trailing bits in one of its parts, which most
// decoders ignore.
func variantOf(t *testing.T, build func(map[string]any) string, at int) string {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for n := range 3 { // a part of some lengths has no trailing bits
		parts := strings.Split(build(map[string]any{"x": strings.Repeat("x", n)}), ".")
		end := len(parts[at]) - 1
		if last := strings.IndexByte(alphabet, parts[at][end]); len(parts[at])%4 != 0 && last%2 == 0 {
			parts[at] = parts[at][:end] + string(alphabet[last+1])
			return strings.Join(parts, ".")
		}
	}
	t.Fatalf("part %d has no variant", at)
	return ""
}

// A private key cannot hide behind a second member, which encoding/json would read.
func TestDPoP_PrivateKeyWithAnotherMember(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: dpopTenant()})
	p := newProver(t)
	private, err := json.Marshal(jose.JSONWebKey{Key: p.key})
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{`null`, `{}`, `1`} {
		header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"dpop+jwt","jwk":` + string(private) + `,"JWK":` + other + `}`))
		payload := base64.RawURLEncoding.EncodeToString(p.claims("POST", tokenURL, start, nil))
		sum := sha256.Sum256([]byte(header + "." + payload))
		r, s, err := ecdsa.Sign(rand.Reader, p.key.(*ecdsa.PrivateKey), sum[:])
		if err != nil {
			t.Fatal(err)
		}
		signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		raw := header + "." + payload + "." + base64.RawURLEncoding.EncodeToString(signature)
		w.proven(machineForm("demo", "allowed"), raw).refused(400, "invalid_dpop_proof", "jwk of the DPoP proof has private members")
	}
}

// A proof at /oauth/par is as good as dpop_jkt (RFC 9449 section 10.1).
func TestDPoP_PushedRequests(t *testing.T) {
	const parURL = issuer + "oauth/par"
	w := newWorld(t, mock.Config{Tenant: dpopTenant()})
	p, other := newProver(t), newProver(t)
	push := func(jkt string, proofs ...string) reply {
		form := pairs("client_id", "demo", "client_secret", "demo-secret", "response_type", "code", "redirect_uri", callback, "audience", "https://allowed.example/")
		if jkt != "" {
			form.Set("dpop_jkt", jkt)
		}
		r := formRequest("/oauth/par", form)
		r.Header["Dpop"] = proofs
		return w.do(r)
	}
	build := func(change map[string]any) string { return p.proof("POST", parURL, start, change) }
	used := build(nil)
	uri := decodeJSON[map[string]any](t, push("", used).body)["request_uri"].(string)
	code := w.get("/authorize?" + pairs("client_id", "demo", "request_uri", uri).Encode()).param("code")
	form := pairs("grant_type", "authorization_code", "client_id", "demo", "client_secret", "demo-secret", "code", code, "redirect_uri", callback)
	w.proven(form).refused(400, "invalid_dpop_proof", "The authorization code is bound to a key, and the request has no DPoP proof")
	w.proven(form, other.proof("POST", tokenURL, start, nil)).refused(400, "invalid_dpop_proof", "The authorization code is bound to another key than the DPoP proof's")
	if tk := w.proven(form, p.proof("POST", tokenURL, start, nil)).tokens(); tk.Type != "DPoP" {
		t.Errorf("%+v", tk)
	}

	push("", used).refused(400, "invalid_dpop_proof", "jti of the DPoP proof was used before")
	push("", "garbage").refused(400, "invalid_dpop_proof", "The DPoP proof is not a JWT signed with ES256 or RS256")
	push("", build(map[string]any{"nonce": "x"})).refused(400, "use_dpop_nonce", "Authorization server requires nonce in DPoP proof")
	push(other.jkt(), build(nil)).refused(400, "invalid_dpop_proof", "dpop_jkt is not the thumbprint of the DPoP proof's key")
	if r := push(p.jkt(), build(nil)); r.status != 201 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := push("", p.proof("POST", tokenURL, start, nil)); r.status != 400 { // of another endpoint
		t.Errorf("%d %s", r.status, r.body)
	}
}

// After five minutes a used proof is too old, and after Reset none is used.
func TestDPoP_ReplayIsRememberedAsLongAsAProofLives(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: dpopTenant()})
	p := newProver(t)
	raw := p.proof("POST", tokenURL, start, nil)
	w.proven(machineForm("demo", "allowed"), raw).tokens()
	w.Advance(5*time.Minute - time.Second)
	w.proven(machineForm("demo", "allowed"), raw).refused(400, "invalid_dpop_proof", "jti of the DPoP proof was used before")
	w.Advance(time.Second)
	w.proven(machineForm("demo", "allowed"), raw).refused(400, "invalid_dpop_proof", "The DPoP proof is older than five minutes")
	w.Reset()
	w.proven(machineForm("demo", "allowed"), raw).tokens()
}

func spaCode(w *world, audience string, params ...string) url.Values {
	w.Helper()
	code := w.code(append([]string{"client_id", "spa", "audience", audience, "code_challenge", challenge(), "code_challenge_method", "S256"}, params...)...)
	return pairs("grant_type", "authorization_code", "client_id", "spa", "code", code, "redirect_uri", callback, "code_verifier", verifier)
}

func TestDPoP_PublicClientNeedsANonce(t *testing.T) {
	const needed = "Authorization server requires nonce in DPoP proof"
	w := newWorld(t, mock.Config{Tenant: dpopTenant()})
	p := newProver(t)
	form := spaCode(w, "https://allowed.example/")
	first := w.proven(form, p.proof("POST", tokenURL, start, nil))
	first.refused(400, "use_dpop_nonce", needed)
	nonce := first.header.Get("DPoP-Nonce")
	if nonce == "" {
		t.Fatal("no DPoP-Nonce")
	}
	with := func(nonce string) string {
		return p.proof("POST", tokenURL, w.Now(), map[string]any{"nonce": nonce})
	}
	w.proven(form, with("x"+nonce)).refused(400, "use_dpop_nonce", needed)
	r := w.proven(form, with(nonce)) // the code is not consumed
	if tk := r.tokens(); tk.Type != "DPoP" || r.header.Get("DPoP-Nonce") != nonce {
		t.Errorf("%+v, DPoP-Nonce %q", tk, r.header.Get("DPoP-Nonce"))
	}
	w.proven(form, with(nonce)).refused(403, "invalid_grant", "Invalid authorization code")

	w.Advance(9 * time.Minute) // the nonce before the current one is valid
	second := w.proven(machineForm("spa", "allowed"), with(nonce))
	if second.tokens(); second.header.Get("DPoP-Nonce") == nonce {
		t.Error("the nonce does not change")
	}
	w.Advance(5 * time.Minute)
	w.proven(machineForm("spa", "allowed"), with(nonce)).refused(400, "use_dpop_nonce", needed)
	w.Advance(24 * time.Hour)
	w.proven(machineForm("spa", "allowed"), with(second.header.Get("DPoP-Nonce"))).refused(400, "use_dpop_nonce", needed)

	w.proven(machineForm("demo", "allowed"), with("unknown")).refused(400, "use_dpop_nonce", needed)
	w.proven(machineForm("demo", "allowed"), p.proof("POST", tokenURL, w.Now(), nil)).tokens()
	w.mustControl("POST", "/_mock/settings", `{"dpop_nonce":"all"}`)
	w.proven(machineForm("demo", "allowed"), p.proof("POST", tokenURL, w.Now(), nil)).refused(400, "use_dpop_nonce", needed)
	w.mustControl("POST", "/_mock/settings", `{"dpop_nonce":"none"}`)
	w.proven(machineForm("spa", "allowed"), p.proof("POST", tokenURL, w.Now(), nil)).tokens()
	if r := w.control("POST", "/_mock/settings", `{"dpop_nonce":"some"}`); r.status != 400 || !strings.Contains(r.body, `dpop_nonce: \"some\" is not one of public, all, none`) {
		t.Errorf("%d %s", r.status, r.body)
	}
	w.Reset()
	w.proven(machineForm("spa", "allowed"), p.proof("POST", tokenURL, w.Now(), nil)).refused(400, "use_dpop_nonce", needed)
	if r := w.proven(machineForm("spa", "none")); r.header.Get("DPoP-Nonce") != "" {
		t.Error("a nonce for a request without a proof")
	}
}

// A browser shows a page only the headers that are exposed.
func TestDPoP_NonceIsExposedToPages(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: dpopTenant()})
	r := formRequest("/oauth/token", machineForm("spa", "allowed"))
	r.Header.Set("DPoP", newProver(t).proof("POST", tokenURL, start, nil))
	r.Header.Set("Origin", "http://localhost:8484")
	if got := w.do(r).header.Get("Access-Control-Expose-Headers"); !strings.HasSuffix(got, ", DPoP-Nonce") {
		t.Errorf("Access-Control-Expose-Headers %q", got)
	}
}

func TestDPoP_CodeForOneKey(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: dpopTenant()})
	p, other := newProver(t), newProver(t)
	code := w.code("audience", "https://allowed.example/", "dpop_jkt", p.jkt())
	form := pairs("grant_type", "authorization_code", "client_id", "demo", "client_secret", "demo-secret", "code", code, "redirect_uri", callback)
	w.proven(form).refused(400, "invalid_dpop_proof", "The authorization code is bound to a key, and the request has no DPoP proof")
	w.proven(form, other.proof("POST", tokenURL, start, nil)).
		refused(400, "invalid_dpop_proof", "The authorization code is bound to another key than the DPoP proof's")
	if tk := w.proven(form, p.proof("POST", tokenURL, start, nil)).tokens(); tk.Type != "DPoP" {
		t.Errorf("%+v", tk)
	}
	for _, bad := range []string{"x", p.jkt() + "A", p.jkt()[:42], p.jkt() + "=", p.jkt()[:20] + "\n" + p.jkt()[20:]} {
		w.authorize("dpop_jkt", bad).redirectsError("invalid_request", "dpop_jkt is not the SHA-256 thumbprint of a key")
	}
	strict := pairs("grant_type", "authorization_code", "client_id", "strict", "client_secret", "strict-secret",
		"code", w.code("client_id", "strict", "audience", "https://allowed.example/"), "redirect_uri", callback)
	w.proven(strict).refused(400, "invalid_request", "The client requires a proof of possession, for an API that takes DPoP")
	w.proven(strict, p.proof("POST", tokenURL, start, nil)).tokens() // not consumed
}

func TestDPoP_RefreshWithTheSameKey(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: dpopTenant()})
	w.mustControl("POST", "/_mock/settings", `{"dpop_nonce":"none"}`)
	p, other := newProver(t), newProver(t)
	first := w.proven(spaCode(w, "https://allowed.example/"), p.proof("POST", tokenURL, start, nil)).tokens()
	refresh := func(token string, proofs ...string) reply {
		return w.proven(pairs("grant_type", "refresh_token", "client_id", "spa", "refresh_token", token), proofs...)
	}
	refresh(first.Refresh, other.proof("POST", tokenURL, start, nil)).
		refused(400, "invalid_dpop_proof", "The refresh token is bound to another key than the DPoP proof's")
	refresh(first.Refresh).refused(400, "invalid_dpop_proof", "The refresh token is bound to a key, and the request has no DPoP proof")
	second := refresh(first.Refresh, p.proof("POST", tokenURL, start, nil)).tokens()
	if cnf := claims(t, second.Access)["cnf"]; second.Type != "DPoP" || cnf.(map[string]any)["jkt"] != p.jkt() {
		t.Errorf("%s, cnf %v", second.Type, cnf)
	}
	refresh(first.Refresh, other.proof("POST", tokenURL, start, nil)) // a client without the key does not end the family
	third := refresh(second.Refresh, p.proof("POST", tokenURL, start, nil)).tokens()
	refresh(first.Refresh, p.proof("POST", tokenURL, start, nil)).refused(403, "invalid_grant", "Unknown or invalid refresh token.")
	refresh(third.Refresh, p.proof("POST", tokenURL, start, nil)).refused(403, "invalid_grant", "Unknown or invalid refresh token.")

	bearer := w.exchange(w.code("audience", "https://none.example/")).tokens()
	w.mustControl("PATCH", "/_mock/clients/demo", `{"require_proof_of_possession":true}`)
	w.refresh("demo", bearer.Refresh).refused(400, "invalid_request", "The client requires a proof of possession, for an API that takes DPoP")
}

func TestDPoP_EveryGrant(t *testing.T) {
	const needed = "The client requires a proof of possession, for an API that takes DPoP"
	w := newWorld(t, mock.Config{Tenant: dpopTenant()})
	w.mustControl("PATCH", "/_mock/clients/exchanger", `{"require_proof_of_possession":true}`)
	p := newProver(t)
	device := decodeJSON[map[string]any](t, w.post("/oauth/device/code", "client_id", "strict", "scope", "openid").body)
	w.post("/activate", "user_code", device["user_code"].(string), "action", "confirm")
	for name, form := range map[string]url.Values{
		"password": pairs("grant_type", "password", "client_id", "strict", "client_secret", "strict-secret", "username", agent, "password", "password"),
		"exchange": pairs("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", "exchanger", "client_secret", "exchanger-secret",
			"subject_token", agent, "subject_token_type", "urn:example:x"),
		"device": pairs("grant_type", deviceGrant, "client_id", "strict", "client_secret", "strict-secret", "device_code", device["device_code"].(string)),
	} {
		t.Run(name, func(t *testing.T) {
			w.seenBy(t).proven(form).refused(400, "invalid_request", needed)
			w.Advance(5 * time.Second) // the device's interval
			tk := w.seenBy(t).proven(form, p.proof("POST", tokenURL, w.Now(), nil)).tokens()
			if tk.Type != "DPoP" {
				t.Errorf("token_type %q", tk.Type)
			}
			proof := p.proof("GET", issuer+"userinfo", w.Now(), ath(tk.Access))
			if r := w.call("/userinfo", "DPoP "+tk.Access, proof); r.status != 200 { // without an audience the token is opaque
				t.Errorf("%d %s", r.status, r.header.Get("WWW-Authenticate"))
			}
		})
	}
	w.authorize("client_id", "strict", "response_type", "token", "audience", "-").redirectsError("invalid_request", needed)
	w.authorize("response_type", "token", "audience", "https://required.example/").
		redirectsError("invalid_request", "The API requires a proof of possession")
}

func TestDPoP_ResourcesRequireTheProof(t *testing.T) {
	e := dpopTenant()
	e.ResourceServers[0].ProofOfPossession = &tenant.ProofOfPossession{Mechanism: "dpop"}
	w := newWorld(t, mock.Config{Tenant: e})
	p, other := newProver(t), newProver(t)
	bound := w.proven(pairs("grant_type", "authorization_code", "client_id", "demo", "client_secret", "demo-secret",
		"code", w.code(), "redirect_uri", callback), p.proof("POST", tokenURL, start, nil)).tokens().Access
	free := w.tokens("demo").Access
	for path, realm := range map[string]string{"/userinfo": "Users", "/_mock/resource/calls": "api"} {
		target := strings.TrimSuffix(issuer, "/") + path
		build := func(p *prover, change map[string]any) string {
			claims := ath(bound)
			for k, v := range change {
				claims[k] = v
			}
			return p.proof("GET", target, start, claims)
		}
		for name, c := range map[string]struct{ authorization, proof, code, description string }{
			"as a bearer token":  {"Bearer " + bound, "", "invalid_token", "The access token is bound to a key: it needs the scheme DPoP and a proof"},
			"bearer and a proof": {"Bearer " + bound, build(p, nil), "invalid_token", "The access token is bound to a key: it needs the scheme DPoP and a proof"},
			"no proof":           {"DPoP " + bound, "", "invalid_dpop_proof", "The access token is bound to a key, and the request has no DPoP proof"},
			"another key":        {"DPoP " + bound, build(other, nil), "invalid_dpop_proof", "The access token is bound to another key than the DPoP proof's"},
			"no ath":             {"DPoP " + bound, build(p, map[string]any{"ath": nil}), "invalid_dpop_proof", "ath of the DPoP proof is not the hash of the access token"},
			"ath of another":     {"DPoP " + bound, build(p, ath(free)), "invalid_dpop_proof", "ath of the DPoP proof is not the hash of the access token"},
			"another method":     {"DPoP " + bound, build(p, map[string]any{"htm": "POST"}), "invalid_dpop_proof", "htm of the DPoP proof is not the request's method"},
			"a bearer token":     {"DPoP " + free, build(p, ath(free)), "invalid_token", "The access token is not bound to a key: it is a Bearer token"},
		} {
			t.Run(path+" "+name, func(t *testing.T) {
				r := w.seenBy(t).call(path, c.authorization, c.proof)
				want := fmt.Sprintf(`DPoP realm=%q, error=%q, error_description=%q, algs="ES256 RS256"`, realm, c.code, c.description)
				if got := r.header.Get("WWW-Authenticate"); r.status != 401 || got != want {
					t.Errorf("%d %s\nwant %s", r.status, got, want)
				}
			})
		}
		good := build(p, nil)
		for i, want := range map[string][2]int{"/userinfo": {200, 200}, "/_mock/resource/calls": {200, 401}}[path] { // /userinfo lets a proof be used again, as documented
			if r := w.call(path, "DPoP "+bound, good); r.status != want {
				t.Errorf("%s, use %d of a proof: %d %s", path, i+1, r.status, r.header.Get("WWW-Authenticate"))
			}
		}
		if r := w.call(path, "Bearer "+free, ""); r.status != 200 {
			t.Errorf("%s, a bearer token: %d", path, r.status)
		}
		if r := w.get(path + "?access_token=" + bound); r.status != 401 {
			t.Errorf("%s, a bound token in the query: %d", path, r.status)
		}
	}
	if r := w.call("/_mock/resource/a%20b?x=1", "DPoP "+bound, p.proof("GET", issuer+"_mock/resource/a%20b", start, ath(bound))); r.status != 200 {
		t.Errorf("an escaped path: %d %s", r.status, r.header.Get("WWW-Authenticate"))
	}
}

func TestDPoP_StrictUserinfoChecksReuse(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: dpopTenant(), Profile: mock.ProfileStrictOIDC})
	p := newProver(t)
	tk := w.proven(pairs("grant_type", "password", "client_id", "demo", "client_secret", "demo-secret", "username", agent,
		"password", "password"), p.proof("POST", tokenURL, start, nil)).tokens()
	proof := p.proof("GET", issuer+"userinfo", start, ath(tk.Access))
	for i, want := range []int{200, 401} {
		if r := w.call("/userinfo", "DPoP "+tk.Access, proof); r.status != want {
			t.Errorf("use %d: %d", i+1, r.status)
		}
	}
}

func TestProofOfPossessionIsChecked(t *testing.T) {
	for want, p := range map[string]*tenant.ProofOfPossession{
		`proof_of_possession.mechanism: "magic" of API "x" is not one of none, mtls, dpop`:             {Mechanism: "magic"},
		`proof_of_possession.required_for: "few" of API "x" is not one of all_clients, public_clients`: {Mechanism: "dpop", RequiredFor: "few"},
	} {
		api := tenant.ResourceServer{Identifier: "x", ProofOfPossession: p}
		if err := api.Complete(); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}
