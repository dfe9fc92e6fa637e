package mock_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// defectRows say why /userinfo and the protected API refuse a token with each defect.
var defectRows = []struct {
	defect             mock.Defect
	userinfo, resource string
}{
	{mock.DefectExpired, "The access token expired", "The access token expired"},
	{mock.DefectIssuer, "The access token was issued by another issuer", "The access token was issued by another issuer"},
	{mock.DefectAudience, "The access token is not meant for /userinfo: it is for another audience", "The access token is for another audience"},
	{mock.DefectSignature, "The access token signature is invalid", "The access token signature is invalid"},
	{mock.DefectKeyID, "The access token is signed with the key wrong-key-id, which is none of the tenant's", "The access token is signed with the key wrong-key-id, which is none of the tenant's"},
	{mock.DefectAlgNone, "The access token is signed with the algorithm none, not RS256 or PS256", "The access token is signed with the algorithm none, not RS256 or PS256"},
	{mock.DefectMissingClaim, "The access token has no sub", "The access token has no sub"},
}

// lastReason is why the last call was refused, as the journal has it.
func (w *world) lastReason() string {
	w.Helper()
	list := w.Journal().Find(mock.Query{})
	return list[len(list)-1].Reason
}

// refuses asserts that both endpoints refuse a token for the right reason.
func (w *world) refuses(token, userinfo, resource string) {
	w.Helper()
	if r := w.userinfo(token); r.status != 401 || w.lastReason() != userinfo {
		w.Errorf("/userinfo: %d %s", r.status, w.lastReason())
	}
	if r := w.bearer("/_mock/resource/x", token); r.status != 401 || r.description() != resource {
		w.Errorf("the protected API: %d %s", r.status, r.body)
	}
}

func (w *world) issue(s mock.TokenSpec) string {
	w.Helper()
	token, err := w.Issue(s)
	if err != nil {
		w.Fatal(err)
	}
	return token
}

func TestIssue_GoodTokensAreAccepted(t *testing.T) {
	w := newWorld(t, mock.Config{})
	token := w.issue(mock.TokenSpec{User: agent})
	login := claims(t, w.tokens("demo", "scope", "openid profile email read:calls write:calls").Access)
	if got := claims(t, token); fmt.Sprint(got) != fmt.Sprint(login) {
		t.Errorf("not as a login's:\n%v\n%v", got, login)
	}
	if r := w.userinfo(token); r.status != 200 || !strings.Contains(r.body, agent) {
		t.Errorf("/userinfo: %d %s", r.status, r.body)
	}
	if r := w.bearer("/_mock/resource/x", token); r.status != 200 {
		t.Errorf("the protected API: %d %s", r.status, r.body)
	}
	if got, machine := claims(t, w.issue(mock.TokenSpec{})), claims(t, w.machine().tokens().Access); fmt.Sprint(got) != fmt.Sprint(machine) {
		t.Errorf("not as a machine's:\n%v\n%v", got, machine)
	}
	if id := w.issue(mock.TokenSpec{User: agent, IDToken: true, Nonce: "n"}); !w.verifiesID(id) || claims(t, id)["nonce"] != "n" || claims(t, id)["email"] != agent {
		t.Errorf("ID token %v", claims(t, id))
	}
	short := claims(t, w.issue(mock.TokenSpec{
		User: guest, ClientID: "rotating", Audience: "https://second.example/", Scope: "openid any:scope", Lifetime: 90 * time.Second,
		Claims: map[string]any{"azp": "other", "https://x.example/y": []int{1}},
	}))
	if short["exp"].(float64)-short["iat"].(float64) != 90 || short["scope"] != "openid any:scope" || short["azp"] != "other" || fmt.Sprint(short["https://x.example/y"]) != "[1]" {
		t.Errorf("%v", short)
	}
	if id := claims(t, w.issue(mock.TokenSpec{User: agent, IDToken: true, Lifetime: time.Minute})); id["exp"].(float64)-id["iat"].(float64) != 60 {
		t.Errorf("%v", id)
	}
}

