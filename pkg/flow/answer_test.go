package flow

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestParseAnswer tests rows B01, B02, B03, B04, B05, B06, B07, B08 of docs/guarantees.md.
func TestParseAnswer(t *testing.T) {
	const rest = `"access_token":"at","token_type":"bearer","refresh_token":"rt"`
	for name, tc := range map[string]struct {
		body     string
		lifetime time.Duration
		fault    string
		refresh  string // "rt" if empty, "-" for none
	}{
		"plain":                  {body: `{` + rest + `,"expires_in":3600}`, lifetime: time.Hour},
		"B01 fraction":           {body: `{` + rest + `,"expires_in":3600.0}`, lifetime: time.Hour},
		"exponent":               {body: `{` + rest + `,"expires_in":3.6e3}`, lifetime: time.Hour},
		"B02 text":               {body: `{` + rest + `,"expires_in":"3600"}`, lifetime: time.Hour},
		"B03 absent":             {body: `{` + rest + `}`},
		"null":                   {body: `{` + rest + `,"expires_in":null}`},
		"no number":              {body: `{` + rest + `,"expires_in":"soon"}`},
		"forever":                {body: `{` + rest + `,"expires_in":1e300}`, lifetime: maxLifetime},
		"beyond floats":          {body: `{` + rest + `,"expires_in":1e999}`, lifetime: maxLifetime},
		"order, unknown members": {body: `{"x":{"y":[1]},"expires_in":60,` + rest + `,"scope":null}`, lifetime: time.Minute},
		"B25 scope as a list":    {body: `{` + rest + `,"scope":["a"],"expires_in":60}`, lifetime: time.Minute},
		"B04 zero":               {body: `{` + rest + `,"expires_in":0}`, fault: "expires_in is 0"},
		"B04 negative":           {body: `{` + rest + `,"expires_in":-5}`, fault: "expires_in is -5"},
		"B05 no access token":    {body: `{"token_type":"Bearer","refresh_token":"rt"}`, fault: "no access_token"},
		"access token a number":  {body: `{"access_token":1,"token_type":"Bearer","refresh_token":"rt"}`, fault: "not a token"},
		"B06 mac":                {body: `{"access_token":"at","token_type":"mac","refresh_token":"rt"}`, fault: `unsupported token_type "mac"`},
		"B06 DPoP":               {body: `{"access_token":"at","token_type":"DPoP","refresh_token":"rt"}`, fault: `unsupported token_type "DPoP"`},
		"B06 type a number":      {body: `{"access_token":"at","token_type":1,"refresh_token":"rt"}`, fault: `unsupported token_type "1"`},
		"B25 no type":            {body: `{"access_token":"at","refresh_token":"rt"}`},
		"B25 type null":          {body: `{"access_token":"at","token_type":null,"refresh_token":"rt"}`},
		"B07 line break":         {body: `{"access_token":"a\r\nX: y","token_type":"Bearer","refresh_token":"rt"}`, fault: "access_token is not a token"},
		"B07 NUL":                {body: `{"access_token":"a\u0000","token_type":"Bearer","refresh_token":"rt"}`, fault: "access_token is not a token"},
		"B07 space":              {body: `{"access_token":"a b","token_type":"Bearer","refresh_token":"rt"}`, fault: "access_token is not a token"},
		"B07 refresh token":      {body: `{"access_token":"a","token_type":"Bearer","refresh_token":"r\n"}`, fault: "refresh_token is not a token", refresh: "-"},
		"B08 twice":              {body: `{"refresh_token":"rt","access_token":"a","access_token":"b","token_type":"Bearer"}`, fault: `"access_token" twice`},
		"B08 other case":         {body: `{"refresh_token":"rt","access_token":"a","ACCESS_TOKEN":"b","token_type":"Bearer"}`, fault: `"access_token" twice`},
		"B08 only other case":    {body: `{"refresh_token":"rt","Access_Token":"b","token_type":"Bearer"}`, fault: `"access_token" twice`},
		"B08 refresh twice":      {body: `{"refresh_token":"rt","access_token":"a","refresh_token":"r2","token_type":"Bearer"}`, fault: `"refresh_token" twice`, refresh: "-"},
		"B08 both twice":         {body: `{"refresh_token":"rt","access_token":"a","access_token":"b","Refresh_Token":"r2"}`, fault: `"access_token" twice`, refresh: "-"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := parseAnswer("application/json; charset=utf-8", []byte(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if tc.refresh == "" {
				tc.refresh = "rt"
			}
			if a.lifetime != tc.lifetime || strings.TrimPrefix(tc.refresh, "-") != a.refresh {
				t.Errorf("lifetime %v, refresh token %q", a.lifetime, a.refresh)
			}
			if tc.fault == "" && (a.unusable != "" || a.access != "at") || !strings.Contains(a.unusable, tc.fault) {
				t.Errorf("fault %q, want %q; access token %q", a.unusable, tc.fault, a.access)
			}
		})
	}
}

// Whatever is wrong with the access token, the successor is stored and the access
// token is not served.
func TestRefresh_UnusableAccessToken_SuccessorIsStored(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"B04": func(b map[string]any) { b["expires_in"] = 0 },
		"B05": func(b map[string]any) { delete(b, "access_token") },
		"B06": func(b map[string]any) { b["token_type"] = "mac" },
		"B07": func(b map[string]any) { b["access_token"] = "a b" },
		"B08": func(b map[string]any) { b["Access_Token"] = "x" },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c := s.loggedIn(t, nil)
				s.answer = change
				_, err := c.Refresh(t.Context())
				wantError(t, err, ClassBadResponse, "")
				g, err := c.cfg.Store.Load(t.Context(), demoKey)
				if err != nil || g.RefreshToken != "rt-3" || g.State != GrantActive || g.Intent != nil || g.Generation != 2 {
					t.Fatalf("stored %+v, %v", g, err)
				}
				if tok, err := c.Get(t.Context(), Request{}); err != nil || tok.AccessToken != "at-2" {
					t.Errorf("served %v, %v", tok, err)
				}
				s.answer = nil
				time.Sleep(time.Minute)
				if g, err := c.Refresh(t.Context()); err != nil || g.Generation != 3 || s.revoked != 0 {
					t.Errorf("then %v, %v; %d revoked", g, err, s.revoked)
				}
			})
		})
	}
}

