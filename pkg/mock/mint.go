package mock

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"example.com/tokend/pkg/mock/tenant"
)

// grant is what the user allowed, or the client for itself. Every token comes from
// a grant. A refresh derives a narrower copy.
type grant struct {
	client       string
	user         string // user_id; "" for client_credentials
	scopes       []string
	narrowed     bool   // fewer scopes than the client asked for
	audience     string // "" is /userinfo alone
	organization string
	sid          string
	nonce        string
	authTime     time.Time // zero unless max_age or prompt=login requires the claim
	gty          string    // of the access token; "" for the code flow
	web          bool      // implicit flow, with the shorter lifetime
	entry        string    // journal id of the call that made it
	jkt          string    // thumbprint of the key that the access token is bound to; "": a Bearer token
}

// tokenType is the token_type of the grant's access token.
func (g grant) tokenType() string {
	if g.jkt != "" {
		return "DPoP"
	}
	return "Bearer"
}

// confirmation is the claim cnf, nil for a Bearer token (RFC 9449 section 6.1).
func (g grant) confirmation() object {
	if g.jkt == "" {
		return nil
	}
	return object{{"cnf", object{{"jkt", g.jkt}}}}
}

func (g grant) has(scope string) bool { return slices.Contains(g.scopes, scope) }

// issuance is everything needed to sign tokens. It is collected under t.mu, so that
// signing, which is slow, runs without the lock.
type issuance struct {
	g      grant
	client tenant.Client
	user   *tenant.User // a copy; nil for client_credentials
	api    *tenant.ResourceServer
	perms  []string
	access object // claims set by actions
	id     object
	issuer string
	now    time.Time
	damage damage
	life   time.Duration // of a token that was not issued by a grant; 0: that of the API or client
	org    object        // org_id and org_name
}

// prepare makes the issuance of a grant whose client exists. The caller holds t.mu.
func (t *Tenant) prepare(c *call, g grant) issuance {
	if len(t.st.issuers) < 64 { // a limit, because issuers come from Host headers
		t.st.issuers[c.issuer] = true
	}
	o := issuance{g: g, client: *t.st.clients[g.client], api: t.api(c.issuer, g.audience), issuer: c.issuer, now: c.now, damage: c.damage}
	if u := t.st.users[g.user]; u != nil {
		c.entry.User = u.UserID
		cp := *u
		o.user = &cp
		if o.api != nil {
			o.perms = t.st.permissions(u, o.api.Identifier, g.organization)
		}
	}
	o.access, o.id = t.customClaims(g, o.user)
	if o.api != nil && t.st.apis[g.audience] == nil { // the Management API
		o.access = slices.DeleteFunc(o.access, func(m member) bool { return !tenant.NamespacedClaim(m.name) })
	}
	o.org.add("org_id", g.organization)
	if org := t.st.orgs[g.organization]; org != nil && t.st.settings.OrganizationNames {
		o.org.add("org_name", org.Name)
	}
	return o
}

// lifetime of the access token.
func (o issuance) lifetime() time.Duration {
	seconds := tenant.DefaultAPILifetime
	switch {
	case o.life != 0:
		return o.life
	case o.api != nil && o.g.web:
		seconds = o.api.TokenLifetimeForWeb
	case o.api != nil:
		seconds = o.api.TokenLifetime
	case o.g.web:
		seconds = tenant.DefaultWebLifetime
	}
	return time.Duration(seconds) * time.Second
}

// idLifetime of the ID token.
func (o issuance) idLifetime() time.Duration {
	seconds := o.client.JWT.LifetimeInSeconds
	switch {
	case o.life != 0:
		return o.life
	case seconds == 0:
		seconds = tenant.DefaultIDTokenLifetime
	}
	return time.Duration(seconds) * time.Second
}

func (o issuance) subject() string {
	if o.user == nil {
		return o.client.ClientID + "@clients"
	}
	return o.user.UserID
}

