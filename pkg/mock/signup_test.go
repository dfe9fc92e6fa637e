package mock_test

import (
	"net/http"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

func TestSignup(t *testing.T) {
	w := formWorld(t)
	state := w.authorize("screen_hint", "signup").state("/u/signup")
	page := w.get("/u/signup?state=" + state)
	for _, want := range []string{`id="signup-form"`, `name="email"`, `name="password"`, "Sign up to mockauth0 to continue to Demo.", `id="log-in"`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the signup page lacks %s", want)
		}
	}
	for name, bad := range map[string][3]string{
		"no address":                  {"", "long-enough", "Email is not valid."},
		"not an address":              {"absent", "long-enough", "Email is not valid."},
		"a line break":                {"a@b\r\nc", "long-enough", "Email is not valid."},
		"short password":              {"new@example.com", "short", "at least 8 characters"},
		"existing user":               {guest, "long-enough", "Something went wrong"},
		"existing user in upper case": {strings.ToUpper(guest), "long-enough", "Something went wrong"},
		"longer than 254":             {strings.Repeat("a", 251) + "@b.c", "long-enough", "Email is not valid."},
	} {
		r := w.post("/u/signup?state="+state, "email", bad[0], "password", bad[1])
		if r.status != http.StatusBadRequest || !strings.Contains(r.body, bad[2]) {
			t.Errorf("%s: %d, no %q", name, r.status, bad[2])
		}
	}
	r := w.post("/u/signup?state="+state, "email", "new@example.com", "password", "long-enough")
	r = w.consent(w.get(r.location().String()), "accept")
	if got := claims(t, w.exchange(r.param("code")).tokens().ID)["email"]; got != "new@example.com" {
		t.Errorf("signed up as %v", got)
	}
	if r := w.post("/u/signup?state="+state, "email", "again@example.com", "password", "long-enough"); r.status != http.StatusBadRequest {
		t.Errorf("the page of a finished transaction answers %d", r.status)
	}
}

// With signup disabled there is no signup page and no link to it.
func TestSignupDisabled(t *testing.T) {
	export := tenant.Default()
	export.Databases[0].DisableSignup = true
	w := newWorld(t, mock.Config{Login: mock.LoginForm, Tenant: export})
	state := w.authorize("screen_hint", "signup").state("/u/login")
	if page := w.get("/u/login?state=" + state); strings.Contains(page.body, "sign-up") {
		t.Error("the login page leads to a signup")
	}
	if r := w.get("/u/signup?state=" + state); r.status != http.StatusBadRequest {
		t.Errorf("the signup page answers %d", r.status)
	}
}

func TestLoginPageLinksToSignup(t *testing.T) {
	w := formWorld(t)
	state := w.authorize().state("/u/login")
	if page := w.get("/u/login?state=" + state); !strings.Contains(page.body, `href="/u/signup?state=`+state+`"`) {
		t.Error("the login page does not lead to the signup")
	}
}
