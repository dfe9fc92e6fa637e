package mock_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"example.com/tokend/pkg/mock"
)

// timed is a state that ends with time. begin makes one and returns whether it still
// holds, which the test asks once.
type timed struct {
	state string
	life  time.Duration
	world func(testing.TB) *world
	begin func(*world) (holds func() bool)
}

const day = 24 * time.Hour

// timedStates are all states of a tenant that end with time. Consents do not end.
func timedStates() []timed {
	return []timed{
		{"authorization code", 10 * time.Minute, plainWorld, func(w *world) func() bool {
			code := w.code()
			return func() bool { return w.exchange(code).status == 200 }
		}},
		{"pushed request", 30 * time.Second, plainWorld, func(w *world) func() bool {
			uri := decodeJSON[map[string]any](w.TB, w.post("/oauth/par", "client_id", "demo", "client_secret", "demo-secret",
				"response_type", "code", "redirect_uri", callback).body)["request_uri"].(string)
			return func() bool {
				return w.get("/authorize?"+pairs("client_id", "demo", "request_uri", uri).Encode()).status == 302
			}
		}},
		{"login page", time.Hour, pagesWorld, func(w *world) func() bool {
			state := w.authorize().state("/u/login")
			return func() bool { return w.get("/u/login?state="+state).status == 200 }
		}},
		{"consent page", time.Hour, pagesWorld, func(w *world) func() bool {
			state := w.signIn(w.authorize(), agent).state("/u/consent")
			return func() bool { return w.post("/u/consent?state="+state, "action", "accept").status == 302 }
		}},
		{"logout page", time.Hour, plainWorld, func(w *world) func() bool {
			state := w.get("/oidc/logout").state("/u/logout-consent")
			return func() bool { return w.post("/u/logout-consent?state="+state, "action", "accept").status != 400 }
		}},
		{"session, idle", 72 * time.Hour, plainWorld, func(w *world) func() bool {
			w.code()
			return w.loggedIn
		}},
		{"session, absolute", 48 * time.Hour, plainWorld, func(w *world) func() bool {
			w.code()
			for range 2 { // used, so that it is not idle
				w.Advance(60 * time.Hour)
				w.loggedIn()
			}
			return w.loggedIn
		}},
		{"login of max_age", 100 * time.Second, plainWorld, func(w *world) func() bool {
			w.code()
			return func() bool { return w.authorize("prompt", "none", "max_age", "100").param("error") == "" }
		}},
		{"access token at /userinfo", day, plainWorld, func(w *world) func() bool {
			tk := w.tokens("demo")
			return func() bool { return w.userinfo(tk.Access).status == 200 }
		}},
		{"access token at the protected API", day, plainWorld, func(w *world) func() bool {
			tk := w.tokens("demo")
			return func() bool { return w.bearer("/_mock/resource/x", tk.Access).status == 200 }
		}},
		{"access token of an API's token_lifetime", 600 * time.Second, plainWorld, func(w *world) func() bool {
			tk := w.tokens("demo", "audience", "https://second.example/")
			return func() bool { return w.userinfo(tk.Access).status == 200 }
		}},
		{"opaque access token", day, plainWorld, func(w *world) func() bool {
			tk := w.tokens("demo", "audience", "-")
			return func() bool { return w.userinfo(tk.Access).status == 200 }
		}},
		{"ID token, for go-oidc", 10 * time.Hour, plainWorld, func(w *world) func() bool {
			tk := w.tokens("demo")
			return func() bool { return w.verifiesID(tk.ID) }
		}},
		{"logout token", 2 * time.Minute, nil, nil}, // see below: it needs a receiver
		{"refresh token, idle", 100000 * time.Second, plainWorld, func(w *world) func() bool {
			tk := w.tokens("rotating")
			return func() bool { return w.refresh("rotating", tk.Refresh).status == 200 }
		}},
		{"refresh token, absolute", 10000 * time.Second, plainWorld, func(w *world) func() bool {
			tk := w.tokens("rotating")
			for range 11 {
				w.Advance(90000 * time.Second)
				tk = w.refresh("rotating", tk.Refresh).tokens()
			}
			return func() bool { return w.refresh("rotating", tk.Refresh).status == 200 }
		}},
		{"overlap of rotation", 30 * time.Second, plainWorld, func(w *world) func() bool {
			tk := w.tokens("rotating")
			w.refresh("rotating", tk.Refresh).tokens()
			return func() bool { return w.refresh("rotating", tk.Refresh).status == 200 }
		}},
		{"device code", 900 * time.Second, plainWorld, func(w *world) func() bool {
			d := w.device()
			return func() bool { return w.pollDevice(d).code() == "authorization_pending" }
		}},
		{"user code", 900 * time.Second, plainWorld, func(w *world) func() bool {
			d := w.device()
			return func() bool { return w.get(d["verification_uri_complete"].(string)).status == 200 }
		}},
		{"interval of polling", 5 * time.Second, plainWorld, func(w *world) func() bool {
			d := w.device()
			w.pollDevice(d)
			return func() bool { return w.pollDevice(d).code() == "slow_down" }
		}},
		{"code in a mail", 3 * time.Minute, codesWorld, func(w *world) func() bool {
			w.startCode()
			code := w.lastMail().Code
			return func() bool { return w.otp(code).status == 200 }
		}},
		{"link in a mail", 3 * time.Minute, codesWorld, func(w *world) func() bool {
			w.startCode("send", "link", "authParams", map[string]string{"response_type": "code", "redirect_uri": callback})
			link := w.lastMail().Link
			return func() bool { return w.get(link).status == 302 }
		}},
		{"link to change a password", 5 * day, plainWorld, func(w *world) func() bool {
			w.changePassword()
			link := w.lastMail().Link
			return func() bool { return w.get(link).status == 200 }
		}},
		{"invitation", 7 * day, func(tb testing.TB) *world { return organizations(tb, mock.Config{}, `{}`) }, func(w *world) func() bool {
			in := decodeJSON[map[string]any](w.TB, w.mustControl("POST", "/_mock/organizations/org_acme/invitations",
				`{"invitee":{"email":"`+guest+`"},"client_id":"b2b"}`).body)
			return func() bool {
				return w.authorize("client_id", "b2b", "organization", "org_acme", "invitation", in["ticket_id"].(string), "login_hint", guest).
					param("error") == ""
			}
		}},
		{"mfa_token", 10 * time.Minute, factorsWorld, func(w *world) func() bool {
			token := w.passwordGrant().mfaToken()
			return func() bool { return w.secondFactor(mfaOTP, token, "otp", "x").description() == "Invalid otp_code." }
		}},
		{"one-time password", 31 * time.Second, factorsWorld, func(w *world) func() bool { // a second before its step ends, and the step after
			return func() bool {
				return w.secondFactor(mfaOTP, w.passwordGrant().mfaToken(), "otp", "081804").status == 200
			}
		}},
		{"DPoP nonce", 10 * time.Minute, boundWorld, func(w *world) func() bool { // as the current one, then as the one before
			p := newProver(w.TB)
			nonce := w.proven(machineForm("spa", "allowed"), p.proof("POST", tokenURL, w.Now(), nil)).header.Get("DPoP-Nonce")
			return func() bool {
				return w.proven(machineForm("spa", "allowed"), p.proof("POST", tokenURL, w.Now(), map[string]any{"nonce": nonce})).status == 200
			}
		}},
		{"DPoP proof", 5 * time.Minute, boundWorld, func(w *world) func() bool {
			raw := newProver(w.TB).proof("POST", tokenURL, w.Now(), nil)
			return func() bool { return w.proven(machineForm("demo", "allowed"), raw).status == 200 }
		}},
		{"use of a DPoP proof's jti", 5 * time.Minute, boundWorld, func(w *world) func() bool {
			p := newProver(w.TB)
			again := map[string]any{"jti": "once"}
			w.proven(machineForm("demo", "allowed"), p.proof("POST", tokenURL, w.Now(), again)).tokens()
			return func() bool {
				return w.proven(machineForm("demo", "allowed"), p.proof("POST", tokenURL, w.Now(), again)).status == 400
			}
		}},
		{"client assertion", time.Minute, nil, nil}, // see below: they need the client's key
		{"use of an assertion's jti", time.Minute, nil, nil},
		{"rate limit", time.Minute, plainWorld, func(w *world) func() bool {
			fail(w.TB, w.Tenant, mock.Fault{Endpoint: "token", Kind: mock.FaultRateLimit, Limit: 1, Per: "1m"})
			w.machine()
			return func() bool { return w.machine().code() == "too_many_requests" }
		}},
		{"block after wrong passwords", 30 * day, plainWorld, func(w *world) func() bool {
			for range 10 {
				w.passwordGrant("password", "wrong")
			}
			return func() bool { return w.passwordGrant().code() == "too_many_attempts" }
		}},
		{"block after wrong second factors", 30 * day, factorsWorld, func(w *world) func() bool {
			token := w.passwordGrant().mfaToken()
			for range 10 {
				w.secondFactor(mfaOTP, token, "otp", "x")
			}
			return func() bool {
				return w.secondFactor(mfaOTP, w.passwordGrant().mfaToken(), "otp", "x").code() == "too_many_attempts"
			}
		}},
		{"block after wrong subject tokens", 30 * day, plainWorld, func(w *world) func() bool {
			exchange := func() reply {
				return w.post("/oauth/token", "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", "exchanger",
					"client_secret", "exchanger-secret", "subject_token", "absent", "subject_token_type", "urn:example:user")
			}
			for range 10 {
				exchange()
			}
			return func() bool { return exchange().code() == "too_many_attempts" }
		}},
	}
}

