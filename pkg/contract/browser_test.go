package contract

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParseForm(t *testing.T) {
	f := parseForm(`<p><form action="/search"><input name="q"></form>
		<FORM class='x' method="POST" action="/u/login?state=a&amp;b=c">
		<input type="hidden" name="state" value="a&quot;b"><input name="username"><input type='password' name='password'>
		<input type="checkbox" name="remember" value="1"><input type="submit" value="Go">
		<button name="action" value="accept">Yes</button><button name="action" value="decline">No</button></FORM>`)
	want := &form{
		action: "/u/login?state=a&b=c", fields: url.Values{"state": {`a"b`}}, user: "username", password: "password",
		buttons: [][2]string{{"", "Go"}, {"action", "accept"}, {"action", "decline"}},
	}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("%+v, want %+v", f, want)
	}
	for _, page := range []string{"", "<form>", `<form method="get"></form>`, `<form method="post">`} {
		if f := parseForm(page); f != nil {
			t.Errorf("%q: %+v", page, f)
		}
	}
}

func TestPressButton(t *testing.T) {
	for name, tc := range map[string]struct {
		buttons [][2]string
		do      consent
		want    string
	}{
		"accept":         {[][2]string{{"action", "accept"}, {"action", "decline"}}, accept, "action=accept"},
		"decline":        {[][2]string{{"action", "accept"}, {"action", "decline"}}, decline, "action=decline"},
		"deny":           {[][2]string{{"action", "deny"}, {"action", "accept"}}, decline, "action=deny"},
		"accept, second": {[][2]string{{"action", "deny"}, {"action", "accept"}}, accept, "action=accept"},
		"cancel":         {[][2]string{{"action", "confirm"}, {"action", "cancel"}}, decline, "action=cancel"},
		"nameless":       {[][2]string{{"", "Go"}}, accept, ""},
		"none":           {nil, accept, ""},
	} {
		f := &form{fields: url.Values{}, buttons: tc.buttons}
		if f.pressButton(tc.do); f.fields.Encode() != tc.want {
			t.Errorf("%s: %s, want %s", name, f.fields.Encode(), tc.want)
		}
	}
}

func FuzzParseForm(f *testing.F) {
	f.Add(`<form method="post" action="/x"><input name="a" value="b"><button name="c" value="d"></form>`)
	f.Fuzz(func(t *testing.T, page string) {
		if form := parseForm(page); form != nil && form.fields == nil {
			t.Fatal("a form without fields")
		}
		if text := textOf(page); strings.Contains(text, "\n") {
			t.Fatalf("a line break in %q", text)
		}
	})
}

// pages serves one page per path and records the forms sent to it.
func pages(t *testing.T, table map[string]http.HandlerFunc) (*browser, *[]string) {
	t.Helper()
	sent := &[]string{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		*sent = append(*sent, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.PostForm.Encode()))
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		table[r.URL.Path](w, r)
	}))
	t.Cleanup(srv.Close)
	wire, done := newWire(Target{Issuer: srv.URL + "/", HTTPClient: srv.Client()}.withDefaults(), &redactor{})
	t.Cleanup(done)
	return newBrowser(wire, "agent", "secret"), sent
}

func page(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(s)) }
}

func to(location string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusFound)
	}
}

