package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// canned is a server with fixed answers that records its calls, in place of a real tenant.
type canned struct {
	*httptest.Server
	calls  []string
	answer func(w http.ResponseWriter, r *http.Request) bool // false: the usual answer
}

func newCanned(t *testing.T) *canned {
	t.Helper()
	c := &canned{answer: func(http.ResponseWriter, *http.Request) bool { return false }}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.calls = append(c.calls, r.Method+" "+r.URL.Path)
		h := w.Header()
		for k, v := range refusal().header {
			h[k] = v
		}
		if !c.answer(w, r) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write(refusal().body)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *canned) target() Target {
	return Target{
		Issuer: c.URL + "/", HTTPClient: c.Client(), ClientID: "demo", ClientSecret: "canary-secret",
		RedirectURI: "https://app.example/cb", Audience: "https://api.example/",
	}
}

func result(t *testing.T, r *Report, id string) Result {
	t.Helper()
	at := slices.IndexFunc(r.Cases, func(c Result) bool { return c.ID == id })
	if at < 0 {
		t.Fatalf("no result of %q", id)
	}
	return r.Cases[at]
}

func discoveryOnly(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.Path != "/.well-known/openid-configuration" {
		return false
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte("{}"))
	return true
}

func TestCheckARealTenant(t *testing.T) {
	c := newCanned(t)
	c.answer = discoveryOnly
	report, err := Check(t.Context(), c.target())
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Cases) != 263 {
		t.Errorf("%d cases, want 263", len(report.Cases))
	}
	for id, want := range map[string]Result{
		"token.code.invalid":          {Status: Pass},
		"token.code.expired":          {Status: Skip, Reason: "a real tenant's clock cannot be moved"},
		"token.code.success.full":     {Status: Skip, Reason: "needs a user; username and password are not set"},
		"token.password.too_many":     {Status: Skip, Reason: "would block the user"},
		"token.code.missing":          {Status: Fail, Diff: "status: expected 400, got 403\nbody.error: expected \"invalid_request\", got \"invalid_grant\"\nbody.error_description: expected \"Missing required parameter: code\", got \"Invalid authorization code\""},
		"device.code.success":         {Status: Fail},
		"token.grant.missing":         {Status: Pass}, // believed: any JSON error
		"token.rate_limited.client":   {Status: Skip, Reason: "would have to exceed the tenant's rate limit"},
		"resource.missing_token":      {Status: Skip, Reason: "the protected API is not part of the tenant"},
		"authorize.callback.mismatch": {Status: Fail},
	} {
		got := result(t, report, id)
		if got.Status != want.Status || got.Reason != want.Reason || (want.Diff != "" && got.Diff != want.Diff) {
			t.Errorf("%s: %+v, want %+v", id, got, want)
		}
	}
	for _, call := range c.calls {
		if strings.Contains(call, "_mock") {
			t.Errorf("a real tenant got %s", call)
		}
	}
}

