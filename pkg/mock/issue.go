package mock

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

// TokenSpec describes a token that the tenant issues without a login. The zero value is
// a good access token of the first client for the first API.
type TokenSpec struct {
	User     string         `json:"user"`      // user_id, e-mail address or username; "": the client itself
	ClientID string         `json:"client_id"` // or its name; "": the first client
	Audience string         `json:"audience"`  // an API; "": the first one
	Scope    string         `json:"scope"`     // as it is; "": all that the user or the client may have
	IDToken  bool           `json:"id_token"`  // an ID token of the user, not an access token
	Nonce    string         `json:"nonce"`     // of an ID token
	Lifetime time.Duration  `json:"-"`         // 0: that of the API or the client
	Claims   map[string]any `json:"claims"`    // added, or in place of others
	Defects  []Defect       `json:"defects"`
	Claim    string         `json:"claim"` // that DefectMissingClaim removes
}

// Issue returns a token as a login would, or a bad one. The tenant accepts a good one
// everywhere. The error names the field that is not valid.
func (t *Tenant) Issue(s TokenSpec) (string, error) {
	if t.issuer == "" {
		return "", fieldError("issuer", "the tenant takes its issuer from each request; set Config.Issuer")
	}
	token, _, err := t.issue(s, t.issuer)
	return token, err
}

func (t *Tenant) issue(s TokenSpec, issuer string) (string, issuance, error) {
	if err := s.check(); err != nil {
		return "", issuance{}, err
	}
	t.mu.Lock()
	o, err := t.specified(s, &call{address: address{issuer: issuer, front: issuer, base: issuer}, now: t.clock.Now(), entry: &Entry{}})
	t.mu.Unlock()
	if err != nil {
		return "", o, err
	}
	o.damage, o.life = damage{defects: s.Defects, claim: s.Claim}, s.Lifetime
	token := ""
	if s.IDToken {
		token, err = t.idToken(o, "", "")
	} else {
		token, err = t.accessToken(o)
	}
	return token, o, err
}

func (s TokenSpec) check() error {
	for _, d := range s.Defects {
		if !slices.Contains(tokenDefects, d) {
			return fieldError("defects", "%q is not one of %v", d, tokenDefects)
		}
	}
	_, err := json.Marshal(s.Claims)
	switch {
	case err != nil:
		return fieldError("claims", "%v", err)
	case s.Lifetime < 0:
		return fieldError("lifetime", "%s is negative; the defect expired makes an expired token", s.Lifetime)
	case s.IDToken && s.User == "":
		return fieldError("user", "an ID token needs a user")
	case s.IDToken && s.Audience != "":
		return fieldError("audience", "an ID token is for its client: give client_id")
	case !s.IDToken && (s.Nonce != "" || slices.Contains(s.Defects, DefectNonce)):
		return fieldError("nonce", "only an ID token has a nonce")
	}
	return checkClaim(slices.Contains(s.Defects, DefectMissingClaim), s.Claim)
}

// specified returns the issuance of a token. The caller holds t.mu.
func (t *Tenant) specified(s TokenSpec, c *call) (issuance, error) {
	first := ""
	if len(t.st.clientOrder) > 0 {
		first = t.st.clientOrder[0]
	}
	if s.ClientID == "" {
		s.ClientID = first
	}
	if s.Audience == "" && !s.IDToken {
		s.Audience = t.st.firstAPI()
	}
	client, user, api := t.st.client(s.ClientID), t.st.userByLogin(s.User), t.api(c.issuer, s.Audience)
	switch {
	case client == nil:
		return issuance{}, fieldError("client_id", "%q does not exist", s.ClientID)
	case s.User != "" && user == nil:
		return issuance{}, fieldError("user", "%q does not exist", s.User)
	case s.Audience != "" && api == nil:
		return issuance{}, fieldError("audience", "%q is not an API of the tenant; the defect wrong_aud makes a token for another one", s.Audience)
	case user == nil && api == nil:
		return issuance{}, fieldError("audience", "the tenant has no API, and a token of a client itself is for one")
	}
	g := grant{client: client.ClientID, audience: s.Audience, nonce: s.Nonce, gty: "client-credentials"}
	if user != nil {
		g.user, g.gty = user.UserID, ""
	}
	g.scopes = uniqueFields(s.Scope)
	if s.Scope == "" {
		g.scopes = t.allScopes(client, user, api)
	}
	o := t.prepare(c, g)
	extra := claimsOf(s.Claims)
	o.access, o.id = append(o.access, extra...), append(o.id, extra...)
	return o, nil
}

// allScopes are the scopes that a user may have with a client, or a client itself.
func (t *Tenant) allScopes(client *tenant.Client, user *tenant.User, api *tenant.ResourceServer) []string {
	if user == nil {
		g := t.machineGrant(client, api)
		switch {
		case g == nil:
			return nil
		case !g.AllScopes:
			return g.Scope
		}
		var all []string
		for _, s := range api.Scopes {
			all = append(all, s.Value)
		}
		return all
	}
	asked := []string{"openid", "profile", "email"}
	if api != nil {
		for _, s := range api.Scopes {
			asked = append(asked, s.Value)
		}
	}
	return t.grantable(asked, client, api, user, "")
}

// claimsOf returns claims in the order of their names.
func claimsOf(m map[string]any) object {
	var o object
	for _, name := range slices.Sorted(maps.Keys(m)) {
		o = append(o, member{name, m[name]})
	}
	return o
}

// controlTokens handles POST /_mock/tokens, which needs the issuer of the request. It
// returns false for any other call.
func (t *Tenant) controlTokens(w http.ResponseWriter, r *http.Request, issuer string) bool {
	if r.Method != http.MethodPost || r.URL.Path != controlPrefix+"tokens" {
		return false
	}
	var in struct {
		TokenSpec
		Lifetime   string `json:"lifetime"`
		Management bool   `json:"management"` // for the Management API, by default of the client "management"
	}
	err := decode(r, &in)
	if in.Management {
		in.Audience, in.ClientID = issuer+"api/v2/", cmp.Or(in.ClientID, "management")
	}
	if err == nil {
		in.TokenSpec.Lifetime, err = durationOf("lifetime", in.Lifetime)
	}
	var token string
	var o issuance
	if err == nil {
		token, o, err = t.issue(in.TokenSpec, issuer)
	}
	if err != nil {
		writeInputError(w, err)
		return true
	}
	name, life := "access_token", o.lifetime()
	if in.IDToken {
		name, life = "id_token", o.idLifetime()
	}
	write(w, http.StatusOK, jsonType, object{
		{name, token},
		{"token_type", "Bearer"},
		{"expires_in", int(life / time.Second)},
		{"scope", strings.Join(o.g.scopes, " ")},
		{"defects", append([]Defect{}, in.Defects...)},
	}.bytes())
	return true
}
