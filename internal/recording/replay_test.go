package recording_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/recording"
	"example.com/tokend/pkg/contract"
)

// recorded has a login, its exchange and a refresh, and no second use of a code.
const recorded = `{"jwt":{},"cases":[
 {"id":"login","request":{"method":"GET","path":"/authorize","query":{"client_id":"{{client_id}}","redirect_uri":"{{redirect_uri}}","code_challenge":"{{challenge}}","state":"recorded-state"}},
  "setup":["session"],"portable":true,"status":302,"location":{"to":"{{redirect_uri}}","params":[["code","<code>"],["state","recorded-state"]]},"sources":[],"confidence":"recorded"},
 {"id":"exchange","request":{"method":"POST","path":"/oauth/token","form":{"grant_type":"authorization_code","client_id":"{{client_id}}","code":"{{code}}","code_verifier":"{{verifier}}"}},
  "setup":["code"],"portable":true,"status":200,"body":{"exact":{"access_token":"$opaque","refresh_token":"$opaque","expires_in":60}},"sources":[],"confidence":"recorded"},
 {"id":"refresh","request":{"method":"POST","path":"/oauth/token","form":{"grant_type":"refresh_token","client_id":"{{client_id}}","refresh_token":"{{rt}}"}},
  "setup":["code","exchange"],"portable":true,"status":200,"body":{"exact":{"access_token":"$opaque","refresh_token":"$opaque"}},"sources":[],"confidence":"recorded"},
 {"id":"userinfo","request":{"method":"GET","path":"/userinfo","headers":{"Authorization":"Bearer {{at}}"}},
  "setup":["code","exchange"],"portable":true,"status":200,"body":{"exact":{"sub":"$sub"}},"sources":[],"confidence":"recorded"},
 {"id":"machine","request":{"method":"POST","path":"/oauth/token","form":{"grant_type":"client_credentials","client_secret":"{{client_secret}}"}},
  "portable":true,"status":200,"body":{"exact":{"access_token":"$opaque"}},"sources":[],"confidence":"recorded"},
 {"id":"machine.refused","request":{"method":"POST","path":"/oauth/token","form":{"grant_type":"client_credentials","client_secret":"wrong-secret"}},
  "portable":true,"status":401,"body":{"exact":{"error":"access_denied"}},"sources":[],"confidence":"recorded"},
 {"id":"basic","request":{"method":"POST","path":"/oauth/token","headers":{"Authorization":"Basic {{basic}}"},"form":{"grant_type":"client_credentials"}},
  "portable":true,"status":200,"body":{"exact":{"access_token":"$opaque"}},"sources":[],"confidence":"recorded"},
 {"id":"basic.refused","request":{"method":"POST","path":"/oauth/token","headers":{"Authorization":"Basic d3Jvbmc6d3Jvbmctc2VjcmV0"},"form":{"grant_type":"client_credentials"}},
  "portable":true,"status":401,"body":{"exact":{"error":"access_denied"}},"sources":[],"confidence":"recorded"}
]}`

// replayOf returns a replay, before a tenant that answers 418.
func replayOf(t *testing.T) func(*http.Request) (int, http.Header, string) {
	t.Helper()
	r, err := contract.ReadRecording([]byte(recorded))
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := recording.NewReplay(recording.Config{
		Recording: r, Issuer: "http://localhost:8400/", KeyID: "k", Key: key, Now: time.Now,
		Next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.Copy(w, r.Body)
		}),
	})
	return func(r *http.Request) (int, http.Header, string) {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		return w.Code, w.Header(), w.Body.String()
	}
}

// A request is answered as recorded only if its code or token is one that the replay
// issued for this; otherwise the tenant gets it, with its body.
func TestReplay_OnlyWhatWasIssuedForIt(t *testing.T) {
	do := replayOf(t)
	authorize := "http://localhost:8400/authorize?client_id=app&redirect_uri=http://app.example/cb&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&state=s"
	_, h, _ := do(httptest.NewRequest("GET", authorize, nil))
	back, err := url.Parse(h.Get("Location"))
	if err != nil || !strings.HasPrefix(h.Get("Location"), "http://app.example/cb?code=") || back.Query().Get("state") != "s" {
		t.Fatalf("Location %q %v", h.Get("Location"), err)
	}
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // of this challenge, RFC 7636 appendix B
	exchange := func(client, code, verifier string) *http.Request {
		return form("/oauth/token", "grant_type", "authorization_code", "client_id", client, "code", code, "code_verifier", verifier)
	}
	refused := func(what string, r *http.Request) {
		t.Helper()
		if status, _, body := do(r); status != http.StatusTeapot {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
	code := back.Query().Get("code")
	refused("another verifier", exchange("app", code, "x"))
	refused("another client", exchange("other", code, verifier))
	refused("another code", exchange("app", "x", verifier))
	refused("a parameter that was not recorded", form("/oauth/token", "grant_type", "authorization_code", "client_id", "app", "code", code, "code_verifier", verifier, "x", "y"))
	status, _, body := do(exchange("app", code, verifier))
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(body), &tokens); err != nil || status != http.StatusOK || tokens.Access == tokens.Refresh {
		t.Fatalf("%d %s", status, body)
	}
	refused("a code that was used", exchange("app", code, verifier))

	refresh := func(token string) *http.Request {
		return form("/oauth/token", "grant_type", "refresh_token", "client_id", "app", "refresh_token", token)
	}
	refused("an access token as refresh token", refresh(tokens.Access))
	userinfo := func(token string) *http.Request {
		return with(httptest.NewRequest("GET", "http://localhost:8400/userinfo", nil), "Authorization", "Bearer "+token)
	}
	refused("a refresh token as access token", userinfo(tokens.Refresh))
	if status, _, body := do(userinfo(tokens.Access)); status != http.StatusOK || body != `{"sub":"auth0|replayed"}` {
		t.Errorf("userinfo: %d %s", status, body)
	}
	old := tokens.Refresh
	for range 3 { // recorded once, and works as often as the client needs it
		status, _, body := do(refresh(tokens.Refresh))
		if err := json.Unmarshal([]byte(body), &tokens); err != nil || status != http.StatusOK {
			t.Fatalf("refresh: %d %s", status, body)
		}
	}
	refused("a rotated refresh token", refresh(old))
	if _, _, body := do(form("/oauth/token", "grant_type", "password", "username", "u")); body != "grant_type=password&username=u" {
		t.Errorf("the tenant gets the body %q", body)
	}
}

// Any client secret is right, because the recording has none, and the one that stands for
// the secrets which the issuer refused is refused.
func TestReplay_RefusesTheRecordedWrongSecret(t *testing.T) {
	do := replayOf(t)
	basic := func(secret string) *http.Request {
		r := form("/oauth/token", "grant_type", "client_credentials")
		r.SetBasicAuth("app", secret)
		return r
	}
	for _, c := range []struct {
		what string
		r    *http.Request
		want int
	}{
		{"form", form("/oauth/token", "grant_type", "client_credentials", "client_secret", "any"), http.StatusOK},
		{"form, wrong", form("/oauth/token", "grant_type", "client_credentials", "client_secret", "wrong-secret"), http.StatusUnauthorized},
		{"Basic", basic("any"), http.StatusOK},
		{"Basic, wrong", basic("wrong-secret"), http.StatusUnauthorized},
	} {
		if status, _, body := do(c.r); status != c.want {
			t.Errorf("%s: %d %s, want %d", c.what, status, body, c.want)
		}
	}
}