// TestRefresh_NoExpiresIn_UsesDefaultLifetime tests row B03 of docs/guarantees.md.
func TestRefresh_NoExpiresIn_UsesDefaultLifetime(t *testing.T) {
	exp := time.Date(2000, 1, 1, 0, 20, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		access string
		want   time.Duration
		logged int
	}{
		"opaque": {"opaque", 5 * time.Minute, 1},
		"JWT":    {signed(testKey(), "k", map[string]any{"exp": exp.Unix()}), 20 * time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				s.answer = func(b map[string]any) { delete(b, "expires_in"); b["access_token"] = tc.access; delete(b, "id_token") }
				var log strings.Builder
				c := s.loggedIn(t, func(c *Config) { c.Scopes = []string{"offline_access"}; c.Log = logTo(&log) })
				tok, err := c.Get(t.Context(), Request{})
				if err != nil || tok.Remaining(time.Now()) != tc.want {
					t.Fatalf("%v, %v", tok, err)
				}
				_, _ = c.Refresh(t.Context())
				if n := strings.Count(log.String(), "no expires_in"); n != tc.logged {
					t.Errorf("logged %d times", n)
				}
			})
		})
	}
}

// TestRefresh_ErrorUnderStatus200 tests row B09 of docs/guarantees.md.
func TestRefresh_ErrorUnderStatus200(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		s.script(raw(200, "application/json", `{"error":"invalid_scope","access_token":"at","token_type":"Bearer"}`))
		_, err := c.Refresh(t.Context())
		wantError(t, err, ClassRequest, "invalid_scope")
		if g := c.grant(); g.State != GrantActive || g.Intent != nil || g.Generation != 1 {
			t.Errorf("grant %+v", g)
		}
	})
}

