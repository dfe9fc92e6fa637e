package mock_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"example.com/tokend/pkg/mock"
)

// documented reports whether a tenant may answer hostile input with a status: any
// 4xx, and of the 5xx only 501 for what it does not support.
func documented(t *testing.T, r reply) {
	t.Helper()
	switch {
	case r.status == 200, r.status == 201, r.status == 204, r.status == 302, r.status == 501:
	case r.status >= 400 && r.status < 500:
	default:
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	location := r.header.Get("Location")
	if location == "" {
		return
	}
	u, err := url.Parse(location)
	if err != nil {
		t.Fatalf("Location %q: %v", location, err)
	}
	registered := []string{"", "localhost:8484", "127.0.0.1:8484", "localhost:3000", "app.example.org"}
	if u.Host == "" && u.Scheme != "" && u.Scheme != "com.example.app" || u.Host != "" && strings.HasPrefix(location, "//") ||
		u.User != nil || strings.ContainsAny(location, "\\\r\n") {
		t.Fatalf("Location %q", location)
	}
	host := strings.ToLower(u.Host)
	if label, ok := strings.CutSuffix(host, ".example.com"); ok && !strings.ContainsAny(label, "./:@") {
		return
	}
	if !slices.Contains(registered, host) && u.Scheme != "com.example.app" {
		t.Fatalf("a redirect to %q, which is not registered: %s", u.Host, location)
	}
}

func request(method, target, body string) *http.Request {
	r := httptest.NewRequest(method, issuer, strings.NewReader(body))
	r.URL = &url.URL{Scheme: "http", Host: "localhost:8400", Path: target}
	return r
}

func FuzzAuthorizeQuery(f *testing.F) {
	for _, s := range []string{
		strings.TrimPrefix(authorizeURL(), "/authorize?"),
		strings.TrimPrefix(authorizeURL("client_id", "wild", "redirect_uri", "https://a.example.com/cb"), "/authorize?"),
		strings.TrimPrefix(authorizeURL("client_id", "wild", "redirect_uri", "https://a.example.com@evil.example/cb"), "/authorize?"),
		strings.TrimPrefix(authorizeURL("client_id", "hybrid", "response_type", "code id_token token", "nonce", "n"), "/authorize?"),
		strings.TrimPrefix(authorizeURL("response_mode", "web_message", "prompt", "none", "max_age", "0"), "/authorize?"),
		strings.TrimPrefix(authorizeURL("response_mode", "form_post", "code_challenge", challenge(), "code_challenge_method", "S256"), "/authorize?"),
		"request_uri=urn:ietf:params:oauth:request_uri:x&client_id=demo", "response_type=foo", "%zz", ";", "a=b&a=c", "organization=acme&client_id=b2b", "organization=org_acme&client_id=b2b&invitation=x&response_type=code", "connection=x&client_id=demo&response_type=code",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	w := newWorld(f, mock.Config{})
	f.Fuzz(func(t *testing.T, query string, post bool) {
		r := request(http.MethodGet, "/authorize", "")
		if post {
			r = request(http.MethodPost, "/authorize", query)
		} else {
			r.URL.RawQuery = query
		}
		documented(t, w.seenBy(t).do(r))
	})
}

func FuzzTokenForm(f *testing.F) {
	for _, s := range []string{
		"grant_type=authorization_code&client_id=demo&client_secret=demo-secret&code=x&redirect_uri=y&code_verifier=z", ccForm().Encode(),
		"grant_type=refresh_token&client_id=demo-spa&refresh_token=x&scope=a&audience=b", "client_id=demo-spa&grant_type=" + deviceGrant + "&device_code=x",
		"grant_type=password&client_id=demo&client_secret=demo-secret&username=agent%40example.com&password=password&scope=openid&realm=x",
		"client_id=exchanger&client_secret=exchanger-secret&grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=agent@example.com&subject_token_type=x",
		"a=%zz", "client_id=demo&client_id=demo", "token=x&client_id=demo-spa", "response_type=code&client_id=demo&client_secret=demo-secret",
	} {
		f.Add(s, uint8(0))
		f.Add(s, uint8(3))
	}
	w := newWorld(f, mock.Config{})
	f.Fuzz(func(t *testing.T, body string, where uint8) {
		path := []string{"/oauth/token", "/oauth/revoke", "/oauth/device/code", "/oauth/par", "/mfa/challenge", "/activate", "/u/login"}[int(where)%7]
		r := request(http.MethodPost, path, body)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		documented(t, w.seenBy(t).do(r))
	})
}

func FuzzTokenJSON(f *testing.F) {
	for _, s := range []string{
		`{"grant_type":"client_credentials","client_id":"demo","client_secret":"demo-secret","audience":"` + api + `"}`,
		`{"grant_type":"password","client_id":"demo","client_secret":"demo-secret","username":"` + agent + `","password":"password"}`,
		`{"grant_type":1e400}`, `{"grant_type":[]}`, `{"a":{"b":null}}`, `[]`, `{`, `null`, `"x"`, "\xff", `{"client_id":"demo","client_id":"demo"}`,
	} {
		f.Add(s, "application/json")
	}
	f.Add(`{}`, "application/json; charset=\xff")
	f.Add(`x`, "multipart/form-data; boundary=x")
	w := newWorld(f, mock.Config{})
	f.Fuzz(func(t *testing.T, body, contentType string) {
		r := request(http.MethodPost, "/oauth/token", body)
		r.Header.Set("Content-Type", contentType)
		documented(t, w.seenBy(t).do(r))
	})
}

func FuzzTokenBasic(f *testing.F) {
	for _, s := range []string{"demo:demo-secret", "demo:", ":", "", "plus%2B+%25%26:a%2Bb+c%2520d%3Ae", "%zz:%", "demo:\x00\xff", "a:b:c"} {
		f.Add("Basic "+base64.StdEncoding.EncodeToString([]byte(s)), ccForm().Encode())
		f.Add(s, "grant_type=client_credentials&audience="+url.QueryEscape(api))
	}
	w := newWorld(f, mock.Config{})
	f.Fuzz(func(t *testing.T, header, body string) {
		r := request(http.MethodPost, "/oauth/token", body)
		r.Header.Set("Authorization", header)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		documented(t, w.seenBy(t).do(r))
	})
}

func FuzzClientAssertion(f *testing.F) {
	tb, s := keyedWorld(f)
	good := s.assert(jose.RS256, "k1", nil)
	parts := strings.Split(good, ".")
	for _, a := range []string{
		good, s.assert(jose.PS256, "k1", nil), s.assert(jose.RS256, "", map[string]any{"exp": 1e300}), parts[0] + "." + parts[1] + ".",
		"eyJhbGciOiJub25lIn0." + parts[1] + ".", "e30.e30.e30", "...", "", "{}", parts[0] + ".bnVsbA." + parts[2], parts[0] + ".W10." + parts[2],
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","crit":["x"],"x":1,"jwk":{}}`)) + "." + parts[1] + "." + parts[2],
	} {
		f.Add(a, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "keyed")
		f.Add(a, "", "")
	}
	f.Fuzz(func(t *testing.T, assertion, kind, client string) {
		form := pairs("grant_type", "client_credentials", "audience", api, "client_assertion", assertion, "client_assertion_type", kind)
		if client != "" {
			form.Set("client_id", client)
		}
		r := tb.seenBy(t).do(formRequest("/oauth/token", form))
		documented(t, r)
		if r.status == http.StatusOK && !strings.HasPrefix(assertion, parts[0]) && !strings.HasPrefix(assertion, "eyJ") {
			t.Fatalf("an unsigned assertion is accepted: %q", assertion)
		}
	})
}

func FuzzUserinfoAuthorization(f *testing.F) {
	w := newWorld(f, mock.Config{})
	jwt, opaque := w.tokens("demo").Access, w.tokens("demo", "audience", "-").Access
	for _, s := range []string{"Bearer " + jwt, "bearer " + opaque, "Bearer", "Bearer a b", "Basic eDp5", "Bearer " + jwt[:len(jwt)-2], "Bearer ..", "Bearer ....", "\x00", "Bearer eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0....", ""} {
		f.Add(s, "", "")
		f.Add("", "access_token="+s, s)
	}
	f.Fuzz(func(t *testing.T, header, query, body string) {
		for _, path := range []string{"/userinfo", "/_mock/resource/x"} {
			r := request(http.MethodPost, path, body)
			r.URL.RawQuery = query
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if header != "" {
				r.Header.Set("Authorization", header)
			}
			got := w.seenBy(t).do(r)
			documented(t, got)
			if all := header + query + body; got.status == http.StatusOK && len(all) < 100 {
				t.Fatalf("%s opens with %q", path, all)
			}
		}
	})
}

func FuzzLogout(f *testing.F) {
	w := newWorld(f, mock.Config{})
	id := w.tokens("demo").ID
	for _, s := range []string{
		"client_id=demo&returnTo=http://localhost:3000/", "returnTo=http://localhost:3000%5c@evil.example", "client_id=demo",
		"id_token_hint=" + id + "&post_logout_redirect_uri=http://localhost:3000/%3fa%23b&state=s", "client_id=demo&post_logout_redirect_uri=//evil.example",
		"returnTo=http://localhost:3000@evil.example/", "returnTo=http:localhost:3000", "returnTo=%0d%0aSet-Cookie:a=b", "logout_hint=x", "returnTo=http://localho%C5%BFt:3000/",
		"client_id=demo&returnTo=HTTP://LOCALHOST:3000/", "returnTo=http://localhost:3000/%252e%252e",
	} {
		f.Add(s, uint8(0))
		f.Add(s, uint8(1))
		f.Add(s, uint8(2))
	}
	f.Fuzz(func(t *testing.T, params string, where uint8) {
		r := request(http.MethodGet, []string{"/v2/logout", "/oidc/logout"}[int(where)%2], "")
		r.URL.RawQuery = params
		if where%3 == 2 {
			r = request(http.MethodPost, "/oidc/logout", params)
		}
		documented(t, w.seenBy(t).do(r))
	})
}

func FuzzControlJSON(f *testing.F) {
	paths := []string{
		"POST /_mock/clients", "POST /_mock/resource-servers", "POST /_mock/client-grants", "POST /_mock/users", "POST /_mock/organizations",
		"POST /_mock/roles", "PATCH /_mock/users/" + agent, "PATCH /_mock/clients/demo", "PATCH /_mock/tenant", "POST /_mock/consents",
		"POST /_mock/settings", "PUT /_mock/actions", "POST /_mock/clock", "POST /_mock/faults", "DELETE /_mock/clients/rotating", "POST /_mock/reset",
		"POST /_mock/databases", "POST /_mock/organizations/org_acme/invitations", "POST /_mock/tokens", "POST /_mock/keys/revoke",
	}
	for i, s := range []string{
		`{"client_id":"x","callbacks":["http://localhost:8484/callback"]}`, `{"identifier":"x","scopes":[{"value":"y"}]}`,
		`{"client_id":"demo","audience":"x","scope":["y"]}`, `{"email":"x@y.z","password":"p"}`, `{"name":"o","members":["agent@example.com"]}`,
		`{"name":"r","permissions":[{"permission_name":"a","resource_server_identifier":"b"}]}`, `{"blocked":true,"updated_at":"2026-01-01T00:00:00Z"}`,
		`{"grant_types":[],"refresh_token":{"leeway":1}}`, `{"session_lifetime":1e308,"flags":{}}`, `{"user":"agent@example.com","client_id":"demo"}`,
		`{"login":"form"}`, `[{"trigger":"post-login","set_id_token":{"a":"{{.User.Email}}"}}]`, `{"advance":"2562047h","freeze":true}`,
		`{"endpoint":"jwks","kind":"body","body":"x","status":204,"headers":{"a b":"c\r\nd"}}`, ``, `{}`,
		`{"name":"staff","enabled_clients":[]}`, `{"invitee":{"email":"a@example.com"},"client_id":"b2b","ttl_sec":1}`,
		`{"user":"agent@example.com","lifetime":"1h","claims":{"aud":[1]},"defects":["expired"]}`, `{"kid":"x"}`,
	} {
		f.Add(s, uint8(i))
	}
	f.Fuzz(func(t *testing.T, body string, where uint8) {
		w := newWorld(t, mock.Config{})
		method, path, _ := strings.Cut(paths[int(where)%len(paths)], " ")
		if strings.Contains(path, "faults") && (strings.Contains(body, "hang") || strings.Contains(body, "delay") || strings.Contains(body, "drip")) {
			return // delays take real time
		}
		documented(t, w.do(request(method, path, body)))
		if strings.Contains(path, "faults") || strings.Contains(path, "actions") || strings.Contains(path, "tenant") {
			return // the tenant may have an error page or a fault now
		}
		documented(t, w.get(authorizeURL()))
		documented(t, w.do(formRequest("/oauth/token", ccForm())))
		documented(t, w.control("GET", "/_mock/clock", ""))
		documented(t, w.control("GET", "/_mock/requests", ""))
	})
}