// TestClock_EveryStateEnds advances the clock just short of the end of each state and
// just past it.
func TestClock_EveryStateEnds(t *testing.T) {
	for _, c := range timedStates() {
		switch c.state {
		case "logout token":
			r := &receiver{}
			c.world = func(tb testing.TB) *world { return logoutWorld(tb, r) }
			c.begin = func(w *world) func() bool { return logoutTokenHolds(w, r) }
		case "client assertion", "use of an assertion's jti":
			var s signer
			c.world = func(tb testing.TB) (w *world) { w, s = keyedWorld(tb); return w }
			c.begin = func(w *world) func() bool { return assertionHolds(w, s, c.state != "client assertion") }
		}
		for step, want := range map[time.Duration]bool{-time.Second: true, time.Second: false} {
			t.Run(c.state, func(t *testing.T) {
				w := c.world(t)
				holds := c.begin(w)
				w.Advance(c.life + step)
				if got := holds(); got != want {
					t.Errorf("%s after %s: holds %v, want %v", c.state, c.life+step, got, want)
				}
			})
		}
	}
}

func logoutTokenHolds(w *world, r *receiver) func() bool {
	w.tokens("demo")
	w.get("/v2/logout?client_id=demo")
	sent := w.received(r)[demoLogout]
	if len(sent) != 1 {
		w.Fatalf("%d logout tokens", len(sent))
	}
	return func() bool { return claims(w.TB, sent[0])["exp"].(float64) > float64(w.Now().Unix()) }
}

