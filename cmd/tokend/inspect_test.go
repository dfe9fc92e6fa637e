package main

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// signed is a token with this header and these claims, and no real signature.
func signed(header, claims string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(header)) + "." + e([]byte(claims)) + ".c2ln"
}

func TestInspect_JWT_ShowsClaimsWithoutToken(t *testing.T) {
	clean(t)
	s := newStub(t)
	s.token = signed(`{"alg":"RS256","kid":"k1"}`, `{"aud":["a","b"],"exp":1893553445,"big":12345678901234567890,"sub":"ada"}`)
	o := runTokend(t, "inspect", "demo")
	want := `client        demo
access_token  JWT, RS256
audience      a b
scopes        read:calls
expires       2030-01-02T03:04:05Z, in 1h (3600 s)
  aud         ["a","b"]
  big         12345678901234567890
  exp         1893553445
  sub         "ada"
`
	if o.code != 0 || o.stdout != want || o.stderr != "" {
		t.Errorf("exit %d, stderr %q, stdout:\n%s", o.code, o.stderr, o.stdout)
	}
	o = runTokend(t, "inspect", "demo", "--format", "json")
	var got inspection
	if err := json.Unmarshal([]byte(o.stdout), &got); err != nil || got.Type != "jwt" || got.ExpiresIn != 3600 || got.Claims["sub"] != "ada" || got.Header["kid"] != "k1" || len(got.Audience) != 2 {
		t.Errorf("%v: %+v", err, got)
	}
	for _, part := range strings.Split(s.token, ".") {
		if strings.Contains(o.stdout, part) {
			t.Errorf("a part of the token is printed: %s", o.stdout)
		}
	}
}

func TestInspect_OpaqueToken_SaysSo(t *testing.T) {
	for name, token := range map[string]string{
		"opaque": canaryToken, "encrypted": "e30.e30.e30.e30.e30", "three words": "a.b.c", "no claims": signed(`{}`, `null`), "list": signed(`{}`, `[]`),
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			newStub(t).token = token
			o := runTokend(t, "inspect", "demo")
			if o.code != 0 || !strings.Contains(o.stdout, "access_token  opaque: only the provider") || !strings.Contains(o.stdout, "audience      https://api.example.com/\n") || !strings.Contains(o.stdout, "(3600 s)") {
				t.Errorf("%+v", o)
			}
			o = runTokend(t, "inspect", "demo", "--format", "json")
			if !strings.Contains(o.stdout, `"type":"opaque"`) || strings.Contains(o.stdout, `"claims"`) || strings.Contains(o.stdout, token) {
				t.Errorf("%+v", o)
			}
		})
	}
}

// Claims are the provider's text: control characters, and those that reorder text,
// are escaped in both outputs.
func TestInspect_ClaimsWithControlCharacters_AreEscaped(t *testing.T) {
	clean(t)
	newStub(t).token = signed("{\"alg\":\"x\\u001b[31m\"}", "{\"evil\\u001b]0;\\u0007\":\"\\u001b[2J\u009b31m\u202egpj\\nforged  line\U000e0041é\",\"aud\":\"a\\u001b[31m\"}")
	for _, format := range []string{"table", "json"} {
		o := runTokend(t, "inspect", "demo", "--format", format)
		if o.code != 0 || strings.ContainsAny(o.stdout, "\x1b\a\u009b\u202e\U000e0041") || strings.Contains(o.stdout, "\nforged") {
			t.Errorf("%s: %q", format, o.stdout)
		}
		if !strings.Contains(o.stdout, `\u009b31m\u202egpj\nforged  line\udb40\udc41é`) {
			t.Errorf("%s: the text is not escaped as JSON: %q", format, o.stdout)
		}
		if format == "json" && !json.Valid([]byte(o.stdout)) {
			t.Errorf("not JSON: %s", o.stdout)
		}
	}
}

func TestInspect_IDToken(t *testing.T) {
	clean(t)
	s := newStub(t)
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	if o := runTokend(t, "inspect", "demo", "--id-token"); o.code != 78 || o.stdout != "" || !strings.Contains(o.stderr, "client demo has no ID token\nhint: add openid") {
		t.Errorf("%+v", o)
	}
	s.idToken = jwt(now.Add(90 * time.Minute))
	p := in("")
	p.now = func() time.Time { return now }
	o := tokendWith(t, p, "inspect", "demo", "--id-token")
	if o.code != 0 || !strings.Contains(o.stdout, "id_token  JWT\n") || !strings.Contains(o.stdout, "2030-01-01T01:30:00Z, in 1h30m (5400 s)") || strings.Contains(o.stdout, s.idToken) {
		t.Errorf("%+v", o)
	}
}

func TestInspect_CommandLineErrors(t *testing.T) {
	clean(t)
	newStub(t)
	for args, want := range map[string]string{
		"inspect":                      "the client's name is missing",
		"inspect demo other":           `unexpected argument "other"`,
		"inspect demo --format text":   `format "text" is not one of table, json`,
		"inspect demo --min-validity=": "invalid argument",
	} {
		if o := runTokend(t, strings.Fields(args)...); o.code != 64 || !strings.Contains(o.stderr, want) || o.stdout != "" {
			t.Errorf("%s: %+v", args, o)
		}
	}
	t.Setenv("TOKEND_ADDR", refused(t))
	if o := runTokend(t, "inspect", "demo"); o.code != 69 || o.stdout != "" {
		t.Errorf("%+v", o)
	}
}

func TestToken_IDToken(t *testing.T) {
	clean(t)
	s := newStub(t)
	if o := runTokend(t, "token", "demo", "--id-token"); o.code != 78 || o.stdout != "" || !strings.Contains(o.stderr, "client demo has no ID token") {
		t.Errorf("%+v", o)
	}
	s.idToken = "the.id.token"
	for format, want := range map[string]string{"text": "the.id.token\n", "header": "Authorization: Bearer the.id.token\n"} {
		if o := runTokend(t, "token", "demo", "--id-token", "--format", format); o != (output{stdout: want}) {
			t.Errorf("%s: %+v", format, o)
		}
	}
	if o := runTokend(t, "token", "demo", "--id-token", "--format", "json"); !strings.Contains(o.stdout, `"id_token":"the.id.token"`) {
		t.Errorf("%+v", o)
	}
	if o := runTokend(t, "token", "demo", "--id-token", "--format", "env"); o.code != 64 || !strings.Contains(o.stderr, "--id-token has no effect with format env") {
		t.Errorf("%+v", o)
	}
}
