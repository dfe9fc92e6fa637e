package referees_test

import "testing"

// refusal is how a client read what the tenant refused.
type refusal struct {
	Status int
	Error  string
}

// question is what a script wants of the person: a page opened until it leads
// back to the client.
type question struct{ Open string }

// TestRefereeOpenIDClient: openid-client logs in by PAR, PKCE and nonce,
// verifies every signature, refreshes, signs a device in and logs out.
func TestRefereeOpenIDClient(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			const id, callback = "open-id~client", "http://localhost:3000/callback"
			ten := startTenant(t)
			ten.addClient(id, object{
				"callbacks": []string{callback}, "allowed_logout_urls": []string{callback},
				"token_endpoint_auth_method": "client_secret_basic",
				"grant_types":                []string{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"},
			})
			s := startScript(t, ten, "openid-client", object{
				"issuer": ten.at(scheme), "clientId": id, "clientSecret": id + "-secret", "redirectUri": callback, "audience": audience,
			})
			person := newBrowser(t, ten).until(callback)
			for range 4 { // log in, confirm the device, log out, log in
				var q question
				s.read(&q)
				s.answer(person.open(q.Open).url.String())
			}
			var got struct {
				Email, Scope                               string
				Lifetime                                   int
				CodeUsedTwice, RefreshRevoked, ForgedToken refusal
			}
			s.read(&got)
			if got.Email != "agent@example.com" || got.Scope != "openid profile email offline_access read:calls" || got.Lifetime != 86400 {
				t.Errorf("logged in as %q for %d s with scope %q", got.Email, got.Lifetime, got.Scope)
			}
			for what, r := range map[string][2]refusal{
				"a used code":             {got.CodeUsedTwice, {403, "invalid_grant"}},
				"a revoked refresh token": {got.RefreshRevoked, {403, "invalid_grant"}},
				"a forged token":          {got.ForgedToken, {401, "invalid_token"}},
			} {
				if r[0] != r[1] {
					t.Errorf("%s: refused with %+v, not %+v", what, r[0], r[1])
				}
			}
			ten.wantCalls(id, "authorization_code 200", "refresh_token 200", "device_code 200", "authorization_code 200",
				"authorization_code "+codeUsed, "refresh_token "+refreshRevoked)
			if n := len(ten.journal("par", id)); n != 2 {
				t.Errorf("%d pushed authorization requests", n)
			}
		})
	}
}
