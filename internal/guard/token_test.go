package guard

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// tokens verifies tokens that signedBy has made; err is its answer instead.
type tokens struct {
	err    error
	expiry time.Time
	calls  int
}

func (v *tokens) Verify(_ context.Context, token string) (Identity, error) {
	v.calls++
	if v.err != nil {
		return Identity{}, v.err
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		return Identity{}, err
	}
	var c struct {
		Sub, Aud string
		Exp      int64
	}
	err = json.Unmarshal(payload, &c)
	expiry := v.expiry
	if c.Exp != 0 {
		expiry = time.Unix(c.Exp, 0)
	}
	return Identity{c.Sub, []string{"other", c.Aud}, expiry}, err
}

const actions = "https://token.actions.githubusercontent.com"

// signedBy has the form of a token.
func signedBy(iss, aud, sub string) string {
	payload, _ := json.Marshal(map[string]string{"iss": iss, "aud": aud, "sub": sub})
	return "e30." + base64.RawURLEncoding.EncodeToString(payload) + ".SIGNATURE"
}

// signedUntil is signedBy of a token for this subject that expires.
func signedUntil(exp time.Time) string {
	payload, _ := json.Marshal(map[string]any{"iss": actions, "aud": "tokend", "sub": "repo:acme/app", "exp": exp.Unix()})
	return "e30." + base64.RawURLEncoding.EncodeToString(payload) + ".SIGNATURE"
}

