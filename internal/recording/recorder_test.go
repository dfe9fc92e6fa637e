package recording_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"example.com/tokend/internal/recording"
	"example.com/tokend/pkg/contract"
)

// canary is a token that no recording may have.
const canary = "c4n4ry-c4n4ry-c4n4ry-c4n4ry"

// canaryJWT has the canary as a claim.
const canaryJWT = "eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiJjNG40cnktYzRuNHJ5LWM0bjRyeS1jNG40cnkiLCJpYXQiOjEsImV4cCI6Mn0.c2ln"

// upstream is an issuer that gives one answer.
type upstream struct {
	contentType, body string
	header            map[string]string
}

func (u upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, v := range u.header {
		w.Header().Set(name, v)
	}
	w.Header().Set("Content-Type", u.contentType)
	_, _ = io.WriteString(w, strings.ReplaceAll(u.body, "UPSTREAM/", "http://"+r.Host+"/"))
}

// record sends one request through a recorder. It returns the client's answer and the
// recording as JSON.
func record(t *testing.T, u upstream, r *http.Request) (*http.Response, string, map[string]int) {
	t.Helper()
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	out := "[]"
	rec, err := recording.New(server.URL+"/", "http://recorder.example/", http.DefaultTransport, func(c *contract.Recording) {
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		out = string(b)
	})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	rec.ServeHTTP(w, r)
	return w.Result(), out, rec.Summary().Skipped
}

