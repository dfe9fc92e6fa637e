package contract

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const testIssuer = "https://acme.example/"

// judged compares an answer with a case, without a network.
func judged(t *testing.T, c Case, a *answer, isMock bool) *match {
	t.Helper()
	target := Target{Issuer: testIssuer, ClientID: "demo", ClientSecret: "demo-secret", RedirectURI: "https://app.example/cb"}
	if isMock {
		target.Control = testIssuer + "_mock/"
	}
	r, done := newRunner(target.withDefaults())
	t.Cleanup(done)
	s, err := r.newScene(c)
	if err != nil {
		t.Fatal(err)
	}
	if a.url == nil {
		a.url = &url.URL{Scheme: "https", Host: "acme.example", Path: a.path}
	}
	a.cookies = (&http.Response{Header: a.header}).Cookies()
	m := &match{scene: s, got: a}
	m.compareCase(context.Background())
	return m
}

func caseOf(t *testing.T, id string) Case {
	t.Helper()
	list := Cases()
	at := slices.IndexFunc(list, func(c Case) bool { return c.ID == id })
	if at < 0 {
		t.Fatalf("no case %q", id)
	}
	return list[at]
}

// refusal is the exact answer to token.code.invalid.
func refusal() *answer {
	h := http.Header{}
	for k, v := range map[string]string{
		"Content-Type":  "application/json",
		"Cache-Control": "private, no-store, no-cache, must-revalidate, post-check=0, pre-check=0, no-transform",

		"Strict-Transport-Security": "max-age=31536000", "X-Content-Type-Options": "nosniff",
		"X-Auth0-RequestId": "0123456789abcdef0123", "X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "99",
		"X-RateLimit-Reset": "1790000000", "Vary": "Accept-Encoding, Origin",
	} {
		h.Set(k, v)
	}
	h.Add("Set-Cookie", "did=s%3Av0%3Aabc; Max-Age=31557600; Path=/; HttpOnly; Secure; SameSite=None")
	h.Add("Set-Cookie", "did_compat=s%3Av0%3Aabc; Max-Age=31557600; Path=/; HttpOnly; Secure")
	return &answer{
		method: "POST", path: "/oauth/token", status: 403, header: h,
		body: []byte(`{"error":"invalid_grant","error_description":"Invalid authorization code"}`),
	}
}

func TestCompareAcceptsAnExactAnswer(t *testing.T) {
	m := judged(t, caseOf(t, "token.code.invalid"), refusal(), true)
	if len(m.diff) > 0 || len(m.drifted) > 0 {
		t.Errorf("diff %q, drift %q", m.diff, m.drifted)
	}
}