// A provider that repeats the request's secrets does not get them into an error
// or a log.
func TestRefresh_EchoedSecretsAreMasked(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		var log strings.Builder
		c := s.loggedIn(t, func(c *Config) { c.Log = logTo(&log) })
		s.script(raw(400, "application/json", `{"error":"CANARY-secret","error_description":"bad rt-2 and `+strings.Repeat("x", 240)+`CANARY-secret\r\nInjected: 1"}`))
		_, err := c.Refresh(t.Context())
		text := err.Error() + log.String()
		for _, secret := range []string{"CANARY", "rt-2", "\r"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %s", secret, text)
			}
		}
		if !strings.Contains(text, masked) {
			t.Errorf("nothing masked in %s", text)
		}
	})
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(`{"access_token":"at","token_type":"Bearer","expires_in":3600,"refresh_token":"rt"}`))
	f.Add([]byte(`{"access_token":"a","access_token":"b"}`))
	f.Add([]byte(`{"expires_in":"0x1p-2","refresh_token":1}`))
	f.Add([]byte(`{"error":"x"}`))
	f.Add([]byte("\xef\xbb\xbf{\"error\":{\"code\":\"x\"}}\x00"))
	f.Add([]byte(`access_token=at&token_type=bearer&Refresh_Token=x`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := parseAnswer("application/json", body)
		if err != nil {
			return
		}
		form, _ := formMembers(bytes.TrimRight(body, "\x00 \t\r\n"))
		trimmed := bytes.TrimRight(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), "\x00")
		if !json.Valid(trimmed) && a.complete && a.unusable == "" || !a.complete && form == nil {
			t.Errorf("accepted: %q", body)
		}
		for _, s := range []string{a.access, a.refresh, a.id} {
			if !vschar(s) {
				t.Errorf("a token with %q", s)
			}
		}
		if a.unusable == "" && a.access == "" && a.code == "" || a.lifetime < 0 || a.lifetime > maxLifetime {
			t.Errorf("%+v of %q", a, body)
		}
		var lax struct {
			AccessToken string `json:"access_token"`
		}
		if a.unusable == "" && json.Unmarshal(body, &lax) == nil && lax.AccessToken != a.access {
			t.Errorf("another reader sees %q, not %q", lax.AccessToken, a.access)
		}
	})
}

func FuzzMembers(f *testing.F) {
	f.Add([]byte(`{"a":1,"A":2}`))
	f.Add([]byte(`{"iss":null}{}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		m, err := members(doc, "iss", "sub")
		if err == nil && !json.Valid(doc) {
			t.Errorf("accepted %q as %v", doc, m)
		}
	})
}

// An absent scope is the requested one (RFC 6749 section 5.1). A scope that is
// empty, or neither a string nor a list of strings, grants nothing.
func TestRefresh_GrantedScope(t *testing.T) {
	for said, want := range map[string]string{
		``: "read:x", `,"scope":null`: "read:x", `,"scope":""`: "", `,"scope":"openid"`: "openid",
		`,"scope":["a","b"]`: "a b", `,"scope":7`: "", `,"scope":["a",1]`: "", `,"scope":{"a":true}`: "", `,"scope":false`: "",
	} {
		s := newTenant()
		c := s.loggedIn(t, func(c *Config) { c.Scopes = []string{"offline_access"} })
		s.script(raw(200, "application/json", `{"access_token":"other","token_type":"Bearer","expires_in":60`+said+`}`))
		got, err := c.Get(t.Context(), Request{Scopes: []string{"read:x"}})
		if err != nil || got.AccessToken != "other" || got.Scope != want {
			t.Errorf("%s: %v %v, want %q", said, got, err, want)
		}
	}
}