func form(path string, params ...string) *http.Request {
	v := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		v.Set(params[i], params[i+1])
	}
	r := httptest.NewRequest("POST", "http://recorder.example"+path, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// The endpoints lead to the recorder. The issuer stays, because tokens name it.
func TestRecorder_MetadataLeadsToItAndKeepsTheIssuer(t *testing.T) {
	u := upstream{contentType: "application/json", body: `{"issuer":"UPSTREAM/","token_endpoint":"UPSTREAM/oauth/token"}`}
	res, out, _ := record(t, u, httptest.NewRequest("GET", "http://recorder.example/.well-known/openid-configuration", nil))
	b, _ := io.ReadAll(res.Body)
	if s := string(b); strings.Contains(s, `"issuer":"http://recorder.example/"`) || !strings.Contains(s, `"token_endpoint":"http://recorder.example/oauth/token"`) {
		t.Errorf("the client gets %s", s)
	}
	if !strings.Contains(out, `"exact":{"issuer":"{{issuer}}","token_endpoint":"{{issuer}}oauth/token"}`) {
		t.Errorf("recorded %s", out)
	}
}

// Over http a browser would drop the upstream's Secure cookies.
func TestRecorder_CookiesAndRedirectsWorkAtItsAddress(t *testing.T) {
	u := upstream{contentType: "text/html", header: map[string]string{"Set-Cookie": "auth0=1; Path=/; Domain=x.example; Secure; HttpOnly; SameSite=None"}}
	res, _, _ := record(t, u, httptest.NewRequest("GET", "http://recorder.example/u/login", nil))
	if got := res.Header.Get("Set-Cookie"); got != "auth0=1; Path=/; HttpOnly" {
		t.Errorf("Set-Cookie %q", got)
	}
}

// A value that a program may not know stays out of the file, wherever it is.
func TestRecorder_NeverWritesASecret(t *testing.T) {
	for what, u := range map[string]upstream{
		"tokens":                  {body: `{"access_token":"` + canary + `","refresh_token":"` + canary + `","id_token":"` + canaryJWT + `"}`},
		"an unknown member":       {body: `{"x_session":"` + canary + `"}`},
		"a nested member":         {body: `{"a":{"b":[{"c":["` + canary + `"]}]}}`},
		"a description":           {body: `{"error":"invalid_grant","error_description":"bad ` + canary + `"}`},
		"a challenge":             {body: `{}`, header: map[string]string{"WWW-Authenticate": `Bearer error_description="` + canary + `"`}},
		"a cookie":                {body: `{}`, header: map[string]string{"Set-Cookie": "auth0=" + canary}},
		"another header":          {body: `{}`, header: map[string]string{"X-Token": canary}},
		"a scope":                 {body: `{"scope":"` + canary + `"}`},
		"text":                    {body: canary, contentType: "text/plain"},
		"a page":                  {body: "<p>" + canary + "</p>", contentType: "text/html"},
		"a JWT without an object": {body: `{"id_token":"` + canary + `.` + canary + `.` + canary + `"}`},
	} {
		t.Run(what, func(t *testing.T) {
			if u.contentType == "" {
				u.contentType = "application/json"
			}
			for _, r := range []*http.Request{
				form("/oauth/token", "grant_type", "password", "client_id", "app", "client_secret", canary, "username", canary, "password", canary, "scope", "openid"),
				form("/oauth/token", "grant_type", "authorization_code", "code", canary, "code_verifier", canary, "state", canary, "nonce", canary),
				form("/oauth/token", "grant_type", canary, "client_id", canary),
				form("/oauth/token", "x_secret", canary),
				form("/oauth/"+canary, "grant_type", "password"),
				httptest.NewRequest("GET", "http://recorder.example/userinfo?x="+canary, nil),
				with(httptest.NewRequest("GET", "http://recorder.example/userinfo", nil), "Authorization", "Bearer "+canary),
				with(form("/oauth/token", "grant_type", "client_credentials"), "Authorization", "Basic YXBwOmM0bjRyeS1jNG40cnktYzRuNHJ5LWM0bjRyeQ=="),
				with(httptest.NewRequest("GET", "http://recorder.example/userinfo", nil), "Cookie", "auth0="+canary),
			} {
				_, out, _ := record(t, u, r)
				if strings.Contains(out, canary) || strings.Contains(out, "YXBwOmM0bjRyeS1") || strings.Contains(out, "eyJ") || strings.Contains(out, "c4n4ry") {
					t.Errorf("%s %s: the recording has a secret: %s", r.Method, r.URL, out)
				}
			}
		})
	}
}

func with(r *http.Request, name, value string) *http.Request {
	r.Header.Set(name, value)
	return r
}

// What cannot be a case is counted with its reason.
func TestRecorder_SaysWhatItLeavesOut(t *testing.T) {
	json := upstream{contentType: "application/json", body: `{}`}
	raw := httptest.NewRequest("POST", "http://recorder.example/oauth/token", strings.NewReader(`{"code":"x"}`))
	for why, c := range map[string]struct {
		u upstream
		r *http.Request
	}{
		"token that no recorded login led to":   {json, with(httptest.NewRequest("GET", "http://recorder.example/userinfo", nil), "Authorization", "Bearer x")},
		"endpoint that is not recorded":         {json, httptest.NewRequest("GET", "http://recorder.example/api/v2/clients", nil)},
		"parameter with unknown content":        {json, raw},
		"DPoP proof":                            {json, with(form("/oauth/token", "grant_type", "password"), "DPoP", "x")},
		"answer that is neither JSON nor empty": {upstream{contentType: "text/html", body: "<p>a page of the tenant, which is not recorded</p>"}, form("/oauth/token", "grant_type", "password")},
		"answer that repeats a secret":          {upstream{contentType: "application/json", body: `{"error":"secret of sixteen"}`}, form("/oauth/token", "grant_type", "client_credentials", "client_secret", "secret of sixteen")},
	} {
		_, out, skipped := record(t, c.u, c.r)
		if len(skipped) != 1 || skipped[why] != 1 || out != "[]" {
			t.Errorf("%s: %v %s", why, skipped, out)
		}
	}
}

func TestRecorder_RefusesAnUpstream(t *testing.T) {
	for _, u := range []string{"", "tenant.example.com", "https://tenant.example.com", "ftp://tenant.example.com/"} {
		if _, err := recording.New(u, "http://recorder.example/", nil, nil); err == nil {
			t.Errorf("%q is accepted", u)
		}
	}
}

// A tenant that rotates its keys has two or three of them. A case has what they have in
// common, once, which a contract takes for one or more.
func TestRecorder_ANumberOfKeysIsNotPartOfTheCase(t *testing.T) {
	const rsa, ec = `{"kty":"RSA","use":"sig","kid":"a","n":"b"}`, `{"kid":"c","kty":"EC","use":"sig","crv":"P-256"}`
	for name, c := range map[string]struct{ keys, want string }{
		"one":           {`[` + rsa + `]`, `[{"kty":"RSA","use":"sig","kid":"$string","n":"$string"}]`},
		"two":           {`[` + rsa + `,` + rsa + `]`, `[{"kid":"$string","kty":"RSA","n":"$string","use":"sig"}]`},
		"three":         {`[` + rsa + `, ` + rsa + `,` + rsa + `]`, `[{"kid":"$string","kty":"RSA","n":"$string","use":"sig"}]`},
		"of two types":  {`[` + rsa + `,` + ec + `]`, `[{"kid":"$string","kty":"$any","use":"sig"}]`},
		"none":          {`[]`, `[]`},
		"of other form": {`"x"`, `"$string"`},
	} {
		u := upstream{contentType: "application/json", body: `{"a":1,"keys":` + c.keys + `,"b":2}`}
		_, out, _ := record(t, u, httptest.NewRequest("GET", "http://recorder.example/.well-known/jwks.json", nil))
		if want := `"exact":{"a":1,"keys":` + c.want + `,"b":2}`; !strings.Contains(out, want) {
			t.Errorf("%s: recorded %s, want %s", name, out, want)
		}
	}
}

func TestRecorder_CountsRequestsAndCases(t *testing.T) {
	server := httptest.NewServer(upstream{contentType: "text/html", body: "<p>a page</p>"})
	t.Cleanup(server.Close)
	r, err := recording.New(server.URL+"/", "http://recorder.example/", http.DefaultTransport, func(*contract.Recording) {})
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Summary(); s.Requests != 0 || s.Cases != 0 {
		t.Errorf("before any request: %+v", s)
	}
	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://recorder.example/u/login", nil))
	if s := r.Summary(); s.Requests != 1 || s.Cases != 0 {
		t.Errorf("after a page: %+v", s)
	}
}