// A case is skipped, not failed, if a real tenant is not configured for it.
func TestCheckUnmet(t *testing.T) {
	c := newCanned(t)
	c.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if discoveryOnly(w, r) {
			return true
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"error":"unauthorized_client","error_description":"Grant type 'client_credentials' not allowed for the client."}`))
		return true
	}
	report, err := Check(t.Context(), c.target())
	if err != nil {
		t.Fatal(err)
	}
	got := result(t, report, "token.cc.success.form")
	want := "the tenant is not configured for it (client grant exists): POST /oauth/token answered 403 unauthorized_client: Grant type 'client_credentials' not allowed for the client."
	if got.Status != Skip || got.Reason != want {
		t.Errorf("%+v", got)
	}
}

func TestCheckSkipsWhatTheTargetLacks(t *testing.T) {
	c := newCanned(t)
	c.answer = discoveryOnly
	target := c.target()
	target.ClientSecret, target.Audience, target.RedirectURI = "", "", ""
	report, err := Check(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"token.code.missing":       "needs client_secret, which is not set",
		"device.code.success":      "needs audience, which is not set",
		"authorize.client.unknown": "needs redirect_uri, which is not set",
	} {
		if got := result(t, report, id); got.Status != Skip || got.Reason != want {
			t.Errorf("%s: %+v, want %q", id, got, want)
		}
	}
}

// A report masks the target's secrets and everything that the tenant issued.
func TestReportsHoldNoSecrets(t *testing.T) {
	issued := []string{"canary-access", "canary-refresh", "canary-code-0123456789", "canary-cookie", "eyJhbGciOiJSUzI1NiJ9.eyJjYW5hcnkiOjF9.c2ln"}
	c := newCanned(t)
	c.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if discoveryOnly(w, r) {
			return true
		}
		_ = r.ParseForm()
		w.Header().Set("Location", "https://app.example/cb?code="+issued[2]+"&state=wrong")
		w.Header().Add("Set-Cookie", "auth0="+issued[3])
		w.Header().Set("Content-Type", "got "+issued[3]+" "+issued[4]+" "+url.QueryEscape(r.Form.Get("client_secret")))
		w.WriteHeader(http.StatusFound)
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"refresh_token":%q,"error":%q,"error_description":"you sent %s and %s"}`,
			issued[0], issued[1], issued[0]+" "+issued[4], r.Form.Get("client_secret"), issued[1])
		return true
	}
	target := c.target()
	target.Username, target.Password = "agent@example.com", "canary-password"
	report, err := Check(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := errors.Join(json.NewEncoder(&b).Encode(report), report.WriteText(&b), report.WriteJUnit(&b)); err != nil {
		t.Fatal(err)
	}
	if report.Failed() == 0 {
		t.Error("no case failed")
	}
	for _, secret := range append(issued, "canary-secret", "canary-password", "canary") {
		if at := strings.Index(b.String(), secret); at >= 0 {
			t.Errorf("%q is in the report: …%s", secret, clip(b.String()[max(0, at-80):]))
		}
	}
}

// When X-RateLimit-Remaining is 0, the suite waits until the reset and retries what was
// refused.
func TestCheckObeysTheRateLimit(t *testing.T) {
	now := time.Unix(1790000000, 0)
	var slept []time.Duration
	c := newCanned(t)
	tokenCalls := 0
	c.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/oauth/token" {
			return discoveryOnly(w, r)
		}
		tokenCalls++
		switch tokenCalls {
		case 1: // the last one that is allowed
			w.Header().Set("X-RateLimit-Remaining", "0")
			w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(now.Add(7*time.Second).Unix(), 10))
			return false
		case 2: // refused
			w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(now.Add(3*time.Second).Unix(), 10))
			w.Header().Set("Retry-After", "11")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		return false
	}
	target := c.target()
	target.Now = func() time.Time { return now }
	target.Sleep = func(_ context.Context, d time.Duration) error {
		slept = append(slept, d)
		now = now.Add(d)
		return nil
	}
	report, err := Check(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if want := []time.Duration{7 * time.Second, 11 * time.Second}; !slices.Equal(slept, want) {
		t.Errorf("slept %v, want %v", slept, want)
	}
	if got := result(t, report, "token.code.invalid"); got.Status != Pass {
		t.Errorf("%+v", got)
	}
}

func TestCheckStopsWaitingForALongLimit(t *testing.T) {
	c := newCanned(t)
	c.answer = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10))
		return discoveryOnly(w, r)
	}
	target := c.target()
	target.Sleep = func(context.Context, time.Duration) error { t.Error("Sleep was called"); return nil }
	report, err := Check(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if got := result(t, report, "token.code.missing"); got.Status != Skip || !strings.Contains(got.Reason, "rate limit lasts another") {
		t.Errorf("%+v", got)
	}
}