// accessToken returns a JWT for an API, or an opaque token (a JWE with an empty key).
func (t *Tenant) accessToken(o issuance) (string, error) {
	if o.api == nil {
		return t.opaqueToken(o)
	}
	secret := []byte(o.api.SigningSecret)
	typ := "JWT"
	if o.rfc9068() {
		typ = "at+jwt"
	}
	return t.signed(o, "access_token", o.api.SigningAlg, typ, t.accessClaims(o), secret)
}

func (o issuance) rfc9068() bool { return strings.HasPrefix(o.api.TokenDialect, "rfc9068_profile") }

// accessClaims are the claims in the recorded order
// (https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles).
func (t *Tenant) accessClaims(o issuance) object {
	var c object
	c.add("iss", o.issuer)
	c.add("sub", o.subject())
	if o.g.has("openid") && o.api.SigningAlg != "HS256" {
		c.add("aud", []string{o.api.Identifier, o.issuer + "userinfo"})
	} else {
		c.add("aud", o.api.Identifier)
	}
	c.add("iat", o.now.Unix())
	c.add("exp", o.now.Add(o.lifetime()).Unix())
	if o.rfc9068() {
		c.add("client_id", o.client.ClientID)
		c.add("jti", t.randomString(22))
	} else {
		c.add("azp", o.client.ClientID)
	}
	c.add("scope", strings.Join(o.g.scopes, " "))
	if !o.rfc9068() {
		c.add("gty", o.g.gty)
	}
	if strings.HasSuffix(o.api.TokenDialect, "_authz") && o.api.EnforcePolicies {
		c = append(c, member{"permissions", append([]string{}, o.permissions()...)})
	}
	c = append(append(c, o.org...), o.g.confirmation()...)
	return c.with(o.access)
}

func (o issuance) permissions() []string {
	if o.user == nil {
		return o.g.scopes
	}
	return o.perms
}

// opaqueToken is the access token of a request without an audience: a JWE of five
// parts with an empty second one, which no client can read.
func (t *Tenant) opaqueToken(o issuance) (string, error) {
	rcpt := jose.Recipient{Algorithm: jose.DIRECT, Key: t.keys.content}
	enc, err := jose.NewEncrypter(jose.A256GCM, rcpt, (&jose.EncrypterOptions{}).WithHeader("iss", o.issuer))
	if err != nil {
		return "", err
	}
	claims := object{
		{"sub", o.subject()},
		{"azp", o.client.ClientID},
		{"scope", strings.Join(o.g.scopes, " ")},
		{"iat", o.now.Unix()},
		{"exp", o.now.Add(o.lifetime()).Unix()},
		{"jti", t.randomString(22)},
	}
	d := o.damage.of("access_token")
	jwe, err := enc.Encrypt(d.claims(append(claims, o.g.confirmation()...), o.now).bytes())
	if err != nil {
		return "", err
	}
	raw, err := jwe.CompactSerialize()
	if err == nil && d.has(DefectSignature) {
		raw = spoiled(raw)
	}
	return raw, err
}

// idToken returns the ID token. From /authorize it has at_hash and c_hash if an
// access token or a code comes with it.
func (t *Tenant) idToken(o issuance, accessToken, code string) (string, error) {
	alg := o.client.JWT.Alg
	if alg == "" {
		alg = "RS256"
	}
	c := t.profileClaims(o.user, o.g.scopes)
	c.add("iss", o.issuer)
	c.add("sub", o.user.UserID)
	c.add("aud", o.client.ClientID)
	c.add("iat", o.now.Unix())
	c.add("exp", o.now.Add(o.idLifetime()).Unix())
	if !o.g.authTime.IsZero() {
		c.add("auth_time", o.g.authTime.Unix())
	}
	if accessToken != "" {
		c.add("at_hash", halfHash(accessToken))
	}
	if code != "" {
		c.add("c_hash", halfHash(code))
	}
	c.add("sid", o.g.sid)
	c.add("nonce", o.g.nonce)
	c = append(c, o.org...).with(o.id)
	return t.signed(o, "id_token", alg, "JWT", c, []byte(o.client.ClientSecret))
}

