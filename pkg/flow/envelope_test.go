package flow

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// tokens are the members of a successful answer; the tests vary the rest.
const tokens = `"access_token":"at-good","refresh_token":"rt-good","token_type":"Bearer","expires_in":3600`

// Only the body matters: the tokens are used and the successor is stored.
//
// Row B21 of docs/guarantees.md.
func TestRefresh_TokensInUnusualAnswer(t *testing.T) {
	const form = `access_token=at-good&refresh_token=rt-good&token_type=bearer&expires_in=3600`
	headers := func(h handler, kv ...string) handler {
		return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			for i := 0; i < len(kv); i += 2 {
				w.Header().Set(kv[i], kv[i+1])
			}
			h(w, r, next)
		}
	}
	cases := map[string]handler{
		"B21 BOM":             raw(200, "application/json", "\xef\xbb\xbf{"+tokens+"}"),
		"B21 trailing NUL":    raw(200, "application/json", "{"+tokens+"}\x00"),
		"B21 trailing space":  raw(200, "application/json", "{"+tokens+"} \r\n\x00\n"),
		"B21 a WAF's header":  headers(raw(200, "text/html", "{"+tokens+"}"), "Content-Disposition", "attachment"),
		"B21 status member":   raw(200, "application/json", `{"status":"ok",`+tokens+`}`),
		"B21 ok true (Slack)": raw(200, "application/json", `{"ok":true,`+tokens+`}`),
	}
	for _, kind := range []string{"text/plain", "text/html; charset=utf-8", "text/javascript", "application/octet-stream", "", ";"} {
		cases["B21 JSON as "+kind] = raw(200, kind, "{"+tokens+"}")
	}
	for _, kind := range []string{"application/x-www-form-urlencoded", "application/json", "text/html", ""} {
		cases["B21 form as "+kind] = raw(200, kind, form+"\n")
	}
	for status, name := range map[int]string{201: "created", 202: "accepted", 203: "by a proxy", 206: "partial", 299: "unknown"} {
		cases["B21 "+name] = raw(status, "application/json", "{"+tokens+"}")
	}
	for _, none := range []string{`""`, "null", "false", "0", "0.0", "{}", "{ }", "[]"} {
		cases["B21 error "+none] = raw(200, "application/json", `{"error":`+none+`,`+tokens+`}`)
	}
	for _, none := range []string{"none", "None"} {
		cases["B21 error "+none] = raw(200, "application/json", `{"error":"`+none+`",`+tokens+`}`)
	}
	for name, h := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c := s.loggedIn(t, nil)
				s.script(h)
				if _, err := c.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				if tok, err := c.Get(t.Context(), Request{}); err != nil || tok.AccessToken != "at-good" {
					t.Errorf("served %v, %v", tok, err)
				}
				if g, err := c.cfg.Store.Load(t.Context(), demoKey); err != nil || g.RefreshToken != "rt-good" || s.count("refresh_token") != 1 {
					t.Errorf("stored %+v, %v", g, err)
				}
			})
		})
	}
}

// A connection that is lost after the complete object does no harm. If it is lost
// within the object, or within a form, which has no end marker, the answer is
// incomplete.
//
// Row B21 of docs/guarantees.md.
func TestRefresh_ConnectionLostAfterBody(t *testing.T) {
	s := newTenant()
	c := mustNew(t, s.config())
	for body, want := range map[string]outcome{
		"{" + tokens + "}": succeeded, "{" + tokens: unknown, "access_token=a&refresh_token=b": unknown,
	} {
		r := &http.Response{StatusCode: 200, Header: http.Header{}}
		a, o, e := c.classify("refresh", r, []byte(body), io.ErrUnexpectedEOF, nil)
		if o != want || (e == nil) != (want == succeeded) || want == succeeded && a.refresh != "rt-good" {
			t.Errorf("%s: %v, %v", body, o, e)
		}
	}
}