func withTokens(t *testing.T, v Verifier) *Guard {
	t.Helper()
	rule := func(subject string) TokenRule {
		return TokenRule{Issuer: actions, Audience: "tokend", Subject: subject, Verifier: v}
	}
	g, err := New(Config{Keys: []Key{
		{Name: "main", Secret: secret(mainKey)},
		{Name: "any", Tokens: []TokenRule{rule("repo:acme/**")}, Clients: []string{"demo"}, ReadOnly: true},
		{Name: "main-branch", Tokens: []TokenRule{rule("repo:acme/app:ref:refs/heads/main")}, Clients: []string{"demo"}},
		{Name: "branches", Tokens: []TokenRule{rule("repo:acme/app:ref:refs/heads/*"), rule("repo:acme/*:environment:prod")}, Clients: []string{"demo"}, Rate: 1000},
		{Name: "limited", Tokens: []TokenRule{rule("repo:slow/app")}, Clients: []string{"demo"}, Rate: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestAdmit_Tokens(t *testing.T) {
	const main = "repo:acme/app:ref:refs/heads/main"
	for name, c := range map[string]struct {
		token        string
		need         Access
		client       string
		caller, code string
		says         string
	}{
		"an exact subject first":    {signedBy(actions, "tokend", main), Manages, "demo", "main-branch", "", ""},
		"then the longest pattern":  {signedBy(actions, "tokend", main+"2"), Manages, "demo", "branches", "", ""},
		"a slash is a text":         {signedBy(actions, "tokend", "repo:acme/app:ref:refs/heads/a/b"), Manages, "demo", "branches", "", ""},
		"a colon is":                {signedBy(actions, "tokend", "repo:acme/app:ref:refs/heads/a:b"), NeedsKey, "demo", "any", "", ""},
		"in the middle":             {signedBy(actions, "tokend", "repo:acme/x:environment:prod"), NeedsKey, "demo", "branches", "", ""},
		"any text":                  {signedBy(actions, "tokend", "repo:acme/x:pull_request"), NeedsKey, "demo", "any", "", ""},
		"its rights":                {signedBy(actions, "tokend", "repo:acme/x:pull_request"), Manages, "demo", "any", "manage_forbidden", ""},
		"its clients":               {signedBy(actions, "tokend", main), NeedsKey, "other", "main-branch", "client_forbidden", ""},
		"another owner":             {signedBy(actions, "tokend", "repo:acme2/app:ref:refs/heads/main"), NeedsKey, "demo", "", "unauthorized", `the subject "repo:acme2/app:ref:refs/heads/main" of the token is not one`},
		"a subject around it":       {signedBy(actions, "tokend", "x"+main+"x"), NeedsKey, "demo", "", "unauthorized", "the subject"},
		"a dot is a dot":            {signedBy(actions, "tokend", "repoXacme/app"), NeedsKey, "demo", "", "unauthorized", "the subject"},
		"another audience":          {signedBy(actions, "sts.amazonaws.com", main), NeedsKey, "demo", "", "unauthorized", `the audience "other sts.amazonaws.com" of the token is not one`},
		"another issuer":            {signedBy("https://evil.example", "tokend", main), NeedsKey, "demo", "", "unauthorized", `the issuer "https://evil.example" of the token is not one`},
		"an issuer with a slash":    {signedBy(actions+"/", "tokend", main), NeedsKey, "demo", "", "unauthorized", "the issuer"},
		"no token":                  {"a.b.c", NeedsKey, "demo", "", "unauthorized", "unknown API key"},
		"the key of another caller": {ciKey, NeedsKey, "demo", "", "unauthorized", "unknown API key"},
		"the main key":              {mainKey, Manages, "demo", "main", "", ""},
	} {
		v := &tokens{}
		caller, f := withTokens(t, v).Admit(request(t, get(tokenPath, "HOST", "\nAuthorization: Bearer "+c.token), tcp), c.need, c.client)
		if caller.Name != c.caller || codeOf(f) != c.code {
			t.Errorf("%s: caller %q, %+v", name, caller.Name, f)
		}
		if f != nil && (!strings.Contains(f.Description, c.says) || strings.Contains(f.Description+f.Hint, c.token)) {
			t.Errorf("%s: %+v", name, f)
		}
		if c.caller != "" && c.caller != "main" && !strings.HasPrefix(caller.Subject, "repo:acme/") {
			t.Errorf("%s: the subject is %q", name, caller.Subject)
		}
	}
}

// A token is verified once a minute at most, and again when it has expired, when the clock
// was set back, and if too many others came. A rejected one is verified each time.
func TestAdmit_TokensThatWereVerified(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := began
	v := &tokens{expiry: began.Add(100 * time.Second)}
	g := withTokens(t, v)
	g.now = func() time.Time { return now }
	admit := func(token string) (*Caller, *Refusal) {
		return g.Admit(request(t, get(tokenPath, "HOST", "\nAuthorization: Bearer "+token), tcp), NeedsKey, "demo")
	}
	token := signedBy(actions, "tokend", "repo:acme/app:ref:refs/heads/main")
	others := func() {
		for i := range maxVerified {
			_, _ = admit(signedBy(actions, "tokend", fmt.Sprint("repo:acme/", i)))
		}
		v.calls = 0
	}
	for _, c := range []struct {
		when  string
		now   time.Time
		then  func()
		calls int
	}{
		{"the first", began, func() {}, 1},
		{"at once", began, func() {}, 0},
		{"a minute later", began.Add(time.Minute), func() {}, 1},
		{"before its end", began.Add(99 * time.Second), func() {}, 0},
		{"at its end", began.Add(100 * time.Second), func() {}, 1}, // the verifier allows for other clocks
		{"the clock is set back", began.Add(-time.Hour), func() {}, 1},
		{"many others", began.Add(-time.Hour), others, 1},
		{"after them", began.Add(-time.Hour), func() {}, 0},
		{"the verifier has no keys", began.Add(-time.Hour), func() { v.err = &Unavailable{errors.New("down")} }, 0},
	} {
		now = c.now
		c.then()
		v.calls = 0
		caller, f := admit(token)
		if f != nil || caller.Name != "main-branch" || caller.Subject != "repo:acme/app:ref:refs/heads/main" || v.calls != c.calls {
			t.Errorf("%s: %q, %+v, verified %d times, want %d", c.when, caller.Name, f, v.calls, c.calls)
		}
	}
	if n := len(g.verified.list); n > maxVerified {
		t.Errorf("%d tokens are kept", n)
	}
	v.err, v.calls = nil, 0
	for range 2 {
		if caller, f := admit(signedBy(actions, "tokend", "repo:other/app")); codeOf(f) != "unauthorized" || caller.Name != "" {
			t.Errorf("a subject of no caller: %q, %+v", caller.Name, f)
		}
	}
	v.err, v.calls = errors.New("bad signature"), 0
	for range 2 {
		if _, f := admit(token + "x"); codeOf(f) != "unauthorized" {
			t.Errorf("a bad token: %+v", f)
		}
	}
	if v.calls != 2 {
		t.Errorf("a bad token was verified %d times", v.calls)
	}
	if _, f := withTokens(t, v).Admit(request(t, get(tokenPath, "HOST", "\nAuthorization: Bearer "+token), tcp), NeedsKey, "demo"); codeOf(f) != "unauthorized" {
		t.Errorf("another configuration: %+v", f)
	}
}

// Errors of the verifier, and what is asked for nothing.
func TestAdmit_TokensThatCannotBeVerified(t *testing.T) {
	token := signedBy(actions, "tokend", "repo:acme/app:ref:refs/heads/main")
	for name, c := range map[string]struct {
		err    error
		status int
		says   string
	}{
		"expired":            {errors.New("it expired at 2026-01-02T03:04:05Z"), 401, "the token of " + actions + " is rejected: it expired at 2026-01-02T03:04:05Z"},
		"a provider is down": {fmt.Errorf("verify: %w", &Unavailable{errors.New("no route to host")}), 503, "the keys of " + actions + " are not available"},
	} {
		v := &tokens{err: c.err}
		g := withTokens(t, v)
		r := request(t, get(tokenPath, "HOST", "\nAuthorization: Bearer "+token), tcp)
		caller, f := g.Admit(r, NeedsKey, "demo")
		if f == nil || f.Status != c.status || !strings.Contains(f.Description, c.says) || (f.RetryAfter > 0) != (c.status == 503) || (f.Challenge != "") != (c.status == 401) || caller.Name != "" {
			t.Fatalf("%s: %+v", name, f)
		}
		var log strings.Builder
		f.Log(slog.New(slog.NewTextHandler(&log, nil)), r, caller)
		if strings.Contains(log.String(), token) || strings.Contains(log.String(), "no route to host") != (c.status == 503) {
			t.Errorf("%s: %s", name, log.String())
		}
		if _, f := g.Admit(request(t, get(tokenPath, "HOST", auth), tcp), NeedsKey, "demo"); f != nil {
			t.Errorf("%s: another caller: %+v", name, f)
		}
		if v.calls != 1 {
			t.Errorf("%s: verified %d times", name, v.calls)
		}
	}
	v := &tokens{}
	g := withTokens(t, v)
	for _, c := range []struct {
		request string
		code    string
	}{
		{get(tokenPath, "evil.example", "\nAuthorization: Bearer "+token), "forbidden_host"},
		{get(tokenPath, "HOST", "\nOrigin: null\nAuthorization: Bearer "+token), "forbidden_origin"},
		{get(tokenPath, "HOST", "\nVia: 1.1 x\nAuthorization: Bearer "+token), "forbidden_forwarded"},
		{get(tokenPath, "HOST", "\nAuthorization: Bearer "+token+"\nAuthorization: Bearer "+token), "unauthorized"},
		{get(tokenPath, "HOST", "\nAuthorization: Bearer "+signedBy("https://evil.example", "tokend", "x")), "unauthorized"},
	} {
		if _, f := g.Admit(request(t, c.request, tcp), NeedsKey, "demo"); codeOf(f) != c.code {
			t.Errorf("%s: %+v", c.request, f)
		}
	}
	if v.calls != 0 {
		t.Errorf("verified %d times for nothing", v.calls)
	}
	slow := "\nAuthorization: Bearer " + signedBy(actions, "tokend", "repo:slow/app")
	if _, f := g.Admit(request(t, get(tokenPath, "HOST", slow), tcp), NeedsKey, "demo"); f != nil {
		t.Errorf("%+v", f)
	}
	if _, f := g.Admit(request(t, get(tokenPath, "HOST", slow), tcp), NeedsKey, "demo"); codeOf(f) != "caller_rate_limited" {
		t.Errorf("over its rate: %+v", f)
	}
}

func TestNew_RefusesTokenRules(t *testing.T) {
	rule := func(subject string) []TokenRule {
		return []TokenRule{{Issuer: actions, Audience: "a", Subject: subject, Verifier: &tokens{}}}
	}
	for name, keys := range map[string][]Key{
		"any subject":      {{Name: "a", Tokens: rule("**")}},
		"no subject":       {{Name: "a", Tokens: rule("")}},
		"three stars":      {{Name: "a", Tokens: rule("repo:***")}},
		"one of two":       {{Name: "a", Tokens: rule("repo:x")}, {Name: "b", Tokens: rule("repo:x")}},
		"without verifier": {{Name: "a", Tokens: []TokenRule{{Issuer: actions, Audience: "a", Subject: "x"}}}},
	} {
		if _, err := New(Config{Keys: keys}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