// On a real tenant, Check sends no wrong password and revokes only what it issued.
func TestCheckIsHarmless(t *testing.T) {
	c := newCanned(t)
	var bad []string
	c.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if discoveryOnly(w, r) {
			return true
		}
		_ = r.ParseForm()
		if p := r.PostForm.Get("password"); p != "" && p != "canary-password" {
			bad = append(bad, "a wrong password")
		}
		if r.URL.Path == "/u/login" && r.Method == http.MethodPost {
			c.calls = append(c.calls, "login")
		}
		if r.URL.Path == "/authorize" || r.URL.Path == "/u/login" { // every password is wrong
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte(`<form method="POST" action="/u/login"><input name="username"><input type="password" name="password"><button name="action" value="default"></form>`))
			return true
		}
		return false
	}
	target := c.target()
	target.Username, target.Password = "agent@example.com", "canary-password"
	report, err := Check(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if len(bad) > 0 {
		t.Errorf("the tenant got %q", bad)
	}
	got := result(t, report, "authorize.success.session")
	if got.Status != Skip || !strings.Contains(got.Reason, "the login was refused") {
		t.Errorf("%+v", got)
	}
	needing := 0
	for _, k := range Cases() {
		if k.Portable && slices.ContainsFunc(k.Setup, func(s string) bool { return slices.Contains(usesUser, s) }) {
			needing++
		}
	}
	tries := 0
	for _, call := range c.calls {
		if call == "login" {
			tries++
		}
	}
	if tries > 1 {
		t.Errorf("%d logins with a refused password, want 1 (%d cases need a login)", tries, needing)
	}
}

func TestCheckReportsAnInvalidTarget(t *testing.T) {
	good := Target{Issuer: "https://acme.example/", ClientID: "demo"}
	for name, tc := range map[string]struct {
		change func(*Target)
		want   string
	}{
		"no issuer": {func(t *Target) { t.Issuer = "" }, `issuer "" is not an http or https URL`},
		"no slash":  {func(t *Target) { t.Issuer = "https://acme.example" }, "has no trailing slash"},
		"http":      {func(t *Target) { t.Issuer = "http://acme.example/" }, "in clear text"},
		"user info": {func(t *Target) { t.Issuer = "https://u:p@acme.example/" }, "is not an http or https URL"},
		"no client": {func(t *Target) { t.ClientID = "" }, "client_id is empty"},
		"user only": {func(t *Target) { t.Username = "u" }, "must both be set"},
		"control":   {func(t *Target) { t.Control = "localhost" }, "control \"localhost\""},
		"no case":   {func(t *Target) { t.Recording = &Recording{} }, "the recording has no case"},
		"both": {
			func(t *Target) { t.Management, t.Recording = true, &Recording{Cases: make([]Case, 1)} },
			"a recording has no cases of the Management API",
		},
	} {
		target := good
		tc.change(&target)
		if _, err := Check(t.Context(), target); err == nil || !strings.Contains(err.Error(), tc.want) || !hasHint(err) {
			t.Errorf("%s: %v, want %q and a hint", name, err, tc.want)
		}
	}
	for _, both := range []Target{{Issuer: good.Issuer, Username: "u"}, {Username: "u"}} { // the client is checked only with a valid issuer
		if _, err := Check(t.Context(), both); err == nil || strings.Count(err.Error(), "contract: ") != 2 {
			t.Errorf("want both errors and no other: %v", err)
		}
	}
}

// hasHint reports whether an error, or each of several that are joined, says what to do.
func hasHint(err error) bool {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return !slices.ContainsFunc(joined.Unwrap(), func(err error) bool { return !hasHint(err) })
	}
	var h interface{ Hint() string }
	return errors.As(err, &h) && h.Hint() != ""
}

func TestCheckReportsWhatCannotBeReached(t *testing.T) {
	c := newCanned(t)
	if _, err := Check(t.Context(), c.target()); err == nil || !hasHint(err) || !strings.Contains(err.Error(), "no discovery document: status 403") {
		t.Errorf("no discovery: %v", err)
	}
	c.answer = discoveryOnly
	target := c.target()
	target.Control = c.URL + "/_mock/"
	if _, err := Check(t.Context(), target); err == nil || !strings.Contains(err.Error(), "control: GET health answered 403") {
		t.Errorf("no control API: %v", err)
	}
	c.Close()
	if _, err := Check(t.Context(), c.target()); err == nil || !hasHint(err) || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("no issuer: %v", err)
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	c := newCanned(t)
	ctx, cancel := context.WithCancel(t.Context())
	c.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if len(c.calls) > 5 {
			cancel()
		}
		return discoveryOnly(w, r)
	}
	if _, err := Check(ctx, c.target()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if len(c.calls) > 7 {
		t.Errorf("%d calls after the end", len(c.calls)-6)
	}
}