// An answer that only looks like tokens, or is incomplete, has none.
//
// Row B21 of docs/guarantees.md.
func TestRefresh_AnswerWithoutTokens(t *testing.T) {
	for name, body := range map[string]string{
		"cut off":                "{" + tokens,
		"a page":                 `<html>access_token=a&refresh_token=b</html>`,
		"text":                   "access denied",
		"a form of other things": "a=b&c=d",
		"a form twice":           "access_token=a&access_token=b",
		"a form, other case":     "access_token=a&ACCESS_TOKEN=b",
		"a form with a line":     "access_token=a%0D%0AX&token_type=Bearer",
		"JSON in text":           "// {" + tokens + "}",
	} {
		if a, err := parseAnswer("application/json", []byte(body)); err == nil && a.unusable == "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// A dead refresh token, reported in a provider's own way: a login is required,
// and nothing more is sent.
//
// Row B22 of docs/guarantees.md.
func TestRefresh_DeadToken_ProviderSpecificCodes(t *testing.T) {
	cases := map[string]handler{
		"B22 GitHub":                 raw(200, "application/x-www-form-urlencoded; charset=utf-8", "error=bad_refresh_token&error_description=The+refresh+token+passed+is+incorrect+or+expired."),
		"B22 GitHub as JSON":         raw(200, "application/json", `{"error":"bad_refresh_token"}`),
		"B22 Slack":                  raw(200, "application/json", `{"ok":false,"error":"invalid_refresh_token"}`),
		"B22 HubSpot":                raw(400, "application/json;charset=utf-8", `{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token"}`),
		"B22 nested":                 raw(400, "application/json", `{"error":{"code":"token_revoked","message":"no"}}`),
		"B22 text/plain":             raw(403, "text/plain", `{"error":"invalid_grant"}`),
		"B22 text/html":              raw(400, "text/html", `{"error":"invalid_grant"}`),
		"B22 no content type":        raw(400, "", `{"error":"invalid_grant"}`),
		"B22 in capitals":            raw(400, "application/json", `{"error":"INVALID_GRANT"}`),
		"B22 form":                   raw(400, "text/plain", `error=invalid_grant`),
		"B22 with a BOM and a NUL":   raw(400, "application/json", "\xef\xbb\xbf"+`{"error":"invalid_grant"}`+"\x00"),
		"B22 together with tokens":   raw(200, "application/json", `{"error":"invalid_grant",`+tokens+`}`),
		"B22 error_code, not status": raw(400, "application/json", `{"error":"","error_code":"token_expired"}`),
	}
	for name, body := range map[string]string{
		"B22 Zoho":                      `{"error":"invalid_code"}`,
		"B22 Zoho's API":                `{"error":{"code":"INVALID_OAUTHTOKEN","message":"invalid oauth token"}}`,
		"B22 Facebook 190":              `{"error":{"message":"Error validating access token","type":"OAuthException","code":190,"error_subcode":463}}`,
		"B22 Facebook 102":              `{"error":{"message":"no session","type":"OAuthException","code":102}}`,
		"B22 Fitbit":                    `{"errors":[{"errorType":"invalid_grant","message":"Refresh token invalid"}],"success":false}`,
		"B22 nested, code is a number":  `{"error":{"code":400,"message":"no","status":"INVALID_GRANT"}}`,
		"B22 nested, word after a kind": `{"error":{"type":"invalid_request_error","error":"oauth","status":"invalid_refresh_token"}}`,
	} {
		cases[name] = raw(400, "application/json", body)
	}
	cases["B22 under a rate limit's status"] = refuse(429, "invalid_grant") // the body decides
	for _, status := range []int{200, 400, 401, 403, 404, 500, 503} {
		for _, word := range []string{
			"invalid_grant", "bad_refresh_token", "invalid_refresh_token", "invalid_token", "token_expired", "token_revoked", "expired_token",
		} {
			cases["B22 "+word+" under "+http.StatusText(status)] = refuse(status, word)
		}
	}
	for name, h := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c := s.loggedIn(t, func(c *Config) { c.Source = AuthorizationCode{Headless: true} })
				c.cfg.Source = AuthorizationCode{} // from here on only a person can log in
				s.keep(h)
				_, err := c.Refresh(t.Context())
				if e := wantError(t, err, ClassLoginRequired, ""); !e.deadToken() {
					t.Error("no mark of a dead token")
				}
				if g, _ := c.cfg.Store.Load(t.Context(), demoKey); g.State != GrantDead {
					t.Errorf("state %s", g.State)
				}
				for range 3 {
					_, err := c.Refresh(t.Context())
					wantError(t, err, ClassLoginRequired, "")
				}
				if n := s.count("refresh_token"); n != 1 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

// Errors that do not concern the refresh token leave the grant alive.
//
// Row B22 of docs/guarantees.md.
func TestRefresh_OtherErrors_GrantStaysAlive(t *testing.T) {
	for name, tc := range map[string]struct {
		h     handler
		class Class
	}{
		"B22 Atlassian": {raw(403, "application/json", `{"error":"unauthorized_client","error_description":"refresh_token is invalid"}`), ClassClientRejected},
		"rate limit":    {refuse(429, "too_many_requests"), ClassRateLimited},
		"its own word":  {refuse(429, "invalid_token"), ClassRateLimited},
		"nested in 429": {raw(429, "application/json", `{"error":{"code":"invalid_grant"}}`), ClassRateLimited},
		"form in 429":   {raw(429, "", `error=invalid_grant`), ClassRateLimited},
		"error none":    {raw(400, "application/json", `{"error":"none"}`), ClassRequest},
		"Facebook 4":    {raw(400, "application/json", `{"error":{"type":"OAuthException","code":4,"message":"limit"}}`), ClassRateLimited},
		"Facebook 2":    {raw(400, "application/json", `{"error":{"type":"OAuthException","code":2,"message":"down"}}`), ClassUnreachable},
		"Facebook 101":  {raw(400, "application/json", `{"error":{"type":"OAuthException","code":101,"message":"no app"}}`), ClassClientRejected},
		"Facebook 10":   {raw(400, "application/json", `{"error":{"type":"OAuthException","code":10,"message":"no permission"}}`), ClassRequest},
		"Google 429":    {raw(200, "application/json", `{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}`), ClassRateLimited},
		"Google 503":    {raw(200, "application/json", `{"error":{"code":503,"message":"later","status":"UNAVAILABLE"}}`), ClassUnreachable},
		"Google 403":    {raw(403, "application/json", `{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}`), ClassRequest},
		"only a number": {raw(400, "application/json", `{"error":{"code":1234,"message":"no"}}`), ClassRequest},
		"a description": {raw(400, "application/json", `{"error":"invalid_scope","error_description":"invalid_grant"}`), ClassRequest},
		"no words":      {raw(400, "application/json", `{"status":"error"}`), ClassBadResponse},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c := s.loggedIn(t, nil)
				s.script(tc.h)
				_, err := c.Refresh(t.Context())
				e := wantError(t, err, tc.class, "")
				if e.deadToken() {
					t.Error("marked as dead")
				}
				if again := strings.Contains(e.Hint, "or log in again"); again != (e.Code == "unauthorized_client") {
					t.Errorf("hint %q", e.Hint)
				}
				if g, _ := c.cfg.Store.Load(t.Context(), demoKey); g.State == GrantDead || g.RefreshToken != "rt-2" {
					t.Errorf("grant %+v", g)
				}
			})
		})
	}
}

// The codes for a dead refresh token do not count in other requests: an expired
// device code is not a dead grant.
//
// Row B22 of docs/guarantees.md.
func TestRefresh_DeadTokenCodes_OnlyInRefresh(t *testing.T) {
	s := newTenant()
	c := mustNew(t, s.config())
	s.script(refuse(400, "token_revoked"))
	_, _, e := c.post(t.Context(), "exchange", testIssuer+"oauth/token", map[string][]string{"grant_type": {"authorization_code"}}, sendOptions{})
	if e == nil || e.deadToken() || e.Class != ClassRequest || strings.Contains(e.Error(), "CANARY") {
		t.Errorf("got %v", e)
	}
}
