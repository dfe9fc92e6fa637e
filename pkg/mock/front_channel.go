package mock

import (
	"strconv"
	"strings"
)

// frontChannel answers the implicit and hybrid response types: tokens with the code,
// or without one. The caller holds t.mu.
func (t *Tenant) frontChannel(c *call, req *authRequest, g grant, params []member) func() {
	g.web = true
	if req.wants("token") { // no proof can come with it
		if bad := t.constrain(req.issuer, req.client, &g, nil); bad != nil {
			return t.refusal(c, req, bad)
		}
	}
	o := t.prepare(c, g)
	codeValue := ""
	if len(params) > 0 {
		codeValue = params[0].value.(string)
	}
	return func() {
		var out []member
		access := ""
		var err error
		if req.wants("token") {
			if access, err = t.accessToken(o); err != nil {
				t.refuseAuthorize(c, req, refuse("server_error", err.Error()))
				return
			}
			t.keepProfile(access, o)
			t.remember(c, o, access, "")
			out = append(out, member{"access_token", access})
		}
		out = append(out, params...)
		if req.wants("id_token") {
			id, err := t.idToken(o, access, codeValue)
			if err != nil {
				t.refuseAuthorize(c, req, refuse("server_error", err.Error()))
				return
			}
			t.remember(c, o, "", id)
			out = append(out, member{"id_token", id})
		}
		if access != "" {
			out = append(out, member{"scope", strings.Join(g.scopes, " ")},
				member{"expires_in", strconv.Itoa(int(o.lifetime().Seconds()))}, member{"token_type", "Bearer"})
		}
		t.answer(c, req, out)
	}
}