// A bad token is refused for its defect, whether it was issued so or comes with an
// answer that a fault damages.
func TestDefects_AreRefusedForTheRightReason(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for _, c := range defectRows {
		t.Run(string(c.defect), func(t *testing.T) {
			w, claim := w.seenBy(t), ""
			if c.defect == mock.DefectMissingClaim {
				claim = "sub"
			}
			w.refuses(w.issue(mock.TokenSpec{User: agent, Defects: []mock.Defect{c.defect}, Claim: claim}), c.userinfo, c.resource)
			id := w.issue(mock.TokenSpec{User: agent, IDToken: true, Defects: []mock.Defect{c.defect}, Claim: claim})
			if accepts := claim == "sub"; w.verifiesID(id) != accepts { // go-oidc does not require sub
				t.Errorf("go-oidc accepts the ID token: %v", !accepts)
			}
			code := w.code()
			fail(t, w.Tenant, mock.Fault{Endpoint: "token", Kind: mock.FaultToken, Defect: c.defect, Claim: claim, Times: 1})
			tk := w.exchange(code).tokens()
			if reason := w.lastReason(); reason != "fault: token, "+string(c.defect) {
				t.Errorf("journal: %s", reason)
			}
			w.refuses(tk.Access, c.userinfo, c.resource)
			if accepts := claim == "sub"; w.verifiesID(tk.ID) != accepts {
				t.Errorf("go-oidc accepts the ID token of the answer: %v", !accepts)
			}
			next := w.refresh("demo", tk.Refresh).tokens() // the refresh token is a good one
			if w.userinfo(next.Access).status != 200 || !w.verifiesID(next.ID) {
				t.Error("the next answer is damaged, too")
			}
		})
	}
	for _, claim := range []string{"exp", "iss", "aud"} {
		reason := "The access token has no " + claim
		w.refuses(w.issue(mock.TokenSpec{User: agent, Defects: []mock.Defect{mock.DefectMissingClaim}, Claim: claim}), reason, reason)
	}
}

// One of the tokens can be damaged alone, also in the front channel and when opaque.
func TestDefects_OfOneToken(t *testing.T) {
	w := newWorld(t, mock.Config{})
	damaged := func(f mock.Fault) { t.Helper(); f.Kind, f.Times = mock.FaultToken, 1; fail(t, w.Tenant, f) }
	damaged(mock.Fault{Endpoint: "token", Defect: mock.DefectExpired, Token: "id_token"})
	if tk := w.tokens("demo"); w.userinfo(tk.Access).status != 200 || w.verifiesID(tk.ID) {
		t.Error("not the ID token alone")
	}
	damaged(mock.Fault{Endpoint: "token", Defect: mock.DefectExpired, Token: "access_token"})
	if tk := w.tokens("demo"); w.userinfo(tk.Access).status != 401 || !w.verifiesID(tk.ID) {
		t.Error("not the access token alone")
	}
	damaged(mock.Fault{Endpoint: "token", Defect: mock.DefectNonce})
	if tk := w.tokens("demo", "nonce", "n"); claims(t, tk.ID)["nonce"] != "wrong-nonce" || claims(t, tk.Access)["nonce"] != nil {
		t.Errorf("%v", claims(t, tk.ID))
	}
	for defect, status := range map[mock.Defect]int{mock.DefectExpired: 401, mock.DefectSignature: 401, mock.DefectKeyID: 200} {
		damaged(mock.Fault{Endpoint: "token", Defect: defect})
		if r := w.userinfo(w.tokens("demo", "audience", "-").Access); r.status != status {
			t.Errorf("%s of an opaque token: %d", defect, r.status)
		}
	}
	damaged(mock.Fault{Endpoint: "authorize", Defect: mock.DefectIssuer})
	front := w.authorize("client_id", "hybrid", "response_type", "id_token", "nonce", "n")
	if cl := claims(t, front.param("id_token")); cl["iss"] != "https://wrong-issuer.example/" {
		t.Errorf("%v", cl)
	}
}

func TestDefects_OfExpiresIn(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for defect, want := range map[mock.Defect]string{
		mock.DefectNoExpiresIn:     `"token_type":"Bearer"}`,
		mock.DefectFloatExpiresIn:  `"expires_in":86400.0,"token_type":"Bearer"}`,
		mock.DefectStringExpiresIn: `"expires_in":"86400","token_type":"Bearer"}`,
	} {
		fail(t, w.Tenant, mock.Fault{Endpoint: "token", Kind: mock.FaultToken, Defect: defect, Times: 1})
		r := w.machine()
		if _, rest, _ := strings.Cut(r.body, `"scope":"read:calls write:calls",`); rest != want {
			t.Errorf("%s: %s", defect, r.body)
		}
		if w.bearer("/_mock/resource/x", r.tokenOnly()).description() != "The user is not eligible: incorrect role" { // a good token of a machine
			t.Errorf("%s damages the token", defect)
		}
	}
}