// assertionHolds uses an assertion of a minute. It asks whether it is accepted, or
// whether another one with its jti is not.
func assertionHolds(w *world, s signer, used bool) func() bool {
	send := func(life time.Duration) reply {
		return w.post("/oauth/token", "grant_type", "client_credentials", "audience", api,
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
			"client_assertion", s.assert(jose.RS256, "k1", map[string]any{"jti": "once", "exp": w.Now().Add(life).Unix()}))
	}
	if used {
		send(time.Minute).tokens()
		return func() bool { return send(5*time.Minute).status == 401 }
	}
	raw := s.assert(jose.RS256, "k1", nil)
	return func() bool {
		return w.post("/oauth/token", "grant_type", "client_credentials", "audience", api,
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", raw).status == 200
	}
}

func plainWorld(tb testing.TB) *world   { return newWorld(tb, mock.Config{}) }
func pagesWorld(tb testing.TB) *world   { return newWorld(tb, mock.Config{Login: mock.LoginForm}) }
func codesWorld(tb testing.TB) *world   { return newWorld(tb, mock.Config{Tenant: passwordlessTenant()}) }
func factorsWorld(tb testing.TB) *world { return mfaWorld(tb, totpMethod) }
func boundWorld(tb testing.TB) *world   { return newWorld(tb, mock.Config{Tenant: dpopTenant()}) }

// loggedIn reports whether the browser's session holds.
func (w *world) loggedIn() bool { return w.authorize("prompt", "none").param("error") == "" }

func (w *world) device() map[string]any {
	w.Helper()
	return decodeJSON[map[string]any](w.TB, w.post("/oauth/device/code", "client_id", "demo-spa", "scope", "openid", "audience", api).body)
}

func (w *world) pollDevice(d map[string]any) reply {
	w.Helper()
	return w.post("/oauth/token", "grant_type", deviceGrant, "client_id", "demo-spa", "device_code", d["device_code"].(string))
}

// code and description are those of an error answer, "" of a success.
func (r reply) code() string        { r.Helper(); return r.text("error") }
func (r reply) description() string { r.Helper(); return r.text("error_description") }

func (r reply) text(name string) string {
	r.Helper()
	s, _ := decodeJSON[map[string]any](r, r.body)[name].(string)
	return s
}

// verifiesID verifies an ID token of demo with go-oidc, at the tenant's time.
func (w *world) verifiesID(raw string) bool {
	ctx := oidc.ClientContext(context.Background(), &http.Client{Transport: handlerTransport{w.Tenant}})
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		w.Fatal(err)
	}
	_, err = provider.Verifier(&oidc.Config{ClientID: "demo", Now: w.Now}).Verify(ctx, raw)
	return err == nil
}

