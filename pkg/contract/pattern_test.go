package contract

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

func TestMatches(t *testing.T) {
	for _, tc := range []struct {
		want, got string
		isMock    bool
		ok        bool
	}{
		{"no-store", "no-store", true, true},
		{"no-store", "no-store, private", true, false},
		{"", "", true, true},
		{"", "x", true, false},
		{"<int>", "17", true, true},
		{"<int>", "-1", true, false},
		{"<int>", "", true, false},
		{"<unix>", "1790000000", true, true},
		{"<unix>", "1790000000000", true, false},
		{"<hex:4>", "0af9", true, true},
		{"<hex:4>", "0AF9", true, false},
		{"<hex:4>", "0af91", true, false},
		{"urn:x:<chars:3>", "urn:x:a-_", true, true},
		{"urn:x:<chars:3>", "urnx:a-_", true, false},
		{`a="<text>"`, `a="b c"`, true, true},
		{`a="<text>"`, `a=""`, true, false},
		{"<text>", "a\nb", true, false},
		{"text/html<rest>", "text/html", true, true},
		{"text/html<rest>", "text/html; charset=utf-8", true, true},
		{"text/html<rest>", "application/json", true, false},
		{"<plan:30>", "30", true, true},
		{"<plan:30>", "100", true, false},
		{"<plan:30>", "100", false, true},
		{"<plan:30>", "many", false, false},
		{"<user_code>", "QTZL-MCBW", true, true},
		{"<user_code>", "QTZLMCBW", true, false},
		{"<code>", strings.Repeat("a", 16), true, true},
		{"<code>", strings.Repeat("a", 15), true, false},
		{"<b>bold</b>", "<b>bold</b>", true, true},
		{"a.c<rest>", "abc", true, false},
	} {
		if ok := matches(tc.want, tc.got, tc.isMock); ok != tc.ok {
			t.Errorf("matches(%q, %q, %v) = %v", tc.want, tc.got, tc.isMock, ok)
		}
	}
}