// halfHash is at_hash and c_hash (OpenID Connect Core, section 3.3.2.11).
func halfHash(s string) string {
	h := sha256.Sum256([]byte(s))
	return encode(h[:len(h)/2])
}

// profileClaims returns the claims of a user for the scopes, in the recorded order.
func (t *Tenant) profileClaims(u *tenant.User, scopes []string) object {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(scopes, n) })
	}
	var c object
	if has("profile", "given_name") {
		c.add("given_name", u.GivenName)
	}
	if has("profile", "family_name") {
		c.add("family_name", u.FamilyName)
	}
	if has("profile", "nickname") {
		c.add("nickname", u.NicknameClaim())
	}
	if has("profile", "name") {
		c.add("name", u.NameClaim())
	}
	if has("profile", "picture") {
		c.add("picture", u.PictureClaim())
	}
	if has("profile") {
		c.add("updated_at", t.updatedAt(u))
	}
	if has("email") {
		c.add("email", u.Email)
	}
	if has("email", "email_verified") && u.Email != "" {
		c = append(c, member{"email_verified", u.EmailVerified})
	}
	if has("phone") && u.PhoneNumber != "" {
		c = append(c, member{"phone_number", u.PhoneNumber}, member{"phone_number_verified", u.PhoneVerified})
	}
	return c
}

// updatedAt is a string with milliseconds at Auth0 and a number in OpenID Connect.
func (t *Tenant) updatedAt(u *tenant.User) any {
	at, err := time.Parse(time.RFC3339, u.UpdatedAt)
	switch {
	case err != nil:
		return u.UpdatedAt
	case t.cfg.Profile == ProfileStrictOIDC:
		return at.Unix()
	}
	return at.UTC().Format("2006-01-02T15:04:05.000Z")
}

// canonical reports whether each part of a compact JOSE object is the one base64url text
// of its bytes. Otherwise a token has variants, which differ in bits that carry nothing,
// and a revoked one opens /userinfo by a variant.
func canonical(token string) bool {
	for part := range strings.SplitSeq(token, ".") {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || encode(b) != part {
			return false
		}
	}
	return true
}

// unmarshalClaims reads the claims of a JWT. encoding/json ignores the case of names,
// which has a meaning in a JWT (RFC 7519 section 10.1.1), so other names are removed.
func unmarshalClaims(payload []byte, into any) error {
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(payload, &claims); err != nil {
		return err
	}
	maps.DeleteFunc(claims, func(name string, _ json.RawMessage) bool {
		return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz") != ""
	})
	exact, err := json.Marshal(claims)
	if err != nil {
		return err
	}
	return json.Unmarshal(exact, into)
}

// openOpaque decrypts an opaque access token of this tenant.
func (t *Tenant) openOpaque(token string) (map[string]any, bool) {
	if !canonical(token) {
		return nil, false
	}
	jwe, err := jose.ParseEncryptedCompact(token, []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return nil, false
	}
	b, err := jwe.Decrypt(t.keys.content)
	if err != nil {
		return nil, false
	}
	var claims map[string]any
	return claims, json.Unmarshal(b, &claims) == nil
}

// openJWT verifies a JWT that this tenant signed with one of its RSA keys.
func (t *Tenant) openJWT(token string) (map[string]any, bool) {
	if !canonical(token) {
		return nil, false
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.PS256})
	if err != nil {
		return nil, false
	}
	k, known := t.keys.byID(jws.Signatures[0].Protected.KeyID)
	if !known {
		return nil, false
	}
	payload, err := jws.Verify(&k.Private.PublicKey)
	if err != nil {
		return nil, false
	}
	var claims map[string]any
	return claims, json.Unmarshal(payload, &claims) == nil
}