func TestCompareReportsEveryDifference(t *testing.T) {
	set := func(k, v string) func(*answer) { return func(a *answer) { a.header.Set(k, v) } }
	body := func(b string) func(*answer) { return func(a *answer) { a.body = []byte(b) } }
	for name, tc := range map[string]struct {
		change func(*answer)
		want   string
	}{
		"status":        {func(a *answer) { a.status = 400 }, "status: expected 403, got 400"},
		"content type":  {set("Content-Type", "application/json; charset=utf-8"), `header Content-Type: expected "application/json", got "application/json; charset=utf-8"`},
		"no header":     {func(a *answer) { a.header.Del("X-Auth0-RequestId") }, `header X-Auth0-RequestId: expected "<hex:20>", got none`},
		"pragma":        {set("Pragma", "no-cache"), `header Pragma: expected none, got "no-cache"`},
		"challenge":     {set("WWW-Authenticate", "Basic"), `header WWW-Authenticate: expected none, got "Basic"`},
		"vary":          {set("Vary", "Accept-Encoding"), `header Vary: expected "Origin" among others, got "Accept-Encoding"`},
		"reset":         {set("X-RateLimit-Reset", "soon"), `header X-RateLimit-Reset: expected "<unix>", got "soon"`},
		"cookie":        {set("Set-Cookie", "did=abcdef; Path=/"), `cookie did_compat: expected, got none`},
		"cookie part":   {set("Set-Cookie", "did=abcdef; Max-Age=31557600; Path=/; HttpOnly; Secure"), `cookie did: expected SameSite=None, got "Max-Age=31557600; Path=/; HttpOnly; Secure"`},
		"error":         {body(`{"error":"access_denied","error_description":"Invalid authorization code"}`), `body.error: expected "invalid_grant", got "access_denied"`},
		"description":   {body(`{"error":"invalid_grant","error_description":"invalid authorization code"}`), `body.error_description: expected "Invalid authorization code", got "invalid authorization code"`},
		"order":         {body(`{"error_description":"Invalid authorization code","error":"invalid_grant"}`), "body: expected the order [error error_description], got [error_description error]"},
		"member":        {body(`{"error":"invalid_grant","error_description":"Invalid authorization code","error_uri":"x"}`), "body.error_uri: expected none, got one"},
		"less":          {body(`{"error":"invalid_grant"}`), `body.error_description: expected "Invalid authorization code", got none`},
		"type":          {body(`{"error":["invalid_grant"],"error_description":"Invalid authorization code"}`), `body.error: expected "invalid_grant", got ["invalid_grant"]`},
		"text":          {body("Forbidden"), `body: expected a JSON object, got "Forbidden"`},
		"empty":         {body(""), `body: expected a JSON object, got ""`},
		"repeated":      {body(`{"error":"invalid_grant","error":"invalid_grant","error_description":"Invalid authorization code"}`), "body: expected a JSON object, got "},
		"line breaks":   {body("a\nb"), `body: expected a JSON object, got "a\nb"`},
		"trailing data": {body(`{"error":"invalid_grant","error_description":"Invalid authorization code"}{}`), "body: expected a JSON object, got "},
	} {
		t.Run(name, func(t *testing.T) {
			a := refusal()
			tc.change(a)
			m := judged(t, caseOf(t, "token.code.invalid"), a, true)
			if !slices.ContainsFunc(m.diff, func(d string) bool { return strings.HasPrefix(d, tc.want) }) {
				t.Errorf("got %q, want %q", m.diff, tc.want)
			}
			if slices.ContainsFunc(m.diff, func(d string) bool { return strings.Contains(d, "\n") }) {
				t.Errorf("a difference has more than one line: %q", m.diff)
			}
		})
	}
}

// Differences of lists say what is different, however long the lists are.
func TestCompareArrays(t *testing.T) {
	long := strings.Repeat("x", 200)
	for name, tc := range map[string]struct{ want, got, diff string }{
		"as many":       {`["a","b"]`, `["a","c"]`, `body.l: expected ["a","b"], got ["a","c"]`},
		"fewer":         {`["a","b"]`, `["a"]`, `body.l: expected 2 elements ["a","b"], got 1 ["a"]`},
		"more":          {`["a"]`, `["a","b"]`, `body.l: expected 1 element ["a"], got 2 ["a","b"]`},
		"fewer, long":   {`["` + long + `","` + long + `"]`, `["a"]`, "body.l: expected 2 elements, got 1"},
		"more, long":    {`["a"]`, `["` + long + `","` + long + `"]`, "body.l: expected 1 element, got 2"},
		"as many, long": {`["` + long + `","` + long + `","a"]`, `["` + long + `","` + long + `","b"]`, `body.l[2]: expected "a", got "b"`},
		"an item":       {`["` + long + `",{"a":"` + long + `","b":1}]`, `["` + long + `",{"a":"` + long + `","b":2}]`, "body.l[1].b: expected 1, got 2"},
		"none of some":  {`["$string"]`, `[]`, `body.l: expected one or more of "$string", got none`},
		"some":          {`["$string"]`, `["a","b"]`, ""},
	} {
		c := Case{Request: Request{Path: "/oauth/token"}, Status: 403, Body: &Body{Exact: json.RawMessage(`{"l":` + tc.want + `}`)}}
		a := refusal()
		a.body = []byte(`{"l":` + tc.got + `}`)
		if got := strings.Join(judged(t, c, a, true).diff, "\n"); got != tc.diff {
			t.Errorf("%s: %q, want %q", name, got, tc.diff)
		}
	}
}

