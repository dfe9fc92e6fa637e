package mock

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

const maxIssued = 200 // tokens that the console shows

// issuedToken is a token that the tenant issued. It has no signature, so it opens nothing.
type issuedToken struct {
	kind    string // access token, ID token
	text    string // header and claims of a JWT, in base64url; "" for an opaque token
	entry   string // journal id of the call
	client  string
	user    string // user_id
	sid     string
	scope   string
	issued  time.Time
	expires time.Time
}

// remember keeps what the console shows of the tokens of a call.
func (t *Tenant) remember(c *call, o issuance, access, id string) {
	token := issuedToken{
		entry: c.id, client: o.g.client, user: o.g.user, sid: o.g.sid, scope: strings.Join(o.g.scopes, " "), issued: o.now,
	}
	var list []issuedToken
	if access != "" {
		token.kind, token.text, token.expires = "access token", unsigned(access), o.now.Add(o.lifetime())
		list = append(list, token)
	}
	if id != "" {
		token.kind, token.text, token.expires = "ID token", unsigned(id), o.now.Add(o.idLifetime())
		list = append(list, token)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.st.issued = append(t.st.issued, list...)
	if len(t.st.issued) >= 2*maxIssued {
		t.st.issued = slices.Clone(t.st.issued[len(t.st.issued)-maxIssued:])
	}
}

// unsigned returns header and claims of a JWT. The copy does not keep the token itself.
func unsigned(token string) string {
	if strings.Count(token, ".") != 2 {
		return ""
	}
	return strings.Clone(token[:strings.LastIndexByte(token, '.')])
}

// parts returns header and claims as JSON, "" for an opaque token.
func (i issuedToken) parts() (header, claims string) {
	h, c, _ := strings.Cut(i.text, ".")
	return decoded(h), decoded(c)
}

func decoded(part string) string {
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return ""
	}
	return string(b)
}