// tokenOnly returns the access token of an answer whose expires_in may be of any type.
func (r reply) tokenOnly() string {
	r.Helper()
	return decodeJSON[map[string]any](r, r.body)["access_token"].(string)
}

func TestIssue_ByControlAPI(t *testing.T) {
	w := newWorld(t, mock.Config{})
	r := w.mustControl("POST", "/_mock/tokens", `{"user":"`+agent+`","scope":"openid","lifetime":"1h","claims":{"x":1}}`)
	type answer struct {
		Access  string        `json:"access_token"`
		Expires int           `json:"expires_in"`
		Type    string        `json:"token_type"`
		Scope   string        `json:"scope"`
		Defects []mock.Defect `json:"defects"`
	}
	got := decodeJSON[answer](t, r.body)
	if got.Expires != 3600 || got.Type != "Bearer" || got.Scope != "openid" || len(got.Defects) != 0 || w.userinfo(got.Access).status != 200 {
		t.Errorf("%s", r.body)
	}
	if cl := claims(t, got.Access); cl["x"] != 1.0 || cl["exp"].(float64)-cl["iat"].(float64) != 3600 {
		t.Errorf("%v", cl)
	}
	id := w.mustControl("POST", "/_mock/tokens", `{"user":"`+agent+`","id_token":true,"defects":["wrong_nonce","expired"]}`)
	if o := decodeJSON[map[string]any](t, id.body); claims(t, o["id_token"].(string))["nonce"] != "wrong-nonce" || o["expires_in"] != 36000.0 || fmt.Sprint(o["defects"]) != "[wrong_nonce expired]" {
		t.Errorf("%s", id.body)
	}
	secure := w.doAt(w.At("https://other.example/"), httptest.NewRequest(http.MethodPost, issuer+"_mock/tokens", strings.NewReader(`{}`)))
	if cl := claims(t, secure.tokenOnly()); cl["iss"] != "https://other.example/" {
		t.Errorf("issuer of another listener: %v", cl)
	}
	for body, field := range map[string]string{
		`{"user":"absent"}`: "user", `{"client_id":"absent"}`: "client_id", `{"audience":"https://typo.example"}`: "audience",
		`{"lifetime":"soon"}`: "lifetime", `{"lifetime":"-1h"}`: "lifetime", `{"defects":["ugly"]}`: "defects", `{"defects":["no_expires_in"]}`: "defects",
		`{"id_token":true}`: "user", `{"nonce":"n"}`: "nonce", `{"defects":["wrong_nonce"]}`: "nonce", `{"defects":["missing_claim"]}`: "claim",
		`{"claim":"sub"}`: "claim", `{"user":"` + agent + `","id_token":true,"audience":"` + api + `"}`: "audience", `{"usr":"x"}`: "usr",
	} {
		w.controlRefuses("/_mock/tokens", body, field)
	}
	if r := w.control("GET", "/_mock/tokens", ""); r.status != 404 {
		t.Errorf("GET: %d", r.status)
	}
	if _, err := w.Issue(mock.TokenSpec{User: agent, Lifetime: -time.Hour}); err == nil {
		t.Error("a negative lifetime is accepted")
	}
	if _, err := w.Issue(mock.TokenSpec{Claims: map[string]any{"f": func() {}}}); err == nil || tenant.FieldErrors(err)[0].Field != "claims" {
		t.Errorf("a claim that is not JSON: %v", err)
	}
	unnamed, err := mock.New(mock.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unnamed.Issue(mock.TokenSpec{}); err == nil || tenant.FieldErrors(err)[0].Field != "issuer" {
		t.Errorf("a tenant without an issuer: %v", err)
	}
}

func TestKeys_RotateAndRevoke(t *testing.T) {
	w := newWorld(t, mock.Config{})
	states := func(path, body string) (list []string) {
		t.Helper()
		method := "POST"
		if body == "" {
			method = "GET"
		}
		type keys struct{ Keys []mock.KeyState }
		for _, k := range decodeJSON[keys](t, w.mustControl(method, "/_mock/keys"+path, body).body).Keys {
			state := ""
			switch {
			case k.Current:
				state = "current"
			case k.Next:
				state = "next"
			case k.Previous:
				state = "previous"
			case k.Revoked && k.RevokedAt.Equal(w.Now()):
				state = "revoked"
			}
			list = append(list, k.ID+" "+state)
		}
		return list
	}
	served := func() (list []string) {
		t.Helper()
		type jwks struct{ Keys []map[string]any }
		for _, k := range decodeJSON[jwks](t, w.get("/.well-known/jwks.json").body).Keys {
			list = append(list, k["kid"].(string))
		}
		return list
	}
	const one, two = "mockauth0-test-key-02", "mockauth0-test-next-1"
	if got := states("", ""); fmt.Sprint(got) != fmt.Sprint([]string{one + " current", two + " next"}) || fmt.Sprint(served()) != fmt.Sprint([]string{one, two}) {
		t.Errorf("%v, served %v", got, served())
	}
	old := w.tokens("demo")
	w.controlRefuses("/_mock/keys/revoke", `{}`, "there is no previous key; rotate first")

	got := states("/rotate", `{}`)
	three, _, _ := strings.Cut(got[1], " ")
	if want := []string{two + " current", three + " next", one + " previous"}; !slices.Equal(got, want) || len(three) != 21 || !slices.Equal(served(), []string{two, three, one}) {
		t.Errorf("%v, want %v; served %v", got, want, served())
	}
	if w.userinfo(old.Access).status != 200 {
		t.Error("a token of the previous key is refused")
	}
	w.controlRefuses("/_mock/keys/revoke", `{"kid":"`+two+`"}`, "is the current key; rotate first")
	w.controlRefuses("/_mock/keys/revoke", `{"kid":"`+three+`"}`, "is the next key")
	w.controlRefuses("/_mock/keys/revoke", `{"kid":"x"}`, "is none of the tenant's valid keys")

	if got := states("/revoke", `{"kid":"`+one+`"}`); got[2] != one+" revoked" || !slices.Equal(served(), []string{two, three}) {
		t.Errorf("%v, served %v", got, served())
	}
	reason := "The access token is signed with the key " + one + ", which was revoked"
	w.refuses(old.Access, reason, reason)
	w.get("/oidc/logout?id_token_hint="+old.ID).page(400, "invalid_request", "The id_token_hint is invalid")
	w.refresh("demo", old.Refresh).tokens() // a refresh token is not signed

	got = states("/rotate", `{"revoke":true,"times":2}`)
	if want := []string{" current", " next", one + " revoked", two + " revoked", three + " revoked"}; len(got) != 5 ||
		!strings.HasSuffix(got[0], want[0]) || !strings.HasSuffix(got[1], want[1]) || !slices.Equal(got[2:], want[2:]) {
		t.Errorf("%v", got)
	}
	if got := states("/rotate", `{"revoke":true}`); len(got) != 5 || strings.HasPrefix(got[2], one) {
		t.Errorf("not the last three revoked keys: %v", got)
	}
	w.controlRefuses("/_mock/keys/rotate", `{"times":11}`, "times")
	w.controlRefuses("/_mock/keys/rotate", `{"times":0}`, "times")
	if w.userinfo(w.tokens("demo").Access).status != 200 {
		t.Error("a token of the current key is refused")
	}
}

// The keys of a Config are in the order of the JWKS. A single one has no next key.
func TestKeys_OfTheConfig(t *testing.T) {
	var keys []mock.Key
	for _, id := range []string{"a", "b", "c"} {
		k, err := mock.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		k.ID = id
		keys = append(keys, k)
	}
	w := newWorld(t, mock.Config{Keys: keys})
	if got := w.Keys(); len(got) != 3 || !got[0].Current || !got[1].Next || !got[2].Previous {
		t.Errorf("%+v", got)
	}
	if err := w.RotateKey(); err != nil {
		t.Fatal(err)
	}
	if got := w.Keys(); len(got) != 4 || got[0].ID != "b" || got[2].ID != "a" || got[3].ID != "c" || !got[3].Revoked {
		t.Errorf("%+v", got)
	}
	single := newWorld(t, mock.Config{Keys: keys[:1]})
	if err := single.RotateKey(); err != nil {
		t.Fatal(err)
	}
	if got := single.Keys(); len(got) != 2 || !got[0].Current || got[1].ID != "a" || !got[1].Previous {
		t.Errorf("%+v", got)
	}
}