func TestCompareListsDrift(t *testing.T) {
	a := refusal()
	a.header.Set("X-New", "1")
	a.header.Add("Set-Cookie", "auth0=x")
	a.header.Set("WWW-Authenticate", "Bearer") // known from other cases: a difference, not drift
	m := judged(t, caseOf(t, "token.code.invalid"), a, true)
	if want := []string{"cookie auth0", "header X-New"}; !slices.Equal(m.drifted, want) {
		t.Errorf("drift %q, want %q", m.drifted, want)
	}
}

// A believed case asserts that the tenant refuses; other differences are drift.
func TestCompareBelieved(t *testing.T) {
	c := caseOf(t, "token.grant.missing")
	a := refusal()
	a.body = []byte(`{"error":"invalid_something","error_description":"else"}`)
	m := judged(t, c, a, true)
	if len(m.diff) > 0 {
		t.Errorf("differences: %q", m.diff)
	}
	if !slices.Contains(m.drifted, "believed, not asserted: status: expected 400, got 403") {
		t.Errorf("drift: %q", m.drifted)
	}
	for name, change := range map[string]func(*answer){
		"200": func(a *answer) { a.status = 200 }, "500": func(a *answer) { a.status = 500 },
		"html":     func(a *answer) { a.header.Set("Content-Type", "text/html") },
		"no error": func(a *answer) { a.body = []byte(`{"message":"x"}`) },
	} {
		a := refusal()
		change(a)
		if m := judged(t, c, a, true); len(m.diff) == 0 {
			t.Errorf("%s: no difference", name)
		}
	}
	escalation := caseOf(t, "token.refresh.scope_escalation")
	for body, ok := range map[string]bool{`{"scope":"openid"}`: true, `{"scope":"openid admin:all"}`: false, `nonsense`: false} {
		a := refusal()
		a.status, a.body = 200, []byte(body)
		if m := judged(t, escalation, a, true); (len(m.diff) == 0) != ok {
			t.Errorf("%s: %q", body, m.diff)
		}
	}
}

// Of a believed status only the first digit is asserted.
func TestCompareBelievedStatus(t *testing.T) {
	c := caseOf(t, "token.redirect_uri.missing")
	for status, ok := range map[int]bool{403: true, 400: true, 500: false, 200: false} {
		a := refusal()
		a.status = status
		a.body = []byte(`{"error":"invalid_grant","error_description":"redirect_uri is required if it was included in the authorization request."}`)
		if m := judged(t, c, a, true); (len(m.diff) == 0) != ok {
			t.Errorf("%d: %q", status, m.diff)
		}
	}
}