// loginState builds the state of a page; long keys are str 8, which no recording has.
func loginState(members ...string) string {
	b := []byte{0x80 | byte(len(members)/2)}
	for _, s := range members {
		if len(s) < 32 {
			b = append(b, 0xa0|byte(len(s)))
		} else {
			b = append(b, 0xd9, byte(len(s)))
		}
		b = append(b, s...)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func TestIsLoginState(t *testing.T) {
	h := strings.Repeat("A", 32)
	good := loginState("h", h, "n", "universal-login", "tid", h, "cid", h)
	if !strings.HasPrefix(good, "hKFo2S") || !isLoginState(good) {
		t.Errorf("%s is refused", good)
	}
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]string{
		"empty": "", "not base64": "hKFo2S*", "cut": good[:len(good)-4], "no cid": loginState("h", h, "n", "x", "tid", h),
		"longer": base64.RawURLEncoding.EncodeToString(append(raw, 0)), "other order": loginState("n", "x", "h", h, "tid", h, "cid", h),
		"random": "aGVsbG8gd29ybGQ",
	} {
		if isLoginState(s) {
			t.Errorf("%s: %q is accepted", name, s)
		}
	}
}

func TestMatchesKind(t *testing.T) {
	const issuer = "https://acme.example/"
	enc := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	jwt := enc(`{"alg":"RS256"}`) + "." + enc(`{}`) + ".c2ln"
	jwe := func(alg, key, iss string) string {
		return enc(`{"alg":"`+alg+`","enc":"A256GCM","iss":"`+iss+`"}`) + "." + key + ".aXY.Y3Q.dGFn"
	}
	good := jwe("dir", "", issuer)
	for _, tc := range []struct {
		kind string
		got  any
		ok   bool
	}{
		{"$any", nil, true},
		{"$any", &object{}, true},
		{"$bool", true, true},
		{"$bool", "true", false},
		{"$int", json.Number("7"), true},
		{"$int", json.Number("7.5"), false},
		{"$int", "7", false},
		{"$string", "x", true},
		{"$string", "", false},
		{"$string", json.Number("1"), false},
		{"$sub", "auth0|6132828a407ec6006935a858", true},
		{"$sub", "6132828a", false},
		{"$iso_ms", "2021-09-03T20:16:12.029Z", true},
		{"$iso_ms", "2021-09-03T20:16:12Z", false},
		{"$iso_ms", json.Number("1630700172"), false},
		{"$b64url", "AQAB", true},
		{"$b64url", "AQ+B", false},
		{"$b64_der", base64.StdEncoding.EncodeToString([]byte{0x30, 1, 0}), true},
		{"$b64_der", "AQAB", false},
		{"$jwt", jwt, true},
		{"$jwt", good, false},
		{"$jwt", "a.b.c", false},
		{"$jwt", strings.Repeat("a", 32), false},
		{"$opaque", strings.Repeat("a", 32), true},
		{"$opaque", "v1." + strings.Repeat("a", 30), true},
		{"$opaque", good, true},
		{"$opaque", jwt, false},
		{"$opaque", "short", false},
		{"$opaque", jwe("dir", "a2V5", issuer), false},
		{"$opaque", jwe("RSA-OAEP", "", issuer), false},
		{"$opaque", jwe("dir", "", "https://other.example/"), false},
	} {
		ok, known := matchesKind(tc.kind, tc.got, issuer)
		if !known || ok != tc.ok {
			t.Errorf("%s %v: %v, known %v", tc.kind, tc.got, ok, known)
		}
	}
	if _, known := matchesKind("$nothing", "x", issuer); known {
		t.Error("$nothing is known")
	}
}

func TestFill(t *testing.T) {
	v := variables{"a": "1", "b": "{{a}}"}
	if got, err := v.fill("{{a}}-{{b}}"); err != nil || got != "1-{{a}}" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := v.fill("{{c}}"); err == nil || !strings.Contains(err.Error(), "no value for {{c}}") {
		t.Errorf("a missing variable: %v", err)
	}
	raw, err := parseJSON([]byte(`{"x":["{{a}}",1,null],"y":{"z":"{{a}}"}}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.fillValue(raw)
	if err != nil || show(got) != `{"x":["1",1,null],"y":{"z":"1"}}` {
		t.Errorf("%s, %v", show(got), err)
	}
}

func TestParseJSON(t *testing.T) {
	for _, in := range []string{`{"b":1,"a":[{"d":null,"c":1e3}]}`, `"x"`, `null`} {
		v, err := parseJSON([]byte(" " + in + "\n"))
		if err != nil || show(v) != in {
			t.Errorf("%s: %s, %v", in, show(v), err)
		}
	}
	for _, in := range []string{``, `{`, `{"a":1,"a":2}`, `{} {}`, `[1,]`, `{"a"}`, strings.Repeat("[", maxDepth+2)} {
		if v, err := parseJSON([]byte(in)); err == nil {
			t.Errorf("%s is read as %s", in, show(v))
		}
	}
}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{"b":1,"a":[true,null,"x"]}`))
	f.Add([]byte(`{"a":{"a":{"a":1}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parseJSON(b)
		if err != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q is not JSON and was read", b)
		}
		again, err := parseJSON(appendJSON(nil, v))
		if err != nil || show(again) != show(v) {
			t.Fatalf("%q: %s is not %s (%v)", b, show(again), show(v), err)
		}
	})
}

func FuzzMatches(f *testing.F) {
	f.Add("a<text>b", "axb")
	f.Add("<login_state>", "hKFo2SA")
	f.Add("<hex:99999999>", "0")
	f.Fuzz(func(t *testing.T, want, got string) {
		if !strings.Contains(want, "<") && matches(want, got, true) != (want == got) {
			t.Fatalf("%q and %q", want, got)
		}
		isLoginState(got)
		matchesKind("$opaque", got, "https://acme.example/")
		matchesKind("$jwt", got, "")
	})
}