// Identifier first, then the password, then consent.
func TestFollowPages(t *testing.T) {
	consentPage := `<form method="post" action="/done"><button name="action" value="accept"></button><button name="action" value="decline"></button></form>`
	b, sent := pages(t, map[string]http.HandlerFunc{
		"/authorize": to("/u/login/identifier"),
		"/u/login/identifier": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				to("/u/login/password")(w, r)
				return
			}
			page(`<form method="post"><input name="username"></form>`)(w, r)
		},
		"/u/login/password": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				to("/u/consent")(w, r)
				return
			}
			page(`<form method="post"><input type="hidden" name="username" value="agent"><input type="password" name="password"></form>`)(w, r)
		},
		"/u/consent": page(consentPage), "/done": to("https://app.example/cb?code=x"),
	})
	start := func() *answer {
		a, err := b.get(t.Context(), b.issuer+"authorize")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a, err := b.followPages(t.Context(), start(), accept)
	if err != nil || a.location() == nil || a.location().Host != "app.example" {
		t.Fatalf("%+v, %v", a, err)
	}
	want := []string{
		"GET /authorize", "GET /u/login/identifier", "POST /u/login/identifier username=agent", "GET /u/login/password",
		"POST /u/login/password password=secret&username=agent", "GET /u/consent", "POST /done action=accept",
	}
	if !slices.Equal(*sent, want) {
		t.Errorf("sent %q, want %q", *sent, want)
	}
	if _, err := b.followPages(t.Context(), start(), leave); !errors.Is(err, errLeft) {
		t.Errorf("left: %v", err)
	}
	if _, err := b.followPages(t.Context(), start(), decline); err != nil || (*sent)[len(*sent)-1] != "POST /done action=decline" {
		t.Errorf("declined: %v, sent %q", err, (*sent)[len(*sent)-1])
	}
}

func TestFollowPagesRefuses(t *testing.T) {
	login := `<form method="post" action="/login"><input name="username"><input type="password" name="password"></form>`
	for name, tc := range map[string]struct {
		pages map[string]http.HandlerFunc
		want  string
		calls int
	}{
		"a password that is wrong is tried once": {map[string]http.HandlerFunc{"/authorize": to("/login"), "/login": page(login)}, "/login: the login was refused", 3},
		"too many pages":                         {map[string]http.HandlerFunc{"/authorize": to("/authorize")}, "more than 12 pages", 1 + mostPages},
		"a form that leads elsewhere":            {map[string]http.HandlerFunc{"/authorize": page(`<form method="post" action="https://evil.example/"><input type="password" name="p"></form>`)}, "posts to another host, evil.example", 1},
		"a form without a valid action":          {map[string]http.HandlerFunc{"/authorize": page(`<form method="post" action="http://[::1"></form>`)}, "not a URL", 1},
	} {
		t.Run(name, func(t *testing.T) {
			b, sent := pages(t, tc.pages)
			a, err := b.get(t.Context(), b.issuer+"authorize")
			if err == nil {
				_, err = b.followPages(t.Context(), a, accept)
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || len(*sent) != tc.calls {
				t.Errorf("%v, %d calls; want %q, %d", err, len(*sent), tc.want, tc.calls)
			}
		})
	}
}

// The suite does not retry a password that the password grant refused.
func TestPasswordIsTriedOnce(t *testing.T) {
	c := newCanned(t)
	tries := 0
	c.answer = func(w http.ResponseWriter, r *http.Request) bool {
		_ = r.ParseForm()
		body := make([]byte, 1<<10)
		n, _ := r.Body.Read(body)
		if r.URL.Path == "/oauth/token" && strings.Contains(string(body[:n]), "canary-password") {
			tries++
		}
		return discoveryOnly(w, r)
	}
	target := c.target()
	target.Username, target.Password = "agent@example.com", "canary-password"
	report, err := Check(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if tries != 1 {
		t.Errorf("the password was tried %d times", tries)
	}
	skipped := 0
	for _, r := range report.Cases {
		if r.Reason == "the tenant refused the user's password; the suite does not retry it" {
			skipped++
		}
	}
	if skipped == 0 {
		t.Error("the report does not say why the user is not retried")
	}
}

func TestRedactor(t *testing.T) {
	r := &redactor{}
	r.hide("code", "abcdef")
	r.hide("longer", "abcdefgh")
	r.hide("password", "p w+d/1")
	r.hide("short", "abc")
	r.hide("empty", "")
	got := r.apply("abcdefgh abcdef abc p+w%2Bd%2F1 p w+d/1 eyJhbGciOiJSUzI1NiJ9.e30.x eyJhbGciOiJkaXIifQ..iv.ct.tag")
	want := "[longer] [code] abc [password] [password] [token] [token]"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