func TestCompareLocation(t *testing.T) {
	base := Case{
		ID: "x", Status: 302, Request: Request{Path: "/authorize"},
		Location: &Location{To: "{{redirect_uri}}", Params: [][2]string{{"code", "<code>"}, {"state", "xyz ABC"}}},
	}
	failed := base
	failed.Location = &Location{To: "{{redirect_uri}}", In: "fragment", Params: [][2]string{{"error", "e"}, {"error_description", "<text>"}}}
	relative := base
	relative.Location = &Location{To: "/u/login", Params: [][2]string{{"state", "<text>"}}}
	loose := base
	loose.Location = &Location{To: "https://x.example/e?a=1", AnyOrder: true, Params: [][2]string{{"error", "e"}, {"tracking", "<text>"}}}
	for _, tc := range []struct {
		c        Case
		location string
		want     string // "": no difference
	}{
		{base, "https://app.example/cb?code=abcdefghijklmnopqrst&state=xyz%20ABC", ""},
		{base, "https://app.example/cb?code=abcdefghijklmnopqrst&state=xyz+ABC", ""},
		{base, "", "location: expected https://app.example/cb, got none"},
		{base, "https://app.example/cb/?code=abcdefghijklmnopqrst&state=xyz+ABC", "location: expected https://app.example/cb, got https://app.example/cb/"},
		{base, "https://evil.example/cb?code=abcdefghijklmnopqrst&state=xyz+ABC", "location: expected https://app.example/cb, got https://evil.example/cb"},
		{base, "https://app.example/cb?state=xyz+ABC&code=abcdefghijklmnopqrst", "location query: expected the order [code state], got [state code]"},
		{base, "https://app.example/cb?code=abcdefghijklmnopqrst", "location query: expected state, got none"},
		{base, "https://app.example/cb?code=abcdefghijklmnopqrst&state=xyz", `location query state: expected "xyz ABC", got "xyz"`},
		{base, "https://app.example/cb?code=short&state=xyz+ABC", `location query code: expected "<code>", got "short"`},
		{base, "https://app.example/cb?code=abcdefghijklmnopqrst&state=xyz+ABC&error=x", "location query: expected no error, got one"},
		{base, "https://app.example/cb?code=abcdefghijklmnopqrst&state=xyz+ABC#code=1", "location fragment: expected none, got one"},
		{failed, "https://app.example/cb#error=e&error_description=d", ""},
		{failed, "https://app.example/cb?error=e&error_description=d", "location query: expected [], got [error error_description]"},
		{failed, "https://app.example/cb#error=e&error_description=d&state=s", "location fragment: expected no state, got one"},
		{relative, "/u/login?state=s", ""},
		{relative, "https://acme.example/u/login?state=s", ""},
		{relative, "https://evil.example/u/login?state=s", "location: expected https://acme.example/u/login, got https://evil.example/u/login"},
		{loose, "https://x.example/e?tracking=t&a=1&error=e", ""},
		{loose, "https://x.example/e?tracking=t&error=e", "location query: expected a, got none"},
	} {
		a := &answer{method: "GET", path: "/authorize", status: 302, header: http.Header{}}
		if tc.location != "" {
			a.header.Set("Location", tc.location)
		}
		m := judged(t, tc.c, a, true)
		if tc.want == "" && len(m.diff) > 0 || tc.want != "" && !slices.Contains(m.diff, tc.want) {
			t.Errorf("%s:\n got %q\nwant %q", tc.location, m.diff, tc.want)
		}
	}
}

func TestCompareLocationDrift(t *testing.T) {
	c := Case{Status: 302, Request: Request{Path: "/authorize"}, Location: &Location{To: "{{redirect_uri}}", Params: [][2]string{{"state", "s"}}}}
	a := &answer{path: "/authorize", status: 302, header: http.Header{"Location": {"https://app.example/cb?state=s&iss=x"}}}
	m := judged(t, c, a, true)
	if want := []string{"/authorize: parameter iss of the redirect"}; len(m.diff) > 0 || !slices.Equal(m.drifted, want) {
		t.Errorf("diff %q, drift %q", m.diff, m.drifted)
	}
}

func TestComparePage(t *testing.T) {
	c := Case{Status: 403, Body: &Body{
		HTMLContains: []string{`action="{{redirect_uri}}"`}, TextContains: []string{"unauthorized_client: Callback URL mismatch."},
	}}
	good := `<form action="https://app.example/cb"><p><strong>unauthorized_client</strong>: Callback
		URL mismatch.</p>`
	for page, want := range map[string]string{
		good:                                 "",
		strings.Replace(good, "cb", "xb", 1): `page: expected to contain "action=\"{{redirect_uri}}\""`,
		strings.Replace(good, "mismatch", "no", 1): `page: expected the words "unauthorized_client: Callback URL mismatch."`,
	} {
		m := judged(t, c, &answer{status: 403, header: http.Header{}, body: []byte(page)}, true)
		if want == "" && len(m.diff) > 0 || want != "" && !slices.Contains(m.diff, want) {
			t.Errorf("%q, want %q", m.diff, want)
		}
	}
}