// The headers and records of an answer have the tenant's time.
func TestClock_IsThatOfEveryAnswer(t *testing.T) {
	w := newWorld(t, mock.Config{})
	fail(t, w.Tenant, mock.Fault{Endpoint: "userinfo", Kind: mock.FaultStatus, Status: 503})
	w.Advance(25*time.Hour + time.Minute)
	const date = "Mon, 02 Mar 2026 13:01:00 GMT"
	preflight := formRequest("/oauth/token", nil)
	preflight.Method = http.MethodOptions
	preflight.Header.Set("Access-Control-Request-Method", "POST")
	for name, r := range map[string]reply{
		"token": w.passwordGrant(), "refusal": w.exchange("x"), "page": w.authorize("client_id", "x"), "redirect": w.authorize(),
		"no such path": w.get("/nowhere"), "preflight": w.do(preflight), "fault": w.get("/userinfo"),
		"control": w.control("GET", "/_mock/health", ""), "protected API": w.get("/_mock/resource/x"),
	} {
		if got := r.header.Get("Date"); got != date {
			t.Errorf("%s: Date %q", name, got)
		}
	}
	if r := w.mustControl("POST", "/_mock/clock", `{"advance":"1m"}`); r.header.Get("Date") != strings.Replace(date, ":01", ":02", 1) {
		t.Errorf("the answer to a change has %q", r.header.Get("Date"))
	}
	w.Advance(-time.Minute)
	w.changePassword()
	if m := w.lastMail(); !m.Time.Equal(w.Now()) {
		t.Errorf("mail of %s", m.Time)
	}
	for _, e := range w.Journal().Find(mock.Query{}) {
		if !e.Time.Equal(w.Now()) {
			t.Errorf("journal: %s of %s", e.Path, e.Time)
		}
	}
	w.signUp("email", "new@example.com").dbCreated()
	if u := w.Users()[len(w.Users())-1]; !strings.HasPrefix(u.CreatedAt, "2026-03-02T13:01:00") {
		t.Errorf("user of %s", u.CreatedAt)
	}
	for _, f := range w.Families() {
		if !f.Created.Equal(w.Now()) || !f.Seen.Equal(w.Now()) {
			t.Errorf("family %+v", f)
		}
	}
}