// signed returns a JWT with this header and these claims.
func signed(t *testing.T, key *rsa.PrivateKey, claims string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := signer.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	compact, err := s.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func TestMatchJWT(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := Profile{
		Header: json.RawMessage(`{"alg":"RS256","kid":"$string","typ":"JWT"}`), // go-jose's order
		Claims: json.RawMessage(`{"iss":"{{issuer}}","aud":["a","b"],"iat":"$int","exp":"$int"}`),
		Also:   json.RawMessage(`{"sid":"$string"}`), Optional: []string{"org_id"}, Absent: []string{"gty"}, Lifetime: "expires_in",
	}
	good := `{"iss":"https://acme.example/","aud":["a","b"],"iat":1000,"exp":1060,"sid":"x"}`
	for name, tc := range map[string]struct {
		claims, want, drift string
	}{
		"good":     {claims: good},
		"optional": {claims: strings.Replace(good, `"sid"`, `"org_id":"o","sid"`, 1)},
		"issuer":   {strings.Replace(good, "acme", "evil", 1), `at.iss: expected "https://acme.example/", got "https://evil.example/"`, ""},
		"order":    {`{"aud":["a","b"],"iss":"https://acme.example/","iat":1000,"exp":1060,"sid":"x"}`, "at: expected the order [iss aud iat exp], got [aud iss iat exp]", ""},
		"audience": {strings.Replace(good, `["a","b"]`, `"a"`, 1), `at.aud: expected ["a","b"], got "a"`, ""},
		"swapped":  {strings.Replace(good, `["a","b"]`, `["b","a"]`, 1), `at.aud: expected ["a","b"], got ["b","a"]`, ""},
		"lifetime": {strings.Replace(good, "1060", "1061", 1), "at: exp - iat: expected 60, got 61", ""},
		"no sid":   {strings.Replace(good, `,"sid":"x"`, "", 1), `at.sid: expected "$string", got none`, ""},
		"absent":   {strings.Replace(good, `"sid"`, `"gty":"x","sid"`, 1), "at.gty: expected none, got one", ""},
		"new":      {strings.Replace(good, `"sid"`, `"amr":[],"sid"`, 1), "", "claim amr of the at"},
	} {
		t.Run(name, func(t *testing.T) {
			m := judged(t, Case{Status: 200}, &answer{status: 200, header: http.Header{}}, true)
			m.scene.runner.keys.set = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k1", Algorithm: "RS256", Use: "sig"}}}
			m.matchJWT(t.Context(), "at", signed(t, key, tc.claims), p, json.Number("60"))
			if tc.want == "" && len(m.diff) > 0 || tc.want != "" && !slices.Contains(m.diff, tc.want) {
				t.Errorf("got %q, want %q", m.diff, tc.want)
			}
			if tc.drift != "" && !slices.Contains(m.drifted, tc.drift) {
				t.Errorf("drift %q, want %q", m.drifted, tc.drift)
			}
		})
	}
	t.Run("signature", func(t *testing.T) {
		other, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		m := judged(t, Case{Status: 200}, &answer{status: 200, header: http.Header{}}, true)
		m.scene.runner.keys.set = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k1"}}}
		m.matchJWT(t.Context(), "at", signed(t, other, good), p, json.Number("60"))
		if want := "at: signature: the issuer's key does not verify the signature"; !slices.Contains(m.diff, want) {
			t.Errorf("got %q, want %q", m.diff, want)
		}
	})
}

func TestAssertion(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := assertion(key, "demo", testIssuer, time.Unix(1000, 0))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := parsed.Verify(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	o, err := parseObject(payload)
	if err != nil || o.text("iss") != "demo" || o.text("sub") != "demo" || o.text("aud") != testIssuer || len(o.text("jti")) < 20 ||
		show(o.values["exp"]) != "1120" || len(raw) > 2048 {
		t.Errorf("%s, %v", payload, err)
	}
}
